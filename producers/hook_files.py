"""Import files of raw hook payloads, as people kept them: lines, arrays, or objects one after another.

Invariants:
- A file is read in pieces; only one object of it is in memory at a time.
- Importing a file again, or one that overlaps it, adds nothing: ids hang on the payloads.
- What is broken is named by file and line, kept as a dead letter, and does not spoil its neighbours.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec

from karl.errors import LineDown, Refused, Unreadable
from karl.schema.event import Event
from producers.envelope import KIND_FIELDS, RAW_MAX, TIME_FIELDS, EnvelopeMaker, ImportNaming, time_of
from producers.push import BATCH_MAX, BATCH_MAX_BYTES, Parcel, parcel_of, push
from producers.ship import envelope_maker

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Bytes read at once of a file whose lines are longer.
_CHUNK = 4 * 1024 * 1024
#: Bytes of something broken that are kept.
_BROKEN_MAX = 64 * 1024
#: Seconds between two looks at a stream that is over its bound.
_FULL_WAIT_S = 0.2
#: What may stand between two objects: white space, array signs, NUL bytes of a torn write, a byte order mark.
_BETWEEN = b" \t\r\n,[]\x00\x0b\x0c\xef\xbb\xbf"
_PLAIN = re.compile(rb'["{}\[\]\n]')
_IN_TEXT = re.compile(rb'["\\\n]')
_OPENS = {b"}": ord("{"), b"]": ord("[")}
#: White space between two tokens that is looked back over.
_TAIL = 4096
#: What a logger may call the payload that it wrapped.
_INNER = ("payload", "input", "data", "event", "hook", "body", "raw", "hook_input")

_raw = msgspec.json.Decoder(msgspec.Raw).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class Piece(NamedTuple):
    """One payload and the line that it begins on; `time_ms` is the time that its wrapper gave it."""

    data: bytes
    line: int
    time_ms: int | None = None


class Broken(NamedTuple):
    """Something that is no object, the line that it begins on, and why."""

    data: bytes
    line: int
    reason: str


@dataclass(slots=True)
class ImportReport:
    """What an import did; `by_reason` counts what was broken or unreadable."""

    files: int = 0
    events: int = 0
    dead: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    sessions: int = 0


def read_hook_file(path: Path) -> Iterator[Piece | Broken]:
    """Give every payload of a file in order, and everything broken between them. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(4)
        if _is_utf16(head):
            yield Broken(b"", 1, "UTF-16 text: convert the file to UTF-8 first")
            return
        file.seek(0)
        scanner = _Scanner()
        for chunk in _chunks(file):
            for found in scanner.whole_line(chunk) or scanner.feed(chunk):
                yield _unwrapped(found) if isinstance(found, Piece) else found
        yield from scanner.end()


def import_hooks(
    paths: Iterable[Path],
    redis: Redis,
    settings: Settings,
    progress: Callable[[Path, int], None] | None = None,
    *,
    agent: str = "claude-code",
    wait: Callable[[float], None] = time.sleep,
) -> ImportReport:
    """Put the payloads of files into the stream, each file followed by the end of its sessions.

    `progress` is told the file and the events so far after each batch. Waits while a stream is over
    its bound. Raises LineDown (import again: what went in already changes nothing) and Refused for a
    file that can not be read.
    """
    importer = _Importer(redis, envelope_maker(settings), settings.stream_max_entries, agent, wait)
    for path in paths:
        try:
            for sent in importer.file(path):
                if progress:
                    progress(path, sent)
        except OSError as error:
            raise Refused(f"{path} can not be read: {error.strerror or error}") from error
    return importer.report


