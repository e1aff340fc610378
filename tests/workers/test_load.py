"""Under load: a server that is full is emptied, and what goes through a process leaves nothing behind in it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from benchmarks.real_line import slope
from karl.schema.event import decode_event
from producers.envelope import EnvelopeMaker
from producers.redact import Redactor
from producers.ship import Shipper
from producers.spool import Spool
from producers.spool_writer import leave
from tests.workers.conftest import Feed, Line
from workers import sessions as sessions_module

MakeFeed = Callable[..., Feed]
REDACTOR = Redactor()
#: Events of a turn: a prompt, two calls, the end.
TURN = 6


@pytest.fixture
def full(redis: Redis) -> Iterator[Callable[[int], None]]:
    """Say how much more a server may take, in bytes; it may take everything again after the test."""

    def make(room: int) -> None:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + room)

    yield make
    redis.config_set("maxmemory", 0)


def test_a_full_server_is_emptied_by_workers_that_come_to_it(
    line: Line, feed: MakeFeed, full: Callable[[int], None], redis: Redis
) -> None:
    full(900_000)
    sessions = [feed(f"s-{number}") for number in range(20)]
    with pytest.raises(OutOfMemoryError):
        _fill(sessions)
    taken = _in_streams(redis)
    assert len(taken) > 150
    worker = line.sessions()
    line.drain(worker)
    assert line.kept(worker) < TURN  # the turn in whose midst it was full
    ledgered = line.ledgered()
    assert len(ledgered) == len(set(ledgered))
    assert set(ledgered) | _in_streams(redis) == taken
    feed("after").turn()
    line.drain(worker)
    worker.close()
    line.ledger.close()


def test_workers_pause_by_the_records_of_the_whole_line_and_not_each_by_its_own(
    line: Line, feed: MakeFeed, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "RECORDS_WAITING_MAX", 20)
    first, second = line.sessions(), line.sessions()
    for worker in (first, second, first, second):
        worker.run_once(line.stop)
    for number in range(30):
        feed(f"s-{number}").turn()
    while line.waiting() < 30:
        for worker in (first, second):
            worker.run_once(line.stop)
            worker._settle()
    for worker in (first, second):
        worker._balance()
        assert worker._paused
    while line.waiting():
        line.ledger.run_once(line.stop)
    for worker in (first, second):
        worker._balance()
        assert not worker._paused
        worker.close()


def _in_streams(redis: Redis) -> set[str]:
    names = redis.keys("karl:*:events")
    rows = [row for name in names for row in redis.execute_command("XRANGE", name, "-", "+")]
    return {decode_event(row[1][1]).id for row in rows}


def _fill(sessions: list[Feed]) -> None:
    while True:
        for session in sessions:
            session.turn(calls=2, text="x" * 2000)


def test_a_server_that_was_full_is_not_filled_again_with_what_it_has(
    line: Line, full: Callable[[int], None], redis: Redis, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    now = [0.0]
    shipper = Shipper(spool, redis, EnvelopeMaker(node="n1", redactor=REDACTOR), clock=lambda: now[0])
    assert _leave_turns(spool, range(5))
    assert shipper._round().count == 5 * TURN
    full(2_000)
    _leave_turns(spool, range(5, 60))
    assert "maxmemory" in shipper._round().refused
    before = sum(redis.xlen(key) for key in redis.keys("karl:*:events"))
    full(1_000_000)
    now[0] += 1
    while shipper._round().count:
        now[0] += 1
    after = sum(redis.xlen(key) for key in redis.keys("karl:*:events"))
    assert before == 5 * TURN
    assert after == 60 * TURN
    assert spool.depth().files == 0


def _leave_turns(spool: Spool, sessions: range) -> int:
    for session in sessions:
        named = b'"session_id":"s-%d"' % session
        for kind in (b"UserPromptSubmit", *[b"PreToolUse", b"PostToolUse"] * 2, b"Stop"):
            leave(spool.folder, "claude-code", b'{"hook_event_name":"%s",%s}' % (kind, named))
    return len(sessions) * TURN


def test_turns_that_went_through_leave_no_objects_behind(line: Line, redis: Redis) -> None:
    """Objects, not bytes: what an allocator keeps is not ours, what is reachable is."""
    worker = line.sessions()
    counts = []
    for round_ in range(6):
        together = redis.pipeline(transaction=False)  # one sync of the server's disk, not one an event
        for number in range(40):
            Feed(together, f"s-{round_}-{number}").turn()  # type: ignore[arg-type]
        together.execute()
        line.drain(worker)
        assert line.kept(worker) == 0
        gc.collect()
        counts.append((len(gc.get_objects()), sys.getallocatedblocks()))
    later = counts[2:]
    rounds = [float(at) for at in range(len(later))]
    for values in zip(*later, strict=True):
        assert slope(rounds, [float(value) for value in values]) < 30  # less than one for each of 40 turns
    worker.close()


def test_a_shipper_that_sent_much_holds_no_more_than_one_that_sent_little(
    redis: Redis, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    now = [0.0]
    shipper = Shipper(spool, redis, EnvelopeMaker(node="n1", redactor=REDACTOR), clock=lambda: now[0])
    counts = []
    for round_ in range(6):
        _leave_turns(spool, range(40 * round_, 40 * round_ + 40))
        while shipper._round().count:
            now[0] += 1
        now[0] += 100
        shipper._round()
        redis.flushall()
        gc.collect()
        counts.append(float(sys.getallocatedblocks()))
    assert slope([0.0, 1.0, 2.0, 3.0], counts[2:]) < 40


def test_a_slope_is_what_most_pairs_say() -> None:
    times = [float(at) for at in range(100)]
    assert slope(times, [5.0] * 100) == 0
    assert slope(times, [2 * at + (1000 if at == 50 else 0) for at in times]) == pytest.approx(2)
