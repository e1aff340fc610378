"""Reading the ledger: from the start, from where one stopped, or its head alone.

Invariants:
- Only lines that count are returned, whole, once each and in order; a torn tail never is.
- Bytes are read before the folder is listed. So whatever was written past a seal by a replaced
  writer is seen together with the seal, and left out, once the segment with the seal exists.
- The checksum and the chain of each line are checked as it passes.

Not here: whether the whole ledger is sound (see `verify.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from karl.errors import LedgerDamaged, LedgerRewound, Unreadable
from karl.ledger.files import SegmentFile, open_segment
from karl.ledger.frame import BLANK, NO_HASH, SEGMENT, Line, misfit, read_line
from karl.ledger.segments import (
    Header,
    chain_after,
    decode_header,
    list_segments,
    newest_header,
    term_of,
)

#: Nanoseconds within which two changes of a folder may show the same time.
_TICK_NS = 100_000_000
_CHUNK = 1 << 18
_WALK_LINES = 200

#: Told how many segments are done, and how many there are.
Progress = Callable[[int, int], object]


class Position(NamedTuple):
    """Where a reader stopped: after byte `offset` of `segment`, behind line `seq` with hash `head`.

    The default is the start of the ledger.
    """

    segment: str = ""
    offset: int = 0
    seq: int = 0
    head: str = NO_HASH


START = Position()


class Head(NamedTuple):
    """The ledger's last line: its seq, hash, segment, term and time, and how many records there are.

    `records` leaves the segments' headers out; an empty ledger has zeros and empty strings.
    """

    seq: int = 0
    hash: str = NO_HASH
    segment: str = ""
    term: int = 0
    time: str = ""
    records: int = 0


class Reader:
    """A cursor over the ledger; it may stay open while others write."""

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        self.position = position or START
        self._folder = folder
        self._file: SegmentFile | None = None
        self._ahead: list[Header] = []
        self._listed = 0  # the folder's time at a listing that can be relied on
        #: A mismatch right where an earlier reader stopped means another history, not damage.
        self._resumed = self.position != START

    def poll(self, limit: int) -> list[Line]:
        """Return the next lines, at most `limit`, headers of segments included; none when nothing is new.

        Raises LedgerDamaged, and LedgerRewound when what was read before does not count any more.
        The lines before the place that it raises for are returned first; the next call raises.
        """
        lines: list[Line] = []
        try:
            while len(lines) < limit and self._advance(lines, limit):
                pass
        except (LedgerDamaged, LedgerRewound):
            if not lines:
                raise
        return lines

    def close(self) -> None:
        """Let go of the open segment; the reader may be used again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _advance(self, lines: list[Line], limit: int) -> bool:
        """Read on, or go to the next segment; False when there is nothing new."""
        sealed = bool(self._ahead)
        data = self._read()
        self._look_ahead()
        return self._take(data, lines, limit) or self._cross(sealed=sealed)

    def _read(self) -> bytes:
        """Read on from the position: at least one whole line, where the file has one."""
        if not self.position.segment:
            return b""
        file = self._file = self._file or self._open()
        size = _CHUNK
        while True:
            data = file.read_at(self.position.offset, size)
            if len(data) < size or b"\n" in data:
                break
            size *= 4
        if not data and file.size() < self.position.offset:
            raise self._rewound("the segment is shorter than that")
        return data

    def _open(self) -> SegmentFile:
        segment, offset = self.position.segment, self.position.offset
        try:
            file = open_segment(self._folder, segment)
        except FileNotFoundError as error:
            raise self._rewound("the segment is gone") from error
        if offset and file.read_at(offset - 1, 1) != b"\n":
            file.close()
            raise self._rewound("no line ends there")
        return file

    def _look_ahead(self) -> None:
        """Find the segments that count and come after ours; one stat when there is no news."""
        try:
            changed = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            changed = 0
        if changed and changed == self._listed:
            return
        names = list_segments(self._folder)
        current = self.position.segment
        if current and current not in names:
            raise self._rewound("the segment is gone")
        known = self._ahead[-1].line.segment if self._ahead else current
        if names and names[-1] != known:
            self._ahead = chain_after(self._folder, names, current)
        # A folder's time moves in ticks: one that is too new may hide a segment made after our listing.
        self._listed = changed if time.time_ns() - changed > _TICK_NS else 0

    def _take(self, data: bytes, lines: list[Line], limit: int) -> bool:
        """Cut whole lines out of what was read, up to the seal when there is one; False without any."""
        seal = self._ahead[0].seal if self._ahead else None
        if seal:
            if self.position.offset > seal.length:
                raise self._rewound(f"the segment was sealed at byte {seal.length}")
            data = data[: seal.length - self.position.offset]
        start = 0
        while len(lines) < limit and (stop := data.find(b"\n", start) + 1):
            lines.append(self._check(data[start:stop]))
            start = stop
        return start > 0

    def _check(self, data: bytes) -> Line:
        """Check one line against the one before it, and move behind it."""
        segment, offset, seq, head = self.position
        try:
            line = read_line(data, segment, offset)
        except Unreadable as error:
            raise LedgerDamaged(segment, offset, error.reason) from error
        reason = misfit(line, seq=seq, prev=head, term=term_of(segment))
        if not reason and (line.kind == SEGMENT) != (offset == 0):
            reason = "a header stands first in its segment, and nowhere else"
        if reason and self._resumed:
            raise self._rewound(reason)
        if reason:
            raise LedgerDamaged(segment, offset, reason)
        if offset == 0:
            decode_header(line)
        self._resumed = False
        self.position = Position(segment, line.end, line.seq, line.hash)
        return line

    def _cross(self, *, sealed: bool) -> bool:
        """Go to the next segment when this one is read to its seal; False when there is no more to read.

        `sealed` says that the seal was known before the last read, so that nothing can be missing
        from it but by damage.
        """
        if not self._ahead:
            return False
        seal = self._ahead[0].seal
        segment, offset, seq, head = self.position
        if seal and offset < seal.length:
            if sealed:
                raise LedgerDamaged(segment, offset, f"bytes are missing before the seal at {seal.length}")
            return True
        if seal and seal.head != head:
            reason = "the last line is not the one that was sealed"
            raise self._rewound(reason) if self._resumed else LedgerDamaged(segment, offset, reason)
        self.close()
        self.position = Position(self._ahead.pop(0).line.segment, 0, seq, head)
        return True

    def _rewound(self, reason: str) -> LedgerRewound:
        return LedgerRewound(self.position.segment, self.position.offset, reason)


