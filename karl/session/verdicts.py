"""How one tool call ended, read from what the agent's hook said about it.

The table (Claude Code's hooks reference, and Codex's and Gemini's where they differ):
- PostToolUse is success by contract; a shell's exit code is then 0, unless the tool says that it
  took another code for no error. What it says inside may still be softer: interrupted, moved to the
  background, launched, or failed (`success: false`, `error`, an HTTP status of 400 and above).
- PostToolUseFailure is failure, its exit code on the first line, or an interruption, or a refusal.
- Codex and Gemini have no failure event: their shell calls count by the exit code in the response,
  and by nothing when there is none.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from karl.schema.trajectory import CallStatus
from karl.session.vocabulary import cut, truth, whole

ERROR_MAX = 500
_JSON_MAX = 100_000
_FOREVER_MS = 10**15
_HEADER_MAX = 4000

_SHELL = "Bash"
#: Their response tells of another call's process.
_READERS = frozenset({"BashOutput", "TaskOutput", "AgentOutput", "AgentOutputTool"})
_LAUNCHERS = frozenset({"Task", "Agent"})
_DURATIONS = (("durationMs", 1), ("totalDurationMs", 1), ("duration_ms", 1), ("durationSeconds", 1000))
#: Every field of a response that can say more than that the call went well, but for `interrupted`.
_TELLING = frozenset(
    {
        "agentId", "agent_id", "backgroundTaskId", "code", "error", "exitCode", "exit_code", "isAsync",
        "isError", "is_error", "llmContent", "message", "metadata", "output", "returnCodeInterpretation",
        "returncode", "status", "success", "timedOutAfterMs", *(key for key, _ in _DURATIONS),
    }
)  # fmt: skip
#: Those of them that say nothing of an end, as long as there is no error.
_OF_EVERY_DAY = frozenset({"error", *(key for key, _ in _DURATIONS)})
_WITHOUT_FAILURE_EVENT = ("codex", "gemini", "atif")

_EXIT_FIRST_LINE = re.compile(r"(?:Error: )?Exit code:? (-?\d{1,10})\b")
_EXIT_IN_HEADER = re.compile(
    r"^(?:Exit code:?|Process exited with code|exited with code) (-?\d{1,10})\s*$",
    re.MULTILINE | re.IGNORECASE,
)
_WALL_TIME = re.compile(r"^Wall time: (\d{1,9}(?:\.\d{1,9})?) seconds?\s*$", re.MULTILINE)
_REFUSED = re.compile(
    r"The user doesn't want to (?:proceed with|take) this"
    r"|The (?:user|agent) (?:rejected|declined|denied)"
    r"|Permission to use .{1,200} has been denied"
    r"|Claude requested permissions? to .{1,200}but you haven't granted"
    r"|User (?:rejected|declined|denied)",
    re.DOTALL,
)
_INTERRUPTED = "[Request interrupted by user"
_SOFT_ERROR = re.compile(r"\s*(?:<tool_use_error>|Error: |MCP error |failed in sandbox: )")


class Verdict(NamedTuple):
    """An end: success (null when nobody said), status, a shell's exit code, error text, milliseconds."""

    success: bool | None
    status: CallStatus
    exit_code: int | None = None
    error: str | None = None
    duration_ms: int | None = None
    agent_id: str | None = None


_COMPLETED = Verdict(success=True, status="completed")
_COMPLETED_SHELL = Verdict(success=True, status="completed", exit_code=0)
_SAID_NOTHING = Verdict(success=None, status="unknown")


def of_result(tool: str, response: object, agent: str) -> Verdict:
    """Judge a PostToolUse. `tool` is the canonical name, `agent` the kind of agent that said it."""
    mute = agent.startswith(_WITHOUT_FAILURE_EVENT)
    if isinstance(response, dict):
        return _of_object(tool, response, mute=mute)
    if isinstance(response, str):
        found = _object_in(response)
        return _of_object(tool, found, mute=mute) if found else _of_text(tool, response, mute=mute)
    if isinstance(response, list) and any(
        isinstance(block, dict) and (block.get("is_error") is True or block.get("isError") is True)
        for block in response
    ):
        return Verdict(success=False, status="failed")
    return _fine(tool, mute=mute)


def of_failure(error: object, is_interrupt: object) -> Verdict:
    """Judge a PostToolUseFailure by its text and its is_interrupt."""
    text = error_text(error)
    found = _EXIT_FIRST_LINE.match(text or "")
    code = int(found[1]) if found else None
    if truth(is_interrupt) or (text or "").startswith(_INTERRUPTED):
        status: CallStatus = "interrupted"
    else:
        status = "denied" if text and _REFUSED.search(text[:1000]) else "failed"
    return Verdict(success=False, status=status, exit_code=code, error=text)


def of_denial(reason: object) -> Verdict:
    """Judge a PermissionDenied."""
    return Verdict(success=False, status="denied", error=error_text(reason))


def error_text(value: object) -> str | None:
    """Give an error as a text of at most ERROR_MAX characters, head and tail."""
    if value is None or isinstance(value, str):
        return cut(value, ERROR_MAX) if value else None
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        return cut(value["message"], ERROR_MAX)
    try:
        return cut(msgspec.json.encode(value).decode(), ERROR_MAX)
    except (msgspec.MsgspecError, OverflowError, RecursionError, TypeError, ValueError):
        return cut(type(value).__name__, ERROR_MAX)


