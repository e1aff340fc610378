"""Lines of JSON, as agents write them and as crashes leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.transcripts import lines
from producers.transcripts.lines import TORN, read_lines
from producers.transcripts.told import Broken


def read(tmp_path: Path, data: bytes) -> list[Any]:
    file = tmp_path / "some.jsonl"
    file.write_bytes(data)
    return list(read_lines(file, dict))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":1}\n{"a":2}\n', [(1, {"a": 1}), (2, {"a": 2})]),
        (b'{"a":1}\r\n\r\n{"a":2}\r\n', [(1, {"a": 1}), (3, {"a": 2})]),
        (b'{"a":1}{"a":2} {"a":3}\n', [(1, {"a": 1}), (1, {"a": 2}), (1, {"a": 3})]),
        (b'\xef\xbb\xbf{"a":1}\n', [(1, {"a": 1})]),
        (b'\0\0\0\0{"a":1}\0\n', [(1, {"a": 1})]),
        (b"\0\0\0\0", []),
        (b'{"a":"\\ud83d x"}\n', [(1, {"a": "\ufffd x"})]),
        (b'{"a":"\\ud83d\\ude00"}\n', [(1, {"a": "\U0001f600"})]),
        (b'{"a":"\xff"}\n', [(1, {"a": "\ufffd"})]),
        (b'{"a":NaN}\n', [(1, {"a": None})]),
        (b'{"a":1}', [(1, {"a": 1})]),
        (b'{"a":1}\n{"a":"b', [(1, {"a": 1}), (2, TORN)]),
        (b'{"a":1}{"a":[', [(1, {"a": 1}), (1, TORN)]),
    ],
)
def test_what_agents_and_crashes_write_is_read(tmp_path: Path, data: bytes, expected: list[Any]) -> None:
    assert read(tmp_path, data) == expected


def test_a_torn_line_in_the_middle_is_broken_and_spoils_nothing_else(tmp_path: Path) -> None:
    found = read(tmp_path, b'{"a":1}\n{"a":"b\n{"a":3}\n')
    assert found[0] == (1, {"a": 1})
    assert isinstance(found[1][1], Broken)
    assert (found[1][1].line, found[1][1].data) == (2, b'{"a":"b')
    assert found[2] == (3, {"a": 3})


@pytest.mark.parametrize("rubbish", [b"not json", b"null", b'"text"', b"17", b"<<<<<<< HEAD"])
def test_a_line_that_is_no_object_is_broken_even_as_the_last_one(tmp_path: Path, rubbish: bytes) -> None:
    (one,) = read(tmp_path, rubbish)
    assert isinstance(one[1], Broken)
    assert one[1].reason == "it is no JSON object"


def test_a_line_over_the_limit_is_broken_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "RAW_MAX", 1000)
    found = read(tmp_path, json.dumps({"a": "x" * 3500}).encode() + b'\n{"a":2}\n')
    assert isinstance(found[0][1], Broken)
    assert len(found[0][1].data) <= 64 * 1024
    assert found[1] == (2, {"a": 2})


def test_a_nest_too_deep_is_broken(tmp_path: Path) -> None:
    (one,) = read(tmp_path, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")
    assert isinstance(one[1], Broken)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    objects=st.lists(st.dictionaries(st.text(), _values, max_size=4), max_size=6),
    apart=st.booleans(),
    ascii_only=st.booleans(),
)
def test_any_objects_are_read_however_they_are_parted(
    tmp_path_factory: pytest.TempPathFactory, objects: list[dict[str, Any]], *, apart: bool, ascii_only: bool
) -> None:
    file = tmp_path_factory.mktemp("lines") / "some.jsonl"
    texts = [json.dumps(one, ensure_ascii=ascii_only) for one in objects]
    data = ("\n" if apart else "").join(texts)
    file.write_bytes(data.encode("utf-8", "replace"))
    found = [one for _, one in read_lines(file, dict)]
    if data.isascii() and "\\ud" not in data:
        assert found == objects
    else:
        assert len(found) == len(objects)
