"""Wild JSON out of bytes: what a fuzzer changes is what the JSON is made of, so both kinds can steer it.

The words that a reader of a format looks for are taken from its own source, so that a wild object has the
fields that matter, with values of every wrong shape.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{1,40}")

#: Values of which each has broken some reader of JSON, as they stand in the text.
NASTY = (
    b"null", b"true", b"false", b"0", b"-1", b"1", b"-0.0", b"1.5", b"1e400", b"-1e400", b"NaN", b"Infinity", b"-Infinity",
    b"9" * 25, b"-" + b"9" * 30, b"18446744073709551615", b"18446744073709551616", b"9223372036854775808", b"1e308", b"1e18",
    b"253402300800000", b"-62135596800001", b"1" + b"0" * 320, b"0.1e-400",
    b'""', b'" "', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xed\xa0\x80"', b'"\xff\xfe"', b'"\\n\\r"', b'"\x1b]0;x\x07"',
    b'"\\u001b[2J"', b'"\\u202e\\u2066"', b'"../../x"', b'"karl:{0}:events"', b'"*"', b'"a b\\n"', b'"-rf"', b'"$(id)"', b'"{"', b'"[1,"',
    b'"<script>"', b'"2026-01-02T03:04:05Z"', b'"9999-12-31T23:59:59-23:59"', b'"0001-01-01T00:00:00+23:59"', b'"2026-13-40T99:99:99Z"',
    b'"2026-01-02"', b'"Exit code 1"', b'"/clear"', b'"<task-notification>"', b'"traj_zz"', b'"{\\"a\\":1}"', b"[]", b"{}", b"[[[[]]]]",
    b'"' + b"x" * 300 + b'"', b'"' + "é…💥".encode() * 40 + b'"',
)  # fmt: skip


@lru_cache
def words_of(*modules: str) -> tuple[str, ...]:
    """Give every word that stands as a text in the source of these modules."""
    found: dict[str, None] = {}
    for module in modules:
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        for node in ast.walk(ast.parse(Path(spec.origin).read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if _WORD.fullmatch(node.value):
                    found[node.value] = None
            elif isinstance(node, ast.ClassDef):  # the fields of a Struct
                for part in node.body:
                    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                        name = part.target.id
                        found[name] = None
                        head, *rest = name.split("_")
                        found[head + "".join(word.title() for word in rest)] = None
    return tuple(found)


class Wild:
    """A source of JSON: each choice takes a byte of `data`; when they are used up, the rest is empty."""

    def __init__(self, data: bytes, words: tuple[str, ...]) -> None:
        self._data = data
        self._at = 0
        self._words = words

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        if self.is_over:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def word(self) -> str:
        """One of the words, or now and then something else."""
        at = self.byte() << 8 | self.byte()
        return self._words[at % len(self._words)] if at < 0xF000 else "x" * (at % 7)

    def value(self, depth: int = 5) -> bytes:
        kind = self.byte()
        if depth and kind < 80:
            return self.object(depth)
        if depth and kind < 110:
            return b"[" + b",".join(self.value(depth - 1) for _ in range(self.byte() % 4)) + b"]"
        if kind < 170:
            return json.dumps(self.word()).encode()
        return NASTY[self.byte() % len(NASTY)]

    def object(self, depth: int = 5, **fixed: str) -> bytes:
        """An object of wild fields; `fixed` ones come first, and may be said again by a wild one."""
        given = [json.dumps(name) + ":" + json.dumps(value) for name, value in fixed.items()]
        parts = [text.encode() for text in given]
        for _ in range(self.byte() % 9):
            parts.append(json.dumps(self.word()).encode() + b":" + self.value(depth - 1))
        return b"{" + b",".join(parts) + b"}"

    def lines(self) -> bytes:
        """Objects, one a line, until the bytes are used up; some are cut off or run together."""
        out = bytearray()
        while not self.is_over:
            line, end = self.object(), self.byte()
            if end < 8:
                line = line[: end * len(line) // 8]
            out += line
            out += b"\r\n" if end > 250 else b"" if 245 < end <= 250 else b"\0" if end == 245 else b"\n"
        return bytes(out)


class Raw:
    """Bytes that stand in the text as they are."""

    def __init__(self, data: bytes) -> None:
        self.data = data


def text_of(value: object) -> bytes:
    """Write JSON with the Raw parts in it as they are."""
    if isinstance(value, Raw):
        return value.data
    if isinstance(value, dict):
        return (
            b"{"
            + b",".join(json.dumps(name).encode() + b":" + text_of(inner) for name, inner in value.items())
            + b"}"
        )
    if isinstance(value, list):
        return b"[" + b",".join(map(text_of, value)) + b"]"
    return json.dumps(value).encode()


def lines_of(value: object) -> bytes:
    """Write a list as one object a line; what is no list any more is one line."""
    return b"".join(text_of(line) + b"\n" for line in (value if isinstance(value, list) else [value]))


def mutated(value: Any, data: bytes, words: tuple[str, ...], changes: int = 12) -> Any:
    """Give a copy of a sound value in which some places say something else; `data` says which and what."""
    wild = Wild(data, words)
    whole = [copy.deepcopy(value)]
    for _ in range(changes):
        if wild.is_over:
            break
        place: Any = whole
        keys: list[Any] = [0]
        while keys and (len(keys) < 2 or wild.byte() > 40):
            inner = _inner(place, keys[-1])
            if inner is None or (place is not whole and wild.byte() < 40):
                break
            place = inner
            keys.append(_key(place, wild.byte() << 8 | wild.byte()))
        _change(place, keys[-1], wild, value)
    return whole[0]


def _inner(place: Any, key: Any) -> Any:
    inner = place[key]
    return inner if isinstance(inner, dict | list) and inner else None


def _key(place: Any, at: int) -> Any:
    return list(place)[at % len(place)] if isinstance(place, dict) else at % len(place)


def _change(place: Any, key: Any, wild: Wild, whole: Any) -> None:
    kind = wild.byte() % 8
    if kind == 0 and len(place) > 1:
        del place[key]
    elif kind == 1 and isinstance(place, list) and len(place) < 200:
        place.insert(wild.byte() % (len(place) + 1), copy.deepcopy(place[key]))
    elif kind == 2 and isinstance(place, dict):
        place[wild.word()] = Raw(wild.value(2))
    elif kind == 3:  # what stands somewhere else
        other = whole
        for _ in range(1 + wild.byte() % 5):
            if not isinstance(other, dict | list) or not other:
                break
            other = other[_key(other, wild.byte())]
        place[key] = copy.deepcopy(other)
    elif kind == 4:
        place[key] = [place[key]] if wild.byte() % 2 else {wild.word(): place[key]}
    else:
        place[key] = Raw(wild.value(2 if kind == 5 else 0))
