"""Hooks as Claude Code runs them: read from a settings file, matched, given the event's JSON on stdin.

Invariants:
- All hooks of one event run at once; a command that stands in several groups runs once.
- Whoever fires an event waits for its hooks, as the agent does, except for those marked `async`.
- What a hook prints or returns is kept, never obeyed: a recorder's hook has nothing to say.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Seconds that Claude Code gives a hook whose entry names no other limit.
TIMEOUT_S = 600.0

#: What an event's matcher is held against; an event that is not here has none.
_MATCHED = {
    "PreToolUse": "tool_name",
    "PostToolUse": "tool_name",
    "PostToolUseFailure": "tool_name",
    "SessionStart": "source",
    "SessionEnd": "reason",
    "SubagentStart": "agent_type",
    "SubagentStop": "agent_type",
}

#: A matcher of such characters alone is a list of names; with any other it is a pattern.
_NAMES = re.compile(r"[A-Za-z0-9_ ,|-]*")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one hook: for which event, how many milliseconds it took, what it returned and printed.

    `code` is null when the hook did not end within its limit.
    """

    event: str
    ms: float
    code: int | None
    printed: bytes


class Hooks:
    """The hooks of one settings file; `runs` and `sent` grow with every event fired, from any thread."""

    def __init__(self, settings: Path, environ: Mapping[str, str]) -> None:
        """Read the hooks. `environ` is what they run in. Raises OSError and ValueError."""
        found = json.loads(settings.read_text("utf-8")).get("hooks", {})
        self._groups: dict[str, list[dict[str, Any]]] = found
        self._environ = dict(environ)
        self._pending: list[threading.Thread] = []
        self.runs: list[Run] = []
        self.sent: list[dict[str, Any]] = []

    def fire(self, payload: dict[str, Any]) -> None:
        """Run every hook that matches; returns when those are done that the agent waits for."""
        entries = self._matching(payload)
        if not entries:
            return
        data = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self.sent.append(payload)
        waited = [entry for entry in entries if not entry.get("async")]
        others = [entry for entry in entries if entry.get("async")]
        self._pending += [self._started(entry, payload, data) for entry in others]
        threads = [self._started(entry, payload, data) for entry in waited[1:]]
        for entry in waited[:1]:  # mostly the only one: no thread for it
            self._run(entry, payload, data)
        for thread in threads:
            thread.join()

    def settle(self) -> None:
        """Wait for the hooks that nobody waited for."""
        while self._pending:
            self._pending.pop().join()

    def _matching(self, payload: dict[str, Any]) -> list[dict[str, Any]]:
        event = payload["hook_event_name"]
        value = str(payload.get(_MATCHED.get(event, ""), ""))
        found: dict[str, dict[str, Any]] = {}
        for group in self._groups.get(event, []):
            if event in _MATCHED and not matches(group.get("matcher"), value):
                continue
            for entry in group["hooks"]:
                if entry.get("type") == "command":
                    found.setdefault(json.dumps([entry["command"], entry.get("args")]), entry)
        return list(found.values())

    def _started(self, entry: dict[str, Any], payload: dict[str, Any], data: bytes) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(entry, payload, data))
        thread.start()
        return thread

    def _run(self, entry: dict[str, Any], payload: dict[str, Any], data: bytes) -> None:
        command = ["/bin/sh", "-c", entry["command"]]
        if "args" in entry:  # the form without a shell
            command = [entry["command"], *entry["args"]]
        start = time.perf_counter()
        code: int | None = None
        printed = b""
        try:
            done = subprocess.run(
                command,
                input=data,
                capture_output=True,
                cwd=payload["cwd"],
                env={**self._environ, "CLAUDE_PROJECT_DIR": payload["cwd"]},
                timeout=entry.get("timeout", TIMEOUT_S),
                start_new_session=True,
                check=False,
            )
            code, printed = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired as late:
            printed = (late.stdout or b"") + (late.stderr or b"")
        except OSError as error:  # a hook of the form without a shell, whose program is gone
            code, printed = 127, str(error).encode()
        ms = (time.perf_counter() - start) * 1000
        self.runs.append(Run(payload["hook_event_name"], ms, code, printed))


def matches(matcher: object, value: str) -> bool:
    """Say whether a matcher means this value: all, one of some names, or a pattern found in it."""
    if not isinstance(matcher, str) or matcher in {"", "*"}:
        return True
    if _NAMES.fullmatch(matcher):
        return value in {name.strip() for name in re.split(r"[|,]", matcher)}
    return re.search(matcher, value) is not None
