"""Secrets in tables: the cells below a heading that names one, in CSV and in what databases print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from producers.harmless import looks_random

#: A heading of its own between two separators, or at the edge of its line.
_HEADING = re.compile(
    rb"(?im)(?:^|[,|\t;])[ \"']*(?:[a-z0-9]+_)?(?:password|passwd|pwd|secret|token|credential"
    rb"|(?:api|access|private)_?key)"
    rb"(?:_hash|_digest)?[ \"']*(?=(?P<mark>[,|\t;])|\r?$)"
)
_RULE = re.compile(rb"[-+|= :]*\r?\Z")
_ROWS_MAX, _LINE_MAX, _CELL_MIN, _COLUMNS_MAX = 10_000, 10_000, 8, 8


def cells(data: bytes) -> Iterator[tuple[int, int]]:
    """Give where the cells of such columns start and end."""
    if _gate().search(data) is None:
        return
    done, head, columns = 0, -1, 0
    for heading in _HEADING.finditer(data):
        start = data.rfind(b"\n", max(0, heading.end() - _LINE_MAX), heading.end()) + 1
        mark = heading["mark"] or data[heading.start() : heading.start() + 1]
        columns = columns + 1 if start == head else 1
        # Rows are looked through once for each of a few columns, so that the work stays in proportion.
        if (start < done and start != head) or columns > _COLUMNS_MAX or heading.end() - start > _LINE_MAX:
            continue
        if mark not in {b",", b"|", b"\t", b";"}:
            continue
        head = start
        column = data.count(mark, start, heading.end())
        done = data.find(b"\n", heading.end()) + 1 or len(data)
        width = data.count(mark, start, done)
        for row, end in list(_rows(data, done, mark, width)):
            done = end + 1
            cell = _cell(data, row, end, mark, column)
            if cell is not None and looks_random(data[slice(*cell)], _CELL_MIN):
                yield cell


def _rows(data: bytes, at: int, mark: bytes, width: int) -> Iterator[tuple[int, int]]:
    """Give the lines that have as many columns as the heading's, those that draw lines left out."""
    for _ in range(_ROWS_MAX):
        end = data.find(b"\n", at, at + _LINE_MAX)
        end = len(data) if end < 0 and len(data) - at <= _LINE_MAX else end
        if end <= at:
            return
        if not _RULE.fullmatch(data, at, end):
            if data.count(mark, at, end) != width:
                return
            yield at, end
        at = end + 1


def _cell(data: bytes, start: int, end: int, mark: bytes, column: int) -> tuple[int, int] | None:
    for _ in range(column):
        start = data.find(mark, start, end) + 1
        if not start:
            return None
    close = data.find(mark, start, end)
    close = end if close < 0 else close
    text = data[start:close]
    left = len(text) - len(text.lstrip(b" \"'"))
    return start + left, start + left + len(text.strip(b" \"'\r"))


@cache
def _gate() -> Any:
    """Compile what a text with such a table has, for a library that is faster at finding nothing."""
    from producers.redaction import compile_rule  # noqa: PLC0415 - it reads with this module

    words = "password|passwd|pwd|secret|token|credential|(?:api|access|private)_?key"
    return compile_rule(
        rf"(?m)(?:^|[,|\t;])[ \"']*(?:[a-z0-9]+_)?(?:{words})(?:_hash|_digest)?[ \"']*(?:[,|\t;]|\r?$)",
        ignore_case=True,
    )
