"""A worker's life with real jobs: done, failed, killed, stopped, cancelled, too slow."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.errors import Refused
from karl.jobs import asking, gate, keys, listing, queues, table, upkeep, working
from karl.settings import read_settings
from karl.stream.connect import connect
from tests.cli.running import karl
from tests.conftest import wait_until
from tests.jobs.conftest import Workers, calling, failure, plant, state, until_state
from tests.ledger.conftest import newest, set_byte, write_some
from workers import jobs
from workers.job_process import JobProcess
from workers.one_job import Order, _Teller

Ask = Callable[..., str]


def processes_of(worker: int) -> list[int]:
    """The processes that are a worker's children."""
    found = Path(f"/proc/{worker}/task/{worker}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


@pytest.fixture
def ledger(workers: Workers) -> Path:
    """The ledger beside which the workers are."""
    folder = workers.data_dir / "ledger"
    write_some(folder)
    return folder


def test_a_job_is_done_and_its_result_kept(workers: Workers, redis: Redis, ask: Ask) -> None:
    name = ask("probe", "embed", note="a")
    workers.work()
    told, given = listing.one(redis, name)
    assert (told.status, told.description) == ("finished", 'probe(note="a")')
    assert given.result["node"] == "here"
    assert given.result["pid"] != os.getpid()
    assert redis.zcard(keys.state_key(keys.WIP, "embed")) == 0
    assert listing.facts(redis)[1].finished == 1


def test_verify_gives_its_report(workers: Workers, redis: Redis, ask: Ask, ledger: Path) -> None:
    name = ask("verify")
    workers.work("default")
    told, given = listing.one(redis, name)
    assert told.status == "finished"
    assert given.result["ok"] is True
    assert given.result["records"] > 0


def test_a_damaged_ledger_fails_verify_with_the_place_and_the_report(
    workers: Workers, redis: Redis, ask: Ask, ledger: Path
) -> None:
    segment = newest(ledger)
    set_byte(segment, segment.stat().st_size // 2, lambda byte: byte ^ 1)
    name = ask("verify")
    workers.work("default")
    told, given = listing.one(redis, name)
    assert told.status == "failed"  # for good: another attempt would find the same
    assert segment.name in (given.failure or "")
    assert told.meta["report"]["damages"] >= 1


def test_jobs_beside_the_ledger_wait_until_there_is_one(workers: Workers, redis: Redis, ask: Ask) -> None:
    name = ask("verify")
    workers.work("default")
    assert state(redis, name) == "queued"


def test_the_same_job_waits_once(redis: Redis, ask: Ask, workers: Workers) -> None:
    first = ask("probe", "embed", note="a")
    assert ask("probe", "embed", note="a") == first
    others = {ask("probe", "embed"), ask("probe", "embed", note="b"), ask("probe", "train", note="a")}
    assert len(others - {first}) == 3
    workers.work()
    assert ask("probe", "embed", note="a") != first  # that one has begun, and does not wait any more


def test_many_who_ask_at_one_time_make_one_job(redis_url: str, redis: Redis) -> None:
    made: list[str] = []
    asked = gate.Asked(table.find("probe"), table.Probe(note="a"))

    def ask() -> None:
        client = connect(redis_url)
        made.append(asking.enqueue(client, asked, "embed").id)
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == redis.llen(keys.queue_key("embed")) == 1


@pytest.mark.parametrize(
    ("arguments", "word"), [({"secnds": 1}, "secnds"), ({"seconds": "a"}, "seconds"), ({"note": 1}, "note")]
)
def test_arguments_are_checked_before_a_job_is_asked_for(
    redis: Redis, ask: Ask, arguments: dict[str, Any], word: str
) -> None:
    with pytest.raises(Exception, match=word):
        ask("probe", "embed", **arguments)
    assert redis.dbsize() == 0


def test_a_killed_workers_job_is_done_by_another_and_its_process_is_gone(
    workers: Workers, redis: Redis, ask: Ask
) -> None:
    first = workers.start()
    name = ask("probe", "embed", seconds=600)
    until_state(redis, name, "started")
    workers.start()
    wait_until(lambda: listing.one(redis, name)[0].meta.get("total"), "the job says how far it is")
    children = processes_of(first.pid)
    first.send_signal(signal.SIGKILL)
    first.wait()
    if Path("/proc").is_dir():
        assert children
        wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "they are gone")
    wait_until(lambda: listing.one(redis, name)[0].retries_left == 0, "another worker took it up")
    assert "went away while it ran" in failure(redis, name)
    until_state(redis, name, "started")


def test_a_job_whose_workers_die_each_time_fails_with_the_reason(redis: Redis, ask: Ask) -> None:
    name = ask("probe", "embed")
    for attempt in range(2):  # the first, and one more
        claim = working.claim(redis, "embed", f"w{attempt}", lease_s=9, wait_s=1)
        assert claim
        redis.delete(claim.run.key)  # as when the lease is over
        sweeper = upkeep.Sweeper(redis, "embed", "other", 9)
        assert (sweeper.sweep(0.0), sweeper.sweep(1.0)) == (1, 0)
        assert not working.succeed(claim, "w", "late")  # what comes of it now is nobody's
        assert working.beat(claim, "w", 9) is None
        upkeep.due(redis, "embed", 1e12)
    assert state(redis, name) == "failed"
    assert failure(redis, name) == "its worker, w1, went away while it ran"


def test_a_run_that_nobody_took_up_is_ours_however_long_the_server_was_away(redis: Redis, ask: Ask) -> None:
    name = ask("probe", "embed")
    claim = working.claim(redis, "embed", "w", lease_s=9, wait_s=1)
    assert claim
    redis.delete(claim.run.key)
    assert working.beat(claim, "w", 9) is False
    assert upkeep.Sweeper(redis, "embed", "other", 9).sweep(0.0) == 0  # it lives again
    redis.delete(claim.run.key)
    assert working.succeed(claim, "w", "late")
    assert (state(redis, name), listing.last_given(redis, name).result) == ("finished", "late")


def test_a_report_of_any_size_lets_its_job_be_tried_again(redis: Redis, ask: Ask) -> None:
    for note, report in (("a", ["small"]), ("b", ["x" * gate.LARGEST])):
        name = ask("probe", "embed", note=note)
        claim = working.claim(redis, "embed", "w", lease_s=9, wait_s=1)
        assert claim
        assert working.fail(claim, "w", "r" * (2 * gate.LARGEST), again=False, report=report)
        assert listing.one(redis, name)[0].meta["report"] in (["small"], "left out: 1,048,580 bytes")
        assert asking.retry(redis, name).new
        redis.delete(keys.queue_key("embed"))


def test_a_job_lost_between_queue_and_run_goes_back_to_the_front(redis: Redis, ask: Ask) -> None:
    lost, other = ask("probe", "embed", note="a"), ask("probe", "embed", note="b")
    redis.lmove(keys.queue_key("embed"), keys.moved_key("embed"))  # and its worker dies in this moment
    sweeper = upkeep.Sweeper(redis, "embed", "w", 5)
    assert [sweeper.sweep(at) for at in (0.0, 4.0, 6.0, 20.0)] == [0, 0, 1, 0]
    assert redis.lrange(keys.queue_key("embed"), 0, -1) == [lost.encode(), other.encode()]


def test_a_worker_asked_to_end_lets_a_short_job_finish(workers: Workers, redis: Redis, ask: Ask) -> None:
    worker = workers.start()
    name = ask("probe", "embed", seconds=1)
    until_state(redis, name, "started")
    worker.terminate()
    assert worker.wait(20) == 0
    assert state(redis, name) == "finished"


def test_a_worker_asked_to_end_gives_a_long_job_back(
    workers: Workers, redis: Redis, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "JOBS", [job._replace(grace_s=0) for job in table.JOBS])
    name = ask("probe", "embed", seconds=600)
    behind = ask("probe", "embed", note="behind")
    workers.stop.set()
    workers.work()
    assert redis.lrange(keys.queue_key("embed"), 0, -1) == [name.encode(), behind.encode()]
    assert (state(redis, name), listing.one(redis, name)[0].retries_left) == ("queued", 1)
    assert ask("probe", "embed", seconds=600) == name


def test_a_second_signal_ends_worker_and_job_at_once(workers: Workers, redis: Redis, ask: Ask) -> None:
    worker = workers.start()
    name = ask("probe", "embed", seconds=600)
    wait_until(lambda: listing.one(redis, name)[0].meta, "the job says how far it is")
    children = processes_of(worker.pid)
    worker.terminate()
    while worker.poll() is None:  # two signals at one moment are one
        worker.terminate()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(0.1)
    assert worker.returncode == 128 + signal.SIGTERM
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "its job is gone")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found in /proc")
def test_a_job_whose_process_is_killed_is_tried_again_and_then_failed(
    workers: Workers, redis: Redis, ask: Ask
) -> None:
    workers.start()
    name = ask("probe", "embed", seconds=600)
    worker = workers._started[0].pid
    killed: set[int] = set()
    for _ in range(2):
        wait_until(lambda: set(processes_of(worker)) - killed, "the job has a process")
        (child,) = set(processes_of(worker)) - killed
        killed.add(child)
        os.kill(child, signal.SIGKILL)
    until_state(redis, name, "failed")
    assert "killed by SIGKILL" in failure(redis, name)


