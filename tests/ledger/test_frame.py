"""The frame: every body survives it byte for byte, and nothing else passes for a line."""

from __future__ import annotations

import json
import re
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import Unreadable
from karl.ledger.frame import (
    BLANK,
    NO_HASH,
    NO_SALT,
    PARTITIONS,
    check_body,
    check_kind,
    draw_salt,
    erase_line,
    read_line,
    read_stream_id,
    write_line,
)
from karl.ledger.verify import verify
from karl.ledger.writer import Draft
from karl.stream import keys
from tests.conftest import ROOT
from tests.ledger.conftest import SALT, open_writer

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
sources = st.none() | st.tuples(
    st.integers(0, 63),
    st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)).map(lambda i: f"{i[0]}-{i[1]}"),
)


def framed(body: bytes = b'{"a":1}') -> bytes:
    return write_line(
        body, seq=1, term=1, time="t", kind="events", source=(3, "7-0"), prev=NO_HASH, salt=SALT
    )[0]


@given(
    value=json_values,
    seq=st.integers(1, 2**63),
    term=st.integers(1, 10**10 - 1),
    kind=st.from_regex(r"[a-z_]+", fullmatch=True).filter(lambda kind: kind != "segment"),
    source=sources,
    ascii_only=st.booleans(),
)
def test_what_is_framed_comes_back_with_the_same_bytes(*, value, seq, term, kind, source, ascii_only) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        check_body(body)
    except Unreadable:
        assert not ascii_only or not isinstance(value, dict)  # a lone surrogate is no UTF-8
        return
    check_kind(kind)
    data, digest = write_line(
        body, seq=seq, term=term, time="t", kind=kind, source=source, prev=NO_HASH, salt=SALT
    )
    line = read_line(data, "segment", 10)
    assert bytes(line.body) == body
    assert (line.seq, line.term, line.kind, line.source, line.prev, line.hash) == (
        seq, term, kind, source, NO_HASH, digest,
    )  # fmt: skip
    assert (line.offset, line.end) == (10, 10 + len(data))
    assert data.count(b"\n") == 1
    assert json.loads(data)["seq"] == seq


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_line(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_line(data, "segment", 0)


@given(st.data())
def test_a_line_with_another_byte_anywhere_is_no_line(data: st.DataObject) -> None:
    line = bytearray(framed())
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unreadable):
        read_line(bytes(line), "segment", 0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"seq":1,', b'"seq": 1,'),
        (b'"seq":1,"term":1,', b'"term":1,"seq":1,'),
        (b'"kind":"events"', b'"kind":"event\\u0073"'),
        (b'"term":1,', b'"term":1,"more":0,'),
        (b'"term":1,', b""),
        (b'"source":[3,"7-0"]', b'"source":3'),
    ],
)
def test_a_line_with_a_right_checksum_that_no_writer_would_write_is_refused(
    before: bytes, after: bytes
) -> None:
    covered = framed()[: -len(b',"crc":"00000000"}\n')].replace(before, after)
    with pytest.raises(Unreadable):
        read_line(b'%b,"crc":"%08x"}\n' % (covered, zlib.crc32(covered)), "segment", 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1",
        b"[]",
        b" {}",
        b"{",
        b'{"a":1}\n',
        b'{"a":\n1}',
        b"{} {}",
        b'{"a":"\xff"}',
        b'{"a":"\x01"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_would_spoil_its_line_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        check_body(body)


@pytest.mark.parametrize("kind", ["", "segment", "Score", 'a"', "a b", "ä"])
def test_a_kind_that_is_no_plain_word_or_the_ledgers_own_is_refused(kind: str) -> None:
    with pytest.raises(Unreadable):
        check_kind(kind)


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-x", "+1-0", "1-0-0", " 1-0", "١-0"])
def test_what_is_no_stream_id_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        read_stream_id(text)


def test_stream_ids_are_ordered_as_numbers() -> None:
    assert read_stream_id("9-0") < read_stream_id(b"10-0") < read_stream_id("10-2") < read_stream_id("10-10")


def test_the_ledger_and_the_streams_have_the_same_number_of_partitions() -> None:
    assert PARTITIONS == keys.PARTITIONS


def test_the_worked_example_in_the_document_is_what_a_writer_writes(folder: Path) -> None:
    document = (ROOT / "docs" / "ledger-format.md").read_text()
    files = dict(
        re.findall(r"^`(\d{10}-\d{6}\.jsonl)`:\n\n```json\n(.*?)```", document, re.DOTALL | re.MULTILINE)
    )
    lines = [[json.loads(line) for line in text.splitlines()] for text in files.values()]
    raw = [
        [msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in text.splitlines()]
        for text in files.values()
    ]
    times = [datetime.fromisoformat(line["time"]) for line in (lines[0][0], lines[0][1], lines[1][0])]
    clock = iter(times)
    salts = iter([line["salt"] for text in lines for line in text])
    drafts = [
        Draft(line["kind"], bytes(bare["body"]), *line["source"])
        for line, bare in zip(lines[0][1:], raw[0][1:], strict=True)
    ]
    assert len(drafts) == 2
    given: dict[str, Any] = {"clock": lambda: next(clock), "salt": lambda: next(salts)}
    with open_writer(folder, 1, **given) as writer:
        writer.append(drafts)
    open_writer(folder, 2, **given).close()
    assert {path.name: path.read_text() for path in folder.glob("*.jsonl")} == files
    assert verify(folder).ok


@given(value=st.dictionaries(st.text(), json_values, max_size=4))
def test_a_line_without_its_body_has_the_same_length_and_the_same_hash(value) -> None:
    data = framed(json.dumps(value).encode())
    line, blank = read_line(data, "s", 0), erase_line(data)
    after = read_line(blank, "s", 0)
    assert len(blank) == len(data)
    assert (after.hash, after.seq, after.prev, after.end) == (line.hash, line.seq, line.prev, line.end)
    assert after.kind == BLANK
    assert json.loads(bytes(after.body)) == {}
    assert SALT.encode() not in blank
    assert erase_line(blank) == blank


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (SALT.encode(), b"0" * 32, "erased line with a body"),
        (b'"a":1', b'"a":2', "not the one that was written"),
        (SALT.encode(), b"5b" * 16, "not the one that was written"),
    ],
)
def test_a_body_that_is_not_the_digested_one_is_refused_though_its_checksum_is_right(
    before: bytes, after: bytes, reason: str
) -> None:
    covered = framed()[: -len(b',"crc":"00000000"}\n')].replace(before, after)
    with pytest.raises(Unreadable, match=reason):
        read_line(b'%b,"crc":"%08x"}\n' % (covered, zlib.crc32(covered)), "segment", 0)


def test_two_lines_of_one_body_have_digests_that_tell_nothing() -> None:
    drawn = {draw_salt() for _ in range(50)}
    assert len(drawn) == 50
    assert all(len(salt) == 32 and salt != NO_SALT for salt in drawn)
