"""The whole check of a ledger: every byte, every link, every reference, and where each fault lies.

Invariants:
- After damage it goes on at the next valid line, and says how many bytes were passed over.
- Memory does not grow with the records but for 8 bytes of hash, thinly spread, for each event and
  trajectory, and for the findings, of which it keeps FINDINGS_MAX.
- It looks at the ledger as it was when it began; a writer may go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from karl.errors import LedgerDamaged, Unreadable
from karl.ledger.files import SegmentFile, open_segment, segment_size, split_lines
from karl.ledger.frame import BLANK, NO_HASH, SEGMENT, Line, StreamId, misfit, read_line, read_stream_id
from karl.ledger.seen import SeenIds, Spans
from karl.ledger.segments import (
    Cut,
    Header,
    Seal,
    decode_header,
    is_ours,
    list_segments,
    read_header,
    term_of,
)
from karl.schema.record import (
    BODIES,
    AnnotationBody,
    ErasureBody,
    EventsBody,
    RecordKind,
    ScoreBody,
    TrajectoryBody,
)

FINDINGS_MAX = 1000

#: How much is read between two reports of progress, in bytes.
_PROGRESS = 1 << 20

_BODIES: dict[str, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(body) for kind, body in BODIES.items()
}


class Finding(msgspec.Struct, frozen=True):
    """One fault: `bytes` from `offset` of `segment` are concerned; `seq` where a valid line is meant.

    `damage`: the ledger is not what was written. `warning`: it is, and somebody should look.
    """

    severity: Literal["damage", "warning"]
    segment: str
    offset: int
    seq: int | None
    bytes: int
    reason: str


class Report(msgspec.Struct):
    """What `verify` found. `bytes` counts valid lines, `records` those that are no headers, `erased` those
    whose body was taken out.

    `cuts` are what recovery has taken out over time, none of it ever reported as written.
    """

    segments: int = 0
    records: int = 0
    bytes: int = 0
    events: int = 0
    trajectories: int = 0
    erased: int = 0
    seq: int = 0
    head: str = NO_HASH
    damages: int = 0
    warnings: int = 0
    findings: list[Finding] = []
    cuts: list[Cut] = []

    @property
    def ok(self) -> bool:
        """No damage; there may be warnings."""
        return self.damages == 0


class _EventId(msgspec.Struct, frozen=True):
    id: str


_event_id = msgspec.json.Decoder(_EventId)


def verify(folder: Path, *, progress: Callable[[int, int], object] | None = None) -> Report:
    """Check the whole ledger. `progress` is told bytes read and bytes in all, now and then."""
    return _Check(folder, progress).run()


class _Check:
    def __init__(self, folder: Path, progress: Callable[[int, int], object] | None) -> None:
        self.report = Report()
        self._folder = folder
        self._progress = progress
        self._sizes = _sizes(folder)
        self._read = 0
        self._told = 0
        self._marks: dict[int, StreamId] = {}
        self._trajectories = SeenIds()
        self._events = SeenIds()
        self._erased = Spans()
        self._to_erase = Spans()
        #: True after a fault: seq and chain can not be compared with the line before.
        self._lost = False

    def run(self) -> Report:
        """Go through the folder once."""
        chain = self._chain()
        for name, seal in chain:
            if name in self._sizes:
                self._segment(name, seal)
        for name in sorted(self._sizes.keys() - {name for name, _ in chain}):
            reason = "no segment that counts names it: a replaced writer's, or never begun"
            self._warn(name, 0, None, self._sizes[name], reason)
        self._check_erasures()
        self._strangers()
        if self._progress:
            self._progress(self._read, self._read)
        self.report.events = len(self._events)
        self.report.trajectories = len(self._trajectories)
        self.report.erased = len(self._erased)
        return self.report

    def _strangers(self) -> None:
        if self._folder.is_dir():
            for entry in sorted(self._folder.iterdir()):
                if not is_ours(entry.name):
                    self._warn(entry.name, 0, None, entry.stat().st_size, "not a file of the ledger")

    def _chain(self) -> list[tuple[str, Seal | None]]:
        """Find the segments that count, oldest first, each with the seal on it."""
        chain: list[tuple[str, Seal | None]] = []
        names = sorted(self._sizes)
        seal: Seal | None = None
        while names:
            name = names.pop()
            if seal and name < seal.segment:
                self._damage(seal.segment, 0, None, seal.length, "the segment is missing")
                chain.append((seal.segment, seal))
                seal = None
            header = self._header(name)
            if header is None and not chain and not self._has_line(name):
                continue  # it was never begun
            chain.append((name, seal))
            # Where a header can not tell, the segment just before by name is the best guess.
            seal = header.seal if header else None
            if header and not seal:
                break
            if seal:
                names = [other for other in names if other <= seal.segment]
        if seal:
            self._damage(seal.segment, 0, None, seal.length, "the segment is missing")
        chain.reverse()
        return chain

    def _header(self, name: str) -> Header | None:
        try:
            return read_header(self._folder, name)
        except LedgerDamaged:
            return None  # `_segment` comes past it, and reports it

    def _has_line(self, name: str) -> bool:
        """Say whether a segment without a header has anything that a writer ended, or nearly ended."""
        with open_segment(self._folder, name) as file:
            first = next(split_lines(file, 0, self._sizes[name]), None)
        return first is not None and (first[1].endswith(b"\n") or _lost_end(first[1], name))

    def _segment(self, name: str, seal: Seal | None) -> None:
        """Check one segment, up to its seal when it has one."""
        self.report.segments += 1
        size = self._sizes[name]
        stop = min(size, seal.length) if seal else size
        try:
            with open_segment(self._folder, name) as file:
                bad = self._lines(file, name, stop)
        except LedgerDamaged as error:  # a compressed segment that can not be unpacked
            self._damage(name, error.offset, None, stop - error.offset, error.reason)
            self._lost = True
            return
        self._end(name, seal, stop, bad)

    def _lines(self, file: SegmentFile, name: str, stop: int) -> tuple[int, int, str] | None:
        """Check a segment's lines; gives the bytes after the last valid one: offset, number, reason."""
        bad: tuple[int, int, str] | None = None
        for offset, data in split_lines(file, 0, stop):
            try:
                line = read_line(data, name, offset)
            except Unreadable as error:
                # Bytes between two valid lines are one fault, however many lines they look like.
                bad = (bad[0], bad[1] + len(data), bad[2]) if bad else (offset, len(data), error.reason)
                continue
            self._bad(name, bad, line)
            bad = None
            self._line(line)
            self._tell(len(data))
        return bad

    def _bad(self, name: str, bad: tuple[int, int, str] | None, line: Line) -> None:
        if bad:
            self._damage(name, bad[0], None, bad[1], f"{bad[2]}; the next valid line is {line.seq}")
            self._lost = True

    def _end(self, name: str, seal: Seal | None, stop: int, bad: tuple[int, int, str] | None) -> None:
        """Check what is left at a segment's end."""
        size = self._sizes[name]
        if bad and not seal and bad[0] + bad[1] == size and self._is_torn(name, bad[0]):
            self._warn(name, bad[0], None, bad[1], "a torn tail; the next writer will cut it off")
        elif bad:
            self._damage(name, *_place(bad), f"{bad[2]}; no valid line follows in the segment")
            self._lost = True
        if not seal:
            return
        if size > seal.length:
            reason = "bytes past the segment's seal, by a replaced writer; readers leave them out"
            self._warn(name, seal.length, None, size - seal.length, reason)
        if size < seal.length:
            self._damage(name, size, None, seal.length - size, f"bytes are missing before {seal.length}")
            self._lost = True
        elif not self._lost and self.report.head != seal.head:
            self._damage(name, stop, self.report.seq, 0, "the last line is not the one that was sealed")
            self._lost = True

    def _is_torn(self, name: str, offset: int) -> bool:
        """Say whether bytes at the end can be the start of an unfinished write: one line, without end."""
        with open_segment(self._folder, name) as file:
            (_, data), *more = split_lines(file, offset, self._sizes[name])
        return not more and not data.endswith(b"\n") and not _lost_end(data, name)

    def _line(self, line: Line) -> None:
        """Check a valid line against what came before it."""
        report = self.report
        reason = misfit(line, seq=report.seq, prev=report.head, term=term_of(line.segment))
        if reason and not self._lost:
            self._fault(line, reason)
        elif self._lost and line.seq <= report.seq:
            self._fault(line, f"its seq is {line.seq} after {report.seq}")
        if (line.kind == SEGMENT) != (line.offset == 0):
            self._fault(line, "a header stands first in its segment, and nowhere else")
        report.seq, report.head = line.seq, line.hash
        report.bytes += line.end - line.offset
        if line.kind == SEGMENT:
            self._check_header(line)
        else:
            report.records += 1
            self._check_source(line)
            self._check_body(line)
        self._lost = False

    def _check_header(self, line: Line) -> None:
        try:
            header = decode_header(line)
        except LedgerDamaged as error:
            self._fault(line, error.reason)
            return
        body = header.body
        self.report.cuts += body.cuts
        marks = {partition: str(mark) for partition, mark in self._marks.items()}
        if self.report.damages:
            self._marks = {p: read_stream_id(text) for p, text in body.watermarks.items()}
        elif body.records != self.report.records:
            self._fault(
                line, f"the header counts {body.records} records before it; there are {self.report.records}"
            )
        elif body.watermarks != marks:
            self._fault(line, "the header's watermarks are not those of the records before it")
        if (header.seal.head if header.seal else NO_HASH) != line.prev:
            self._fault(line, "the header seals another line than the one it follows")

    def _check_source(self, line: Line) -> None:
        if line.source is None:
            return
        partition, text = line.source
        try:
            mark = read_stream_id(text)
        except Unreadable as error:
            self._fault(line, error.reason)
            return
        before = self._marks.get(partition)
        if before and mark <= before:
            self._fault(line, f"stream id {mark} of partition {partition} after {before}: written twice")
        self._marks[partition] = mark

    def _check_body(self, line: Line) -> None:
        if line.kind == BLANK:
            self._erased.add(line.seq, line.seq)
            return
        if line.kind not in get_args(RecordKind):
            self._warn(
                line.segment, line.offset, line.seq, line.end - line.offset, f"unknown kind {line.kind}"
            )
            return
        try:
            body = _BODIES[line.kind].decode(line.body)
            if isinstance(body, TrajectoryBody) and not self._trajectories.add(body.id):
                self._repeated(line, f"trajectory {body.id} is there already, and counts once")
            elif isinstance(body, TrajectoryBody | EventsBody):
                self._check_events(line, body.events)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._fault(line, f"the body is no {line.kind}: {error}")
            return
        if isinstance(body, ErasureBody):
            for first, last in body.lines:
                self._to_erase.add(first, last)
        elif (
            isinstance(body, AnnotationBody | ScoreBody)
            and body.trajectory not in self._trajectories
            and not self._erased  # what it is about may be erased, and nobody can tell any more
        ):
            self._fault(line, f"it is about trajectory {body.trajectory}, which does not come before it")

    def _check_erasures(self) -> None:
        """Compare the lines without a body with those that records of erasures name."""
        if lost := self._erased.missing_in(self._to_erase):
            reason = f"no erasure names it, nor all up to record {lost[1]}: its body was taken out"
            self._damage("", 0, lost[0], 0, reason)
        if left := self._to_erase.missing_in(self._erased):
            reason = f"an unfinished erasure names it, up to {left[1]}; `karl erase --resume` ends it"
            self._warn("", 0, left[0], 0, reason)

    def _check_events(self, line: Line, events: list[msgspec.Raw]) -> None:
        names = [_event_id.decode(event).id for event in events]
        again = [name for name in names if not self._events.add(name)]
        if again and len(again) == len(names):
            self._repeated(line, f"its events are there already, {again[0]} the first")
        elif again:
            self._fault(line, f"event {again[0]} is there already")

    def _repeated(self, line: Line, reason: str) -> None:
        """Warn of a record that came twice: its stream had lost what it had handed on."""
        self._warn(line.segment, line.offset, line.seq, line.end - line.offset, reason)

    def _fault(self, line: Line, reason: str) -> None:
        self._damage(line.segment, line.offset, line.seq, line.end - line.offset, reason)

    def _damage(self, segment: str, offset: int, seq: int | None, size: int, reason: str) -> None:
        self.report.damages += 1
        self._add(Finding("damage", segment, offset, seq, size, reason))

    def _warn(self, segment: str, offset: int, seq: int | None, size: int, reason: str) -> None:
        self.report.warnings += 1
        self._add(Finding("warning", segment, offset, seq, size, reason))

    def _add(self, finding: Finding) -> None:
        if len(self.report.findings) < FINDINGS_MAX:
            self.report.findings.append(finding)

    def _tell(self, size: int) -> None:
        self._read += size
        if self._progress and self._read - self._told >= _PROGRESS:
            self._told = self._read
            self._progress(self._read, sum(self._sizes.values()))


def _sizes(folder: Path) -> dict[str, int]:
    sizes = {}
    for name in list_segments(folder):
        try:
            sizes[name] = segment_size(folder, name)
        except FileNotFoundError:  # a writer that opens may set one aside just now
            continue
        except LedgerDamaged:  # it can not be unpacked: that is told when it is read
            sizes[name] = 0
    return sizes


def _place(bad: tuple[int, int, str]) -> tuple[int, None, int]:
    return bad[0], None, bad[1]


def _lost_end(data: bytes, name: str) -> bool:
    """Say whether these are the bytes of a valid line whose line end became something else."""
    try:
        read_line(data[:-1] + b"\n", name, 0)
    except Unreadable:
        return False
    return True