class _Importer:
    """The parcels on their way, and what was done so far."""

    def __init__(
        self,
        redis: Redis,
        envelopes: EnvelopeMaker,
        stream_max: int,
        agent: str,
        wait: Callable[[float], None],
    ) -> None:
        self.redis = redis
        self.envelopes = envelopes
        self.stream_max = stream_max
        self.agent = agent
        self.wait = wait
        self.report = ImportReport()
        self._sessions: set[str] = set()
        self._parcels: list[Parcel] = []
        self._bytes = 0

    def file(self, path: Path) -> Iterator[int]:
        """Import one file; gives the number of its events so far, batch by batch."""
        naming = ImportNaming()
        last: dict[str, Event] = {}
        count = 0
        for found in read_hook_file(path):
            if isinstance(found, Broken):
                self._bury(found.data, found.reason, path, found.line)
            elif event := self._event(found, naming, path):
                last.pop(event.session, None)  # the end of the session that ended last comes last
                last[event.session] = event
                self._add(parcel_of(event))
                count += 1
            if self._is_full():
                self._flush()
                yield count
        for event in last.values():
            self._add(parcel_of(self.envelopes.end_of_import(event)))
            if self._is_full():
                self._flush()
        self._flush()
        self._sessions |= last.keys()
        self.report.files += 1
        self.report.events += count
        self.report.sessions = len(self._sessions)
        yield count

    def _event(self, piece: Piece, naming: ImportNaming, path: Path) -> Event | None:
        try:
            return self.envelopes.make(
                piece.data, name=naming, agent=self.agent, time_ms=piece.time_ms, source="import"
            )
        except Unreadable as error:
            self._bury(piece.data, error.reason, path, piece.line)
            return None

    def _bury(self, data: bytes, reason: str, path: Path, line: int) -> None:
        self.report.dead += 1
        self.report.by_reason[re.sub(r" \(character.*\)| at byte.*", "", reason)] += 1
        self._add(Parcel(self.envelopes.dead(data), reason=f"{path.name} line {line}: {reason}"))

    def _add(self, parcel: Parcel) -> None:
        self._parcels.append(parcel)
        self._bytes += len(parcel.data)

    def _is_full(self) -> bool:
        return len(self._parcels) >= BATCH_MAX or self._bytes >= BATCH_MAX_BYTES

    def _flush(self) -> None:
        parcels, self._parcels, self._bytes = self._parcels, [], 0
        lengths = self._push(parcels)
        while over := [partition for partition, length in lengths.items() if length > self.stream_max]:
            self.wait(_FULL_WAIT_S)
            lengths = self._push([], over)

    def _push(self, parcels: list[Parcel], watch: Iterable[int] = ()) -> dict[int, int]:
        pushed = push(self.redis, parcels, where="import", node=self.envelopes.node, watch=watch)
        if pushed.errors:
            raise LineDown(
                f"Redis refused an event: {next(iter(pushed.errors.values()))}; import again later"
            )
        return pushed.lengths


