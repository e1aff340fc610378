"""Entries that hold several events: folded as if each had come alone, and kept as long as one is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from karl.errors import Unreadable
from karl.schema.event import Event, decode_events, encode_event, event_id
from karl.session.fold import OpenSession
from karl.stream import dead_letters, keys
from tests.workers.conftest import Feed, Line

MakeFeed = Callable[..., Feed]


class Together(Feed):
    """Keeps what it is told, and sends it as one entry."""

    def push(self, event: Event) -> None:
        """Wait for the others."""

    def send(self, *more: bytes, since: int = 0) -> None:
        lines = [encode_event(event) for event in self.sent[since:]]
        self._redis.xadd(keys.events_key(keys.partition_of(self.session)), {"d": b"\n".join([*lines, *more])})


@pytest.fixture
def together(redis: Redis) -> Together:
    return Together(redis, "s-1")


def test_events_of_one_entry_give_the_records_that_they_give_one_by_one(
    line: Line, feed: MakeFeed, together: Together
) -> None:
    together.turn(calls=3)
    together.turn(calls=1, text="No, that is wrong")
    together.send()
    worker = line.sessions()
    line.drain(worker)
    at_once = line.records()
    other = feed("s-2")
    other.turn(calls=3)
    other.turn(calls=1, text="No, that is wrong")
    line.drain(worker)
    one_by_one = line.records()[len(at_once) :]
    assert [record["kind"] for record in at_once] == ["trajectory", "annotation", "trajectory"]
    assert [record["kind"] for record in one_by_one] == [record["kind"] for record in at_once]
    scores = [[record["score"] for record in records] for records in (at_once, one_by_one)]
    assert scores[0] == scores[1]
    assert line.ledgered() == [event.id for one in (together, other) for event in one.sent]


def test_an_entry_is_kept_until_the_last_of_its_turns_has_left(line: Line, together: Together) -> None:
    together.turn()
    together.prompt("and then")
    together.send()
    worker = line.sessions()
    line.drain(worker)
    assert line.kept(worker) == 1
    worker.close()  # the next one reads all of the entry again, of which a turn has left
    after = line.sessions()
    told = len(together.sent)
    together.stop()
    together.send(since=told)
    line.drain(after)
    assert line.ledgered() == [event.id for event in together.sent]
    assert [record["turn"] for record in line.records("trajectory")] == [0, 1]
    assert line.kept(after) == 0


def test_an_entry_sent_twice_changes_nothing(line: Line, together: Together) -> None:
    together.turn()
    together.send()
    together.send()
    line.drain(line.sessions())
    assert line.ledgered() == [event.id for event in together.sent]


def test_of_an_entry_with_a_line_that_is_no_event_each_line_is_a_dead_letter(
    line: Line, together: Together, redis: Redis
) -> None:
    together.turn(calls=0)
    together.send(b'{"half": ')
    worker = line.sessions()
    line.drain(worker)
    letters = list(dead_letters.read(redis))
    assert [letter.data for letter in letters] == [*map(encode_event, together.sent), b'{"half": ']
    assert all("not an event envelope" in letter.reason for letter in letters)
    assert line.ledgered() == []
    assert line.kept(worker) == 0


def test_a_poisoned_event_of_an_entry_takes_no_other_with_it_even_over_a_restart(
    line: Line, together: Together, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = OpenSession.add

    def poisoned(self: OpenSession, held: Any, now_ms: int) -> Any:
        if b"poison" in held.raw:
            raise RecursionError("poison")
        return add(self, held, now_ms)

    monkeypatch.setattr(OpenSession, "add", poisoned)
    together.prompt()
    bad = together.event("PostToolUse", tool_name="poison")
    together.event("PostToolUse", tool_name="Read")
    together.send()
    worker = line.sessions()
    with pytest.raises(RecursionError):
        worker.run_once(line.stop)
    worker.forget(defect=True)
    line.drain(worker)
    worker.close()
    monkeypatch.undo()
    told = len(together.sent)
    together.stop()
    together.send(since=told)
    line.drain(line.sessions())
    letters = list(dead_letters.read(redis))
    assert {letter.data for letter in letters} == {encode_event(bad)}
    assert {event.id for event in together.sent} - {bad.id} <= set(line.ledgered())
    assert len(set(line.ledgered())) == len(line.ledgered())


events = st.builds(
    lambda number, kind, text: Event(
        id=event_id(str(number)), kind=kind, session="s", payload=_payload(text), time_ms=number
    ),
    st.integers(0, 2**40),
    st.sampled_from(["Stop", "PostToolUse"]),
    st.text(max_size=40),
)


def _payload(text: str) -> Any:

    return msgspec.Raw(msgspec.json.encode({"session_id": "s", "text": text}))


@given(st.lists(events, min_size=1, max_size=6))
def test_lines_of_an_entry_are_read_as_they_were_written(made: list[Event]) -> None:
    lines = [encode_event(event) for event in made]
    assert decode_events(b"\n".join(lines)) == list(zip(lines, made, strict=True))


@pytest.mark.parametrize("torn", [b"\n%b", b"%b\n", b"%b\n\n%b", b"%b\n[1]", b"%b\n%b%b"])
def test_an_entry_with_anything_else_on_a_line_is_unreadable(torn: bytes) -> None:
    line = encode_event(Event(id="ev1", kind="Stop", session="s", payload=_payload("x")))
    with pytest.raises(Unreadable):
        decode_events(torn.replace(b"%b", line))
