"""What somebody may leave in Redis as a job, and that nothing comes of it but a failed job with the reason."""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.jobs import gate, keys, listing, queues
from tests.cli.running import karl
from tests.jobs.conftest import Workers, calling, failure, plant, state


@pytest.mark.parametrize("pack", [bytes, zlib.compress], ids=["plain", "packed"])
def test_a_planted_pickle_is_never_unpickled(
    workers: Workers, redis: Redis, pickled: bytes, harmed: Path, pack: Any
) -> None:
    plant(redis, "evil", pack(pickled), meta=pickled, result=pickled, description="innocent")
    redis.xadd(keys.results_key("evil"), {"type": 1, "return_value": pickled, "exc_string": pickled})
    told, _ = listing.one(redis, "evil")
    workers.work()
    listing.one(redis, "evil")
    assert (told.name, state(redis, "evil")) == ("?", "failed")
    assert "pickles are never read" in failure(redis, "evil")
    assert not harmed.exists()


def test_what_in_rq_is_told_no_serializer_can_not_unpickle(
    redis: Redis, pickled: bytes, harmed: Path
) -> None:
    from rq.exceptions import DeserializationError
    from rq.job import Job
    from rq.results import Result

    plant(redis, "evil", pickled, meta=pickled, result=pickled)
    job = Job.fetch("evil", connection=redis)
    with pytest.raises(DeserializationError):
        _ = job.func_name
    redis.xadd(keys.results_key("evil"), {"type": 1, "return_value": pickled})
    with pytest.raises(ValueError):
        Result.fetch_latest(job)
    assert not harmed.exists()
    assert queues.DefaultSerializer.loads(b"[1]") == [1]


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "builtins.eval", "builtins.exec", "subprocess.call", "workers.job_bodies.probe",
        "workers.job_bodies:probe", "karl.jobs.table.function", "probe.__call__", "probe\n", " probe", "Probe",
        "", ".", "probe\x00", "__import__", "karl.jobs.table.find.__globals__", "harmful_when_imported.run",
    ],
)  # fmt: skip
def test_a_function_that_is_not_in_the_table_is_refused_and_not_imported(
    workers: Workers, redis: Redis, harmed: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tmp_path = harmed.parent
    text = f"import pathlib; pathlib.Path({str(harmed)!r}).touch()\ndef run(*a, **k): pass\n"
    (tmp_path / "harmful_when_imported.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    plant(redis, "evil", calling(name, f"touch {harmed}"))
    plant(redis, "evil2", calling(name, command=f"touch {harmed}"))
    workers.work(rounds=2)
    assert [state(redis, job) for job in ("evil", "evil2")] == ["failed", "failed"]
    assert "refused" in failure(redis, "evil2")
    assert "is no job of KARL" in failure(redis, "evil2")
    assert not harmed.exists()
    assert "harmful_when_imported" not in sys.modules


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("success_callback_name", "harmful_when_imported.run", "on_success"),
        ("failure_callback_name", "os.system", "on_failure"),
        ("stopped_callback_name", "builtins.print", "on_stopped"),
        ("webhooks", json.dumps([{"url": "http://127.0.0.1:1/", "job_status": "failed"}]), "webhook"),
        ("dependency_ids", '["other"]', "other jobs"),
        ("repeats_left", "100", "repetitions"),
        ("rate_limit_key", "k", "rate limit"),
        ("group_id", "g", "group"),
    ],
)
def test_a_job_of_ours_with_more_than_its_arguments_is_refused_and_stripped(
    workers: Workers, redis: Redis, field: str, value: str, word: str
) -> None:
    plant(redis, "evil", calling("probe"), **{field: value})
    workers.work()
    assert state(redis, "evil") == "failed"
    assert word in failure(redis, "evil")
    assert redis.hget(keys.job_key("evil"), field) in {None, b""}


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (calling("probe", 1), "arguments without a name"),
        (calling("probe", seconds="x"), "seconds"),
        (calling("probe", seconds=-1), "seconds"),
        (calling("probe", seconds=1e9), "seconds"),
        (calling("probe", other=1), "other"),
        (calling("verify"), "does not run in the queue embed"),
        (zlib.compress(b'["probe", "an instance", [], {}]'), "JSON"),
        (zlib.compress(b"["), "JSON"),
        (zlib.compress(b'["probe", null, [], {"a":' + b"[" * 100_000), "JSON"),
        (b"", "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        (zlib.compress(b" " * (gate.LARGEST + 1)), "larger than"),
    ],
)
def test_a_job_that_makes_no_sense_is_failed_with_the_reason(
    workers: Workers, redis: Redis, data: bytes, word: str
) -> None:
    plant(redis, "odd", data)
    workers.work()
    assert state(redis, "odd") == "failed"
    assert word in failure(redis, "odd")


