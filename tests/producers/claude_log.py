"""Writes transcripts as Claude Code does, line by line."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

USAGE = {
    "input_tokens": 3,
    "output_tokens": 5,
    "cache_read_input_tokens": 7,
    "cache_creation_input_tokens": 11,
}


class Log:
    """One session's lines; ids count up, and a second passes with each line."""

    def __init__(self, session: str = "s1", agent: str = "", prefix: str = "") -> None:
        self.session = session
        self.agent = agent
        self.lines: list[dict[str, Any]] = []
        self._numbers = count(1)
        self._prefix = prefix or agent or session

    def line(self, kind: str, **fields: Any) -> dict[str, Any]:
        number = next(self._numbers)
        made = {
            "parentUuid": None,
            "isSidechain": bool(self.agent),
            "type": kind,
            "uuid": f"{self._prefix}-u{number}",
            "timestamp": f"2026-05-01T10:{number // 60:02}:{number % 60:02}.000Z",
            "cwd": "/home/dev/shop",
            "sessionId": self.session,
            "version": "2.1.200",
            **({"agentId": self.agent} if self.agent else {}),
            **fields,
        }
        self.lines.append(made)
        return made

    def prompt(self, text: Any = "Make it work", **fields: Any) -> dict[str, Any]:
        return self.line("user", message={"role": "user", "content": text}, **fields)

    def says(
        self, *blocks: Any, message: str = "msg_1", stop: str | None = None, usage: Any = USAGE, **fields: Any
    ) -> dict[str, Any]:
        content = [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks]
        made = {"id": message, "role": "assistant", "model": "claude-test", "content": content}
        return self.line("assistant", message={**made, "stop_reason": stop, "usage": usage}, **fields)

    def calls(self, call: str, tool: str = "Bash", message: str = "msg_1", **given: Any) -> dict[str, Any]:
        return self.says(use(call, tool, **given), message=message, stop="tool_use")

    def result(self, call: str, content: Any = "ok", answer: Any = None, **fields: Any) -> dict[str, Any]:
        error = {"is_error": True} if fields.pop("error", False) else {}
        block = {"type": "tool_result", "tool_use_id": call, "content": content, **error}
        structured = {} if answer is None else {"toolUseResult": answer}
        return self.line("user", message={"role": "user", "content": [block]}, **structured, **fields)

    def turn(self, call: str = "toolu_1", number: int = 1, prompt: str = "Make it work") -> None:
        self.prompt(prompt)
        self.calls(call, message=f"msg_{self._prefix}{number}a")
        self.result(call)
        self.says("Done.", message=f"msg_{self._prefix}{number}b", stop="end_turn")

    def data(self) -> bytes:
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)

    def write(self, folder: Path, name: str = "") -> Path:
        path = folder / (name or f"{self.session}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data())
        return path


def use(call: str, tool: str = "Bash", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call, "name": tool, "input": given or {"command": "ls"}}
