"""Import the event files of an orchestration gateway, `events-YYYY-MM-DD.jsonl`, once or as they grow.

    read from where the last batch ended -> runs and facts (producers.flows) -> Redis -> note the new place

Invariants:
- A line counts as read when Redis has answered for all of its batch; until then it is read again. What
  was noted may be lost altogether: reading the folder again changes nothing, names hang on what lines say.
- Every file is looked at in every round, so what is written late to an older day's is read too.
- Lines are taken in the order of their times within a batch, whatever order they were written in.
- A last line without its end is not read before it has one, unless it is whole.
- Memory and the cost of a round without news do not grow with what was read.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from karl.errors import LineDown, Refused, Unreadable
from karl.schema.event import Event
from producers.envelope import RAW_MAX
from producers.flows import END, PROJECT, START, Envelope, Flows, Order
from producers.importing import Sender, alone
from producers.ship import envelope_maker
from producers.transcripts.lines import TORN, odd_line
from producers.transcripts.told import Broken

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

AGENT = "gateway"
#: Bytes, and lines, that one batch may hold.
BATCH_BYTES, BATCH_LINES = 4 << 20, 2000
#: Bytes of something broken that are kept.
_KEPT_MAX = 64 * 1024
#: Bytes at a file's beginning by which it is known to be the same file.
_HEAD = 1024
#: Waits between attempts while Redis is away, in seconds; the last one repeats.
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_NAME = re.compile(r"events-\d{4}-\d{2}-\d{2}\.jsonl", re.ASCII)
_BLANK = b" \t\r\n\0"

_decode = msgspec.json.Decoder(Envelope).decode
_log = logging.getLogger("karl")

#: Told the bytes that are read, those that there are, and the file.
Progress = Callable[[int, int, object], None]


class Place(msgspec.Struct):
    """How far a file was read: bytes from its beginning, and a digest of its first ones."""

    offset: int = 0
    head: str = ""


class Notes(msgspec.Struct):
    """What is remembered of a folder between rounds, and from one process to the next."""

    files: dict[str, Place] = {}
    flows: Flows = msgspec.field(default_factory=Flows)


class _Line(NamedTuple):
    order: Order
    envelope: Envelope
    place: str
    number: int


@dataclass(slots=True)
class GatewayReport:
    """What was done.

    `skipped` counts envelopes of no flow by their type, `torn` the files whose last line has no end yet,
    `foreign` names files that are no event files, `again` those that were replaced and read anew.
    """

    files: int = 0
    envelopes: int = 0
    runs: int = 0
    completed: int = 0
    events: int = 0
    dead: int = 0
    torn: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


class Gateway:
    """One folder of event files, and how far it was brought in."""

    def __init__(
        self,
        folder: Path,
        redis: Redis,
        settings: Settings,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._notes_path = notes_path(folder, settings)
        self._sender = Sender(redis, envelope_maker(settings), settings.stream_max_entries, wait)
        self._silent_ms = int(settings.idle_timeout_s * 1000)
        self._now_ms = now_ms
        self._notes = _load(self._notes_path)
        self._last: dict[str, Event] = {}
        self._read_files: set[str] = set()
        self.report = GatewayReport(by_reason=self._sender.by_reason)

    def catch_up(self, progress: Progress | None = None) -> int:
        """Bring in what is new; gives the number of lines. Raises LineDown, and Refused."""
        found = self._grown()
        total, done, count = sum(size - start for _, start, size in found), 0, 0
        for path, start, size in found:
            if progress:
                progress(done, total, path.name)
            count += self._read(path, start, size)
            done += size - start
        if progress and found:
            progress(total, total, found[-1][0].name)
        return count

    def end(self) -> None:
        """End the turns of runs that were broken off long ago: nobody will. Raises LineDown."""
        for session in sorted(self._notes.flows.open_sessions & self._last.keys()):
            event = self._last[session]
            if event.time_ms is not None and self._now_ms() - event.time_ms > self._silent_ms:
                self._sender.event(self._sender.envelopes.end_of_import(event))
        self._settle()

    def forget(self) -> None:
        """Go back to what was noted: what came after it is read again."""
        self._notes = _load(self._notes_path)
        self._sender.drop()
        self._last.clear()

    def follow(self, stop: threading.Event, every_s: float) -> None:
        """Bring in what there is and what comes, until told to stop; waits out a Redis that is away."""
        failures = 0
        while not stop.is_set():
            try:
                new = self.catch_up()
            except LineDown as error:
                if not failures:
                    _log.warning("gateway: %s; trying again", error)
                self.forget()
                stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
                continue
            if failures:
                _log.info("gateway: goes on after %d failed attempts", failures)
                failures = 0
            if not new:
                stop.wait(every_s)

    # --- files ---

    def _grown(self) -> list[tuple[Path, int, int]]:
        """List the files with bytes that were not read, from where and to where, the oldest day first."""
        found, self.report.torn = [], 0
        try:
            entries = sorted(os.scandir(self._folder), key=lambda entry: entry.name)
        except OSError as error:
            raise Refused(f"{self._folder} can not be read: {error.strerror or error}") from error
        for entry in entries:
            if not _NAME.fullmatch(entry.name) or not entry.is_file():
                if entry.name not in self.report.foreign:
                    self.report.foreign.append(entry.name)
                continue
            size = entry.stat().st_size
            place = self._notes.files.setdefault(entry.name, Place())
            if size != place.offset:
                path = Path(entry.path)
                found.append((path, self._start(path, place, size), size))
        return found

    def _start(self, path: Path, place: Place, size: int) -> int:
        """Give where to read on: at the beginning of a file that is not the one that was read."""
        if place.offset and (size < place.offset or _head(path, place.offset) != place.head):
            _log.warning("gateway: %s was replaced; reading it from its beginning", path.name)
            self.report.again.append(path.name)
            place.offset = 0
        return place.offset

    def _read(self, path: Path, start: int, size: int) -> int:
        """Read a file on, batch by batch; gives the number of lines."""
        place, count = self._notes.files[path.name], 0
        self._read_files.add(path.name)
        self.report.files = len(self._read_files)
        try:
            with path.open("rb") as file:
                file.seek(start)
                for lines, end in self._batches(file, path, start, size):
                    for line in _by_time(lines):
                        self._take(line, path)
                    place.offset, place.head = end, _head(path, end)
                    count += len(lines)
                    self._settle()
        except OSError as error:
            raise Refused(f"{path} can not be read: {error.strerror or error}") from error
        return count

    def _batches(
        self, file: BinaryIO, path: Path, start: int, size: int
    ) -> Iterator[tuple[list[_Line], int]]:
        """Give lines in batches, each with the place where it ends."""
        lines: list[_Line] = []
        at = begun = start
        number = 0
        while at < size and (raw := file.readline(RAW_MAX + 1)):
            number += 1
            if len(raw) > RAW_MAX and not raw.endswith(b"\n"):
                at += self._bury_long(raw, file, path, number)
                continue
            found = list(self._objects(raw, path, at, number))
            if any(one is TORN for one in found):
                self.report.torn += 1
                break
            lines += (one for one in found if isinstance(one, _Line))
            at += len(raw)
            if at - begun >= BATCH_BYTES or len(lines) >= BATCH_LINES:
                yield lines, at
                lines, begun = [], at
        if at > begun:
            yield lines, at

    def _objects(self, raw: bytes, path: Path, at: int, number: int) -> Iterator[_Line | object]:
        """Read one line: mostly one envelope; after a torn write several, or rubbish, which is buried."""
        if not raw.strip(_BLANK):
            return
        try:
            found: list[object] = [_decode(raw)]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found = list(odd_line(raw, number, Envelope))
        if TORN in found:
            yield TORN
            return
        for index, one in enumerate(found):
            if isinstance(one, Envelope):
                yield _Line(one.order, one, f"{path.name}:{at}:{index}", number)
            elif isinstance(one, Broken):
                self._sender.bury(one.data, one.reason, path, number)

    def _bury_long(self, raw: bytes, file: BinaryIO, path: Path, number: int) -> int:
        """Bury the beginning of a line that is too long; gives the bytes that are passed over."""
        self._sender.bury(raw[:_KEPT_MAX], f"it is larger than {RAW_MAX >> 20} MiB", path, number)
        passed = len(raw)
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(RAW_MAX)
            passed += len(raw)
        return passed

    # --- envelopes ---

    def _take(self, line: _Line, path: Path) -> None:
        envelope = line.envelope
        self.report.envelopes += 1
        if envelope.flow_id is None or envelope.type is None:
            what = "no type" if envelope.type is None else f"{envelope.type} without a flow"
            self.report.skipped[str(what)[:80]] += 1
            return
        self.report.runs += envelope.type == START
        self.report.completed += envelope.type == END
        for payload, name in self._notes.flows.take(envelope, line.place):
            try:
                event = self._sender.envelopes.of(payload, name=name, agent=AGENT, source="gateway")
            except Unreadable as error:
                data = repr(payload)[:_KEPT_MAX].encode("utf-8", "replace")
                self._sender.bury(data, error.reason, path, line.number)
                continue
            event = msgspec.structs.replace(event, project=PROJECT)
            self._last[event.session] = event
            self._sender.event(event)
            self.report.events += 1
            if self._sender.is_full:
                self._sender.flush()

    def _settle(self) -> None:
        """Send what waits, and then note how far we are."""
        self._sender.flush()
        self.report.dead = self._sender.dead
        flows = self._notes.flows
        flows.forget()
        self._last = {name: self._last[name] for name in flows.open_sessions & self._last.keys()}
        _save(self._notes_path, self._notes)


def import_gateway(
    folder: Path,
    redis: Redis,
    settings: Settings,
    progress: Progress | None = None,
    *,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> GatewayReport:
    """Bring in a folder's event files as they are now. Raises LineDown and Refused."""
    with _alone(folder, settings):
        gateway = Gateway(folder, redis, settings, now_ms=now_ms)
        gateway.catch_up(progress)
        gateway.end()
    return gateway.report