def test_a_packed_bomb_is_not_unpacked(workers: Workers, redis: Redis) -> None:
    plant(redis, "bomb", zlib.compress(bytes(40 << 20)))
    plant(redis, "large", b"x" * (3 << 20))
    workers.work(rounds=2)
    assert "larger than" in failure(redis, "bomb")
    assert state(redis, "large") == "failed"


def test_what_is_no_job_at_all_is_dropped_and_the_next_one_runs(workers: Workers, redis: Redis) -> None:
    queue = keys.queue_key("embed")
    redis.rpush(queue, "never-was", "../../etc/passwd", b"\xff\x00", "a" * 5000, "text", "list")
    redis.set(keys.job_key("text"), "no hash")
    redis.rpush(keys.job_key("list"), "no hash")
    plant(redis, "done", calling("os.system"), status="finished")
    plant(
        redis,
        "odd",
        calling("probe"),
        status=b"\xff",
        created_at=b"\xff",
        retries_left="9" * 400,
        timeout="x",
    )
    plant(redis, "good", calling("probe"), timeout=-1, retries_left=10**6, result_ttl=-1, meta=b"\xff")
    workers.work(rounds=9)
    assert state(redis, "good") == "finished"
    assert state(redis, "done") == "finished"
    assert redis.llen(queue) == redis.llen(keys.moved_key("embed")) == 0
    assert 0 < redis.ttl(keys.job_key("good")) <= 86_400


def test_junk_in_the_sets_of_running_and_scheduled_jobs_stops_nobody(workers: Workers, redis: Redis) -> None:
    redis.zadd(keys.state_key(keys.WIP, "embed"), {"x": 1, "../a:b": 1, b"\xff": 0, "text:1": 2, "evil:1": 3})
    redis.zadd(keys.state_key(keys.SCHEDULED, "embed"), {"y": 1, b"\xff\xfe": 0, "text": 1})
    redis.set(keys.job_key("text"), "no hash")
    plant(redis, "evil", calling("os.system", "true"), status="started", failure_callback_name="os.system")
    redis.lrem(keys.queue_key("embed"), 0, "evil")
    plant(redis, "good", calling("probe"))
    workers.work()
    assert state(redis, "good") == "finished"
    assert state(redis, "evil") == "failed"
    assert redis.zcard(keys.state_key(keys.SCHEDULED, "embed")) == 0
    assert redis.zcard(keys.state_key(keys.WIP, "embed")) == 0


def test_nobody_listens_to_rqs_commands(workers: Workers, redis: Redis) -> None:
    worker = workers.here()
    worker.run_once(workers.stop)
    for command in ("shutdown", "kill-horse", "stop-job"):
        assert redis.publish("rq:pubsub:here:1:a", json.dumps({"command": command, "job_id": "x"})) == 0
    assert redis.pubsub_channels("rq:*") == []
    worker.close()


def test_what_a_planted_job_says_can_not_drive_the_terminal(
    workers: Workers, redis: Redis, redis_url: str
) -> None:
    escape = "\x1b]0;owned\x07\x1b[2J\u202e"
    name = f"{escape}name"
    plant(
        redis,
        "evil",
        calling(name),
        description=escape,
        worker_name=escape,
        meta=json.dumps({"where": escape}),
    )
    shown = karl(workers.data_dir, "jobs", "list", KARL_REDIS_URL=redis_url).output
    workers.work()
    for words in (("list",), ("list", "--json"), ("show", "evil"), ("show", "evil", "--json")):
        result = karl(workers.data_dir, "jobs", *words, KARL_REDIS_URL=redis_url)
        assert result.exit_code == 0
        shown += result.output
    assert "evil" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
