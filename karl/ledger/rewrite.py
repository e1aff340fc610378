"""Segments made anew in the place of old ones: with bodies taken out, or compressed.

Invariants:
- Only sealed segments are touched: nobody writes them any more, and they are not the newest.
- A segment has its name at every moment, and behind the name whole bytes that are on disk; a process that
  dies leaves a file `.new` that the next one makes again.
- One process at a time, by a lock in the folder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from karl.errors import FsyncFailed, LedgerDamaged, Refused
from karl.ledger.files import PACKED, is_packed, open_segment, stored_size
from karl.ledger.recovery import sync_folder
from karl.ledger.segments import ERASING, NEW, Header, Seal, chain_after, list_segments

if TYPE_CHECKING:
    from pyzstd import SeekableZstdFile

#: Bytes of a segment in one frame: what reading a few of them costs.
FRAME_BYTES = 1024 * 1024
#: zstd's level: the next ones take twice the time and more for one hundredth of the bytes.
LEVEL = 9

_CHUNK = 1 << 20


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder against other rewriting. Raises Refused when another process rewrites."""
    fd = os.open(folder / ERASING, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another process erases or archives in {folder}; wait for its end") from None
        for left in folder.glob(f"*{NEW}"):
            left.unlink()  # by one that died
        yield
    finally:
        os.close(fd)


def sealed(folder: Path) -> list[tuple[Header, Seal]]:
    """List the segments that count and are sealed, oldest first, each with the seal on it.

    Raises LedgerDamaged.
    """
    chain = chain_after(folder, list_segments(folder), "")
    found = []
    for header, after in pairwise(chain):
        if after.seal is None or after.seal.segment != header.line.segment:
            raise LedgerDamaged(header.line.segment, 0, f"{after.line.segment} seals another segment")
        found.append((header, after.seal))
    return found


def replace(folder: Path, name: str, pieces: Iterator[bytes], *, packed: bool) -> int:
    """Put a segment of these bytes in the place of the old one; gives the bytes of disk that it takes.

    Raises FsyncFailed; the old segment is there still.
    """
    new = folder / (name + NEW)
    target = folder / (name + PACKED if packed else name)
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            _write(file, pieces, packed=packed)
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
    except OSError as error:
        raise FsyncFailed(f"{new}: {error}; make room, then try again") from error
    sync_folder(folder)
    return target.stat().st_size


def pack(folder: Path, name: str) -> tuple[int, int]:
    """Compress a sealed segment; gives its bytes of disk before and after.

    The compressed bytes are read back and compared before the plain ones go. Raises FsyncFailed,
    LedgerDamaged.
    """
    before = stored_size(folder, name)
    with open_segment(folder, name) as file:
        after = replace(folder, name, _pieces(file.read_at), packed=True)
    with open_segment(folder, name) as plain, _open_packed(folder / (name + PACKED)) as packed:
        for at, piece in _placed(plain.read_at):
            if packed.read(len(piece)) != piece:
                (folder / (name + PACKED)).unlink()
                raise LedgerDamaged(name, at, "it was not compressed faithfully; the plain one stays")
    (folder / name).unlink()
    sync_folder(folder)
    return before, after


def unpack(folder: Path, name: str) -> tuple[int, int]:
    """Make a compressed segment plain again; gives its bytes of disk before and after."""
    before = stored_size(folder, name)
    if is_packed(folder, name):
        with open_segment(folder, name) as file:
            replace(folder, name, _pieces(file.read_at), packed=False)
    (folder / (name + PACKED)).unlink(missing_ok=True)
    sync_folder(folder)
    return before, stored_size(folder, name)


def _placed(read_at: Callable[[int, int], bytes]) -> Iterator[tuple[int, bytes]]:
    at = 0
    while piece := read_at(at, _CHUNK):
        yield at, piece
        at += len(piece)


def _pieces(read_at: Callable[[int, int], bytes]) -> Iterator[bytes]:
    return (piece for _, piece in _placed(read_at))


def _write(file: BinaryIO, pieces: Iterator[bytes], *, packed: bool) -> None:
    if not packed:
        _pour(file, pieces)
        return
    from pyzstd import SeekableZstdFile  # noqa: PLC0415 - reading the ledger need not load it

    with SeekableZstdFile(file, "w", level_or_option=LEVEL, max_frame_content_size=FRAME_BYTES) as target:
        _pour(target, pieces)


def _pour(sink: _Sink, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        sink.write(piece)


def _open_packed(path: Path) -> SeekableZstdFile:
    from pyzstd import SeekableZstdFile  # noqa: PLC0415 - as in _write

    return SeekableZstdFile(path, "r")
