"""`karl jobs`: asking, looking, ending, and what the exit codes say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from click.testing import Result
from redis import Redis

from karl.jobs import table
from tests.cli.running import karl
from tests.jobs.conftest import Workers, calling, plant
from tests.ledger.conftest import newest, set_byte, write_some

Command = Callable[..., Result]


@pytest.fixture
def command(workers: Workers, redis_url: str) -> Command:
    """Run a command as a person would, with a data folder and the server."""

    def run(*words: str, **more: str) -> Result:
        settings = {"KARL_REDIS_URL": redis_url, "KARL_NODE": "here", **more}
        return karl(workers.data_dir, *words, **settings)

    return run


@pytest.fixture
def working(workers: Workers) -> Iterator[Callable[[str], None]]:
    """Work on a queue beside the test, until its end."""
    threads: list[Thread] = []
    ended = Event()

    def work(queue: str) -> None:
        while not ended.is_set():
            workers.work(queue)

    def start(queue: str) -> None:
        threads.append(Thread(target=work, args=(queue,)))
        threads[-1].start()

    yield start
    ended.set()
    for thread in threads:
        thread.join()


def told(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_job_is_asked_for_and_waited_for(command: Command, working: Callable[[str], None]) -> None:
    working("embed")
    done = command("jobs", "run", "probe", "note=a b", "--queue", "embed", "--wait", "--json")
    assert (done.exit_code, told(done)["status"]) == (0, "finished")
    assert told(done)["result"]["node"] == "here"
    shown = command("jobs", "show", told(done)["id"])
    assert (shown.exit_code, 'probe(note="a b")' in shown.stdout) == (0, True)


def test_a_job_that_fails_ends_the_waiting_with_1_and_the_reason(
    command: Command, working: Callable[[str], None], workers: Workers
) -> None:
    ledger = workers.data_dir / "ledger"
    write_some(ledger)
    segment = newest(ledger)
    set_byte(segment, segment.stat().st_size // 2, lambda byte: byte ^ 1)
    working("default")
    done = command("jobs", "run", "verify", "--wait")
    assert done.exit_code == 1
    assert segment.name in done.stdout
    listed = command("jobs", "list", "--json")
    assert [job["failure"].startswith("the ledger is damaged") for job in told(listed)["jobs"]] == [True]


def test_who_asks_where_nobody_works_is_told_so(command: Command) -> None:
    asked = command("jobs", "run", "verify", "--json")
    assert (asked.exit_code, told(asked)["new"]) == (0, True)
    assert "nobody works on the queue default" in asked.stderr
    again = command("jobs", "run", "verify")
    assert (again.exit_code, "where it was already" in again.stdout) == (0, True)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "os.system"), ("run", "probe", "seconds=many"), ("run", "probe", "colour=red"), ("run", "probe", "seconds"),
        ("run", "verify", "--queue", "train"), ("run", "backfill", "since=yesterday"), ("list", "--queue", "x"), ("list", "--limit", "0"),
    ],
)  # fmt: skip
def test_misuse_exits_2_and_asks_for_nothing(command: Command, redis: Redis, words: tuple[str, ...]) -> None:
    assert command("jobs", *words).exit_code == 2
    assert redis.dbsize() == 0


def test_a_backfill_is_asked_for_as_its_command_is(command: Command, redis: Redis) -> None:
    words = ("force=true", "since=2026-01-01T00:00:00+00:00", "agent=codex", "project=p")
    asked = command("jobs", "run", "backfill", *words, "--json")
    described = told(command("jobs", "show", told(asked)["id"], "--json"))["description"]
    assert described == 'backfill(force=true, since_ms=1767225600000, agent="codex", project="p")'


def test_jobs_are_listed_by_state_and_ended_and_tried_again(
    command: Command, workers: Workers, redis: Redis
) -> None:
    name = told(command("jobs", "run", "probe", "--queue", "embed", "--json"))["id"]
    plant(redis, "evil", calling("os.system"))
    workers.work(rounds=2)
    states = {
        which: [job["id"] for job in told(command("jobs", "list", "--state", which, "--json"))["jobs"]]
        for which in ("finished", "failed", "waiting")
    }
    assert states == {"finished": [name], "failed": ["evil"], "waiting": []}
    assert "can not be retried" in str(command("jobs", "retry", "evil").exception)
    waiting = told(command("jobs", "run", "probe", "--queue", "embed", "--json"))["id"]
    assert told(command("jobs", "cancel", waiting, "--json")) == {
        "id": waiting,
        "cancelled": True,
        "asked": False,
    }
    assert told(command("jobs", "retry", waiting, "--json")) == {"id": waiting, "new": True}


def test_jobs_alone_lists_them(command: Command) -> None:
    alone = command("jobs")
    assert (alone.exit_code, alone.stdout) == (0, command("jobs", "list").stdout)
    assert "embed" in alone.stdout


def test_a_job_that_there_is_not_is_an_error(command: Command) -> None:
    for words in (("show", "x"), ("cancel", "../x"), ("retry", "x\x1b")):
        result = command("jobs", *words)
        assert "there is no job" in str(result.exception)


def test_the_doctor_sees_jobs_that_nobody_does_and_jobs_that_failed(
    command: Command, workers: Workers, redis: Redis
) -> None:
    def look() -> dict[str, str]:
        checks = told(command("doctor", "--only", "jobs", "--json"))["checks"]
        return {check["name"]: check["verdict"] for check in checks}

    assert look() == {"queues": "ok", "failed": "ok"}
    command("jobs", "run", "probe", "--queue", "train")
    assert look()["queues"] == "warn"
    plant(redis, "evil", calling("os.system"))
    workers.work()
    assert look()["failed"] == "warn"
    assert command("doctor", "--only", "jobs", "--here").exit_code == 0
    assert command("doctor", "--only", "jobs", "--here", KARL_NODE="there").exit_code == 1


def test_help_and_lists_of_commands_load_no_rq() -> None:
    code = "import sys, karl.cli.main as m, karl.cli.jobs, karl.cli.line\nm.cli(['jobs', 'run', '--help'], standalone_mode=False)\n"
    code += "assert not {'rq', 'redis', 'sqlite3'} & set(sys.modules), sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_every_job_of_the_table_has_a_function_and_a_queue_that_there_is(tmp_path: Path) -> None:
    queues = {queue.name for queue in table.QUEUES}
    for job in table.JOBS:
        assert callable(table.function(job))
        assert set(job.queues) <= queues
        assert job.arguments() is not None  # each argument has a default
        assert job.timeout_s > 0
        assert job.result_ttl_s > 0
