"""Entries of the streams that no shipper wrote: forged, broken, or of the wrong shape. Nothing else is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from karl.errors import LedgerError, Unreadable
from karl.ledger.frame import read_line
from karl.ledger.reader import Reader
from karl.schema.event import encode_event
from karl.stream import dead_letters, keys
from producers.envelope import EnvelopeMaker, ImportNaming
from tests.fuzz import seeds
from tests.fuzz.hostile import SESSIONS, deep
from tests.fuzz.shapes import everything_left
from tests.fuzz.wild import Wild, lines_of, mutated, words_of
from tests.views import ledgers
from tests.workers.conftest import Feed, Line


def envelope(**fields: object) -> bytes:
    known = {"id": "ev1", "kind": "PostToolUse", "session": "s-1", "payload": {"tool_name": "Bash"}, **fields}
    return json.dumps(known).encode()


def nested(levels: int) -> bytes:
    return (
        b'{"id":"ev1","kind":"PostToolUse","session":"s-1","payload":{"tool_response":' + deep(levels) + b"}}"
    )


#: Entries, and whether they are events.
FORGED: dict[str, tuple[bytes, bool]] = {
    "a time beyond 64 bits": (envelope(time_ms=10**30), True),
    "a time before all times": (envelope(time_ms=-(10**30)), True),
    "a time that is no number": (envelope(time_ms="now"), False),
    "a count beyond 64 bits": (envelope(cuts=10**40, redactions={"x": 10**40}), True),
    "a payload that is a list": (envelope(payload=[1]), True),
    "a payload that is null": (envelope(payload=None), True),
    "no session": (envelope(session=""), True),
    "a session with a line end": (envelope(session="a\nb\0"), True),
    "a session of a megabyte": (envelope(session="x" * 1_000_000), True),
    "a session that looks like a key": (envelope(session="}:events{"), True),
    "no id": (envelope(id=""), True),
    "a kind of a megabyte": (envelope(kind="x\n" * 500_000), True),
    "a lone surrogate": (b'{"id":"\\ud800","kind":"x","session":"s","payload":{}}', False),
    "names that stand there twice": (b'{"id":"a","id":"b","kind":"x","session":"s-1","payload":{}}', True),
    "a line end": (b'{"id":"a","kind":"x","session":"s-1","payload":{"a":\n1}}', False),
    "NaN": (b'{"id":"a","kind":"x","session":"s-1","payload":{"a":NaN}}', False),
    "nothing": (b"", False),
    "no JSON": (b"\xff\x00{", False),
    "sixty levels": (nested(60), True),
    "two hundred levels": (nested(200), False),
    "nine hundred and fifty levels": (nested(950), False),
    "ten thousand levels": (nested(10_000), False),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_entry_in_the_middle_of_a_turn_spoils_nothing_else(
    line: Line, feed: Callable[..., Feed], name: str
) -> None:
    data, is_event = FORGED[name]
    worker = line.sessions()
    mine, other = feed("s-1"), feed("s-2")
    mine.prompt()
    mine.call()
    line.redis.xadd(keys.events_key(keys.partition_of("s-1")), {"d": data})
    mine.call()
    mine.stop()
    other.turn()
    line.drain(worker)
    line.offset_ms = 10_000_000  # all that is open has been silent for long
    worker._sweep()
    while line.waiting():
        line.ledger.run_once(line.stop)
    ledgered = line.ledgered()
    sound = [event.id for event in (*mine.sent, *other.sent)]
    assert [one for one in sound if one not in ledgered] == []
    letters = list(dead_letters.read(line.redis))
    assert len(ledgered) - len(sound) == is_event
    assert bool(letters) != is_event
    assert all(letter.reason for letter in letters)
    assert sum(len(record["events"]) for record in line.records("trajectory")) >= len(sound)
    worker.close()


def test_an_event_of_another_session_with_the_same_id_takes_nothing_away(
    line: Line, feed: Callable[..., Feed]
) -> None:
    worker = line.sessions()
    victim, thief = feed("s-1"), feed("s-2")
    thief.prompt()
    first = victim.prompt()
    forged = json.loads(encode_event(first)) | {"session": "s-2"}
    line.redis.xadd(keys.events_key(keys.partition_of("s-2")), {"d": json.dumps(forged).encode()})
    thief.stop()
    victim.call()
    victim.stop()
    line.drain(worker)
    turns = line.records("trajectory")
    assert {event.id for event in victim.sent} <= {
        event["id"] for turn in turns if turn["session"] == "s-1" for event in turn["events"]
    }
    assert len({turn["id"] for turn in turns}) == len(turns)
    worker.close()


@pytest.mark.parametrize("session", SESSIONS[:12])
def test_a_session_whose_name_looks_like_a_key_touches_no_other_key(
    line: Line, feed: Callable[..., Feed], session: str
) -> None:
    before = {key for key in line.redis.keys("*") if b"{" not in key}
    worker = line.sessions()
    feed(session).turn()
    feed("s-2").turn()
    line.drain(worker)
    assert {record["session"] for record in line.records("trajectory")} == {session, "s-2"}
    carried = {key for key in line.redis.keys("*") if b":session:" in key or b":seen:" in key}
    p, q = keys.partition_of(session), keys.partition_of("s-2")
    assert carried == {
        key.encode()
        for key in (
            keys.session_key(p, session),
            keys.seen_key(p, session),
            keys.session_key(q, "s-2"),
            keys.seen_key(q, "s-2"),
        )
    }
    assert before <= set(line.redis.keys("*"))
    worker.close()


# --- the fold alone, on events of any shape and in any order ---

_WORDS = words_of("karl.schema.event", "karl.session.turn", "karl.session.verdicts", "karl.session.moments", "karl.session.edits")  # fmt: skip
_MAKER = EnvelopeMaker(node="n1")


@settings(max_examples=150, deadline=None)
@given(
    data=st.lists(st.binary(max_size=120), max_size=30),
    told=st.lists(st.booleans(), min_size=30, max_size=30),
    times=st.lists(st.none() | st.integers(-(2**63), 2**63), min_size=30, max_size=30),
    repeats=st.lists(st.integers(0, 29), max_size=10),
)
def test_any_events_in_any_order_leave_once_as_records_and_never_raise(
    data: list[bytes], told: list[bool], times: list[int | None], repeats: list[int]
) -> None:
    sound = [held["hook_event_name"] for held in seeds.hook_lines()]
    naming, events = ImportNaming(), []
    for number, choices in enumerate(data):
        kind = sound[choices[0] % len(sound)] if choices else "Stop"
        raw = Wild(choices[1:], _WORDS).object(4)
        fields = b'"session_id":"s1","hook_event_name":' + json.dumps(kind).encode()
        whole = b"{" + (raw[1:-1] + b"," if len(raw) > 2 else b"") + fields + b"}"
        source = "transcript" if told[number] else "hook"
        with suppress(Unreadable):
            events.append(encode_event(_MAKER.make(whole, name=naming, time_ms=times[number], source=source)))
    for at in repeats:
        if at < len(events):
            events.append(events[at])
    everything_left(events)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), order=st.randoms())
def test_a_session_with_wild_places_and_in_any_order_leaves_once(data: bytes, order: object) -> None:
    naming, events = ImportNaming(), []
    for raw in lines_of(mutated(seeds.hook_lines(), data, _WORDS, 30)).splitlines():
        try:
            events.append(encode_event(_MAKER.make(raw, name=naming)))
        except Unreadable:
            continue
    order.shuffle(events)  # type: ignore[attr-defined]
    everything_left(events)


# --- the ledger's own bytes ---


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("written")
    ledgers.write(
        folder, [ledgers.Draft("events", b'{"session":"s","events":[{"id":"%d"}]}' % n) for n in range(6)]
    )
    (segment,) = folder.glob("*.jsonl")
    return segment.read_bytes()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), put=st.binary(max_size=40), out=st.integers(0, 60))
def test_a_ledger_with_any_bytes_in_it_is_read_as_written_or_said_to_be_damaged(
    written: bytes, tmp_path: Path, at: int, put: bytes, out: int
) -> None:
    at %= len(written) + 1
    spoiled = written[:at] + put + written[at + out :]
    folder = tmp_path / "ledger"
    folder.mkdir(exist_ok=True)
    (folder / "0000000001-000000.jsonl").write_bytes(spoiled)
    lines = []
    with suppress(LedgerError, Unreadable), Reader(folder) as reader:
        while batch := reader.poll(1000):
            lines += batch
    sound = [read_line(line, "x", 0).body for line in written.splitlines(keepends=True)]
    assert [bytes(line.body) for line in lines] == [bytes(body) for body in sound[: len(lines)]]


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_line_or_unreadable(data: bytes) -> None:
    for line in (
        data,
        data + b"\n",
        Wild(data, ("seq", "term", "time", "kind", "source", "prev", "body", "crc", "salt", "digest")).object(
            3
        )
        + b"\n",
    ):
        with pytest.raises(Unreadable):
            read_line(line, "x", 0)
