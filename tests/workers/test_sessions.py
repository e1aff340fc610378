"""The sessions worker: every event reaches exactly one record, whatever happens to the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from karl.reward.score import DEFAULT_VERSION, rescore_outcome
from karl.reward.signal import SIGNALS
from karl.schema.record import Score
from karl.schema.trajectory import Outcome
from karl.session.corrections import THRESHOLD
from karl.session.fold import OpenSession
from karl.stream import dead_letters, keys
from tests.workers.conftest import Feed, Line
from workers.loop import run

MakeFeed = Callable[..., Feed]


def test_a_turn_becomes_one_scored_trajectory_with_all_its_events(line: Line, feed: MakeFeed) -> None:
    one = feed()
    one.turn(calls=3)
    line.drain(line.sessions())
    (record,) = line.records()
    assert record["kind"] == "trajectory"
    assert record["closed_by"] == "stop"
    assert [event["id"] for event in record["events"]] == [event.id for event in one.sent]
    assert record["trajectory"]["trajectory"]["total_tools"] == 3
    assert record["score"]["signals"].keys() <= set(SIGNALS)
    assert 0 < record["score"]["confidence"] <= 1
    assert 0 <= record["score"]["reward"] <= 1
    assert record["score"]["version"] == DEFAULT_VERSION


def test_closed_turns_leave_nothing_in_the_streams(line: Line, feed: MakeFeed) -> None:
    one = feed()
    one.turn()
    worker = line.sessions()
    line.drain(worker)
    assert line.kept(worker) == 0
    assert line.waiting() == 0


def test_an_open_turn_stays_in_the_stream_and_a_new_worker_goes_on_with_it(
    line: Line, feed: MakeFeed
) -> None:
    one = feed()
    one.prompt()
    one.call()
    first = line.sessions()
    line.drain(first)
    assert line.records() == []
    assert line.kept(first) == 3
    first.close()
    one.call()
    one.stop()
    line.drain(line.sessions())
    (record,) = line.records()
    assert [event["id"] for event in record["events"]] == [event.id for event in one.sent]


def test_events_of_an_open_turn_that_were_read_are_not_shown_as_unread(line: Line, feed: MakeFeed) -> None:
    worker = line.sessions()
    session = feed()
    session.prompt()
    line.drain(worker)
    worker._sweep()
    session.call()
    line.drain(worker)
    worker._sweep()
    (group,) = line.redis.xinfo_groups(keys.events_key(keys.partition_of(session.session)))
    assert group["lag"] == 0
    assert line.kept(worker) == 3
    worker.close()


def test_a_repeated_event_changes_nothing_open_ledgered_or_after_a_restart(
    line: Line, feed: MakeFeed
) -> None:
    one = feed()
    one.prompt()
    one.push(one.sent[0])
    one.call()
    one.stop()
    first = line.sessions()
    line.drain(first)
    for event in one.sent:
        one.push(event)
    line.drain(first)
    first.close()
    for event in one.sent:
        one.push(event)
    second = line.sessions()
    line.drain(second)
    assert line.ledgered() == [event.id for event in one.sent]
    assert line.kept(second) == 0
    assert not any(held.sessions for held in second._held.values())


def test_an_entry_that_can_not_be_read_goes_to_the_dead_letters_with_its_reason(
    line: Line, feed: MakeFeed, redis: Redis
) -> None:
    one = feed()
    one.prompt()
    redis.xadd(keys.events_key(keys.partition_of("s-1")), {"d": b'{"not": "an event"}'})
    redis.xadd(keys.events_key(keys.partition_of("s-1")), {"d": b"\xff\xfe"})
    one.stop()
    worker = line.sessions()
    line.drain(worker)
    worker.forget()
    line.drain(worker)
    assert len(line.ledgered()) == 2
    letters = list(dead_letters.read(redis))
    assert [letter.data for letter in letters] == [b'{"not": "an event"}', b"\xff\xfe"]
    assert all(letter.reason and letter.where == "sessions" for letter in letters)
    assert line.kept(worker) == 0


def test_a_correction_annotates_the_turn_before_it_even_over_a_restart(line: Line, feed: MakeFeed) -> None:
    one = feed()
    one.turn()
    first = line.sessions()
    line.drain(first)
    first.close()
    one.turn(text="no, I meant the other file")
    line.drain(line.sessions())
    before, annotation, _ = line.records()
    assert annotation["kind"] == "annotation"
    assert annotation["trajectory"] == before["id"]
    assert annotation["outcome"]["correction_detected"] is True
    assert annotation["outcome"]["correction_score"] >= THRESHOLD
    assert "outcome" not in before["score"]["signals"]  # nobody had said anything
    told = msgspec.convert(annotation["outcome"], Outcome)
    rescored = rescore_outcome(msgspec.convert(before["score"], Score), told)
    assert annotation["score"] == msgspec.to_builtins(rescored)
    assert annotation["score"]["reward"] < before["score"]["reward"]


def test_a_prompt_read_twice_annotates_once(line: Line, feed: MakeFeed) -> None:
    one = feed()
    one.turn()
    one.prompt("no, that is wrong")
    first = line.sessions()
    line.drain(first)
    first.close()
    one.stop()
    line.drain(line.sessions())
    assert len(line.records("annotation")) == 1


def test_an_annotation_leaves_although_no_event_leaves_with_it(line: Line, feed: MakeFeed) -> None:
    one = feed()
    one.turn()
    worker = line.sessions()
    line.drain(worker)
    one.prompt("no, that is wrong")
    line.drain(worker)
    assert [record["kind"] for record in line.records()] == ["trajectory", "annotation"]
    assert line.kept(worker) == 1


def test_silence_closes_a_turn(line: Line, feed: MakeFeed) -> None:
    one = feed()
    one.prompt()
    one.call(result="none")
    worker = line.sessions(idle_ms=60_000)
    line.drain(worker)
    line.offset_ms += 61_000
    worker._sweep()
    line.drain()
    (record,) = line.records()
    assert record["closed_by"] == "idle"
    assert record["trajectory"]["trajectory"]["events"][0]["status"] == "interrupted"


def test_too_many_open_events_close_the_longest_turn(line: Line, feed: MakeFeed) -> None:
    one = feed()
    one.prompt()
    for _ in range(30):
        one.call()
    worker = line.sessions(open_max_events=50)
    line.drain(worker)
    one.stop()
    line.drain(worker)
    assert next(record["closed_by"] for record in line.records("trajectory")) == "size"
    assert line.ledgered() == [event.id for event in one.sent]


class _Flaky:
    """Partitions whose hand-on happens, and whose answer is then lost."""

    def __init__(self, inner: Any, fail: int) -> None:
        self._inner = inner
        self._fail = fail

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def hand_on(self, work: Any) -> Any:
        reply = self._inner.hand_on(work)
        if self._fail:
            self._fail -= 1
            raise RedisConnectionError("the answer was lost")
        return reply


def test_a_lost_answer_to_the_hand_on_repeats_nothing(line: Line, feed: MakeFeed) -> None:
    feeds = [feed(f"s-{n}") for n in range(20)]
    for one in feeds:
        one.turn()
        one.prompt("go on")
    worker = line.sessions()
    worker._partitions = _Flaky(worker._partitions, fail=1)  # type: ignore[assignment]
    with pytest.raises(RedisConnectionError):
        worker.run_once(line.stop)
    worker.forget()
    for one in feeds:
        one.stop()
    line.drain(worker)
    ledgered = line.ledgered()
    assert sorted(ledgered) == sorted(event.id for one in feeds for event in one.sent)
    assert len(line.records("trajectory")) == 40
    assert len(line.records("annotation")) == 20
    assert line.kept(worker) == 0


def test_two_workers_share_the_sessions_and_keep_each_ones_order(line: Line, feed: MakeFeed) -> None:
    feeds = [feed(f"s-{n}") for n in range(30)]
    first, second = line.sessions(), line.sessions()
    first._balance()
    second._balance()
    first._balance()
    second._balance()
    assert len(first._partitions.owned) == len(second._partitions.owned) == 32
    for one in feeds:
        one.turn()
    for one in feeds:
        one.turn()
    line.drain(first, second)
    by_session: dict[str, list[str]] = {}
    for record in line.records("trajectory"):
        by_session.setdefault(record["session"], []).extend(event["id"] for event in record["events"])
    assert by_session == {one.session: [event.id for event in one.sent] for one in feeds}


def test_a_defect_in_the_worker_is_logged_and_started_over(
    line: Line, feed: MakeFeed, caplog: pytest.LogCaptureFixture
) -> None:
    feed().turn()
    worker = line.sessions()
    fold, calls = worker._fold, []

    def fail_once(batch: Any) -> Any:
        calls.append(batch)
        if len(calls) == 1:
            raise ZeroDivisionError("a defect")
        line.stop.set()
        return fold(batch)

    worker._fold = fail_once  # type: ignore[method-assign]
    assert run(worker, line.stop) == 0
    assert "a defect" in caplog.text
    line.stop.clear()
    line.drain()
    assert len(line.records("trajectory")) == 1


def test_a_poisoned_event_goes_to_the_dead_letters_and_the_others_go_on(
    line: Line, feed: MakeFeed, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = OpenSession.add

    def poisoned(self: OpenSession, held: Any, now_ms: int) -> Any:
        if b"poison" in held.raw:
            raise RecursionError("poison")
        return add(self, held, now_ms)

    monkeypatch.setattr(OpenSession, "add", poisoned)
    one = feed()
    one.prompt()
    bad = one.event("PostToolUse", tool_name="poison")
    one.stop()
    worker = line.sessions()
    with pytest.raises(RecursionError):
        worker.run_once(line.stop)
    worker.forget(defect=True)
    worker.run_once(line.stop)
    line.drain(worker)
    assert line.ledgered() == [event.id for event in one.sent if event is not bad]
    (letter,) = dead_letters.read(redis)
    assert "could not be folded" in letter.reason
    assert bad.id.encode() in letter.data
    assert line.kept(worker) == 0


def test_a_turn_that_can_not_be_read_is_kept_as_bare_facts(
    line: Line, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_turn: Any) -> Any:
        raise ZeroDivisionError("a defect of the normaliser")

    monkeypatch.setattr("workers.compose.normalize_turn", broken)
    one = feed()
    one.turn()
    line.drain(line.sessions())
    (record,) = line.records()
    assert record["kind"] == "events"
    assert line.ledgered() == [event.id for event in one.sent]


def test_a_session_whose_turn_closed_a_moment_ago_goes_on_from_memory_not_from_an_older_carry(
    line: Line, feed: MakeFeed
) -> None:
    one = feed()
    worker = line.sessions()
    worker._pace._entries_max = 1  # every event is a batch: closing and going on overlap all the time
    for number in range(20):
        one.turn(calls=1, text=f"part {number}")
    line.drain(worker)
    turns = line.records("trajectory")
    assert [record["turn"] for record in turns] == list(range(20))
    assert len(line.records("annotation")) == 19
    assert line.ledgered() == [event.id for event in one.sent]


def test_a_worker_without_partitions_waits_instead_of_spinning(line: Line) -> None:
    class Stop:
        waits = 0

        def wait(self, _seconds: float) -> bool:
            self.waits += 1
            return False

    idle = line.sessions()
    idle._partitions._acquire = lambda _wanted: None  # type: ignore[method-assign]
    stop = Stop()
    for _ in range(3):
        idle.run_once(stop)  # type: ignore[arg-type]
    assert stop.waits == 3


def test_a_server_that_lost_all_its_data_is_worked_with_again(
    line: Line, feed: MakeFeed, redis: Redis
) -> None:
    worker = line.sessions()
    feed("s-1").turn()
    line.drain(worker)
    redis.flushall()
    line.ledger.forget()
    line.ledger = line.ledger_worker()
    two = feed("s-2")
    two.turn()
    line.drain(worker)  # its leases are gone: nothing can be handed on
    worker._balance_due = lambda: True
    worker.run_once(line.stop)  # notices it, and takes them again
    line.drain(worker)
    assert len(line.records("trajectory")) == 2
    assert line.kept(worker) == 0
    assert redis.xinfo_groups(keys.events_key(keys.partition_of("s-2")))[0]["lag"] == 0


def test_a_worker_that_slept_while_another_did_its_work_forgets_what_it_held(
    line: Line, feed: MakeFeed, redis: Redis
) -> None:
    sleeper = line.sessions()
    one = feed()
    one.prompt()
    one.call()
    line.drain(sleeper)
    redis.delete(*(keys.lease_key(p) for p in range(64)), keys.WORKERS)  # its leases ended while it slept
    other = line.sessions()
    one.stop()
    line.drain(other)
    other.close()
    sleeper._balance_due = lambda: True
    sleeper.run_once(line.stop)
    sleeper._balance_due = lambda: False
    one.turn(text="and now this")
    line.drain(sleeper)
    assert line.ledgered() == [event.id for event in one.sent]
    assert [record["turn"] for record in line.records("trajectory")] == [0, 1]
    assert line.kept(sleeper) == 0
