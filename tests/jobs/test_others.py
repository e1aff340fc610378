"""Workers of other queues come when something waits, and go when nothing does; prompts that wait make a job."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoServer

from karl.jobs import keys, listing
from karl.stream.keys import PROMPTS, ROUTING
from tests.cli.running import karl
from tests.conftest import wait_until
from tests.jobs.conftest import Workers, state, until_state
from tests.jobs.test_worker import processes_of
from workers import others
from workers.others import Others
from workers.prompted import Prompted

Ask = Callable[..., str]


@pytest.fixture
def made(redis: Redis, redis_url: str, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Others]:
    monkeypatch.setattr(others, "IDLE_S", 1)
    environ = {
        **os.environ,
        "KARL_REDIS_URL": redis_url,
        "KARL_DATA_DIR": str(workers.data_dir),
        "KARL_LEASE_TTL_S": "1",
    }
    found = Others(redis, ("embed", "route"), environ)
    yield found
    found.close()


def running(made: Others) -> set[str]:
    return {queue for queue, process in made._running.items() if process.poll() is None}


def test_a_worker_comes_when_something_waits_and_goes_when_nothing_does(
    made: Others, redis: Redis, ask: Ask
) -> None:
    made.look()
    assert running(made) == set()
    name = ask("probe", "embed")
    made.look()
    made.look()
    assert running(made) == {"embed"}
    until_state(redis, name, "finished")
    wait_until(lambda: running(made) == set(), "it ends by itself")
    made.look()
    again = ask("probe", "embed")
    made.look()
    until_state(redis, again, "finished")


def test_each_is_asked_to_end_after_its_job_and_none_is_left(made: Others, redis: Redis, ask: Ask) -> None:
    name = ask("probe", "embed", seconds=1)
    made.look()
    until_state(redis, name, "started")
    (process,) = made._running.values()
    made.close()
    assert (process.poll(), running(made), state(redis, name)) == (0, set(), "finished")
    ask("probe", "route")
    made.look()
    assert running(made) == set()


def test_one_that_fails_is_not_started_again_at_once(
    made: Others, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others.sys, "executable", "/bin/false")
    now = [0.0]
    made._clock = lambda: now[0]
    ask("probe", "embed")
    starts = []
    for second in range(40):
        now[0] = float(second)
        made.look()
        if running_now := list(made._running.values()):
            starts.append(second)
            running_now[0].wait()
    assert starts == [0, 3, 8, 17, 34]


def test_what_a_dead_worker_left_is_taken_up(made: Others, redis: Redis, workers: Workers, ask: Ask) -> None:
    name = ask("probe", "embed", seconds=1)
    worker = workers.start("embed")
    until_state(redis, name, "started")
    for child in processes_of(worker.pid):
        os.kill(child, signal.SIGKILL)
    worker.kill()
    worker.wait()
    made.look()
    assert running(made) == set()  # it counts as alive until its lease is over

    def finished() -> bool:
        made.look()
        return state(redis, name) == "finished"

    wait_until(finished, "another has done it")


def test_a_real_worker_of_default_has_workers_of_the_others(
    redis: Redis, redis_url: str, workers: Workers, ask: Ask
) -> None:
    worker = workers.start("default", "--also", "embed", "--also", "route")
    wait_until(lambda: next(one for one in listing.facts(redis) if one.queue == "embed").served, "it says so")
    told = karl(workers.data_dir, "jobs", "run", "probe", "--queue", "embed", KARL_REDIS_URL=redis_url)
    assert "nobody works" not in told.output
    assert (
        "when needed"
        in karl(workers.data_dir, "jobs", "list", "--queue", "route", KARL_REDIS_URL=redis_url).output
    )
    until_state(redis, ask("probe", "embed", note="a"), "finished")
    (child,) = [
        one for one in processes_of(worker.pid) if b"jobs" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    worker.terminate()
    assert worker.wait(30) == 0
    assert not Path(f"/proc/{child}").exists()


def test_a_worker_may_be_told_to_end_when_nothing_comes(workers: Workers, redis: Redis, ask: Ask) -> None:
    name = ask("probe", "embed")
    worker = workers.start("embed", "--until-idle", "1")
    assert worker.wait(30) == 0
    assert state(redis, name) == "finished"


class Broken:
    """A chore whose server is away."""

    looks = 0

    def look(self) -> None:
        self.looks += 1
        raise NoServer("away")

    def ask_to_end(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_chore_whose_server_is_away_keeps_no_job_waiting(
    workers: Workers, redis: Redis, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    worker, chore = workers.here(), Broken()
    worker._chores = [chore]
    first, second = ask("probe", "embed", seconds=2), ask("probe", "embed")
    worker.run_once(workers.stop)
    worker.run_once(workers.stop)
    assert (state(redis, first), state(redis, second)) == ("finished", "finished")
    assert chore.looks > 2  # while the job ran, too
    assert caplog.text.count("could not see to broken") == 1
    worker.close()


def test_prompts_that_wait_ask_for_one_job_whoever_looks(redis: Redis) -> None:
    looking = [Prompted(redis, redis), Prompted(redis, redis)]
    for one in looking:
        one.look()
    assert redis.llen(keys.queue_key("route")) == 0
    redis.hset(ROUTING, "policy", "{}")
    redis.xadd(PROMPTS, {"d": "{}"})
    for one in looking * 2:
        one.look()
    assert redis.llen(keys.queue_key("route")) == 1
    redis.delete(keys.queue_key("route"))
    redis.zadd(keys.state_key(keys.WIP, "route"), {"a:b": 1})
    for one in looking:
        one.look()
    assert redis.llen(keys.queue_key("route")) == 0


def test_what_is_no_worker_is_not_taken_for_one(redis: Redis) -> None:
    redis.set("rq:worker:odd", "no hash")
    redis.sadd(keys.workers_key("embed"), "rq:worker:odd", "rq:worker:gone")
    assert not next(one for one in listing.facts(redis) if one.queue == "embed").served