def milliseconds(value: object, scale: int = 1) -> int | None:
    """Read a duration that is a number from 0 up; null when it is none. `scale` 1000 reads seconds."""
    if type(value) is int and scale == 1:  # as most are
        return value if 0 <= value < _FOREVER_MS else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _FOREVER_MS:
        return None
    return round(value * scale)


def _of_object(tool: str, response: dict[str, Any], *, mute: bool) -> Verdict:
    # Nearly every response has none of these fields, or how long it took and that there was no error;
    # looking for each of them is the dear part.
    if not mute and not response.get("interrupted"):
        if _TELLING.isdisjoint(response):
            return _COMPLETED_SHELL if tool == _SHELL else _COMPLETED
        if _TELLING.intersection(response) <= _OF_EVERY_DAY and not response.get("error"):
            fine = _fine(tool, mute=False)
            return Verdict(fine.success, fine.status, fine.exit_code, None, _duration_in(response))
    return _of_telling_object(tool, response, mute=mute)


def _of_telling_object(tool: str, response: dict[str, Any], *, mute: bool) -> Verdict:
    took = _duration_in(response)
    started = _started_agent(tool, response)
    soft = _unfinished(tool, response)
    if soft is not None:
        return Verdict(success=None, status=soft, duration_ms=took, agent_id=started)
    failure = _failure_in(tool, response)
    code = _code_in(response, mute=mute)
    harmless = bool(response.get("returnCodeInterpretation")) or tool in _READERS
    if failure is not None or (code and not harmless):
        return _failed(code, failure or None, took)
    if code is None and response.get("success", True) is None:  # whoever says so does not know
        return _SAID_NOTHING._replace(duration_ms=took)
    fine = _fine(tool, mute=mute and code is None)
    if code is None and not harmless:
        code = fine.exit_code
    return fine._replace(exit_code=code, duration_ms=took, agent_id=started)


def _of_text(tool: str, text: str, *, mute: bool) -> Verdict:
    """Judge a response that is plain text: Codex puts a small header before its output."""
    header = text[:_HEADER_MAX].partition("\nOutput:")[0]
    wall = _WALL_TIME.search(header)
    took = milliseconds(float(wall[1]), 1000) if wall else None
    code = _code_in_text(header) if mute or tool == _SHELL else None
    if code or ((tool != _SHELL or mute) and _SOFT_ERROR.match(text)):
        return _failed(code, error_text(text), took)
    if mute and "Process running with session ID" in header:
        return Verdict(success=None, status="background", duration_ms=took)
    fine = _fine(tool, mute=mute and code is None)
    return fine._replace(exit_code=fine.exit_code if code is None else code, duration_ms=took)


def _failed(code: int | None, error: str | None, took: int | None) -> Verdict:
    return Verdict(success=False, status="failed", exit_code=code, error=error, duration_ms=took)


def _fine(tool: str, *, mute: bool) -> Verdict:
    """Say what a result without further word means."""
    if tool != _SHELL:
        return _COMPLETED
    return _SAID_NOTHING if mute else _COMPLETED_SHELL


def _unfinished(tool: str, response: dict[str, Any]) -> CallStatus | None:
    """Say which way a call had not ended yet, or was cut short, when its result came."""
    if response.get("backgroundTaskId"):
        return "background"
    if tool in _LAUNCHERS and (response.get("status") == "async_launched" or response.get("isAsync") is True):
        return "launched"
    if response.get("interrupted") is True or response.get("timedOutAfterMs"):
        return "interrupted"
    return None


def _failure_in(tool: str, response: dict[str, Any]) -> str | None:
    """Give the text of a failure that the response tells of, empty when it has no text; else null."""
    error = response.get("error")
    if error and error is not True:
        return error_text(error)
    if (
        error is True
        or truth(response.get("success")) is False
        or response.get("isError") is True
        or response.get("is_error") is True
    ):
        return error_text(response.get("message")) or ""
    code = whole(response.get("code")) if tool == "WebFetch" else None
    if code is not None and code >= 400:
        return f"HTTP {code}"
    if tool in _LAUNCHERS and response.get("status") in ("failed", "error"):
        return str(response["status"])
    return None


def _started_agent(tool: str, response: dict[str, Any]) -> str | None:
    found = response.get("agentId") or response.get("agent_id")
    return found if isinstance(found, str) and tool in _LAUNCHERS else None


def _code_in(response: dict[str, Any], *, mute: bool) -> int | None:
    found = response.get("exit_code", response.get("exitCode", response.get("returncode")))
    meta = response.get("metadata")
    if found is None and isinstance(meta, dict):
        found = meta.get("exit_code")
    if found is None and mute:
        texts = (response.get("llmContent"), response.get("output"))
        return next((code for code in map(_code_in_text, texts) if code is not None), None)
    return whole(found)


def _code_in_text(text: object) -> int | None:
    found = _EXIT_IN_HEADER.search(text[:_HEADER_MAX]) if isinstance(text, str) else None
    return int(found[1]) if found else None


def _duration_in(response: dict[str, Any]) -> int | None:
    for key, scale in _DURATIONS:
        if key in response and (found := milliseconds(response[key], scale)) is not None:
            return found
    meta = response.get("metadata")
    return milliseconds(meta.get("duration_seconds"), 1000) if isinstance(meta, dict) else None


def _object_in(text: str) -> dict[str, Any] | None:
    """Read a response that is an object written out as a string."""
    if not text.startswith("{") or len(text) > _JSON_MAX:
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None
