"""Records that the server might forget wait before they are written."""

from __future__ import annotations

from collections.abc import Callable

from redis import Redis

from karl.ledger.verify import verify
from karl.ledger.writer import Draft
from tests.workers.conftest import Feed, Line
from workers import read_ahead
from workers.read_ahead import HOLD_S, ReadAhead, hold_of

MakeFeed = Callable[..., Feed]


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def draft(body: bytes = b"{}", number: int = 1) -> Draft:
    return Draft("events", body, 3, f"{number}-0")


def test_records_leave_in_order_and_not_before_their_time() -> None:
    clock = Clock()
    ahead = ReadAhead(clock)
    ahead.hold_s = 2.0
    ahead.add([draft(number=1)])
    clock.s += 1
    ahead.add([draft(number=2)])
    assert ahead.due() == []
    assert ahead.wait_s(5) == 1.0
    assert ahead.read == {3: "2-0"}
    clock.s += 1
    assert ahead.due() == [draft(number=1)]
    assert ahead.due() == []
    ahead.clear()
    clock.s += 9
    assert ahead.due() == []
    assert ahead.read == {}


def test_a_queue_over_its_bound_asks_for_no_more() -> None:
    ahead = ReadAhead(Clock())
    ahead.add([draft(bytes(read_ahead.HOLD_MAX_BYTES))])
    assert ahead.full
    assert ahead.due()
    assert not ahead.full


def test_a_server_that_answers_from_its_disk_makes_nobody_wait(redis: Redis) -> None:
    assert hold_of(redis) == 0
    redis.config_set("appendfsync", "everysec")
    try:
        assert hold_of(redis) == HOLD_S
    finally:
        redis.config_set("appendfsync", "always")


def test_on_a_server_that_syncs_every_second_a_record_is_written_later_once_and_trimmed(
    line: Line, feed: MakeFeed, redis: Redis
) -> None:
    clock = Clock()
    line.ledger._ahead = ReadAhead(clock)
    redis.config_set("appendfsync", "everysec")
    try:
        worker = line.sessions()
        feed().turn()
        line.ledger.run_once(line.stop)
        worker.run_once(line.stop)
        worker._settle()
        line.ledger.run_once(line.stop)
        assert line.records("trajectory") == []
        assert line.waiting() == 1
        clock.s += HOLD_S
        line.ledger.run_once(line.stop)
        assert len(line.records("trajectory")) == 1
        assert line.waiting() == 0
        line.ledger.run_once(line.stop)
        assert len(line.records("trajectory")) == 1
        assert verify(line.folder).ok
    finally:
        redis.config_set("appendfsync", "always")
