"""How many values a piece of JSON has, before it is decoded: each costs memory, whatever its bytes are."""

from __future__ import annotations

import re

#: Values of one payload: each may cost forty times its bytes in memory, so that 50 MB of `[],` cost 2.5 GB.
VALUES_MAX = 1_000_000
TOO_MANY = f"it has more than {VALUES_MAX:,} values"

#: A text of JSON, read over in one go.
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def has_too_many(raw: bytes) -> bool:
    """Say whether JSON has more values than memory should be spent on: to be asked before it is decoded.

    A value needs a sign between it and the next one, so most payloads are known by their size, and most
    others by counting such signs, wherever they stand.
    """
    if len(raw) <= VALUES_MAX or _signs(raw, 0, len(raw)) <= VALUES_MAX:
        return False
    count = at = 0
    for number, text in enumerate(_TEXT.finditer(raw)):
        count += _signs(raw, at, text.start())
        at = text.end()
        if count > VALUES_MAX or number > 2 * VALUES_MAX:  # a value may have a name besides
            return True
    return count + _signs(raw, at, len(raw)) > VALUES_MAX


def _signs(raw: bytes, start: int, end: int) -> int:
    return sum(raw.count(sign, start, end) for sign in (b",", b"{", b"["))
