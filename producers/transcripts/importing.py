"""The one importer of transcripts: what a format's reader tells becomes events in the stream.

Invariants:
- A fact's id hangs on its session and its key, so importing again changes nothing while the line
  remembers the session's events (KARL_SESSION_TTL_DAYS).
- History that a fork or a resumed session repeats is imported once, for the session that told it first.
- A file counts as done only when Redis has answered for all of it; until then it is read again, whole.
- A file that can not be read, or is another format's, does not stop the others.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from karl.errors import Refused, Unreadable
from karl.schema.event import TRANSCRIPT, Event, event_id
from producers.envelope import envelope_maker
from producers.importing import Sender, require_file
from producers.transcripts.imported import Imported, Stamp, imported
from producers.transcripts.told import Broken, Format, Told

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Bytes at each end of a file in which its first and last time are looked for.
_ENDS = 64 * 1024
_TIME = re.compile(rb'"timestamp"\s*:\s*"([0-9]{4}-[0-9T:.+Z-]{6,40})"')
_BROKEN_MAX = 64 * 1024

#: Told the bytes that are done, those that there are to do, and the name of the file that is read now.
Progress = Callable[[int, int, object], None]


@runtime_checkable
class InParts(Protocol):
    """A format whose sessions may lie in several files, which it reads together."""

    def parts(self, path: Path) -> list[Path]:
        """List the files that reading `path` reads, itself first."""
        ...


class NotImported(NamedTuple):
    """A file or folder that was left out, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class TranscriptReport:
    """What an import did.

    `files` were read, `unchanged` ones were done before, `older` ones lay before `since`. `by_reason`
    counts the dead letters (`dead`), `skipped` the lines without facts by their type, `repeated` the
    facts that another session had told first.
    """

    files: int = 0
    unchanged: int = 0
    older: int = 0
    sessions: int = 0
    events: int = 0
    dead: int = 0
    repeated: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    refused: list[NotImported] = field(default_factory=list)


class _Unit(NamedTuple):
    """A file with those that are read with it, and its place in the order."""

    stamps: list[Stamp]
    order: tuple[bytes, bytes, str, str]

    @property
    def path(self) -> Path:
        return self.stamps[0].path

    @property
    def size(self) -> int:
        return sum(stamp.size for stamp in self.stamps)


def import_transcripts(
    fmt: Format,
    paths: Iterable[Path],
    redis: Redis,
    settings: Settings,
    progress: Progress | None = None,
    *,
    since_ms: int | None = None,
    again: bool = False,
    wait: Callable[[float], None] = time.sleep,
) -> TranscriptReport:
    """Put what transcripts tell into the stream, each file followed by the end of its sessions.

    Files done before and unchanged are passed over unless `again`; so are those last changed before
    `since_ms` (Unix time). Waits while a stream is over its bound. Raises LineDown (import again: what
    went in already changes nothing) and Refused when another import is running.
    """
    with imported(settings.data_dir, fmt.agent) as notes:
        sender = Sender(redis, envelope_maker(settings), settings.stream_max_entries, wait)
        run = _Run(fmt, sender, notes)
        units = run.units(paths, since_ms=since_ms, again=again)
        done, total = 0, sum(unit.size for unit in units)
        for unit in units:
            if progress:
                progress(done, total, unit.path.name)
            run.unit(unit)
            done += unit.size
        if progress and units:
            progress(done, total, units[-1].path.name)
        return run.report


