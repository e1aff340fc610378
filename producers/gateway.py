"""Import the event files of an orchestration gateway, `events-YYYY-MM-DD.jsonl`, once or as they grow.

    read from where the last batch ended -> runs and facts (producers.flows) -> Redis -> note the new place

Invariants:
- A line counts as read when Redis has answered for all of its batch, and that is noted once in a few
  batches; until then it is read again. What was noted may be lost altogether: reading the folder again
  changes nothing, names hang on what lines say.
- Every file is looked at in every round, so what is written late to an older day's is read too.
- Lines are taken in the order of their times within a batch, whatever order they were written in.
- A last line without its end is not read before it has one, unless it is whole, or its day is over.
- Memory and the cost of a round without news do not grow with what was read.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from karl.errors import LineDown, Refused
from producers.envelope import envelope_maker
from producers.flow_entries import Entries
from producers.flow_facts import END, START
from producers.flows import Fact, Source
from producers.gateway_lines import Line, LineReader, by_time
from producers.gateway_notes import Place, alone_on, known_elsewhere, load, mark_of, notes_path, save
from producers.importing import Sender
from producers.times import time_of

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

AGENT = "gateway"
#: The domain of every flow.
PROJECT = "mesh-orchestration"
#: Milliseconds that a step waits for its run's start, and of quiet after which nobody ends an old day's line.
HOLD_MS, QUIET_MS = 60_000, 60_000
#: Milliseconds in which a follower waits for lines whose numbers were passed over.
SETTLE_MS = 2000
#: Bytes of something broken that are kept.
_KEPT_MAX = 64 * 1024
#: Batches after which it is noted how far a file was read, if not before: noting waits for the disk, twice.
NOTED_EVERY = 8
#: Stands for the time of a file's last change while it is read, so that who breaks off there reads it on.
_HALF_READ = -1
#: Waits between attempts while Redis is away, in seconds; the last one repeats.
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_NAME = re.compile(r"events-(\d{4}-\d{2}-\d{2})\.jsonl", re.ASCII)
_DAY_MS = 86_400_000

_log = logging.getLogger("karl")

#: Told the bytes that are read, those that there are, and the file.
Progress = Callable[[int, int, object], None]


class _Found(NamedTuple):
    """A file with something new, read up to `size`. `is_over` says that nobody writes to it any more."""

    path: Path
    size: int
    is_over: bool


class _Stopped(Exception):
    """Raised while a stream is full, when the process is told to stop."""


@dataclass(slots=True)
class GatewayReport:
    """What was done.

    `waiting` counts envelopes that wait for their run's start, `torn` the files whose last line has no end
    yet; `foreign` names files that are no event files, `again` those that were replaced and read anew,
    `unreadable` those that could not be read, with the reason.
    """

    files: int = 0
    envelopes: int = 0
    runs: int = 0
    completed: int = 0
    events: int = 0
    dead: int = 0
    waiting: int = 0
    torn: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


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
        settle_ms: int = 0,
    ) -> None:
        self._folder = folder
        self._lines = LineReader(self._bury, lambda ms: settle_ms > 0 and abs(now_ms() - ms) < settle_ms)
        self._notes_path = notes_path(folder, settings)
        self._sender = Sender(redis, envelope_maker(settings), settings.stream_max_entries, wait)
        self._entries = Entries(self._sender, self._bury, agent=AGENT, project=PROJECT)
        self._silent_ms = int(settings.idle_timeout_s * 1000)
        self._now_ms = now_ms
        self._notes = load(self._notes_path)
        self._elsewhere = known_elsewhere(self._notes_path)
        self._is_noted = True
        self._read_files: set[str] = set()
        self._listed: set[str] = set()
        self._foreign: set[str] = set()
        self.report = GatewayReport(by_reason=self._sender.by_reason)

    def catch_up(self, progress: Progress | None = None) -> int:
        """Bring in what is new; gives the number of lines. Raises LineDown, and Refused without a folder."""
        found = self._grown()
        starts = [self._notes.files[one.path.name].offset for one in found]
        total = sum(max(0, one.size - start) for one, start in zip(found, starts, strict=True))
        done, count = 0, 0
        for one, start in zip(found, starts, strict=True):
            if progress:
                progress(done, total, one.path.name)
            count += self._read(one)
            done += max(0, one.size - start)
        if progress and found:
            progress(total, total, found[-1].path.name)
        flows = self._notes.flows
        if flows.held and self._send(flows.release(self._now_ms() - HOLD_MS)):
            self._settle()
        self.report.waiting = len(flows.held)
        self.report.torn = sum(
            place.offset < place.size for name, place in self._notes.files.items() if name in self._listed
        )
        return count

    def end(self) -> None:
        """End the turns of runs that were broken off long ago: nobody will. Raises LineDown.

        Long ago by what their lines say, and by when their file was written: a file of an old day may still
        be on its way to us, part by part.
        """
        since_ms = self._now_ms() - self._silent_ms
        for run in sorted(self._notes.flows.under_way, key=lambda run: run.session):
            event, place = self._entries.last.get(run.session), self._notes.files.get(run.file, Place())
            if event is None or event.time_ms is None:
                continue
            if event.time_ms < since_ms and place.mtime_ns // 1_000_000 < since_ms:
                self._sender.event(self._sender.envelopes.end_of_import(event))
        self._settle()

    def forget(self) -> None:
        """Go back to what was noted: what came after it is read again."""
        self._notes = load(self._notes_path)
        self._sender.drop()
        self._entries.drop()

    def follow(self, stop: threading.Event, every_s: float) -> None:
        """Bring in what there is and what comes, until told to stop; waits out a Redis that is away."""
        failures = 0
        while not stop.is_set():
            try:
                new = self.catch_up()
            except _Stopped:
                return
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

    def _grown(self) -> list[_Found]:
        """List the files with something that was not read, the oldest day first."""
        found: list[_Found] = []
        self._listed = set()
        try:
            with os.scandir(self._folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise Refused(f"{self._folder} can not be read: {error.strerror or error}") from error
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if not match or not entry.is_file():
                self._leave_alone(entry.name)
                continue
            try:
                seen = entry.stat()
            except OSError as error:
                self._can_not(entry.name, error)
                continue
            self._listed.add(entry.name)
            place = self._notes.files.setdefault(entry.name, Place())
            is_over = self._is_over(match[1], seen.st_mtime_ns // 1_000_000)
            is_new = (seen.st_size, seen.st_mtime_ns) != (place.size, place.mtime_ns)
            if is_new or (is_over and seen.st_size > place.offset):
                place.size, place.mtime_ns = seen.st_size, seen.st_mtime_ns
                found.append(_Found(Path(entry.path), seen.st_size, is_over))
        return found

    def _leave_alone(self, name: str) -> None:
        """Name a file that is no event file, once."""
        if name not in self._foreign:
            self._foreign.add(name)
            self.report.foreign.append(name)
            _log.info("gateway: left alone: %s is no event file", self._folder / name)

    def _is_over(self, day: str, changed_ms: int) -> bool:
        """Say whether nobody writes to a day's file any more: its day is over, and it has been quiet."""
        begun_ms, now_ms = time_of({"ts": f"{day}T00:00:00Z"}), self._now_ms()
        return begun_ms is not None and now_ms > begun_ms + _DAY_MS and now_ms > changed_ms + QUIET_MS

    def _can_not(self, name: str, error: OSError) -> None:
        """Note that a file can not be read; one that has gone is no trouble."""
        if isinstance(error, FileNotFoundError):
            return
        if name not in self.report.unreadable:
            _log.error("gateway: %s can not be read: %s", self._folder / name, error.strerror or error)
        self.report.unreadable[name] = error.strerror or str(error)

    def _read(self, found: _Found) -> int:
        """Read a file on, batch by batch; gives the number of lines."""
        path, count = found.path, 0
        place = self._notes.files[path.name]
        changed_ns, place.mtime_ns = place.mtime_ns, _HALF_READ
        try:
            with path.open("rb") as file:
                if place.offset and (found.size < place.offset or mark_of(file, place.offset) != place.mark):
                    self._begin_again(path, place)
                batches = self._lines.batches(file, path.name, found.size, place, is_over=found.is_over)
                for at, (lines, end, number) in enumerate(batches, 1):
                    self._take(by_time(lines))
                    place.mark = mark_of(file, end)
                    place.offset, place.lines = end, number
                    count += len(lines)
                    self._settle(note=at % NOTED_EVERY == 0)
                if place.mtime_ns == _HALF_READ:
                    place.mtime_ns = changed_ns
                self._is_noted = False
                self._note()
        except OSError as error:
            place.mtime_ns = 0
            self._can_not(path.name, error)
        else:
            self.report.unreadable.pop(path.name, None)
            self._read_files.add(path.name)
            self.report.files = len(self._read_files)
        return count

    def _begin_again(self, path: Path, place: Place) -> None:
        _log.warning("gateway: %s was replaced; reading it from its beginning", path.name)
        if path.name not in self.report.again:
            self.report.again.append(path.name)
        place.again()
        self._notes.flows.reread(path.name)

    def _bury(self, data: bytes, reason: str, source: Source) -> None:
        self._sender.bury(data[:_KEPT_MAX], reason, Path(source.file), source.line)

    # --- envelopes ---

    def _take(self, lines: list[Line]) -> None:
        take, elsewhere, now_ms = self._notes.flows.take, self._elsewhere, self._now_ms()
        facts: list[Fact] = []
        for line in lines:
            facts += take(line.envelope, line.name, line.source, now_ms, elsewhere.get(line.name))
        kinds = [line.envelope.type for line in lines]
        self.report.envelopes += len(lines)
        self.report.runs += kinds.count(START)
        self.report.completed += kinds.count(END)
        self._send(facts)

    def _send(self, facts: list[Fact]) -> int:
        """Send facts; gives how many."""
        self._entries.add(facts)
        return len(facts)

    def _settle(self, *, note: bool = True) -> None:
        """Send what waits, and then note how far we are; what is not noted may be read again.

        The next batch is read while the server takes this one.
        """
        self._entries.send()
        is_news = self.report.dead != self._sender.dead  # a dead letter that is read again is another one
        self.report.events, self.report.dead = self._entries.made, self._sender.dead
        self._notes.forget()
        last, open_sessions = self._entries.last, self._notes.flows.open_sessions
        self._entries.last = {name: last[name] for name in open_sessions & last.keys()}
        self._is_noted = False
        if note or is_news:
            self._note()

    def _note(self) -> None:
        self._sender.settle()
        if not self._is_noted:
            save(self._notes_path, self._notes)
            self._is_noted = True


def import_gateway(
    folder: Path,
    redis: Redis,
    settings: Settings,
    progress: Progress | None = None,
    *,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> GatewayReport:
    """Bring in a folder's event files as they are now. Raises LineDown and Refused."""
    _collect_seldom()
    with alone_on(folder, settings):
        gateway = Gateway(folder, redis, settings, now_ms=now_ms)
        gateway.catch_up(progress)
        gateway.end()
    return gateway.report


def follow_gateway(
    folder: Path, redis: Redis, settings: Settings, stop: threading.Event, *, every_s: float
) -> GatewayReport:
    """Bring in a folder's event files and what is written to them, until `stop`. Raises Refused."""

    def wait(seconds: float) -> None:
        if stop.wait(seconds):
            raise _Stopped

    _collect_seldom()
    with alone_on(folder, settings):
        gateway = Gateway(folder, redis, settings, wait=wait, settle_ms=SETTLE_MS)
        gateway.follow(stop, every_s)
    return gateway.report


def _collect_seldom() -> None:
    """Batches make many objects and no cycles; the collector's default pace costs an eighth of the work."""
    gc.set_threshold(50_000, 20, 20)