class _Scanner:
    """Finds JSON objects in bytes that come in chunks, and where broken ones must end.

    A line end inside a text, or an object where none can begin, ends what went before as broken.
    """

    def __init__(self) -> None:
        self._line = 1
        self._begun = 1
        self._data = bytearray()  # of the object that has begun
        self._open = bytearray()  # its brackets that are open
        self._in_text = False
        self._stray = bytearray()  # what lies between objects
        self._fresh = True  # a line begins here

    def whole_line(self, chunk: bytes) -> list[Piece | Broken]:
        """Give the object that a line is, in the usual case; nothing leaves the line to `feed`.

        A payload that begins a line and fills it also ends what an earlier line began and never closed.
        """
        fresh, self._fresh = self._fresh, chunk.endswith(b"\n")
        if not fresh or len(chunk) >= _CHUNK or (self._open and not chunk.startswith(b"{")):
            return []
        data = chunk.strip(_BETWEEN)
        if not data.startswith(b"{") or not _is_json(data) or (self._open and not _is_payload(_fields(data))):
            return []
        before = [self._broken(b"", "it ends before its end")] if self._open else []
        self._line += self._fresh
        return [*before, Piece(data, self._line - self._fresh)]

    def feed(self, chunk: bytes) -> Iterator[Piece | Broken]:
        """Take more bytes, that do not end in a backslash; gives what they complete."""
        start = at = 0  # what lies before `start` is taken
        while match := (_IN_TEXT if self._in_text else _PLAIN).search(chunk, at):
            here, at = match.span()
            sign = match[0]
            found: Piece | Broken | None = None
            if self._in_text:
                at += sign == b"\\"
                self._in_text = sign == b"\\"
                if sign == b"\n":
                    found, start = self._broken(chunk[start:here], "its line ends inside a text"), at
            elif self._open:
                found, start = self._inside(sign, chunk, start, here)
            elif sign in b"{\n":
                found, start = self._between(chunk[start:here]), here if sign == b"{" else at
                self._begin(sign)
            if found:
                yield found
            self._line += sign == b"\n"
        yield from self._keep(chunk[start:])

    def end(self) -> Iterator[Broken]:
        """Give what the file ends with, if that is no object."""
        last = self._broken(b"", "it ends before its end") if self._open else self._between(b"")
        if last:
            yield last

    def _begin(self, sign: bytes) -> None:
        if sign == b"{":
            self._begun = self._line
            self._open += sign

    def _inside(self, sign: bytes, chunk: bytes, start: int, here: int) -> tuple[Piece | Broken | None, int]:
        """Follow a sign inside an object; gives what it completes, and where the untaken bytes begin."""
        if sign == b"{" and not self._may_open(chunk, start, here):
            broken = self._broken(chunk[start:here], "it ends before its end")
            self._begin(sign)
            return broken, here
        if sign in b"{[":
            self._open += sign
        elif sign == b'"':
            self._in_text = True
        elif sign in b"}]":
            if self._open[-1] != _OPENS[sign]:
                return self._broken(chunk[start : here + 1], "its brackets do not match"), here + 1
            self._open.pop()
            if not self._open:
                return self._piece(chunk[start : here + 1]), here + 1
        return None, start

    def _may_open(self, chunk: bytes, start: int, here: int) -> bool:
        """Say whether an object may begin here: after a colon, or in an array."""
        at = here - 1
        while at >= start and chunk[at] in b" \t\r\n":
            at -= 1
        before = chunk[at : at + 1] if at >= start else bytes(self._data[-_TAIL:].rstrip()[-1:])
        return before == b":" if self._open[-1:] == b"{" else before in (b",", b"[")

    def _piece(self, more: bytes) -> Piece:
        piece = Piece(bytes(self._data + more), self._begun)
        self._data.clear()
        return piece

    def _broken(self, more: bytes, reason: str) -> Broken:
        data = bytes((self._data + more)[:_BROKEN_MAX])
        self._data.clear()
        self._open.clear()
        self._in_text = False
        return Broken(data, self._begun, reason)

    def _between(self, more: bytes) -> Broken | None:
        data = bytes(self._stray + more).strip(_BETWEEN)
        self._stray.clear()
        return Broken(data[:_BROKEN_MAX], self._line, "it is no JSON object") if data else None

    def _keep(self, rest: bytes) -> Iterator[Broken]:
        if not self._open:
            self._stray += rest[: _BROKEN_MAX - len(self._stray)]
        elif len(self._data) + len(rest) > RAW_MAX:
            yield self._broken(rest, f"it is larger than {RAW_MAX >> 20} MiB")
        else:
            self._data += rest


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Give a file line by line, long lines in pieces that never end in a backslash."""
    while chunk := file.readline(_CHUNK):
        while chunk.endswith(b"\\") and (more := file.read(1)):
            chunk += more
        yield chunk


def _unwrapped(piece: Piece) -> Piece:
    """Take a payload out of what a logger wrapped it in, with the time that the logger wrote down."""
    outer = _fields(piece.data)
    if _is_payload(outer):
        return piece
    for name in _INNER:
        data = _inner(outer.get(name))
        inner = _fields(data)
        if _is_payload(inner):
            times = {key: msgspec.json.decode(outer[key]) for key in TIME_FIELDS if key in outer}
            return Piece(
                data, piece.line, None if any(key in inner for key in TIME_FIELDS) else time_of(times)
            )
    return piece


def _fields(data: bytes) -> dict[str, Any]:
    """Give the members of an object, undecoded; none when it can not be read."""
    try:
        return _members(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _inner(value: Any) -> bytes:
    """Give the bytes of a value, which may be a payload written into a string."""
    data = bytes(value or b"")
    if not data.startswith(b'"'):
        return data
    try:
        return _text(data).encode("utf-8", "surrogatepass")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return b""


def _is_payload(fields: dict[str, Any]) -> bool:
    return any(name in fields for name in KIND_FIELDS)


def _is_json(data: bytes) -> bool:
    try:
        _raw(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_utf16(head: bytes) -> bool:
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    halves = (head[::2], head[1::2])
    return marked or (b"\0\0" in halves and any(b"\0" not in half and len(half) == 2 for half in halves))
