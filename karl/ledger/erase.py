"""Taking bodies out of the ledger: which lines, and the taking out itself (docs/ledger-format.md).

    find the lines --> an `erasure` record names them --> blank them --> an `erased` record says so

Invariants:
- No body goes before the ledger has, on disk, a record that names its line.
- A line keeps its length, its place and its hash, so nothing else in the ledger changes.
- What was begun can be ended: blanking again what is blank already changes nothing.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from karl.errors import Unreadable
from karl.ledger.files import SegmentFile, is_packed, open_segment, split_lines
from karl.ledger.frame import BLANK, SEGMENT, Line, erase_line, read_line
from karl.ledger.reader import Progress, walk
from karl.ledger.rewrite import replace, sealed
from karl.ledger.seen import SeenIds, Spans
from karl.ledger.segments import is_torn, list_segments
from karl.schema.record import ErasedBody, ErasureBody

#: Kinds that tell of the ledger itself and not of anybody's work.
KEPT = frozenset({SEGMENT, BLANK, "erasure", "erased"})
#: Kinds that count until something else is said, however old they are: no time takes them.
STANDING = frozenset({"skills", "exemplar", "router", "routing"})


class Wanted(NamedTuple):
    """What is to be erased: these sessions, all that happened before a time (Unix, ms), or lines by seq."""

    sessions: frozenset[str] = frozenset()
    before_ms: int | None = None
    lines: tuple[tuple[int, int], ...] = ()

    def takes(self, line: Line, about: About) -> bool:
        """Say whether a record is meant; one that tells no time counts by when it was written."""
        if about.session is not None and about.session in self.sessions:
            return True
        if self.before_ms is None or line.kind in STANDING:
            return False
        return (_written_ms(line) if about.time_ms is None else about.time_ms) < self.before_ms


class About(msgspec.Struct):
    """What a record's body tells of whom and when; `of` names the trajectory whose prompt an exemplar is."""

    session: str | None = None
    time_ms: int | None = None
    id: str | None = None
    of: str | None = None


class Found(msgspec.Struct):
    """Lines that are meant: spans of seq, their number, the bytes of their bodies; and whose they are.

    `partly` are sessions that have other lines besides.
    """

    lines: list[tuple[int, int]] = []
    records: int = 0
    bytes: int = 0
    sessions: list[str] = []
    partly: list[str] = []


class Unfinished(NamedTuple):
    """An erasure that has no `erased` record after it."""

    body: ErasureBody
    seq: int


_about = msgspec.json.Decoder(About)
_erasure = msgspec.json.Decoder(ErasureBody)
_erased = msgspec.json.Decoder(ErasedBody)


def find(folder: Path, wanted: Wanted, progress: Progress | None = None) -> Found:
    """Go through the ledger for what is meant, and the exemplars made of it. Raises LedgerDamaged."""
    spans, found = Spans(), Found()
    taken: set[str] = set()
    kept: set[str] = set()
    gone, exemplars = SeenIds(), list[tuple[str, int, int]]()
    for line in walk(folder, progress):
        if line.kind in KEPT:
            continue
        about = _read_about(line)
        is_meant = wanted.takes(line, about)
        if is_meant and line.kind == "trajectory" and about.id is not None:
            gone.add(about.id)
        if is_meant or _named(wanted.lines, line.seq):
            spans.add(line.seq, line.seq)
            found.bytes += len(bytes(line.body))
            taken.add(about.session or "")
        elif about.session is not None:
            kept.add(about.session)
        elif line.kind == "exemplar" and about.of:
            exemplars.append((about.of, line.seq, len(bytes(line.body))))
    for _, seq, size in (one for one in exemplars if one[0] in gone):
        spans.add(seq, seq)
        found.bytes += size
    found.lines, found.records = sorted(spans), len(spans)
    found.sessions = sorted(taken - {""})
    found.partly = sorted(taken & kept)
    return found


def unfinished(folder: Path, progress: Progress | None = None) -> list[Unfinished]:
    """Find the erasures that were begun and not ended. Raises LedgerDamaged."""
    begun: dict[str, Unfinished] = {}
    for line in walk(folder, progress):
        if line.kind == "erasure":
            body = _erasure.decode(line.body)
            begun[body.id] = Unfinished(body, line.seq)
        elif line.kind == "erased":
            begun.pop(_erased.decode(line.body).erasure, None)
    return list(begun.values())


def blank(
    folder: Path, lines: Iterable[tuple[int, int]], wanted: Wanted, progress: Progress | None = None
) -> int:
    """Take out the bodies of lines, by seq, and of what is `wanted` where nothing counts; gives their number.

    What does not count are segments, and bytes past a seal, that a replaced writer left. Torn copies that may
    hold something of it are removed. All lines must be in sealed segments. Raises LedgerDamaged, FsyncFailed.
    """
    spans = sorted(lines)
    counting = {header.line.segment: seal.length for header, seal in sealed(folder)}
    names = list_segments(folder)[:-1]
    count = 0
    for at, name in enumerate(names):
        count += _blank_segment(folder, name, _Meant(spans, wanted, counting.get(name, 0)))
        if progress:
            progress(at + 1, len(names))
    _remove_torn(folder, wanted)
    return count


class _Meant(NamedTuple):
    """Which lines of a segment lose their body: by seq up to the byte `counting`, by what they say behind."""

    spans: list[tuple[int, int]]
    wanted: Wanted
    counting: int

    def line(self, line: Line) -> bool:
        if line.kind in KEPT:
            return False
        if line.offset >= self.counting:
            about = _read_about(line)  # whose turns exemplars are of, nobody knows here: all of them go
            return self.wanted.takes(line, about) or (line.kind == "exemplar" and bool(about.of))
        return _named(self.spans, line.seq)


def _blank_segment(folder: Path, name: str, meant: _Meant) -> int:
    with open_segment(folder, name) as file:
        count = sum(1 for before, after in _blanked(file, name, meant) if before != after)
        if count:
            pieces = (after for _, after in _blanked(file, name, meant))
            replace(folder, name, pieces, packed=is_packed(folder, name))
    return count


def _blanked(file: SegmentFile, name: str, meant: _Meant) -> Iterator[tuple[bytes, bytes]]:
    """Give each line of a segment as it is and as it shall be; damaged bytes stay as they are."""
    for offset, data in split_lines(file, 0, file.size()):
        try:
            line = read_line(data, name, offset)
        except Unreadable:
            yield data, data
        else:
            yield data, erase_line(data) if meant.line(line) else data


def _remove_torn(folder: Path, wanted: Wanted) -> None:
    """Remove torn copies: bytes of nobody's record, that may be of one that is erased."""
    for path in folder.iterdir():
        if not is_torn(path.name):
            continue
        old = wanted.before_ms is not None and path.stat().st_mtime * 1000 < wanted.before_ms
        data = path.read_bytes() if wanted.sessions else b""
        if old or any(msgspec.json.encode(session)[1:-1] in data for session in wanted.sessions):
            path.unlink()


def _named(spans: Sequence[tuple[int, int]], seq: int) -> bool:
    at = bisect_right(spans, (seq, sys.maxsize)) - 1
    return at >= 0 and seq <= spans[at][1]


def _read_about(line: Line) -> About:
    try:
        return _about.decode(line.body)
    except msgspec.MsgspecError:
        return About()  # a kind that says neither: it goes by when it was written


def _written_ms(line: Line) -> int:
    return int(datetime.fromisoformat(line.time).timestamp() * 1000)
