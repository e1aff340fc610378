"""Leaves events in a spool as hooks would: a process of its own, so that measuring does not slow it down.

    python -m benchmarks.feed SPOOL

Each line on stdin is a new rate, in events a second; when stdin closes, every open turn is ended, and the
number of events is printed. Each event has a number `n`.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

#: Events of one turn: a prompt, calls with their results, and the end.
TURN_EVENTS = 10
#: Agents side by side, and turns after which each begins a new session.
SESSIONS, SESSION_TURNS = 256, 5


class Feed:
    """The process, from the side of who runs it."""

    def __init__(self, spool: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.feed", str(spool)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self._process.pid

    def rate(self, events_per_second: float) -> None:
        """Say how many from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{events_per_second}\n")
        self._process.stdin.flush()

    def stop(self) -> int:
        """End every turn, then the feed; gives the number of events."""
        said, _ = self._process.communicate(timeout=120)
        return int(said)


class Hooks:
    """Sessions side by side, one event each in turn."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._hidden = spool.parent / "incoming"
        self._steps = [0] * SESSIONS
        self._body = "x" * 700
        self.sent = 0

    def leave(self, session: int) -> None:
        """Leave a session's next event, whole at once."""
        step = self._steps[session]
        self._steps[session] += 1
        turn = step // TURN_EVENTS
        said = self._said(step % TURN_EVENTS, f"{session}-{turn}")
        name = f"load-{session}-{turn // SESSION_TURNS}"
        payload = {"session_id": name, "cwd": "/home/dev/project", "n": self.sent, **said}
        handle = os.open(self._hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(handle, json.dumps(payload).encode())
        os.close(handle)
        self._hidden.rename(self._spool / f"claude-code.{1_000_000 + self.sent}")
        self.sent += 1

    def end(self) -> None:
        """End every open turn."""
        for session, step in enumerate(self._steps):
            for _ in range(-step % TURN_EVENTS):
                self.leave(session)

    def _said(self, step: int, turn: str) -> dict[str, Any]:
        if step == 0:
            return {"hook_event_name": "UserPromptSubmit", "prompt": f"Do it. {self._body}"}
        if step == TURN_EVENTS - 1:
            return {
                "hook_event_name": "Stop",
                "stop_hook_active": False,
                "last_assistant_message": self._body,
            }
        call = {"tool_name": "Bash", "tool_use_id": f"{turn}-{(step - 1) // 2}"}
        call |= {"tool_input": {"command": "true", "description": self._body[:200]}}
        if step % 2:
            return {"hook_event_name": "PreToolUse", **call}
        return {
            "hook_event_name": "PostToolUse",
            **call,
            "tool_response": {"stdout": self._body, "stderr": ""},
        }


def main() -> None:
    """Feed until stdin closes."""
    hooks = Hooks(Path(sys.argv[1]))
    rate, due, rest = 0.0, time.monotonic(), b""
    while True:
        if select.select([0], [], [], 0.005)[0]:
            said = os.read(0, 4096)
            if not said:
                break
            *rates, rest = (rest + said).split(b"\n")
            rate = float(rates[-1]) if rates else rate
        now = time.monotonic()
        due = max(due, now - 0.5)  # who was held up does not make it good in one go
        while rate and due <= now:
            hooks.leave(hooks.sent % SESSIONS)
            due += 1 / rate
        due = due if rate else now
    hooks.end()
    print(hooks.sent)


if __name__ == "__main__":
    main()
