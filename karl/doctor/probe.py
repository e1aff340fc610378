"""One turn of nobody's, sent through the whole line: where it comes to, and when.

Its session's id begins with `karl-doctor`, so the views leave it out. The installed hook line is run as
the agent would run it; where none is installed, the line that an installation would write.

    hook -> ship -> stream -> session -> ledger -> views

Invariants:
- It ends at the timeout, and at once where the next stop is known to be cut.
- What it left in the spool is taken away again when nobody ships it.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.exceptions import NoPermissionError, RedisError

from karl.doctor.check import Check, Machine, as_text
from karl.doctor.hooks import current_line, installed_line
from karl.doctor.ledger import end_position
from karl.doctor.server import Asked
from karl.errors import KarlError
from karl.ledger.reader import Reader
from karl.stream import keys
from karl.stream.connect import command
from karl.views.project import PROBE
from karl.views.queries import Views

LINK = "round trip"

STOPS = ("hook", "ship", "stream", "session", "ledger", "views")
#: Seconds between two looks, in the first second and after it, and for one run of the hook.
LOOK_SOON_S, LOOK_S, HOOK_S = 0.001, 0.02, 5.0
#: A file's time may be older than its writing by a tick of the kernel's clock.
_TICK_NS = 20_000_000
#: Entries of a busy partition that one look takes.
_READ = 1000

_HINTS = {
    "hook": "`karl hooks status` says what keeps it from writing",
    "ship": "`karl up`, or `karl ship`; its log says what holds it back",
    "stream": "does the shipper use another Redis? Compare `karl config` there and here",
    "session": "`karl up`, or `karl worker sessions`; its log says what it does",
    "ledger": "`karl up`, or `karl worker ledger`; its log says what it does",
    "views": "`karl up`, or `karl worker views`; its log says what it does",
}


@dataclass(slots=True)
class Probe:
    """How far the turn came. `stops` has ms since its last event was fired, null where it did not come to.

    `cut` is the stop that it did not reach, `why` what is known of that; `elsewhere` names the stops
    that are on other machines, or that this user may not see.
    """

    session: str
    line: str = ""
    stops: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(STOPS))
    elsewhere: list[str] = field(default_factory=list)
    cut: str | None = None
    why: str = ""

    def told(self) -> dict[str, Any]:
        """Give the probe as it stands in the JSON document."""
        return {
            "ok": self.cut is None,
            "session": self.session,
            "line": self.line,
            "cut": self.cut,
            "why": as_text(self.why),
            "ms": self.stops,
            "elsewhere": self.elsewhere,
        }

    def check(self) -> Check:
        """Judge it."""
        came = ", ".join(f"{stop} {ms:.1f} ms" for stop, ms in self.stops.items() if ms is not None)
        if self.cut is None:
            rest = f"; not seen from here: {', '.join(self.elsewhere)}" if self.elsewhere else ""
            return Check(LINK, "event", "ok", f"{came}{rest}")
        seen = f"cut at `{self.cut}`: {self.why}" + (f" (it came by {came})" if came else "")
        return Check(LINK, "event", "fail", seen, _HINTS[self.cut])


def probe(machine: Machine, line: Asked, dead: Mapping[str, str], timeout_s: float) -> Probe:
    """Send a turn and follow it. `dead` says of stops that are known to be cut why they are."""
    return _Trip(machine, line, dead).run(timeout_s)


class _Trip:
    """One turn under way, and what is needed to see it at each stop."""

    def __init__(self, machine: Machine, line: Asked, dead: Mapping[str, str]) -> None:
        self._machine = machine
        self._redis = line.redis
        self._dead = dict(dead)
        self._probe = Probe(f"{PROBE}-{machine.token}")
        self._partition = keys.partition_of(self._probe.session)
        self._files: list[Path] = []
        self._after: bytes = b"0-0"
        self._handed_on: bytes = b""
        self._reader: Reader | None = None
        self._seq = 0
        self._looks: dict[str, Callable[[], bool]] = {
            "hook": lambda: True,
            "ship": self._shipped,
            "stream": self._streamed,
            "session": self._folded,
            "ledger": self._written,
            "views": self._shown,
        }

    def run(self, timeout_s: float) -> Probe:
        """Send it, and follow it to the end, to the first cut or to the timeout."""
        probe = self._probe
        try:
            self._prepare()
            started = time.perf_counter()
            if why := self._fire():
                probe.cut, probe.why = "hook", "; ".join(filter(None, (why, self._dead.get("hook"))))
                return probe
            probe.stops["hook"] = (time.perf_counter() - started) * 1000
            self._follow(started, started + timeout_s)
        finally:
            if self._reader:
                self._reader.close()
            if probe.stops["ship"] is None:
                for file in self._files:
                    file.unlink(missing_ok=True)
        return probe

    # --- sending ---

    def _prepare(self) -> None:
        """Note where the stream and the ledger end now."""
        settings = self._machine.settings
        if self._redis is None:
            return
        try:
            rows = command(self._redis, "XREVRANGE", keys.events_key(self._partition), "+", "-", "COUNT", 1)
        except NoPermissionError:
            self._probe.elsewhere += STOPS[2:]
            return
        self._after = rows[0][0] if rows else b"0-0"
        try:
            if settings.ledger.is_dir():
                self._reader = Reader(settings.ledger, end_position(settings.ledger))
        except KarlError:  # said by the ledger's own check; how far the event comes Redis can tell
            pass
        if self._reader is None and "ledger" not in self._dead:
            self._probe.elsewhere.append("views")

    def _fire(self) -> str:
        """Run the hook for both events; gives why it did not take them, nothing when it did."""
        found = installed_line(self._machine, "UserPromptSubmit")
        agent, text = found or (PROBE, current_line(self._machine, PROBE))
        self._probe.line = "installed" if found else "not installed; run as it would be"
        for event, more in (
            ("UserPromptSubmit", {"prompt": "A probe of karl doctor."}),
            ("Stop", {"stop_hook_active": False, "last_assistant_message": "Done."}),
        ):
            if why := self._run(agent, text, {"hook_event_name": event, **more}):
                return why
        return ""

    def _run(self, agent: str, text: str, payload: dict[str, Any]) -> str:
        spool = self._machine.settings.spool
        before, started_ns = _changed(spool), time.time_ns()
        whole = {"session_id": self._probe.session, "cwd": str(self._machine.settings.data_dir), **payload}
        data = json.dumps(whole).encode()
        with subprocess.Popen(
            ["/bin/sh", "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(self._machine.environ),
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(data, timeout=HOOK_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return f"the hook did not end within {HOOK_S:g} s"
        if process.returncode or said:
            return f"the hook ended with {process.returncode} and said {said[:200]!r}, and must do neither"
        left = self._left(spool / f"{agent}.{process.pid}", data, started_ns)
        if left is None and _changed(spool) == before:
            return f"the hook left nothing in {spool}"
        if left is not None and left < len(data):
            return f"the hook left {left} of {len(data)} bytes in {spool}: has it its `cat`, and room?"
        return ""  # it is there, or was taken away already

    def _left(self, path: Path, data: bytes, started_ns: int) -> int | None:
        """Find what the hook left, by its process's id and its content, and give its bytes."""
        for dashes in range(8):
            file = path.with_name(path.name + "-" * dashes)
            try:
                found, new = file.read_bytes(), file.stat().st_mtime_ns > started_ns - _TICK_NS
            except OSError:
                continue
            if new and data.startswith(found):
                self._files.append(file)
                return len(found)
        return None

    # --- following ---

    def _follow(self, started: float, deadline: float) -> None:
        probe = self._probe
        left = [stop for stop in STOPS[1:] if stop not in probe.elsewhere]
        while left:
            trouble = ""
            try:
                reached = self._reached(left)
            except (KarlError, RedisError, OSError) as error:
                reached, trouble = {}, str(error)
            for stop, moment in reached.items():
                probe.stops[stop] = (moment - started) * 1000
                left.remove(stop)
            if reached:
                continue
            now = time.perf_counter()
            if left[0] in self._dead or now >= deadline:
                probe.cut = left[0]
                probe.why = self._dead.get(left[0]) or trouble or self._late(left[0], now - started)
                return
            time.sleep(LOOK_SOON_S if now - started < 1 else LOOK_S)

    def _reached(self, left: Iterable[str]) -> dict[str, float]:
        """Say when the next stops were seen to be behind it; one passed unseen shows by a later one."""
        seen: dict[str, float] = {}
        waiting: list[str] = []
        for stop in left:
            if self._looks[stop]():
                seen |= dict.fromkeys((*waiting, stop), time.perf_counter())
                waiting = []
            elif stop == "stream":  # the only stop that an event leaves again
                waiting = [stop]
            else:
                break
        return seen

    def _late(self, stop: str, waited_s: float) -> str:
        text = f"it did not come there within {waited_s:.1f} s"
        if stop == "ledger" and self._reader is not None and self._gone_from_records():
            text += f", though a ledger worker took it: it does not write in {self._machine.settings.ledger}"
        return text

    def _shipped(self) -> bool:
        return not any(file.exists() for file in self._files)

    def _streamed(self) -> bool:
        assert self._redis is not None
        key = keys.events_key(self._partition)
        reply = command(self._redis, "XREAD", "COUNT", _READ, "STREAMS", key, self._after)
        rows = reply[0][1] if reply else []
        if rows:
            self._after = rows[-1][0]
        return any(self._probe.session.encode() in flat[1] for _, flat in rows)

    def _folded(self) -> bool:
        """Say whether its record was handed on: then the ids of its events are stored, in the same step."""
        assert self._redis is not None
        if not self._redis.exists(keys.seen_key(self._partition, self._probe.session)):
            return False
        rows = command(self._redis, "XREVRANGE", keys.records_key(self._partition), "+", "-", "COUNT", 1)
        self._handed_on = rows[0][0] if rows else b""
        return True

    def _written(self) -> bool:
        if self._reader is None:
            return self._gone_from_records()
        for line in self._reader.poll(_READ):
            if self._probe.session.encode() in bytes(line.body):
                self._seq = line.seq
        return self._seq > 0

    def _gone_from_records(self) -> bool:
        """Say whether the records stream was trimmed up to ours, which happens after fsync only."""
        assert self._redis is not None
        if not self._handed_on:
            return True
        key = keys.records_key(self._partition)
        return not command(self._redis, "XRANGE", key, "-", self._handed_on, "COUNT", 1)

    def _shown(self) -> bool:
        if not self._machine.settings.views.is_file():
            return False  # a pipe in its place would be waited for
        with Views(self._machine.settings.views) as views:
            return views.position().seq >= self._seq


def _changed(folder: Path) -> int:
    """Give when a folder last changed; 0 when there is none."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
