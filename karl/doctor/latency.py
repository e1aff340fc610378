"""What the hook costs the agent: measured here, and as Claude Code itself wrote it down.

The line that is measured is the real one with a scratch folder in the place of the spool, on the same
disk; `/bin/true` beside it shows what starting any process costs on this machine.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from heapq import nlargest
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from karl.doctor.check import Check, Machine
from karl.doctor.hooks import CLAUDE
from karl.errors import Refused
from producers.agents import settings_files
from producers.hook import hook_command, is_ours
from producers.hook_line import find_program

LINK = "hook"

#: Seconds that measuring takes at most, and runs at most.
BUDGET_S, RUNS_MAX = 2.0, 150
#: Milliseconds that an agent's user would notice at every call.
SLOW_MS = 100.0
#: Transcripts that are looked into, and bytes at the end of each.
FILES_MAX, FILE_BYTES, ENTRIES_MAX = 20, 1 << 20, 5000
_PAYLOAD = b'{"hook_event_name":"PostToolUse","session_id":"karl-doctor","tool_response":"%s"}' % (
    b"x" * 6000
)


class _Attachment(msgspec.Struct):
    type: str = ""
    command: str = ""
    durationMs: float | None = None  # noqa: N815 - Claude Code's name


class _Entry(msgspec.Struct):
    attachment: _Attachment


class Times(NamedTuple):
    """Milliseconds: the median and the 95th percentile of so many runs."""

    runs: int
    p50_ms: float
    p95_ms: float


class Latency(NamedTuple):
    """What was measured, null where nothing could be; `recorded` and `others` are Claude Code's record."""

    hook: Times | None
    true: Times | None
    recorded: Times | None
    others: Times | None

    def told(self) -> dict[str, Any]:
        """Give it as it stands in the JSON document."""
        return {name: times._asdict() if times else None for name, times in self._asdict().items()}

    def check(self) -> Check:
        """Judge it."""
        if self.hook is None or self.true is None:
            return Check(LINK, "latency", "unknown", "the hook could not be run here")
        text = (
            f"p50 {self.hook.p50_ms:.1f} ms, p95 {self.hook.p95_ms:.1f} ms "
            f"(/bin/true {self.true.p50_ms:.1f} and {self.true.p95_ms:.1f})"
        )
        if self.recorded:
            text += (
                f"; in Claude Code's own record p50 {self.recorded.p50_ms:.0f} ms, "
                f"p95 {self.recorded.p95_ms:.0f} ms of {self.recorded.runs:,} runs"
            )
        if self.hook.p95_ms > SLOW_MS:
            hint = "is the machine loaded, or the spool on a slow disk? Set KARL_SPOOL_DIR to a local one"
            return Check(LINK, "latency", "warn", text, hint)
        return Check(LINK, "latency", "ok", text)


def measure(machine: Machine) -> Latency:
    """Run the hook for about two seconds, and read the ends of the newest transcripts. Raises OSError."""
    hook, true = _run(machine)
    ours, others = _recorded(machine)
    return Latency(hook, true, ours, others)


def times(durations: Sequence[float]) -> Times | None:
    """Sum up durations in ms; null without any."""
    if not durations:
        return None
    ordered = sorted(durations)
    at = min(len(ordered) - 1, int(0.95 * len(ordered)))
    return Times(len(ordered), round(ordered[len(ordered) // 2], 3), round(ordered[at], 3))


def _run(machine: Machine) -> tuple[Times | None, Times | None]:
    near = next(path for path in machine.settings.spool.parents if path.is_dir())
    true = shutil.which("true", path="/bin:/usr/bin")
    if true is None:
        return None, None
    hooks: list[float] = []
    trues: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix=".karl-doctor-", dir=near) as folder,
        tempfile.TemporaryFile() as stdin,
    ):
        try:
            line = hook_command(Path(folder), CLAUDE, find_program("cat", machine.environ.get("PATH")))
        except (ValueError, Refused):
            return None, None
        stdin.write(_PAYLOAD)
        # A switch in our environment would make the hook do nothing, at a fine speed.
        environ = {name: value for name, value in machine.environ.items() if name != "KARL_DISABLE"}
        end = machine.clock() + BUDGET_S
        while machine.clock() < end and len(hooks) < RUNS_MAX:
            trues.append(_timed([true], stdin, environ))
            hooks.append(_timed(["/bin/sh", "-c", line], stdin, environ))
        written = sum(1 for _ in Path(folder).iterdir())
    return (times(hooks) if written == len(hooks) else None), times(trues)


def _timed(argv: list[str], stdin: IO[bytes], environ: dict[str, str]) -> float:
    stdin.seek(0)
    started = time.perf_counter()
    subprocess.run(
        argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ, check=False
    )
    return (time.perf_counter() - started) * 1000


def _recorded(machine: Machine) -> tuple[Times | None, Times | None]:
    """Read what Claude Code says of the hooks that it ran: KARL's, and those of others."""
    projects = settings_files(machine.environ, machine.home, machine.cwd)["user"].parent / "projects"
    ours: list[float] = []
    others: list[float] = []
    for path in _newest(projects):
        for found in _hooks_in(path):
            if found.durationMs is not None:
                (ours if is_ours(found.command) else others).append(found.durationMs)
    return times(ours), times(others)


def _newest(projects: Path) -> list[Path]:
    seen: list[tuple[float, Path]] = []
    try:
        folders = nlargest(
            FILES_MAX, ((path.stat().st_mtime, path) for path in projects.iterdir() if path.is_dir())
        )
        for _, folder in folders:
            for path in folder.glob("*.jsonl"):
                seen.append((path.stat().st_mtime, path))
                if len(seen) >= ENTRIES_MAX:
                    break
    except OSError:  # no transcripts, or none that we may see: nothing to tell
        pass
    return [path for _, path in nlargest(FILES_MAX, seen)]


def _hooks_in(path: Path) -> Iterator[_Attachment]:
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - FILE_BYTES))
            data = file.read(FILE_BYTES)
    except OSError:
        return
    decode = msgspec.json.Decoder(_Entry).decode
    for line in data.splitlines():
        if b'"hook_success"' not in line:
            continue
        try:
            found = decode(line).attachment
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # cut by our own window, or another shape
        if found.type == "hook_success":
            yield found
