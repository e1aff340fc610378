"""What Claude Code's transcripts hold, counted with nothing but the standard library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Counted(NamedTuple):
    sessions: set[str]
    calls: set[str]
    errors: set[str]
    tokens: dict[str, list[int]]


def counted(folder: Path) -> Counted:
    """Count sessions, calls and failed calls by id, and each message's last tokens, of all files below a folder."""
    found = Counted(set(), set(), set(), {})
    for path in folder.rglob("*.jsonl"):
        for line in path.read_text("utf-8", "replace").split("\n"):
            for entry in objects(line):
                if entry.get("type") in ("user", "assistant"):
                    add(found, entry)
    return found


def add(found: Counted, entry: dict[str, Any]) -> None:
    found.sessions.add(entry["sessionId"])
    message = entry["message"]
    for block in message["content"] if isinstance(message["content"], list) else []:
        if block["type"] == "tool_use":
            found.calls.add(block["id"])
        elif block["type"] == "tool_result" and block.get("is_error"):
            found.errors.add(block["tool_use_id"])
    if "usage" in message and message["model"] != "<synthetic>":
        found.tokens[message["id"]] = [message["usage"].get(name) or 0 for name in _TOKENS]


def objects(line: str) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    while at < len(line):
        entry, at = decoder.raw_decode(line, at)
        yield entry
