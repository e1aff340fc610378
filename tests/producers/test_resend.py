"""What was sent stays here until the server can not forget it any more."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from karl.errors import LineDown
from karl.stream import keys
from karl.stream.connect import connect
from karl.stream.server import Server
from producers.push import Parcel, push
from producers.resend import KEEP_MAX_BYTES, KEEP_S, LOOK_S, Resend
from tests.conftest import wait_until


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    server.start()
    yield server
    server.stop()


def resend_of(folder: Path, redis: Redis, clock: Clock) -> Resend:
    made = Resend(folder / "sent", redis, node="n1", clock=clock)
    made.settle()
    return made


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "sent").iterdir())


def entries(redis: Redis, partition: int = 3) -> list[bytes]:
    found = redis.execute_command("XRANGE", keys.events_key(partition), "-", "+")
    return [fields[1] for _, fields in found]


def send(resend: Resend, redis: Redis, *bodies: bytes) -> None:
    parcels = [Parcel(body, 3) for body in bodies]
    push(redis, parcels, where="ship", node="n1")
    resend.keep(parcels)


def test_what_the_server_has_had_for_long_enough_is_forgotten(
    tmp_path: Path, redis: Redis, clock: Clock
) -> None:
    resend = resend_of(tmp_path, redis, clock)
    send(resend, redis, b"a")
    clock.s += KEEP_S - 1
    send(resend, redis, b"b")
    resend.settle()
    assert len(kept(tmp_path)) == 2
    clock.s += 1 + LOOK_S
    resend.settle()
    assert len(kept(tmp_path)) == 1
    assert entries(redis) == [b"a", b"b"]


def test_a_server_that_lost_its_last_second_gets_it_again_in_the_same_order(
    tmp_path: Path, own: Server, clock: Clock
) -> None:
    redis = connect(own.url)
    redis.config_set("appendfsync", "everysec")
    resend = resend_of(tmp_path, redis, clock)
    send(resend, redis, b"early")
    (log,) = (tmp_path / "data" / "redis" / "appendonlydir").glob("*.incr.aof")
    size = log.stat().st_size
    send(resend, redis, b"late 1", b"late 2")
    send(resend, redis, b"late 3")
    _lose_power(own, redis, log, size)
    clock.s += KEEP_S + 1
    resend.doubt()
    resend.settle()
    assert entries(redis) == [b"early", b"early", b"late 1", b"late 2", b"late 3"]
    redis.close()


def test_a_restart_that_nobody_noticed_is_found_before_anything_is_forgotten(
    tmp_path: Path, own: Server, clock: Clock
) -> None:
    redis = connect(own.url)
    resend = resend_of(tmp_path, redis, clock)
    (log,) = (tmp_path / "data" / "redis" / "appendonlydir").glob("*.incr.aof")
    size = log.stat().st_size
    send(resend, redis, b"lost")
    _lose_power(own, redis, log, size)
    redis.close()  # whoever asks next has a connection that knows nothing of it
    clock.s += KEEP_S + 1
    resend.settle()
    assert entries(redis) == [b"lost"]
    redis.close()


def _lose_power(server: Server, redis: Redis, log: Path, size: int) -> None:
    pid = redis.info("server")["process_id"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not server.running(), "the guard sees its server's end")
    server.stop()
    os.truncate(log, size)
    server.start()


def test_what_an_earlier_process_kept_is_sent_again(tmp_path: Path, redis: Redis, clock: Clock) -> None:
    first = resend_of(tmp_path, redis, clock)
    send(first, redis, b"a")
    redis.flushall()
    heir = resend_of(tmp_path, redis, clock)
    assert entries(redis) == [b"a"]
    send(heir, redis, b"b")
    assert len(kept(tmp_path)) == 2


def test_a_batch_that_was_half_written_is_passed_over(tmp_path: Path, redis: Redis, clock: Clock) -> None:
    first = resend_of(tmp_path, redis, clock)
    send(first, redis, b"a")
    send(first, redis, b"b")
    (path, _) = sorted((tmp_path / "sent").iterdir())
    path.write_bytes(path.read_bytes()[:-2])
    redis.flushall()
    resend_of(tmp_path, redis, clock)
    assert entries(redis) == [b"b"]


def test_a_server_that_is_away_is_a_line_down_and_nothing_is_forgotten(
    tmp_path: Path, own: Server, clock: Clock
) -> None:
    redis = connect(own.url)
    resend = resend_of(tmp_path, redis, clock)
    send(resend, redis, b"a")
    own.stop()
    clock.s += KEEP_S + 1
    with pytest.raises(LineDown):
        resend.settle()
    assert len(kept(tmp_path)) == 1
    redis.close()


def test_what_is_kept_is_bounded(tmp_path: Path, redis: Redis, clock: Clock) -> None:
    resend = resend_of(tmp_path, redis, clock)
    large = Parcel(bytes(KEEP_MAX_BYTES // 2), 3)
    resend.keep([large])
    resend.keep([large])
    resend.keep([Parcel(b"a", 3)])
    assert len(kept(tmp_path)) == 2


def test_a_disk_without_room_is_told_and_stops_nothing(
    tmp_path: Path, redis: Redis, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    resend = resend_of(tmp_path, redis, clock)
    (tmp_path / "sent").rmdir()
    resend.keep([Parcel(b"a", 3)])
    resend.keep([Parcel(b"b", 3)])
    assert caplog.text.count("power cut") == 1


def test_kept_batches_are_for_the_owner_alone(tmp_path: Path, redis: Redis, clock: Clock) -> None:
    before = os.umask(0)
    try:
        resend = resend_of(tmp_path, redis, clock)
        resend.keep([Parcel(b"a", 3)])
    finally:
        os.umask(before)
    assert (tmp_path / "sent").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "sent").iterdir()] == [0o600]
