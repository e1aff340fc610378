"""Import files of raw hook payloads, as people kept them: lines, arrays, or objects one after another.

Invariants:
- A file is read in pieces; only one object of it is in memory at a time.
- Importing a file again, or one that overlaps it, adds nothing: ids hang on the payloads.
- What is broken is named by file and line, kept as a dead letter, and does not spoil its neighbours.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from karl.errors import Refused, Unreadable
from karl.schema.event import Event
from producers.envelope import ImportNaming, envelope_maker
from producers.importing import Sender, require_file
from producers.pieces import Broken, Piece, Scanner, chunks, is_payload, members
from producers.times import TIME_FIELDS, time_of

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: What a logger may call the payload that it wrapped.
_INNER = ("payload", "input", "data", "event", "hook", "body", "raw", "hook_input")

_text = msgspec.json.Decoder(str).decode


@dataclass(slots=True)
class ImportReport:
    """What an import did; `by_reason` counts what was broken or unreadable."""

    files: int = 0
    events: int = 0
    dead: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    sessions: int = 0


def read_hook_file(path: Path) -> Iterator[Piece | Broken]:
    """Give every payload of a file in order, and everything broken between them. Raises OSError, Refused."""
    require_file(path)
    with path.open("rb") as file:
        head = file.read(4)
        if _is_utf16(head):
            yield Broken(b"", 1, "UTF-16 text: convert the file to UTF-8 first")
            return
        file.seek(0)
        scanner = Scanner()
        for chunk in chunks(file):
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
    importer = _Importer(Sender(redis, envelope_maker(settings), settings.stream_max_entries, wait), agent)
    for path in paths:
        try:
            for sent in importer.file(path):
                if progress:
                    progress(path, sent)
        except OSError as error:
            raise Refused(f"{path} can not be read: {error.strerror or error}") from error
        except Refused as error:
            raise Refused(f"{path}: {error}") from error
    return importer.report


class _Importer:
    """The files of one import, and what was done so far."""

    def __init__(self, sender: Sender, agent: str) -> None:
        self._sender = sender
        self._agent = agent
        self._sessions: set[str] = set()
        self._files = 0
        self._events = 0

    @property
    def report(self) -> ImportReport:
        """Say what was done."""
        sender = self._sender
        return ImportReport(self._files, self._events, sender.dead, sender.by_reason, len(self._sessions))

    def file(self, path: Path) -> Iterator[int]:
        """Import one file; gives the number of its events so far, batch by batch."""
        naming = ImportNaming()
        sender = self._sender
        last: dict[str, Event] = {}
        count = 0
        for found in read_hook_file(path):
            if isinstance(found, Broken):
                sender.bury(found.data, found.reason, path, found.line)
            elif event := self._event(found, naming, path):
                last.pop(event.session, None)  # the end of the session that ended last comes last
                last[event.session] = event
                sender.event(event)
                count += 1
            if sender.is_full:
                sender.flush()
                yield count
        for event in last.values():
            sender.event(sender.envelopes.end_of_import(event))
            if sender.is_full:
                sender.flush()
        sender.flush()
        self._sessions |= last.keys()
        self._files += 1
        self._events += count
        yield count

    def _event(self, piece: Piece, naming: ImportNaming, path: Path) -> Event | None:
        try:
            return self._sender.envelopes.make(
                piece.data, name=naming, agent=self._agent, time_ms=piece.time_ms, source="import"
            )
        except Unreadable as error:
            self._sender.bury(piece.data, error.reason, path, piece.line)
            return None


def _unwrapped(piece: Piece) -> Piece:
    """Take a payload out of what a logger wrapped it in, with the time that the logger wrote down."""
    outer = members(piece.data)
    if is_payload(outer):
        return piece
    for name in _INNER:
        data = _inner(outer.get(name))
        inner = members(data)
        if is_payload(inner):
            times = {key: msgspec.json.decode(outer[key]) for key in TIME_FIELDS if key in outer}
            return Piece(
                data, piece.line, None if any(key in inner for key in TIME_FIELDS) else time_of(times)
            )
    return piece


def _inner(value: Any) -> bytes:
    """Give the bytes of a value, which may be a payload written into a string."""
    data = bytes(value or b"")
    if not data.startswith(b'"'):
        return data
    try:
        return _text(data).encode("utf-8", "surrogatepass")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return b""


def _is_utf16(head: bytes) -> bool:
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    halves = (head[::2], head[1::2])
    return marked or (b"\0\0" in halves and any(b"\0" not in half and len(half) == 2 for half in halves))
