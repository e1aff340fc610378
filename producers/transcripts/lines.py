"""Read a file of JSON objects, one a line, as agents write them and as crashes leave them.

Forgiven: several objects run together on a line, NUL bytes between them, a byte order mark, lone
surrogates, NaN, bytes that are no UTF-8, either line end. A last line that ends before its object does
is what an agent is still writing: Skipped, and read when the file has grown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from karl.errors import Unreadable
from producers.envelope import RAW_MAX, parse
from producers.pieces import BETWEEN, Piece, Scanner
from producers.transcripts.told import Broken, Skipped
from producers.values import TOO_MANY, has_too_many

#: What an agent had not finished writing.
TORN = Skipped("torn last line")
#: Bytes of something broken that are kept.
_BROKEN_MAX = 64 * 1024
_CUT_SHORT = "it ends before its end"

T = TypeVar("T")


def read_lines(path: Path, shape: type[T]) -> Iterator[tuple[int, T | Broken | Skipped]]:
    """Give each object of a file as a `shape` (a dict or a Struct) with its line, from 1.

    One line is in memory at a time; a longer one than RAW_MAX is Broken. Raises OSError.
    """
    decode = msgspec.json.Decoder(shape).decode
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(RAW_MAX + 1):
            number += 1
            if len(raw) > RAW_MAX:
                head = raw[:_BROKEN_MAX]
                while not raw.endswith(b"\n") and (raw := file.readline(RAW_MAX)):
                    pass
                yield number, Broken(head, number, f"it is larger than {RAW_MAX >> 20} MiB")
                continue
            if has_too_many(raw):
                yield number, Broken(raw[:_BROKEN_MAX], number, TOO_MANY)
                continue
            try:
                yield number, decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                for found in odd_line(raw, number, shape):
                    yield number, found


def odd_line(raw: bytes, number: int, shape: type[T]) -> Iterator[T | Broken | Skipped]:
    """Read a line that is not one object."""
    is_last = not raw.endswith(b"\n")
    data = raw.strip(BETWEEN)
    scanner = Scanner(number)
    for found in (*scanner.feed(data), *scanner.end()):
        if isinstance(found, Piece):
            yield _forgiving(found.data, number, shape)
        elif is_last and found.reason == _CUT_SHORT:
            yield TORN
        else:
            yield Broken(found.data, number, found.reason)


def _forgiving(data: bytes, number: int, shape: type[T]) -> T | Broken:
    """Read an object as `parse` does, with a sign for each byte that is no UTF-8."""
    try:
        try:
            found: Any = parse(data)
        except Unreadable:
            found = parse(data.decode("utf-8", "replace").encode())
        return msgspec.convert(found, shape)
    except Unreadable as error:
        return Broken(data[:_BROKEN_MAX], number, error.reason)
    except msgspec.ValidationError as error:
        return Broken(data[:_BROKEN_MAX], number, f"it is no line of this format: {error}")
