"""Jobs to try: a worker in this process, real ones beside it, and what somebody may leave in Redis."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.jobs import gate, keys, listing, table
from karl.settings import read_settings
from tests.cli.running import KARL, environ
from tests.conftest import wait_until
from workers import jobs
from workers.jobs import JobsWorker


def plant(redis: Redis, name: str, data: bytes, queue: str = "embed", **fields: Any) -> str:
    """Leave a job in Redis as RQ would, with whatever somebody likes in it; gives its id."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    usual = {"created_at": at, "enqueued_at": at, "origin": queue, "status": "queued", "timeout": 180}
    redis.hset(keys.job_key(name), mapping={**usual, "data": data, **fields})
    redis.rpush(keys.queue_key(queue), name)
    return name


def calling(function: str, *positional: Any, **named: Any) -> bytes:
    """What RQ keeps of a call with JSON."""
    return zlib.compress(json.dumps([function, None, list(positional), named]).encode())


def state(redis: Redis, name: str) -> str:
    """The state of a job."""
    return gate.told(name, redis.hgetall(keys.job_key(name))).status


def failure(redis: Redis, name: str) -> str:
    """Why the last run of a job failed, as people are shown it."""
    return listing.last_given(redis, name).failure or ""


class Workers:
    """Workers of one server: one in this process at a time, and any number of real ones."""

    def __init__(self, redis: Redis, url: str, data_dir: Path) -> None:
        self.redis = redis
        self._url = url
        self.data_dir = data_dir
        self.stop = threading.Event()
        self.given: dict[str, str] = {}
        self._started: list[subprocess.Popen[bytes]] = []

    def here(self, queue: str = "embed", **more: str) -> JobsWorker:
        """A worker of this process."""
        given = {**self._environ(), **more}
        return JobsWorker(
            self.redis,
            table.find_queue(queue),
            read_settings(given),
            {**os.environ, **given},
            owner="here:1:a",
        )

    def work(self, queue: str = "embed", rounds: int = 1, **more: str) -> None:
        """Do so many rounds in this process."""
        worker = self.here(queue, **more)
        for _ in range(rounds):
            worker.run_once(self.stop)

    def start(self, queue: str = "embed", *words: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a real worker."""
        variables = {**os.environ, **environ(self.data_dir, **{**self._environ(), **more})}
        log = (self.data_dir / f"worker{len(self._started)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [KARL, "worker", "jobs", queue, *words],
                env={name: value for name, value in variables.items() if value is not None},
                stderr=log,
            )
        self._started.append(process)
        return process

    def end_all(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()

    def _environ(self) -> dict[str, str]:
        return {
            "KARL_REDIS_URL": self._url,
            "KARL_DATA_DIR": str(self.data_dir),
            "KARL_NODE": "here",
            "KARL_LEASE_TTL_S": "1",
            **self.given,
        }


@pytest.fixture
def workers(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workers]:
    monkeypatch.setattr(jobs, "WAIT_S", 0.05)
    made = Workers(redis, redis_url, tmp_path)
    yield made
    made.end_all()


@pytest.fixture
def ask(redis: Redis) -> Callable[..., str]:
    """Put a job into its queue; gives its id."""
    from karl.jobs import asking

    def ask(name: str, queue: str | None = None, **arguments: Any) -> str:
        job = table.find(name)
        return asking.enqueue(redis, gate.Asked(job, table.checked(job, arguments)), queue).id

    return ask


class Harm:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def harmed(tmp_path: Path) -> Path:
    """The file that is there when a payload was unpickled."""
    return tmp_path / "harmed"


@pytest.fixture
def pickled(harmed: Path) -> bytes:
    """A pickle that makes the file; checked here to do so."""
    data = pickle.dumps((Harm(harmed), None, (), {}))
    pickle.loads(data)
    assert harmed.exists()
    harmed.unlink()
    return data


def until_state(redis: Redis, name: str, wanted: str) -> None:
    """Wait until a job is in a state."""
    wait_until(lambda: state(redis, name) == wanted, f"job {name} is {wanted} (it is {state(redis, name)})")
