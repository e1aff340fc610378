"""Writes Codex's session files, line by line, as its versions do."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

SESSION = "0199aaaa-0000-7000-8000-000000000001"
TURN = "0199bbbb-0000-7000-8000-000000000001"


class Log:
    """One session's lines; a second passes with each."""

    def __init__(self, session: str = SESSION, minute: int = 0) -> None:
        self.session = session
        self.lines: list[Any] = []
        self._seconds = count(60 * minute)

    def line(self, kind: str, **payload: Any) -> None:
        second = next(self._seconds)
        time = f"2026-05-01T10:{second // 60:02}:{second % 60:02}.000Z"
        self.lines.append({"timestamp": time, "type": kind, "payload": payload})

    def meta(self, **more: Any) -> None:
        self.line("session_meta", **{"id": self.session, "cwd": "/w/shop", "cli_version": "0.140.0", **more})

    def item(self, kind: str, **fields: Any) -> None:
        self.line("response_item", type=kind, **fields)

    def event(self, kind: str, **fields: Any) -> None:
        self.line("event_msg", type=kind, **fields)

    def begin(self, turn: str = TURN) -> None:
        self.event("task_started", turn_id=turn)
        self.line("turn_context", turn_id=turn, cwd="/w/shop", model="gpt-test")

    def prompt(self, text: str = "Make it work") -> None:
        self.item("message", role="user", content=[{"type": "input_text", "text": text}])
        self.event("user_message", message=text, images=[])

    def says(self, text: str) -> None:
        self.event("agent_message", message=text)
        self.item("message", role="assistant", content=[{"type": "output_text", "text": text}])

    def calls(self, call: str, name: str = "exec_command", **given: Any) -> None:
        self.item("function_call", name=name, arguments=json.dumps(given or {"cmd": "ls"}), call_id=call)

    def output(self, call: str, output: Any = "Process exited with code 0\nOutput:\nok") -> None:
        self.item("function_call_output", call_id=call, output=output)

    def tokens(self, given: int, cached: int = 0, answered: int = 0) -> None:
        total = {"input_tokens": given, "cached_input_tokens": cached, "output_tokens": answered}
        self.event("token_count", info={"total_token_usage": {**total, "total_tokens": given + answered}})

    def end(self, last: str | None = "Done.", turn: str = TURN) -> None:
        self.event("task_complete", turn_id=turn, last_agent_message=last)

    def turn(self, number: int = 1, prompt: str = "Make it work") -> None:
        """A whole turn: a prompt, one call, an answer."""
        named = f"0199bbbb-0000-7000-8000-{number:012}"
        call = f"call_abcdefghijklmnop{number}"
        self.begin(named)
        self.prompt(prompt)
        self.calls(call)
        self.output(call)
        self.says(f"Done {number}.")
        self.tokens(number * 100, number * 40, number * 10)
        self.end(f"Done {number}.", named)

    def data(self) -> bytes:
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)

    def write(self, folder: Path, name: str = "") -> Path:
        path = folder / (name or f"rollout-2026-05-01T10-00-00-{self.session}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data())
        return path
