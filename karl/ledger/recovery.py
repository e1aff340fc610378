"""Recovery: what a writer does with the newest segment before it starts its own.

    torn tail       copied aside, sealed off by the new segment, cut off only then
    torn header     the segment is renamed, the one before it is the newest
    damage          refused, and nothing is changed

Invariants:
- No byte is removed before a copy of it is on disk.
- What is read is what the disk has: it is synced, and dropped from the page cache, first.
- No segment but the newest is read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from karl.errors import FsyncFailed, LedgerDamaged, Unreadable
from karl.ledger.files import PACKED, SegmentFile, is_packed, open_segment, split_lines
from karl.ledger.frame import NO_HASH, Line, StreamId, misfit, read_line, read_stream_id
from karl.ledger.segments import Cut, Header, Seal, decode_header, list_segments, term_of


class State(NamedTuple):
    """What a writer must know of everything that was written before.

    `seq` and `head` are the last line's, `marks` the last stream id of each partition, `records`
    counts lines that are no headers, `seal` is for the header of the next segment.
    """

    seq: int
    head: str
    records: int
    marks: dict[int, StreamId]
    seal: Seal | None


EMPTY = State(0, NO_HASH, 0, {}, None)


class Found(NamedTuple):
    """The state that the folder was left in, and what had to go for it."""

    state: State
    cuts: list[Cut]


def recover(folder: Path) -> Found:
    """Read the newest segment, and save what has to go from it. Raises LedgerDamaged, FsyncFailed."""
    cuts: list[Cut] = []
    for name in reversed(list_segments(folder)):
        path = folder / name
        if is_packed(folder, name):
            raise LedgerDamaged(name + PACKED, 0, "the newest segment is compressed; unpack it first")
        size = _settle(path)
        with open_segment(folder, name) as file:
            header, state, end = _scan(file, name, size)
        if header is None:
            cuts.append(set_aside(path, size))
            continue
        if end < size:
            cuts.append(copy_tail(path, end, size))
        return Found(state._replace(seal=Seal(name, end, state.head)), cuts)
    return Found(EMPTY, cuts)


def _settle(path: Path) -> int:
    """Bring a segment to disk as it is, so that reading shows what the disk has; give its length."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        sync(fd)
        if hasattr(os, "posix_fadvise"):
            # After a failed write the page cache may show bytes that never reached the disk.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.fstat(fd).st_size
    except OSError as error:
        raise FsyncFailed(f"{path}: {error}; look at the disk before starting again") from error
    finally:
        os.close(fd)


def _scan(file: SegmentFile, name: str, size: int) -> tuple[Header | None, State, int]:
    """Read a segment: its header, the state after its last valid line, and where that ends.

    No header when the segment is empty or its only line is not valid: it was never begun. Raises
    LedgerDamaged when a valid line comes after bytes that are none, or does not fit to the one before.
    """
    header: Header | None = None
    last: Line | None = None
    bad: tuple[int, str] | None = None
    marks: dict[int, StreamId] = {}
    for offset, data in split_lines(file, 0, size):
        try:
            line = read_line(data, name, offset)
        except Unreadable as error:
            bad = bad or (offset, error.reason)
            continue
        if bad:
            raise LedgerDamaged(name, bad[0], f"{bad[1]}, and valid lines follow")
        if header is None or last is None:
            header = decode_header(line)
            marks = {p: read_stream_id(text) for p, text in header.body.watermarks.items()}
        elif reason := misfit(line, seq=last.seq, prev=last.hash, term=term_of(name)):
            raise LedgerDamaged(name, offset, reason)
        if line.source:
            marks[line.source[0]] = read_stream_id(line.source[1])
        last = line
    if header is None or last is None:
        if bad and offset:
            raise LedgerDamaged(name, *bad)  # a header is on disk before lines follow it
        return None, EMPTY, 0
    records = header.body.records + last.seq - header.line.seq
    return header, State(last.seq, last.hash, records, marks, None), last.end


def set_aside(path: Path, size: int) -> Cut:
    """Rename a segment that was never begun. Raises FsyncFailed."""
    copy = _free_name(path)
    path.rename(copy)
    sync_folder(path.parent)
    return Cut(path.name, 0, size, copy.name)


def copy_tail(path: Path, start: int, stop: int) -> Cut:
    """Copy the bytes of a torn tail into a file of their own, on disk. Raises FsyncFailed."""
    copy = _free_name(path)
    try:
        with path.open("rb") as source, copy.open("xb") as target:
            source.seek(start)
            target.write(source.read(stop - start))
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise FsyncFailed(f"{copy}: {error}; make room, then start the writer again") from error
    sync_folder(path.parent)
    return Cut(path.name, start, stop - start, copy.name)


def cut_off(folder: Path, cut: Cut) -> None:
    """Shorten a segment by the torn tail that was copied, unless something came after it meanwhile."""
    path = folder / cut.segment
    if cut.offset and path.stat().st_size == cut.offset + cut.bytes:
        os.truncate(path, cut.offset)


def _free_name(path: Path) -> Path:
    k = 1
    while (copy := path.with_name(f"{path.name}.torn-{k}")).exists():
        k += 1
    return copy


def sync(fd: int) -> None:
    """Bring what was written to a file to disk. Raises OSError."""
    getattr(os, "fdatasync", os.fsync)(fd)  # macOS has no fdatasync


def put(fd: int, path: Path, data: bytes) -> None:
    """Write bytes to the end of a file and bring them to disk. Raises FsyncFailed; then nothing is known."""
    try:
        written = os.write(fd, data)
        if written == len(data):
            sync(fd)
    except OSError as error:
        raise FsyncFailed(f"{path}: {error}; nothing more is written") from error
    if written != len(data):
        raise FsyncFailed(
            f"{path}: the disk took {written} of {len(data)} bytes; make room, then start this process again"
        )


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk. Raises FsyncFailed."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        raise FsyncFailed(f"{folder}: {error}") from error
    finally:
        os.close(fd)
