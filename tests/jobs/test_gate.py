"""The gate, with any bytes at all: it gives a job of the table or a reason, and nothing else happens."""

from __future__ import annotations

import json
import zlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from karl.jobs import gate, table

FIELDS = (
    *gate.EXTRAS,
    "data",
    "meta",
    "status",
    "origin",
    "retries_left",
    "created_at",
    "karl_stop",
    "unknown",
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
NAMES = st.sampled_from([job.name for job in table.JOBS]) | st.text()


@given(st.dictionaries(st.sampled_from(FIELDS), st.binary()), st.text())
def test_any_bytes_are_a_reason_and_never_an_error(raw: dict[str, bytes], queue: str) -> None:
    fields = {name.encode(): value for name, value in raw.items()}
    gate.told("x", fields)
    try:
        asked = gate.asked(fields, queue)
    except gate.Denied:
        return
    assert asked.job in table.JOBS


@given(NAMES, VALUES, VALUES, st.booleans())
def test_any_call_is_one_of_the_table_or_refused(
    name: str, positional: object, named: object, packed: bool
) -> None:
    data = json.dumps([name, None, positional, named]).encode()
    raw = {b"data": zlib.compress(data) if packed else data}
    try:
        asked = gate.asked(raw, "embed")
    except gate.Denied:
        return
    assert name in {job.name for job in table.JOBS}
    assert isinstance(asked.arguments, asked.job.arguments)
    assert positional == []


@given(st.floats(0, 600), st.text(max_size=200))
def test_what_is_asked_for_comes_through_as_it_is(seconds: float, note: str) -> None:
    arguments = table.Probe(seconds=seconds, note=note)
    data = msgspec.json.encode(["probe", None, [], msgspec.to_builtins(arguments)])
    assert gate.asked({b"data": zlib.compress(data)}, "train") == (table.find("probe"), arguments)


@given(st.text())
def test_a_name_is_shown_in_plain_characters_only(name: str) -> None:
    shown = gate.harmless(name)
    assert shown.isascii()
    assert not set(shown) & set("<>&\"'`\\\x1b\n")
    assert len(shown) <= 200


@given(st.binary(max_size=2000), st.integers(0, 2 * gate.LARGEST))
def test_unpacking_gives_what_was_packed_up_to_the_bound(data: bytes, fill: int) -> None:
    whole = data + bytes(fill)
    try:
        assert gate.unpacked(zlib.compress(whole)) == whole
    except gate.Denied:
        assert len(whole) > gate.LARGEST
