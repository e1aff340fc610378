"""The ledger from its end: the newest records first, without reading what lies before them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from karl.errors import LedgerDamaged, Unreadable
from karl.ledger.files import open_segment
from karl.ledger.frame import SEGMENT, Line, read_line
from karl.ledger.reader import START, Position
from karl.ledger.segments import Header, list_segments, newest_header, read_header

_CHUNK = 1 << 18


def latest(folder: Path) -> Iterator[Line]:
    """Give the records that count, the newest first, as `backwards` does, headers left out."""
    return (line for line in backwards(folder) if line.kind != SEGMENT)


def backwards(folder: Path) -> Iterator[Line]:
    """Give the lines that count, the newest first; each costs what its own bytes cost.

    A torn tail is passed over. Each line's checksum is checked, and that the line after it names it.
    Raises LedgerDamaged.
    """
    header = newest_header(folder, list_segments(folder))
    stop: int | None = None
    after: Line | None = None
    while header:
        for line in _backwards(folder, header.line.segment, stop):
            if after is not None and after.prev != line.hash:
                raise LedgerDamaged(line.segment, line.offset, "the line after it names another predecessor")
            after = line
            yield line
        header, stop = _before(folder, header)


def position_after(folder: Path) -> Position:
    """Give the ledger's end, from which a Reader goes on. Raises LedgerDamaged."""
    header = newest_header(folder, list_segments(folder))
    if header is None:
        return START
    last = next(_backwards(folder, header.line.segment, None), header.line)
    return Position(last.segment, last.end, last.seq, last.hash)


def line_of(folder: Path, seq: int) -> Line | None:
    """Give the line of a number, at the cost of one header a later segment and its own segment's end.

    Null where the ledger has no such line. Raises LedgerDamaged.
    """
    header = newest_header(folder, list_segments(folder))
    stop: int | None = None
    while header and header.line.seq > seq:
        header, stop = _before(folder, header)
    if header is None:
        return None
    for line in _backwards(folder, header.line.segment, stop):
        if line.seq <= seq:
            return line if line.seq == seq else None
    return None


def _before(folder: Path, header: Header) -> tuple[Header | None, int | None]:
    seal = header.seal
    if seal is None:
        return None, None
    before = read_header(folder, seal.segment)
    if before is None:
        raise LedgerDamaged(seal.segment, 0, f"the segment is missing; {header.line.segment} names it")
    return before, seal.length


def _backwards(folder: Path, segment: str, stop: int | None) -> Iterator[Line]:
    """Give a segment's whole lines from byte `stop`, or its end, back to its first."""
    with open_segment(folder, segment) as file:
        size = file.size()
        if stop is not None and stop > size:
            raise LedgerDamaged(segment, size, f"bytes are missing before the seal at {stop}")
        begin, kept = size if stop is None else stop, b""
        whole = stop is not None  # what follows the last line end is a torn line
        step = _CHUNK
        while begin:
            start = max(0, begin - step)
            data = file.read_at(start, begin - start) + kept
            first = data.find(b"\n") + 1 if start else 0
            if start and (not first or first == len(data)):
                kept, begin, step = data, start, step * 2  # a line longer than what was read
                continue
            if not whole:
                data, whole = data[: data.rfind(b"\n") + 1], True
            yield from _lines(segment, data, start, first)
            kept, begin, step = data[:first], start, _CHUNK


def _lines(segment: str, data: bytes, start: int, first: int) -> Iterator[Line]:
    """Give the lines of `data` that begin at `first` or later, the last one first."""
    end = len(data)
    while end > first:
        begin = max(first, data.rfind(b"\n", 0, end - 1) + 1)
        try:
            yield read_line(data[begin:end], segment, start + begin)
        except Unreadable as error:
            raise LedgerDamaged(segment, start + begin, error.reason) from error
        end = begin
