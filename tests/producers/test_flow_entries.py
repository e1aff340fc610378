"""Facts that are made into events together: the same events as one by one, in bounded entries, in order."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import Unreadable
from karl.schema.event import Event, decode_events, event_id
from karl.stream import keys
from producers import importing
from producers.envelope import EnvelopeMaker
from producers.flow_entries import ENTRY_BYTES, ENTRY_EVENTS, Entries
from producers.flows import Fact, Source
from producers.importing import Sender
from producers.push import Parcel, Pushed
from producers.redact import Redactor

REDACTOR = Redactor()
MAKER = EnvelopeMaker(node="n1", redactor=REDACTOR)
SECRETS = (
    "password=correct7horse",
    "AKIAIOSFODNN7EXAMPLE",
    "https://user:hunter2hunter2@example.org/",
    "ghp_" + "a1B2" * 9,
    "Authorization: Bearer abcdef1234567890abcdef",
)
HERE = Source("events-2026-06-03.jsonl", 1)


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


texts = st.one_of(
    st.text(max_size=30), st.sampled_from(SECRETS), st.sampled_from(["y" * 9000, "data:" + "z" * 2000])
)
values = st.one_of(
    texts, st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.sampled_from([70, 100]).map(deep)
)
payloads = st.fixed_dictionaries(
    {
        "session_id": st.sampled_from(["s1", "s2", "", 5]),
        "hook_event_name": st.sampled_from(["Stop", "PostToolUse", "", "Flow:\u2028"]),
        "timestamp": st.sampled_from(["2026-06-03T00:00:00Z", "noon", None]),
    },
    optional={
        "text": values,
        "password": values,
        "tool_input": st.dictionaries(st.sampled_from(["path", "token", "env"]), values, max_size=3),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(payloads, max_size=8))
def test_events_made_together_are_those_that_are_made_one_by_one(told: list[dict[str, Any]]) -> None:
    named = [(payload, event_id(str(number))) for number, payload in enumerate(told)]
    together = MAKER.of_many(copy.deepcopy(named), agent="gateway", project="p", source="gateway")
    for (payload, name), made in zip(named, together, strict=True):
        alone = made_alone(payload, name)
        assert str(made) == str(alone) if isinstance(alone, Unreadable) else made == alone


def made_alone(payload: dict[str, Any], name: str) -> Event | Unreadable:
    try:
        event = MAKER.of(payload, name=name, agent="gateway", source="gateway")
    except Unreadable as error:
        return error
    return msgspec.structs.replace(event, project="p")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(SECRETS), st.text(max_size=20)), min_size=1, max_size=6))
def test_what_is_suspicious_alone_is_suspicious_among_others(said: list[str]) -> None:
    lines = [msgspec.json.encode({"session_id": "s", "text": text}) for text in said]
    if any(REDACTOR.suspicious(line) for line in lines):
        assert REDACTOR.suspicious(b"\n".join(lines))


class Outbox:
    """Takes what would go to the server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[Parcel] = []
        self.buried: list[tuple[bytes, str]] = []
        monkeypatch.setattr(importing, "push", self._push)
        sender = Sender(None, MAKER, 1000, lambda _seconds: None)  # type: ignore[arg-type]
        self.entries = Entries(sender, self._bury, agent="gateway", project="p")

    def _push(self, _redis: object, parcels: list[Parcel], **_given: object) -> Pushed:
        self.sent += parcels
        return Pushed({}, {})

    def _bury(self, data: bytes, reason: str, _source: Source) -> None:
        self.buried.append((data, reason))

    def tell(self, session: str, number: int, text: str = "") -> None:
        payload = {"session_id": session, "hook_event_name": "Stop", "text": text}
        self.entries.add([Fact(payload, event_id(session, str(number)), HERE)])


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    return Outbox(monkeypatch)


def test_each_session_has_one_entry_in_its_partition_with_its_events_in_order(outbox: Outbox) -> None:
    for number in range(20):
        for session in ("s1", "s2", "s3"):
            outbox.tell(session, number)
    assert outbox.sent == []
    outbox.entries.flush()
    assert len(outbox.sent) == 3
    for session, parcel in zip(("s1", "s2", "s3"), outbox.sent, strict=True):
        assert parcel.partition == keys.partition_of(session)
        assert [event.id for _, event in decode_events(parcel.data)] == [
            event_id(session, str(number)) for number in range(20)
        ]
    outbox.entries.flush()
    assert len(outbox.sent) == 3


def test_an_entry_is_bounded_in_events_and_in_bytes(outbox: Outbox) -> None:
    for number in range(2 * ENTRY_EVENTS + 1):
        outbox.tell("many", number)
    for number in range(30):
        outbox.tell("large", number, "words " * 1000)
    outbox.entries.flush()
    counts = [len(decode_events(parcel.data)) for parcel in outbox.sent]
    assert counts[:3] == [ENTRY_EVENTS, ENTRY_EVENTS, 1]
    assert sum(counts[3:]) == 30
    assert len(counts[3:]) > 1
    assert all(len(parcel.data) <= ENTRY_BYTES for parcel in outbox.sent)
    ids = [event.id for parcel in outbox.sent for _, event in decode_events(parcel.data)]
    assert len(set(ids)) == len(ids) == outbox.entries.made


def test_what_waits_is_bounded_though_nobody_flushes(outbox: Outbox) -> None:
    for number in range(1000):
        outbox.tell(f"s{number}", number, "words " * 1300)
    assert outbox.sent


def test_a_fact_that_is_no_event_is_buried_and_spoils_no_other(outbox: Outbox) -> None:
    outbox.tell("s1", 1)
    outbox.entries.add([Fact({"session_id": "", "hook_event_name": "Stop"}, "ev2", HERE)])
    outbox.tell("s1", 3)
    outbox.entries.flush()
    assert [reason for _, reason in outbox.buried] == ["no session_id"]
    (parcel,) = outbox.sent
    assert len(decode_events(parcel.data)) == 2


def test_what_is_dropped_is_not_sent(outbox: Outbox) -> None:
    for number in range(40):
        outbox.tell("s1", number)
    outbox.entries.drop()
    outbox.entries.flush()
    assert outbox.sent == []
    assert outbox.entries.last == {}
