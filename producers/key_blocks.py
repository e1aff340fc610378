"""Private keys in lines: whole, cut short, without their beginning or end, with anything before each line.

A block's lines may stand in a diff, in a log, in what grep found: each holds a run of base64 somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARK = re.compile(
    rb"-----(?P<side>BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    rb"|Private-Lines: (?P<lines>[0-9]{1,4})"
)
#: A line of a block, the last one of a block, and a line that may stand in one.
_FULL = re.compile(rb"[A-Za-z0-9+/]{32}")
_LAST = re.compile(rb"(?:\A|[\s>+|#*:\"'-])(?=[A-Za-z+/]{0,80}[0-9=])[A-Za-z0-9+/]{2,}={0,2}[\"',\s\\]*\Z")
_HEAD = re.compile(
    rb"(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset): |[\s>+|#*0-9:.,\"'-]*\Z|\.\.\.|\xe2\x80\xa6"
)
#: Lines of no key after which a block whose end does not come is over; lines that a block may have.
_STRANGE_MAX, _LINES_MAX = 3, 600
_LINE_MAX = 400


def key_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """Give where the key material of each block starts and ends, its marks included."""
    if b"PRIVATE KEY" not in data and b"Private-Lines" not in data:
        return
    done = 0
    for mark in _MARK.finditer(data):
        if mark.start() < done:
            continue
        if mark["side"] == b"END":
            start = _backward(data, mark.start(), done)
            if start < mark.start():
                yield start, mark.end()
                done = mark.end()
        else:
            end = _forward(data, mark.end())
            if end > mark.end():
                yield (mark.end() if mark["lines"] else mark.start()), end
                done = end


def _forward(data: bytes, at: int) -> int:
    """Give the end of the last line of a key that begins here; `at` itself where none does."""
    end, strange, was_full = at, 0, False
    for _ in range(_LINES_MAX):
        close = data.find(b"\n", at, at + _LINE_MAX)
        line = data[at : close if close >= 0 else at + _LINE_MAX]
        other = _MARK.search(line)
        if other is not None:
            return at + other.end() if other["side"] == b"END" and end > 0 and (was_full or strange) else end
        if _FULL.search(line) or (was_full and _LAST.search(line)):
            end, strange, was_full = at + len(line), 0, True
        elif not _HEAD.search(line):
            strange += 1
        if strange > _STRANGE_MAX or close < 0:
            break
        at = close + 1
    return end


def _backward(data: bytes, at: int, floor: int) -> int:
    """Give the start of the first line of a key that ends here; `at` itself where none does."""
    start, is_last = at, True
    at = data.rfind(b"\n", floor, at)
    for _ in range(_LINES_MAX):
        if at < 0:
            break
        before = max(data.rfind(b"\n", max(floor, at - _LINE_MAX), at), floor - 1)
        line = data[before + 1 : at]
        full = _FULL.search(line)
        if not (full or (is_last and (not line.strip() or _LAST.search(line)))):
            break
        start = before + 1 + (full.start() if full else 0)
        is_last, at = False, before if before >= floor else -1
    return start
