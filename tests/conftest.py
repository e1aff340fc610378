"""What all tests share: a real server, a data folder, and the real data where it is present."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from karl.stream.connect import connect
from karl.stream.server import Server

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server of this test run's own, on a unix socket."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of an empty server."""
    client = connect(redis_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sessions; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("KARL_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "fixtures.tar.xz").exists():
        pytest.skip(f"no real data at {folder} (set KARL_TEST_DATA)")
    return folder


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = 30.0) -> None:
    """Wait for an event that another process brings about; fail, naming it, when it does not come."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s:g} s in vain until {what}")
        time.sleep(0.005)
