"""Lines of the ledger by place: the one that ends at a byte, and a run of them that must go on from one."""

from __future__ import annotations

from pathlib import Path

from karl.errors import LedgerForked, Unreadable
from karl.ledger.files import SegmentFile
from karl.ledger.frame import NO_HASH, SEGMENT, Line, misfit, read_line
from karl.ledger.latest import backwards
from karl.ledger.reader import START, Position
from karl.ledger.segments import decode_header, term_of

_STEP = 1 << 16


def whole_lines(file: SegmentFile, start: int, stop: int, size: int) -> bytes:
    """Give the whole lines from `start` that fit into `size` bytes, but at least one, none past `stop`.

    Nothing when no line ends before `stop`.
    """
    while True:
        data = file.read_at(start, min(size, stop - start))
        if whole := data.rfind(b"\n") + 1:
            return data[:whole]
        if len(data) < size:
            return b""
        size *= 4


def line_before(file: SegmentFile, segment: str, offset: int) -> Line:
    """Read the line that ends at byte `offset`. Raises Unreadable when none does."""
    step = _STEP
    while True:
        start = max(0, offset - step)
        data = file.read_at(start, offset - start)
        begin = data.rfind(b"\n", 0, len(data) - 1) + 1
        if begin or not start:
            break
        step *= 4
    if len(data) != offset - start:
        raise Unreadable(f"{segment} has no byte {offset}")
    return read_line(data[begin:], segment, start + begin)


def follow_on(data: bytes, position: Position) -> list[Line]:
    """Check that these bytes are whole, valid lines that go on from a position, and give them.

    At byte 0 of a segment they must begin with its header, and only there may one stand. Raises
    LedgerForked for the first line that does not fit, saying which.
    """
    lines: list[Line] = []
    segment, offset, seq, head = position
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start) + 1 or len(data)
        line = _checked(data[start:stop], Position(segment, offset + start, seq, head))
        lines.append(line)
        seq, head, start = line.seq, line.hash, stop
    return lines


def _checked(data: bytes, at: Position) -> Line:
    try:
        line = read_line(data, at.segment, at.offset)
    except Unreadable as error:
        raise LedgerForked(at.segment, at.offset, error.reason) from error
    reason = misfit(line, seq=at.seq, prev=at.head, term=term_of(at.segment))
    if not reason and (line.kind == SEGMENT) != (at.offset == 0):
        reason = "a header stands first in its segment, and nowhere else"
    if reason:
        raise LedgerForked(at.segment, at.offset, reason)
    return line


def check_start(header: Line, before: Position) -> None:
    """Check that a segment's first line seals the segment before it as it stands here.

    Raises LedgerForked, and LedgerDamaged when it is no header.
    """
    seal = decode_header(header).seal
    sealed = (seal.segment, seal.length, seal.head) if seal else (*START[:2], NO_HASH)
    if sealed != (before.segment, before.offset, before.head):
        here = f"{before.segment} at byte {before.offset}" if before.segment else "nothing"
        raise LedgerForked(header.segment, 0, f"it does not follow upon {here}")


def has_line(folder: Path, seq: int, head: str) -> bool:
    """Say whether a folder's ledger has line `seq` with this hash; reads back to it. Raises LedgerDamaged."""
    for line in backwards(folder):
        if line.seq <= seq:
            return line.seq == seq and line.hash == head
    return seq == 0
