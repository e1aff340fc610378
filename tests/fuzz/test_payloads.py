"""Hostile payloads at the shipper: an event or a reason, in bounded time and memory, and never another key."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import Unreadable
from karl.schema.event import LEVELS_MAX, _is_deeper, decode_event, decode_payload, encode_event
from karl.stream import keys
from producers.envelope import DEAD_MAX, EnvelopeMaker, parse
from producers.values import VALUES_MAX, has_too_many
from tests.conftest import ROOT
from tests.fuzz.hostile import MIB, NO_SESSIONS, PAYLOADS, PROMPTS, SESSIONS, payload
from tests.fuzz.shapes import everything_left
from tests.fuzz.wild import Wild, words_of

MAKER = EnvelopeMaker(node="n1")
WORDS = words_of("karl.schema.event", "producers.envelope", "producers.cut", "producers.redact")


def told(raw: bytes) -> bytes | str:
    """The encoded event of a payload, or why there is none; either can go on its way."""
    try:
        event = MAKER.make(raw, name="ev1")
    except Unreadable as error:
        letter = MAKER.dead(raw)
        assert len(letter.decode()) <= DEAD_MAX
        assert error.reason.isprintable()  # noqa: PT017
        return error.reason
    encoded = encode_event(event)
    assert len(encoded) <= MAKER.caps.entry
    assert b"\n" not in encoded
    assert decode_event(encoded) == event
    decode_payload(event)
    return encoded


@pytest.mark.parametrize("name", PAYLOADS)
def test_each_hostile_payload_is_an_event_or_a_dead_letter_with_its_reason(name: str) -> None:
    found = told(PAYLOADS[name])
    if isinstance(found, bytes):
        everything_left([found])
    else:
        assert found


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400))
def test_wild_payloads_are_events_or_dead_letters(data: bytes) -> None:
    told(Wild(data, WORDS).object(session_id="s-1", hook_event_name="PostToolUse"))


def test_forged_ids_and_sources_are_only_words_of_the_payload() -> None:
    event = MAKER.make(PAYLOADS["ids that are forged"], name="ev1")
    assert (event.id, event.source, event.node, event.redactions) == ("ev1", "hook", "n1", {})


def test_of_a_name_that_stands_there_twice_the_last_value_counts_everywhere() -> None:
    event = MAKER.make(PAYLOADS["names that stand there twice"], name="ev1")
    assert event.session == "s-2"
    assert decode_payload(event).session_id == "s-2"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_that_looks_like_a_command_is_kept_as_it_is(prompt: str) -> None:
    event = MAKER.make(payload(prompt=prompt), name="ev1")
    assert decode_payload(event).prompt == prompt


@pytest.mark.parametrize("session", NO_SESSIONS)
def test_a_session_id_that_could_break_a_line_or_a_terminal_is_refused(session: str) -> None:
    with pytest.raises(Unreadable):
        MAKER.make(payload(session_id=session), name="ev1")


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_id_is_a_name_and_nothing_else(session: str) -> None:
    event = MAKER.make(payload(session_id=session), name="ev1")
    assert event.session == session


_IDS = st.text(min_size=1, max_size=12, alphabet="{}:*0123456789sekarlvntdhu./ ") | st.sampled_from(SESSIONS)


@given(one=_IDS, other=_IDS)
def test_no_session_id_makes_another_sessions_key_or_a_key_of_the_line(one: str, other: str) -> None:
    makers = (keys.session_key, keys.seen_key)
    p, q = keys.partition_of(one), keys.partition_of(other)
    fixed = {
        made(number)
        for made in (keys.events_key, keys.records_key, keys.dead_key, keys.lease_key)
        for number in range(keys.PARTITIONS)
    } | {keys.LEDGER_LEASE, keys.LEDGER_TERM, keys.LEDGER_WAKE, keys.WORKERS, keys.NODES}
    ours = [make(p, one) for make in makers]
    theirs = [make(q, other) for make in makers]
    assert not fixed & {*ours, *theirs}
    assert len({*ours}) == 2
    assert ({*ours} & {*theirs} != set()) == (one == other)
    for key in ours:  # the server takes the first pair of braces for the partition
        assert key[key.index("{") + 1 : key.index("}")] == str(p)


# --- memory ---

_LARGE: dict[str, Callable[[], bytes]] = {
    "50 MB of empty lists": lambda: b"[" + b"[]," * (50 * MIB // 3) + b"0]",
    "50 MB of empty objects after a lone surrogate": lambda: (
        b'["\\ud800",' + b"{}," * (50 * MIB // 3) + b"0]"
    ),
    "50 MB of numbers": lambda: b"[" + b"0," * (50 * MIB // 2) + b"0]",
    "50 MB of digits": lambda: b"9" * (50 * MIB),
    "a text of 50 MB that never ends": lambda: b'"' + b"x" * (50 * MIB),
    "50 MB of escapes": lambda: b'"' + rb"\u0041" * (50 * MIB // 6) + b'"',
    "a text of 50 MB with one wide character": lambda: b'"' + b"x" * (50 * MIB) + "💥".encode() + b'"',
}


def peaks() -> None:
    """In a process of its own: make events of large payloads, and say for each what the most was so far, in MiB."""
    import resource

    told(payload(p="password=hunter2x9"))  # rules are compiled once
    scale = 1024 if sys.platform == "linux" else 1 << 20
    for name, made in _LARGE.items():
        found = told(payload(a=made()))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // scale
        print(json.dumps([name, peak, isinstance(found, bytes)]))


#: MiB that the process may have had at its peak: 50 of it the payload itself, some 30 the interpreter. The
#: text is in memory as bytes, as a text (four bytes a character once one is wide) and once more, redacted.
_PEAK_MIB = 450


def test_fifty_megabytes_cost_bounded_memory_whatever_they_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tests.fuzz.test_payloads import peaks; peaks()"],
        capture_output=True,
        timeout=100,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, peak, _ in rows if peak >= _PEAK_MIB] == []
    assert {name for name, _, is_event in rows if is_event} == {
        "50 MB of escapes",
        "a text of 50 MB with one wide character",
    }
    assert len(rows) == len(_LARGE)


@given(
    value=st.recursive(
        st.none() | st.integers() | st.text(alphabet='{}[],:"\\a'),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='{}[],"\\'), inner, max_size=3)
        ),
        max_leaves=12,
    ),
    most=st.integers(0, 12),
)
def test_values_and_levels_are_counted_where_they_are_and_not_in_texts(value: object, most: int) -> None:
    raw = json.dumps(value).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("producers.values.VALUES_MAX", most)
        assert has_too_many(raw) == (signs_of(value) > most)
    assert _is_deeper(raw, most) == (levels_of(value) > most)


def signs_of(value: object) -> int:
    """Commas and opening brackets outside of texts: one less than the values of what is not empty."""
    if not isinstance(value, dict | list):
        return 0
    return (
        1 + max(0, len(value) - 1) + sum(map(signs_of, value.values() if isinstance(value, dict) else value))
    )


def levels_of(value: object) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(levels_of, value.values() if isinstance(value, dict) else value), default=0)


def test_a_text_full_of_commas_is_one_value() -> None:
    raw = payload(prompt="a,b,{[" * VALUES_MAX)
    assert parse(raw)["prompt"].startswith("a,b,{[")


def test_an_event_with_a_line_end_or_too_many_levels_spoils_no_record() -> None:
    event = MAKER.make(payload(), name="ev1")
    nested = msgspec.structs.replace(event, payload=msgspec.Raw(b'{"a":' * 150 + b"1" + b"}" * 150))
    with pytest.raises(Unreadable, match=f"more than {LEVELS_MAX} levels"):
        decode_event(encode_event(nested))
    with pytest.raises(Unreadable, match="line end"):
        decode_event(encode_event(event).replace(b'"payload":{', b'"payload":{\n'))
    assert decode_event(msgspec.Raw(encode_event(event))) == event  # type: ignore[arg-type]