def test_a_job_that_takes_too_long_is_ended(
    workers: Workers, redis: Redis, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ask("probe", "embed", seconds=600)
    quick = tuple(job._replace(timeout_s=0, waits=()) for job in table.JOBS)
    monkeypatch.setattr(table, "JOBS", quick)
    monkeypatch.setattr(jobs, "LOOK_S", 0.05)
    workers.work()
    assert (state(redis, name), failure(redis, name)) == ("failed", "not done within 0 s")


def test_a_running_job_is_cancelled(workers: Workers, redis: Redis, ask: Ask) -> None:
    workers.start()
    name = ask("probe", "embed", seconds=600)
    until_state(redis, name, "started")
    assert asking.cancel(redis, name) == "asked"
    until_state(redis, name, "stopped")
    assert failure(redis, name) == "cancelled while it ran"
    assert asking.retry(redis, name) == (name, True)
    until_state(redis, name, "started")  # and not ended again by what was asked before
    assert asking.cancel(redis, name) == "asked"


def test_a_waiting_job_is_cancelled_and_may_be_tried_again(workers: Workers, redis: Redis, ask: Ask) -> None:
    name = ask("probe", "embed")
    assert asking.cancel(redis, name) == "canceled"
    workers.work()
    assert state(redis, name) == "canceled"
    assert asking.retry(redis, name) == (name, True)
    workers.work()
    assert state(redis, name) == "finished"
    for change in (asking.cancel, asking.retry):
        with pytest.raises(Exception, match="it is finished"):
            change(redis, name)


def test_a_scheduled_job_is_cancelled_for_good(redis: Redis, ask: Ask) -> None:
    name = ask("probe", "embed")
    claim = working.claim(redis, "embed", "w", lease_s=9, wait_s=1)
    assert claim
    assert working.fail(claim, "w", "broken", again=True)
    assert (state(redis, name), upkeep.due(redis, "embed", 0.0)) == ("scheduled", 0)
    assert asking.cancel(redis, name) == "canceled"
    assert upkeep.due(redis, "embed", 1e12) == 0
    assert redis.llen(keys.queue_key("embed")) == 0


def test_a_refused_job_can_not_be_tried_again(workers: Workers, redis: Redis) -> None:
    plant(redis, "evil", calling("os.system", command="true"))
    workers.work()
    with pytest.raises(Exception, match="can not be retried"):
        asking.retry(redis, "evil")


def test_what_two_workers_take_up_at_one_time_is_taken_up_once(
    redis: Redis, redis_url: str, ask: Ask
) -> None:
    names = [ask("probe", "embed", note=str(n)) for n in range(20)]
    for _ in names:
        claim = working.claim(redis, "embed", "dead", lease_s=9, wait_s=1)
        assert claim
        redis.delete(claim.run.key)
    counts: list[int] = []

    def sweep() -> None:
        client = connect(redis_url)
        counts.append(upkeep.Sweeper(client, "embed", "w", 9).sweep(0.0))
        counts.append(-upkeep.due(client, "embed", 1e12))
        client.close()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    upkeep.due(redis, "embed", 1e12)
    assert sum(count for count in counts if count > 0) == 20
    assert sorted(redis.lrange(keys.queue_key("embed"), 0, -1)) == sorted(name.encode() for name in names)


def test_ended_jobs_and_gone_workers_are_forgotten_in_time(workers: Workers, redis: Redis, ask: Ask) -> None:
    ask("probe", "embed")
    workers.work()
    redis.sadd(keys.workers_key("embed"), "rq:worker:gone")
    redis.sadd("rq:workers", "rq:worker:gone")
    upkeep.tidy(redis, "embed", 0.0)
    assert redis.zcard(keys.state_key(keys.FINISHED, "embed")) == 1
    assert redis.smembers("rq:workers") == {b"rq:worker:here:1:a"}
    upkeep.tidy(redis, "embed", 1e12)
    assert redis.zcard(keys.state_key(keys.FINISHED, "embed")) == 0


def test_nothing_of_a_job_is_kept_for_ever(workers: Workers, redis: Redis, ask: Ask) -> None:
    ask("probe", "embed")
    plant(redis, "evil", calling("os.system"))
    workers.here().close()
    workers.work(rounds=2)
    lasting = {key for key in redis.keys("rq:*") if redis.ttl(key) == -1}
    sets = {b"rq:queues", b"rq:workers", b"rq:workers:embed", b"rq:finished:embed", b"rq:failed:embed"}
    assert lasting <= sets
    assert queues.DENIED_TTL_S >= redis.ttl(keys.job_key("evil")) > 0


@pytest.mark.parametrize(
    ("queue", "more", "word"),
    [
        ("train", {}, "KARL_GPU_NODE names no node"),
        ("train", {"KARL_GPU_NODE": "gpu1,gpu2"}, "KARL_GPU_NODE names gpu1, gpu2"),
        ("default", {"KARL_CANONICAL_WRITER": "l1"}, "KARL_CANONICAL_WRITER names l1"),
    ],
)
def test_a_queue_is_worked_on_where_it_belongs_only(
    workers: Workers, queue: str, more: dict[str, str], word: str
) -> None:
    result = karl(workers.data_dir, "worker", "jobs", queue, KARL_NODE="here", **more)
    assert isinstance(result.exception, Refused)
    assert word in str(result.exception)


def test_the_designated_node_works_on_train(workers: Workers, redis: Redis, ask: Ask) -> None:
    name = ask("probe", "train")
    more = {"KARL_NODE": "here", "KARL_GPU_NODE": "other,here"}
    table.may_work(table.find_queue("train"), read_settings(more))
    workers.work("train")
    assert state(redis, name) == "finished"


def test_a_process_that_dies_before_it_reads_its_order_is_a_failed_job_and_no_error(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "PYTHONHOME": str(tmp_path)}  # no interpreter starts with that
    with JobProcess(Order("probe", {"note": "x" * 200, "many": list(range(100_000))}), environ) as process:
        while process.listen(0.1):
            pass
        assert process.last is None
        assert "without a result" in process.how_it_ended()


def test_the_last_word_on_how_far_a_job_is_is_never_left_out() -> None:
    out = io.BytesIO()
    teller = _Teller(out)
    for done in range(5):
        teller.progress(done, 4, "texts")
    teller.settle()
    said = [json.loads(line)["done"] for line in out.getvalue().splitlines() if b"done" in line]
    assert said[-1] == 4
    assert len(said) < 5