def walk(folder: Path, progress: Progress | None = None) -> Iterator[Line]:
    """Give all lines that count, from the first on. Raises LedgerDamaged."""
    total, passed, segment = len(list_segments(folder)), 0, ""
    with Reader(folder) as reader:
        while lines := reader.poll(_WALK_LINES):
            yield from lines
            if progress and lines[-1].segment != segment:
                segment, passed = lines[-1].segment, passed + 1
                progress(passed, total)


def head(folder: Path) -> Head:
    """Give the ledger's last line that counts, at the cost of one header and a few lines.

    Raises LedgerDamaged when the newest segment's header, or a whole line at its end, is damaged.
    """
    header = newest_header(folder, list_segments(folder))
    if header is None:
        return Head()
    last = _last_line(folder, header.line.segment) or header.line
    records = header.body.records + last.seq - header.line.seq
    return Head(last.seq, last.hash, last.segment, last.term, last.time, records)


def read_at(folder: Path, segment: str, offset: int, end: int) -> Line:
    """Read the one line at these bytes, as a Line told them.

    Raises LedgerDamaged, and LedgerRewound when its body was erased.
    """
    try:
        with open_segment(folder, segment) as file:
            line = read_line(file.read_at(offset, end - offset), segment, offset)
    except FileNotFoundError as error:
        raise LedgerDamaged(segment, offset, "the segment is missing") from error
    except Unreadable as error:
        raise LedgerDamaged(segment, offset, error.reason) from error
    if line.kind == BLANK:
        raise LedgerRewound(segment, offset, "its body was erased")
    return line


def _last_line(folder: Path, segment: str) -> Line | None:
    """Find the last whole line by reading backwards, in steps that grow with the line."""
    with open_segment(folder, segment) as file:
        size = file.size()
        step = _CHUNK
        while True:
            start = max(0, size - step)
            data = file.read_at(start, size - start)
            stop = data.rfind(b"\n") + 1
            begin = data.rfind(b"\n", 0, stop - 1) + 1 if stop else 0
            if begin or not start:
                break
            step *= 4
    if not stop:
        return None
    try:
        return read_line(data[begin:stop], segment, start + begin)
    except Unreadable as error:
        raise LedgerDamaged(segment, start + begin, error.reason) from error
