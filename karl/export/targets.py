"""What a call is called on, in few words: a path, a program with its first words, a pattern, a host.

Pure and deterministic: the same call gives the same target on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from karl.learning.action import TARGET_MAX

_PATHS = ("file_path", "notebook_path", "path", "filePath", "target_file", "absolute_path", "file")
_COMMANDS = ("command", "cmd")
#: Best first: what a tool without a path and a command is called on.
_OTHERS = ("query", "skill", "subagent_type", "name", "description", "prompt", "question", "input")
#: What stands in front of a command without being it: folders changed to, variables set, wrappers.
_BEFORE = re.compile(
    r"""\s*(?:
      (?:cd|pushd)\s+(?:"[^"]*"|'[^']*'|[^\s;&|]+)\s*(?:&&|;|\n)
    | (?:export\s+)?[A-Za-z_]\w*=(?:"[^"]*"|'[^']*'|[^\s;&|"']*)(?:\s*(?:&&|;)|\s)
    | set\s+-[A-Za-z]+(?:\s+pipefail)?\s*(?:&&|;|\n)
    | (?:source|\.)\s+[^\s;&|]+\s*(?:&&|;|\n)
    | (?:sudo|time|nohup|command|exec)\s
    | (?:timeout|nice)\s+(?:-\S+\s+)*[\d.]+[smhd]?\s
    | \#[^\n]*\n
    )""",
    re.VERBOSE,
)
_BEFORE_MAX = 16
#: Where the first command of a line ends.
_END = re.compile(r"&&|\|\||[;|\n]|<<|\s\d?>{1,2}&?")


def target_of(params: Mapping[str, Any], cwd: str | None) -> str:
    """Say what a call was called on, within 60 characters; empty where nothing says it."""
    if text := _text(params.get("pattern")):  # a search: where it looks is often all there is
        return _short(text)
    for name in _PATHS:
        if text := _text(params.get(name)):
            return _path(text, cwd)
    for name in _COMMANDS:
        if text := _command(params.get(name)):
            return _short(text)
    if url := _text(params.get("url")):
        return _short(_host(url))
    for name in _OTHERS:
        if text := _text(params.get(name)):
            return _short(text)
    return ""


def _text(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        value = value[0]
    return value.strip() if isinstance(value, str) else ""


def _path(text: str, cwd: str | None) -> str:
    """Give a path as seen from the session's folder; of a long one the end, whole names."""
    flat = " ".join(text.split())
    root = (cwd or "").rstrip("/")
    if root and flat.startswith(f"{root}/"):
        flat = flat[len(root) + 1 :]
    flat = flat.removeprefix("./") or flat
    if len(flat) <= TARGET_MAX:
        return flat
    tail = flat[-(TARGET_MAX - 1) :]
    at = tail.find("/")
    return "…" + (tail[at:] if at >= 0 else tail)


def _command(value: object) -> str:
    """Give the first command of a line that does something, without what stands in front of it."""
    if isinstance(value, list) and len(value) == 3 and str(value[1]) in ("-c", "-lc"):
        value = value[2]  # a shell that is given a command
    text = " ".join(map(str, value)) if isinstance(value, list) else value
    if not isinstance(text, str):
        return ""
    whole = text.strip()
    for _ in range(_BEFORE_MAX):
        found = _BEFORE.match(text)
        if not found or not text[found.end() :].strip():
            break
        text = text[found.end() :]
    first = next((part for part in (text.strip(), whole) if part), "")
    end = _END.search(first)
    return (first[: end.start()] if end and end.start() else first).strip()


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _short(text: str) -> str:
    """Give text on one line; of a long one as many whole words as fit."""
    flat = " ".join(text.split())
    if len(flat) <= TARGET_MAX:
        return flat
    cut = flat[: TARGET_MAX - 1]
    at = cut.rfind(" ")
    return (cut[:at] if at > TARGET_MAX // 2 else cut) + "…"