def follow_gateway(
    folder: Path, redis: Redis, settings: Settings, stop: threading.Event, *, every_s: float
) -> GatewayReport:
    """Bring in a folder's event files and what is written to them, until `stop`. Raises Refused."""
    with _alone(folder, settings):
        gateway = Gateway(folder, redis, settings)
        gateway.follow(stop, every_s)
    return gateway.report


def notes_path(folder: Path, settings: Settings) -> Path:
    """Give the file in which the place in a folder is noted."""
    digest = hashlib.blake2b(os.fsencode(folder.absolute()), digest_size=8).hexdigest()
    return settings.data_dir / f"gateway-{digest}.json"


@contextmanager
def _alone(folder: Path, settings: Settings) -> Iterator[None]:
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{settings.data_dir} can not be made: {error.strerror or error}") from error
    lock = notes_path(folder, settings).with_suffix(".lock")
    with alone(lock, f"another import of {folder}"):
        yield


def _load(path: Path) -> Notes:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Notes)
    except FileNotFoundError:
        return Notes()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("gateway: %s can not be read (%s); reading the folder from its beginning", path, error)
        return Notes()


def _save(path: Path, notes: Notes) -> None:
    """Write the notes so that after a crash there are either the old ones or these. Raises Refused."""
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(msgspec.json.encode(notes))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise Refused(f"{path} can not be written: {error.strerror or error}") from error


def _head(path: Path, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.blake2b(file.read(min(size, _HEAD)), digest_size=8).hexdigest()


def _by_time(lines: list[_Line]) -> list[_Line]:
    """Order lines by time and number; what has none stays behind what it was written after."""
    keys: list[tuple[int, int]] = []
    for line in lines:
        before = keys[-1] if keys else (0, 0)
        time_ms, seq = line.order
        keys.append((before[0] if time_ms is None else time_ms, before[1] if seq is None else seq))
    return [lines[at] for at in sorted(range(len(lines)), key=keys.__getitem__)]
