"""Lines of a gateway's files: read in batches from a place on, named, and put into the order of their times.

Invariants:
- What is broken is buried with its file and line, and spoils no neighbour.
- A last line without its end is left for later, unless it is whole, or its day is over.
- A batch is bounded in bytes and in lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import msgspec

from karl.schema.event import event_id
from producers.envelope import RAW_MAX
from producers.flow_facts import Envelope, Order
from producers.flows import Source
from producers.gateway_notes import Place
from producers.transcripts.lines import TORN, odd_line
from producers.transcripts.told import Broken
from producers.values import TOO_MANY, has_too_many

#: Bytes, and lines, that one batch may hold.
BATCH_BYTES, BATCH_LINES = 4 << 20, 2000
#: Numbers that may be missing for a line to wait for them, and bytes of a line that is looked at for one.
_GAP_MAX, _LOOK_MAX = 1000, 1 << 20
_BLANK = b" \t\r\n\0"


class _Numbered(msgspec.Struct):
    seq: int = -1


_decode = msgspec.json.Decoder(dict[str, Any]).decode
_number = msgspec.json.Decoder(_Numbered).decode


class Line(msgspec.Struct, frozen=True, gc=False):
    """An envelope, when it was written, its name, and where it stands."""

    order: Order
    envelope: Envelope
    name: str
    source: Source


class Batch(NamedTuple):
    """Lines, and where they end: bytes and lines from the file's beginning."""

    lines: list[Line]
    offset: int
    number: int


class LineReader:
    """Reads a folder's files. `bury` takes what is broken, `is_fresh` says of a time if it is just now."""

    def __init__(
        self, bury: Callable[[bytes, str, Source], None], is_fresh: Callable[[int], bool] = lambda _ms: False
    ) -> None:
        self._bury = bury
        self._is_fresh = is_fresh

    def batches(
        self, file: BinaryIO, name: str, size: int, place: Place, *, is_over: bool
    ) -> Iterator[Batch]:
        """Give the lines that begin after `place` and before `size`. Nobody writes to a file that is over."""
        lines: list[Line] = []
        at = begun = place.offset
        number = place.lines
        file.seek(at)
        while at < size and (raw := file.readline(RAW_MAX + 1)):
            source = Source(name, number + 1)
            if len(raw) > RAW_MAX and not raw.endswith(b"\n"):
                at += self._pass_over(raw, file, source)
                number += 1
                continue
            found = self._lines_of(raw, source, place, is_over=is_over)
            if found is None:
                break
            if found and self._is_early(file, place, found[0].order):
                place.mtime_ns = 0  # so that the file is looked at again though nothing is written to it
                break
            lines += found
            at += len(raw)
            number += 1
            if at - begun >= BATCH_BYTES or len(lines) >= BATCH_LINES:
                yield Batch(lines, at, number)
                lines, begun = [], at
                file.seek(at)
        if at > begun:
            yield Batch(lines, at, number)

    def _lines_of(self, raw: bytes, source: Source, place: Place, *, is_over: bool) -> list[Line] | None:
        """Read one line: mostly one envelope; null for one that is still being written."""
        if has_too_many(raw):
            self._bury(raw, TOO_MANY, source)
            return []
        try:
            found = _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._odd(raw, source, place, is_over=is_over)
        line = self._line_of(found, raw, source, place)
        return [line] if line else []

    def _odd(self, raw: bytes, source: Source, place: Place, *, is_over: bool) -> list[Line] | None:
        """Read what is not one object: after a torn write several, or rubbish, which is buried."""
        if not raw.strip(_BLANK):
            return []
        found = list(odd_line(raw, source.line, dict))
        if TORN in found and not is_over:
            return None
        lines: list[Line] = []
        for one in found:
            if isinstance(one, dict):
                line = self._line_of(one, raw, source, place)
                lines += [line] if line else []
            elif isinstance(one, Broken):
                self._bury(one.data, one.reason, source)
            else:
                self._bury(raw, "the last line of a day that is over has no end", source)
        return lines

    def _line_of(self, said: dict[str, Any], raw: bytes, source: Source, place: Place) -> Line | None:
        """Name an envelope; one of no flow is buried."""
        envelope = Envelope.of(said)
        if reason := _no_flow(envelope):
            self._bury(raw, reason, source)
            return None
        content, order = envelope.content, envelope.order
        # Without a number, two equal lines are two facts; with one, the same fact.
        ordinal = place.ordinal(content) if order.seq is None else 0
        return Line(order, envelope, event_id("gateway", content, str(ordinal)), source)

    def _is_early(self, file: BinaryIO, place: Place, order: Order) -> bool:
        """Say whether a line should wait a moment, because lower numbers than its own are on their way."""
        seq = order.seq
        if seq is None:
            return False
        missing = seq - place.next_seq if place.next_seq else 0
        may_wait = 0 < missing <= _GAP_MAX and order.time_ms is not None and self._is_fresh(order.time_ms)
        if may_wait and not _come(file, range(place.next_seq, seq)):
            return True
        place.count(seq)
        return False

    def _pass_over(self, raw: bytes, file: BinaryIO, source: Source) -> int:
        """Bury the beginning of a line that is too long; gives the bytes that are passed over."""
        self._bury(raw, f"it is larger than {RAW_MAX >> 20} MiB", source)
        passed = len(raw)
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(RAW_MAX)
            passed += len(raw)
        return passed


def by_time(lines: list[Line]) -> list[Line]:
    """Order lines by time and number; what has none stays behind what it was written after."""
    keys: list[tuple[int, int]] = []
    for line in lines:
        before = keys[-1] if keys else (0, 0)
        time_ms, seq = line.order.time_ms, line.order.seq
        keys.append((before[0] if time_ms is None else time_ms, before[1] if seq is None else seq))
    return [lines[at] for at in sorted(range(len(lines)), key=keys.__getitem__)]


def _no_flow(envelope: Envelope) -> str:
    """Say why an envelope is none of a flow; empty when it is."""
    if not envelope.type or not isinstance(envelope.type, str):
        return "it names no type"
    return "" if envelope.flow_id is not None else "it names no flow"


def _come(file: BinaryIO, missing: range) -> bool:
    """Say whether the next lines have all of these numbers. The file stays where it is."""
    at, left = file.tell(), set(missing)
    for _ in range(2 * len(missing) + 16):
        raw = file.readline(_LOOK_MAX)
        if not raw or not left:
            break
        try:
            left.discard(_number(raw).seq)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue  # it is read, and buried, in its turn
    file.seek(at)
    return not left
