"""A segment's bytes, whether they lie in its file as they are or compressed.

A segment that is sealed may be kept as `<name>.zst`: frames of the seekable Zstandard format, so that a
few bytes cost one frame. Everything else in this room speaks of a segment by its own name, and of
offsets in its own bytes.

Invariant: where both files are there, the plain one is the segment; the other one is being made.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from karl.errors import LedgerDamaged

if TYPE_CHECKING:
    from pyzstd import SeekableZstdFile

PACKED = ".zst"

_CHUNK = 1 << 18


class SegmentFile(Protocol):
    """An open segment, read at any place."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Give up to `size` bytes from `offset`; fewer at the end. Raises LedgerDamaged."""

    def size(self) -> int:
        """Give how many bytes the segment has now."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Closing(ABC):
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None: ...


class _Plain(_Closing):
    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Packed(_Closing):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open_packed(path)
        self._size = self._file.seek(0, os.SEEK_END)

    def read_at(self, offset: int, size: int) -> bytes:
        from pyzstd import SeekableFormatError, ZstdError  # noqa: PLC0415 - as in _open_packed

        try:
            self._file.seek(min(offset, self._size))
            return bytes(self._file.read(min(size, max(0, self._size - offset))))
        except (ZstdError, SeekableFormatError, EOFError, OSError) as error:
            raise LedgerDamaged(self._path.name, offset, f"it can not be unpacked: {error}") from error

    def size(self) -> int:
        return self._size

    def close(self) -> None:
        self._file.close()


def open_segment(folder: Path, name: str) -> SegmentFile:
    """Open a segment in either form. Raises FileNotFoundError, and LedgerDamaged."""
    try:
        return _Plain(folder / name)
    except FileNotFoundError:
        if not is_packed(folder, name):
            raise
        return _Packed(folder / (name + PACKED))


def is_packed(folder: Path, name: str) -> bool:
    """Say whether a segment is there in its compressed form alone."""
    return not (folder / name).exists() and (folder / (name + PACKED)).exists()


def stored_size(folder: Path, name: str) -> int:
    """Give how many bytes of disk a segment takes. Raises FileNotFoundError."""
    return (folder / (name + PACKED) if is_packed(folder, name) else folder / name).stat().st_size


def segment_size(folder: Path, name: str) -> int:
    """Give how many bytes a segment has. Raises FileNotFoundError, and LedgerDamaged."""
    with open_segment(folder, name) as file:
        return file.size()


def split_lines(file: SegmentFile, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Give each line of a segment between two offsets, with its offset and its line end.

    The last one has no line end when the bytes end, or `stop` comes, before it.
    """
    offset, kept = start, b""
    at, step = start, _CHUNK
    while at < stop and (data := file.read_at(at, min(step, stop - at))):
        at += len(data)
        step = _CHUNK if b"\n" in data else 2 * step  # a long line must not be copied once a chunk
        kept += data
        begin = 0
        while end := kept.find(b"\n", begin) + 1:
            yield offset, kept[begin:end]
            offset += end - begin
            begin = end
        kept = kept[begin:]
    if kept:
        yield offset, kept


def _open_packed(path: Path) -> SeekableZstdFile:
    from pyzstd import SeekableFormatError, SeekableZstdFile, ZstdError  # noqa: PLC0415 - few have such files

    try:
        return SeekableZstdFile(path, "r")
    except (ZstdError, SeekableFormatError, EOFError) as error:
        raise LedgerDamaged(path.name, 0, f"it can not be unpacked: {error}") from error
