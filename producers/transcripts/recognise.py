"""Say which agent wrote a file, by its first kilobytes: formats that are read here, and those that are not.

Shapes were taken from files and from the agents' source code; a file that fits none is nobody's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from karl.errors import Refused, Unreadable
from producers.envelope import parse
from producers.pieces import BETWEEN

#: Bytes of a file's beginning that are looked at.
HEAD = 64 * 1024
#: What is read, by the names of `karl import`.
READ = {
    "claude": "a Claude Code transcript",
    "codex": "a Codex session",
    "copilot": "a Copilot CLI session",
    "atif": "a trajectory in ATIF",
    "hooks": "a log of hook payloads",
    "gateway": "a log of an orchestration gateway",
}
#: Objects of a file that are looked at, and files of a folder that has nothing of what was asked for.
_OBJECTS_MAX = 40
_FILES_MAX = 200

_Shape = Callable[[dict[str, Any]], bool]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def name_of(head: bytes, path: Path) -> str | None:
    """Name the format of a file that begins with `head`.

    One that is read has its name in READ; another one that is known is named in words ("an OpenCode
    session"); null for what nobody knows.
    """
    for magic, said in _MAGIC:
        if head.startswith(magic):
            return said
    for found in _objects(head):
        for said, fits in _SHAPES:
            if fits(found):
                return _OPENCLAW if said == _PI and _OPENCLAW_FOLDERS & set(path.parts) else said
    text = head.lstrip(BETWEEN)
    for said, mark in _MARKS if text[:1] in (b"{", b"") or b"{" in text[:4096] else ():
        if mark.search(head):
            return said
    return next((said for said, mark in _TEXTS if mark.match(text)), None)


def require(path: Path, own: str) -> None:
    """Raise Refused unless a file is of the format `own` of READ; says what it is instead. Raises OSError."""
    refusal = refusal_of(path, own)
    if refusal:
        raise Refused(refusal)


def refusal_of(path: Path, own: str) -> str | None:
    """Say why a file is not of the format `own` of READ, and what to do; null when it is. Raises OSError."""
    head = _head(path)
    found = name_of(head, path)
    if found == own:
        return None
    if found in READ:
        return f"it is {READ[found]}; `karl import {found}` reads it"
    if found:
        return f"it is {found}, which KARL does not read; it reads {_all_read()}"
    if not head.strip(BETWEEN):
        return "it is empty: there is no session in it"
    if b"\x00" in head[:1024] or _is_binary(head):
        return f"it is a binary file; KARL reads {_all_read()}"
    return f"it is not {READ[own]} as KARL knows them; KARL reads {_all_read()}"


def sessions_in(folders: list[Path], own: str, patterns: Iterable[str], *, every: bool = True) -> list[Path]:
    """List the files of a format in a file or in folders.

    `every` adds those of other formats that fit a pattern: whoever reads one is told what it is. Raises
    OSError, and Refused when there is none of `own`.
    """
    if not folders[0].is_dir():
        require(folders[0], own)
        return folders[:1]
    files = sorted({file for folder in folders for pattern in patterns for file in folder.rglob(pattern)})
    known = {
        file: name_of(head, file) for file in files if file.is_file() and (head := _head(file)).strip(BETWEEN)
    }
    if own not in known.values():
        raise nothing_in(folders[0], own)
    return [file for file, name in known.items() if every or name == own]


def nothing_in(folder: Path, own: str) -> Refused:
    """Give the refusal of a folder that has no session of `own`, saying what it has. Raises OSError."""
    return Refused(f"it holds no session of {own}{_what_else(folder)}")


def _what_else(folder: Path) -> str:
    """Say what a folder holds instead, as far as that is known."""
    found: Counter[str] = Counter()
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".py")
    for file, _ in zip(files, range(_FILES_MAX), strict=False):
        found[name_of(_head(file), file) or ""] += 1
    del found[""]
    if not found:
        return "; name the files or folders to import"
    most, number = found.most_common(1)[0]
    others = f", but {number} file{'s' if number > 1 else ''} of another kind ({READ.get(most, most)})"
    if most in READ:
        return f"{others}; `karl import {most}` reads such"
    return f"{others}, which KARL does not read; it reads {_all_read()}"


def _all_read() -> str:
    return "sessions of claude, codex and copilot, and trajectories in atif"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _is_binary(head: bytes) -> bool:
    """Say whether bytes are no text: a fifth of them no UTF-8."""
    text = head[:1024].decode("utf-8", "replace")
    return text.count("\ufffd") * 5 > len(text)


def _objects(head: bytes) -> list[dict[str, Any]]:
    """Give the objects that a head holds whole: one document, or a line each."""
    try:
        return [_decode(head.strip(BETWEEN))]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        lines = head.split(b"\n")
    if len(head) >= HEAD:
        del lines[-1]  # it is cut
    found: list[dict[str, Any]] = []
    for line in lines:
        data = line.strip(BETWEEN)
        if not data.startswith(b"{") or len(found) >= _OBJECTS_MAX:
            continue
        try:
            found.append(parse(data))
        except Unreadable:
            continue  # its neighbours tell what the file is
    return found


# --- shapes, the surest first ---


def _is_codex(line: dict[str, Any]) -> bool:
    kind = line.get("type")
    if kind in ("session_meta", "response_item", "event_msg", "turn_context", "compacted"):
        return isinstance(line.get("payload"), dict)
    if kind is None:
        head = isinstance(line.get("id"), str) and isinstance(line.get("timestamp"), str)
        return "record_type" in line or (head and ("instructions" in line or "git" in line))
    parts = line.get("content")
    part = parts[0] if isinstance(parts, list) and parts and isinstance(parts[0], dict) else {}
    said = kind == "message" and part.get("type") in ("input_text", "output_text")
    return said or (kind in ("function_call", "function_call_output") and "call_id" in line)


def _is_claude(line: dict[str, Any]) -> bool:
    if line.get("type") in ("summary", "file-history-snapshot"):
        return "leafUuid" in line or "snapshot" in line
    return isinstance(line.get("sessionId"), str) and (
        "parentUuid" in line or line.get("type") in ("user", "assistant", "system", "queue-operation")
        or str(line.get("type")).endswith(("-title", "-mode", "-prompt"))
    )  # fmt: skip


def _is_copilot(line: dict[str, Any]) -> bool:
    kind, data = line.get("type"), line.get("data")
    if not isinstance(kind, str) or not isinstance(data, dict):
        return False
    return kind == "abort" or bool(_COPILOT.match(kind))


def _is_atif(line: dict[str, Any]) -> bool:
    if isinstance(version := line.get("schema_version"), str) and version.upper().startswith("ATIF"):
        return True
    steps = line.get("steps")
    first = steps[0] if isinstance(steps, list) and steps and isinstance(steps[0], dict) else {}
    return first.get("source") in ("system", "user", "agent") and "message" in first


def _is_opencode(line: dict[str, Any]) -> bool:
    info = line.get("info")
    ids = [line.get("sessionID"), line.get("id"), info.get("id") if isinstance(info, dict) else None]
    return any(isinstance(named, str) and named.startswith("ses_") for named in ids)


def _is_gemini(line: dict[str, Any]) -> bool:
    if "projectHash" in line and "sessionId" in line:
        return True
    said = isinstance(line.get("id"), str) and "content" in line and "timestamp" in line
    numbered = isinstance(line.get("messageId"), int) and "sessionId" in line
    return (
        numbered
        or (said and line.get("type") == "gemini")
        or (line.get("role") == "model" and "parts" in line)
    )


def _is_claude_stream(line: dict[str, Any]) -> bool:
    return isinstance(line.get("session_id"), str) and line.get("type") in (
        "system",
        "assistant",
        "user",
        "result",
    )


def _is_qwen(line: dict[str, Any]) -> bool:
    message = line.get("message")
    return "sessionId" in line and isinstance(message, dict) and "parts" in message


def _has(*names: str, **values: Any) -> _Shape:
    return lambda line: (
        all(name in line for name in names) and all(line.get(name) == value for name, value in values.items())
    )


_COPILOT = re.compile(
    r"(?:session\.(?:start|resume|info|model_change|shutdown|error)|user\.message|assistant\.(?:message|turn_\w+)"
    r"|tool\.(?:execution_\w+|user_requested)|system\.(?:message|notification)|hook\.(?:start|end)|permission\.\w+)$"
)
_CODEX_PRINTS = ("thread.started", "turn.started", "turn.completed", "item.started", "item.completed")
_OPENCODE, _GEMINI = "an OpenCode session", "a Gemini CLI chat"
_PI, _OPENCLAW = "a pi or OpenClaw session", "an OpenClaw session"
_SWE, _MINI = "a SWE-agent trajectory", "a mini-SWE-agent trajectory"
_OPENCLAW_FOLDERS = {".openclaw", "openclaw", ".clawdbot", ".moltbot"}

#: The formats of JSON objects, each before those whose shape is less its own.
_SHAPES: tuple[tuple[str, _Shape], ...] = (
    ("hooks", _has("hook_event_name")),
    ("gateway", _has("seq", "ts", "type", "flow_id")),
    ("codex", _is_codex),
    ("copilot", _is_copilot),
    ("atif", _is_atif),
    ("a Qwen Code chat", _is_qwen),
    (_GEMINI, _is_gemini),
    ("claude", _is_claude),
    (_OPENCODE, _is_opencode),
    ("what `codex exec --json` prints", lambda line: str(line.get("type")).startswith(_CODEX_PRINTS)),
    ("what `claude --output-format stream-json` prints", _is_claude_stream),
    ("a list of prompts that Codex keeps", _has("session_id", "ts", "text")),
    ("a list of prompts that Claude Code keeps", _has("display", "pastedContents")),
    ("a session of the first Codex CLI", _has("session", "items")),
    ("a session in the session-traces format", _has("harness", type="session")),
    (_PI, _has("id", "timestamp", type="session")),
    ("a Factory Droid session", _has("id", type="session_start")),
    ("a compact transcript of the Entire CLI", _has("v", "agent", "type", "ts")),
    ("a goose session", _has("working_dir", "message_count")),
    ("an Amp thread", lambda line: str(line.get("id", "")).startswith("T-") and "messages" in line),
    ("an OTLP export", lambda line: bool({"resourceSpans", "resourceLogs", "resourceMetrics"} & line.keys())),
    (_MINI, lambda line: str(line.get("trajectory_format", "")).startswith("mini-swe-agent")),
    (_SWE, _has("trajectory", "history")),
    (_SWE, _has("trajectory", "info")),
    ("a Cline task", _has("ts", "say", type="say")),
    ("a Cursor transcript", lambda line: "role" in line and isinstance(line.get("message"), dict)),
    ("a chat in ShareGPT's form", _has("conversations")),
    ("a chat in OpenAI's form", lambda line: isinstance(line.get("messages"), list)),
)
#: Formats of one long document, by what stands near its beginning.
_MARKS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    (
        "codex",
        re.compile(rb'"type"\s*:\s*"(?:session_meta|response_item|event_msg)"\s*,\s*"payload"\s*:\s*\{'),
    ),
    ("copilot", re.compile(rb'"type"\s*:\s*"session\.start"\s*,\s*"data"')),
    ("atif", re.compile(rb'"schema_version"\s*:\s*"ATIF')),
    ("atif", re.compile(rb'"step_id"\s*:\s*1\b.{0,4000}?"source"\s*:\s*"(?:system|user|agent)"', re.DOTALL)),
    (_GEMINI, re.compile(rb'"projectHash"\s*:|"type"\s*:\s*"gemini"|"role"\s*:\s*"model"')),
    (_OPENCODE, re.compile(rb'"(?:sessionID|id)"\s*:\s*"ses_')),
    ("claude", re.compile(rb'"parentUuid"\s*:.{0,4000}?"sessionId"\s*:', re.DOTALL)),
    (_MINI, re.compile(rb'"trajectory_format"\s*:\s*"mini-swe-agent|"mini_version"\s*:')),
    (_SWE, re.compile(rb'"trajectory"\s*:\s*\[.*"observation"\s*:', re.DOTALL)),
    ("a chat in ShareGPT's form", re.compile(rb'"conversations"\s*:\s*\[')),
    ("a chat in OpenAI's form", re.compile(rb'"messages"\s*:\s*\[')),
)
_TEXTS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("an aider chat history", re.compile(rb"# aider chat started at")),
    ("an export of SpecStory", re.compile(rb"<!-- Generated by SpecStory")),
)
_MAGIC = (
    (b"SQLite format 3\x00", "an SQLite database (Cursor and newer OpenCode keep sessions in one)"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd (unpack it first)"),
    (b"\x1f\x8b", "a file packed by gzip (unpack it first)"),
    (b"PK\x03\x04", "a ZIP archive (unpack it first)"),
)