class _Run:
    """One import under way."""

    def __init__(self, fmt: Format, sender: Sender, notes: Imported) -> None:
        self.report = TranscriptReport(by_reason=sender.by_reason)
        self._format = fmt
        self._sender = sender
        self._notes = notes
        self._sessions: set[str] = set()
        self._last: dict[str, Event] = {}
        self._starts: dict[str, Told] = {}
        self._continues: dict[str, str] = {}

    def units(self, paths: Iterable[Path], *, since_ms: int | None, again: bool) -> list[_Unit]:
        """Find what is to be read, originals before the forks that repeat them."""
        units = []
        for path in self._found(paths):
            try:
                stamps = [_stamp(part) for part in self._parts(path)]
                if since_ms is not None and max(stamp.mtime_ns for stamp in stamps) < since_ms * 1_000_000:
                    self.report.older += len(stamps)
                elif not again and all(self._notes.is_done(stamp) for stamp in stamps):
                    self.report.unchanged += len(stamps)
                else:
                    units.append(_Unit(stamps, (*_first_and_last_time(path), path.name, str(path))))
            except OSError as error:
                self._refuse(path, error)
        return sorted(units, key=lambda unit: unit.order)

    def unit(self, unit: _Unit) -> None:
        """Import one file and what is read with it."""
        self._last, self._starts, self._continues = {}, {}, {}
        done = unit.stamps
        try:
            for found in self._format.read(unit.path):
                if isinstance(found, Told):
                    self._take(found, unit.path)
                elif isinstance(found, Broken):
                    self._sender.bury(found.data[:_BROKEN_MAX], found.reason, unit.path, found.line)
                else:
                    self.report.skipped[found.what] += 1
                self._flush_full()
        except (OSError, Refused) as error:
            self._refuse(unit.path, error)
            done = []
        self._finish(unit)
        self._sender.flush()
        self._notes.keep(done)
        self.report.files += len(done)
        self.report.sessions = len(self._sessions)
        self.report.dead = self._sender.dead

    def _found(self, paths: Iterable[Path]) -> list[Path]:
        found: dict[Path, None] = {}
        for path in paths:
            try:
                if not path.is_dir():
                    require_file(path)
                found.update(dict.fromkeys(item.absolute() for item in self._format.find(path)))
            except (OSError, Refused) as error:
                self._refuse(path, error)
        return list(found)

    def _parts(self, path: Path) -> list[Path]:
        return self._format.parts(path) if isinstance(self._format, InParts) else [path]

    def _refuse(self, path: Path, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) else None
        self.report.refused.append(NotImported(str(path), reason or str(error)))

    # --- facts ---

    def _take(self, told: Told, path: Path) -> None:
        """Send a fact, unless another session told it first; a start waits for what it is a start of."""
        session = told.payload.get("session_id")
        if not isinstance(session, str):
            session = ""
        if told.payload.get("hook_event_name") == "SessionStart":
            self._start(session, path)
            self._starts[session] = told
            return
        if told.origin:
            owner = self._notes.owner(told.origin)
            if owner is not None and owner != session:
                self.report.repeated += 1
                if session in self._starts:
                    self._continues[session] = owner
                return
            if owner is None:
                self._notes.own(told.origin, session)
        self._start(session, path, told)
        self._send(told, session, path)

    def _start(self, session: str, path: Path, first: Told | None = None) -> None:
        """Send the start that waits; a fork, whose history was repeated, begins with its own first fact."""
        told = self._starts.pop(session, None)
        if told is None:
            return
        continues = self._continues.pop(session, None)
        if continues:
            told.payload.update(source="fork", continues=continues)
            if first is not None and "timestamp" in first.payload:
                told.payload["timestamp"] = first.payload["timestamp"]
        self._send(told, session, path)

    def _send(self, told: Told, session: str, path: Path) -> None:
        name = event_id("told", session, told.key)
        try:
            event = self._sender.envelopes.of(
                told.payload, name=name, agent=self._format.agent, source=TRANSCRIPT
            )
        except Unreadable as error:
            data = repr(told.payload)[:_BROKEN_MAX].encode("utf-8", "backslashreplace")
            self._sender.bury(data, error.reason, path, told.line)
            return
        self._last.pop(event.session, None)  # the end of the session that ended last comes last
        self._last[event.session] = event
        self._sender.event(event)
        self.report.events += 1

    def _finish(self, unit: _Unit) -> None:
        for session in list(self._starts):
            self._start(session, unit.path)
        for event in self._last.values():
            self._sender.event(self._sender.envelopes.end_of_import(event))
            self._flush_full()
        self._sessions |= self._last.keys()

    def _flush_full(self) -> None:
        if self._sender.is_full:
            self._sender.flush()
            self._notes.keep()


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return Stamp(path, found.st_size, found.st_mtime_ns)


def _first_and_last_time(path: Path) -> tuple[bytes, bytes]:
    """Give the first and the last time that the ends of a file show, as they are written."""
    with path.open("rb") as file:
        head = file.read(_ENDS)
        file.seek(max(0, path.stat().st_size - _ENDS))
        tail = file.read(_ENDS)
    first, last = _TIME.search(head), _TIME.findall(tail)
    return first[1] if first else b"", last[-1] if last else b""
