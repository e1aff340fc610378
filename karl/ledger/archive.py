"""Keeping old segments small: which may be compressed, and doing it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from karl.ledger.files import is_packed, stored_size
from karl.ledger.reader import Progress
from karl.ledger.rewrite import alone, pack, sealed, unpack
from karl.ledger.segments import list_segments


class Old(msgspec.Struct, frozen=True):
    """A sealed segment: its bytes of disk, and when its last line was followed (ISO-8601)."""

    segment: str
    bytes: int
    sealed: str


class Archived(msgspec.Struct):
    """Segments that were made anew, and the bytes of disk that they took before and take now."""

    segments: int = 0
    before: int = 0
    after: int = 0


def old_segments(folder: Path, until: datetime) -> list[Old]:
    """List the plain segments that were sealed before a time, oldest first. Raises LedgerDamaged."""
    chain = sealed(folder)
    following = [header for header, _ in chain[1:]]
    found = []
    for at, (header, _) in enumerate(chain):
        name = header.line.segment
        after = following[at].line.time if at < len(following) else header.line.time
        if datetime.fromisoformat(after) < until and not is_packed(folder, name):
            found.append(Old(name, stored_size(folder, name), after))
    return found


def archive(folder: Path, old: list[Old], progress: Progress | None = None) -> Archived:
    """Compress segments. Raises Refused while others do, FsyncFailed and LedgerDamaged."""
    return _each(folder, [one.segment for one in old], pack, progress)


def restore(folder: Path, progress: Progress | None = None) -> Archived:
    """Make all compressed segments plain again. Raises as `archive` does."""
    return _each(folder, packed_segments(folder), unpack, progress)


def packed_segments(folder: Path) -> list[str]:
    """List the segments that are there in their compressed form."""
    return [name for name in list_segments(folder) if is_packed(folder, name)]


def _each(
    folder: Path,
    names: list[str],
    work: Callable[[Path, str], tuple[int, int]],
    progress: Progress | None,
) -> Archived:
    done = Archived()
    with alone(folder):
        for name in names:
            before, after = work(folder, name)
            done.segments, done.before, done.after = (
                done.segments + 1,
                done.before + before,
                done.after + after,
            )
            if progress:
                progress(done.segments, len(names))
    return done
