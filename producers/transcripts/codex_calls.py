"""Codex's calls: what a call was given, and what its output and its end event say of how it went.

Codex has no failure event. A command's exit code stands in its output: on a line of a small header, or
as `metadata.exit_code` of a JSON object; the end events of some versions tell it too, and are believed
before the text. What never ran, Codex says in a few words of its own.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any, NamedTuple

from karl.acts.outputs import command_text
from karl.session.verdicts import of_result
from karl.session.vocabulary import canonical, parse_object

_SHELL = "Bash"

#: A person, or the policy that one has set, said no.
_REFUSED = re.compile(
    r"(?:exec command |patch |command )?rejected by user\b|.{0,80}approval (?:was )?denied by user"
)
_ABORTED = re.compile(r"aborted(?: by user)?(?:\s|$)")
#: The call was not made, or its command could not be run to its end.
_NEVER_RAN = re.compile(
    r"failed to parse (?:function )?arguments|failed in sandbox\b|execution error\b|sandbox error:"
    r"|Script failed$|unsupported (?:custom tool )?call\b|unable to locate image at|Unknown process id"
    r"|(?:apply_patch|patch|write_stdin|exec_command|exec|shell|tool call|view_image|js_repl|unified exec)"
    r"(?: verification| execution)? (?:failed|error)\b",
    re.MULTILINE,
)
#: The header of newer versions, after a `Command:` line that may be a long script.
_HEADER_CODE = re.compile(
    r"^Chunk ID: \w{1,32}\nWall time: [\d.]{1,20} seconds\nProcess exited with code (-?\d{1,10})$",
    re.MULTILINE,
)
_STILL_RUNS = "Process running with session ID"


class Result(NamedTuple):
    """What a call's result is told as: the kind of fact, its fields, and whether its command still ran."""

    kind: str
    fields: dict[str, Any]
    still_runs: bool = False


def name_of_call(item: dict[str, Any]) -> str:
    """Give the tool's name as Codex has it; that of an MCP tool with its server's."""
    name, space = item.get("name"), item.get("namespace")
    if not isinstance(name, str) or not name:
        kind = item.get("type")
        return str(kind).removesuffix("_call") if isinstance(kind, str) else "unknown"
    return f"{space}{name}" if isinstance(space, str) and space.startswith("mcp__") else name


def input_of_call(item: dict[str, Any]) -> Any:
    """Give a call's arguments, anew each time; a shell's `command` as the text that its hook would give."""
    fields = ("arguments", "input", "action")
    given = next((item[key] for key in fields if item.get(key) is not None), None)
    if item.get("type") == "custom_tool_call" and isinstance(given, str):
        return {"input": given}
    parsed = parse_object(given) if isinstance(given, str) else deepcopy(given)
    if not isinstance(parsed, dict):
        return given if given is not None else {}
    if canonical(name_of_call(item))[0] == _SHELL:
        command = command_text(parsed.get("command", parsed.get("cmd")))
        if command is not None:
            parsed.pop("cmd", None)
            return {"command": command, **{key: value for key, value in parsed.items() if key != "command"}}
    return parsed


def result_of(output: Any, end: dict[str, Any] | None) -> Result:
    """Say how a call ended, from its output and, where there is one, its end event."""
    text = _text(output)
    fields: dict[str, Any] = {}
    if end is not None and (took := _milliseconds(end.get("duration"))) is not None:
        fields["duration_ms"] = took
    if _REFUSED.match(text) or (end is not None and end.get("status") == "declined"):
        return Result("PermissionDenied", {"reason": text})
    if _ABORTED.match(text):
        return Result("PostToolUseFailure", {"error": text, "is_interrupt": True})
    response = _response(output, text)
    verdict = of_result(_SHELL, response, "codex")
    code, failed = (_code_of(end), _failed(end)) if end is not None else (None, False)
    if code is None and text.startswith("Command: "):
        found = _HEADER_CODE.search(text)
        code = int(found[1]) if found else None
    if code is not None and verdict.exit_code != code:
        response = {"output": text, "exit_code": code}
    elif failed and verdict.success is not False:
        response = {"error": text or "the call failed"}
    return Result(
        "PostToolUse", {"tool_response": response, **fields}, code is None and _STILL_RUNS in text[:4000]
    )


def result_of_end(end: dict[str, Any]) -> Result:
    """Say how a call ended from its end event alone, which came after its output or without one."""
    said = end.get("aggregated_output") or end.get("stdout") or end.get("stderr") or ""
    return result_of(said if isinstance(said, str) else "", end)


def never_ran(text: str) -> bool:
    """Say whether an output says that its call was not made, or was cut off, or refused."""
    return any(said.match(text) for said in (_NEVER_RAN, _ABORTED, _REFUSED))


def text_of_content(content: Any) -> str:
    """Give the text of a message's or an output's content: a text, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (_text_of_part(part) for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if text)


def _text_of_part(part: dict[str, Any]) -> str:
    text = part.get("text")
    if isinstance(text, str):
        return text
    return "[image]" if "image" in str(part.get("type")) else ""


def _text(output: Any) -> str:
    if isinstance(output, dict):
        return text_of_content(output.get("content", output.get("output")))
    return text_of_content(output)


def _response(output: Any, text: str) -> Any:
    """Give the response as a hook would: an object where the output is one, else its text."""
    if isinstance(output, dict):
        said = {name: output[name] for name in ("success", "isError") if isinstance(output.get(name), bool)}
        return {"output": text, **said}
    if _NEVER_RAN.match(text):
        return {"error": text}
    if text.startswith("{") and '"metadata"' in text:
        parsed = parse_object(text)
        if parsed is not None and isinstance(parsed.get("metadata"), dict):
            return parsed
    return text


def _code_of(end: dict[str, Any]) -> int | None:
    code = end.get("exit_code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _failed(end: dict[str, Any]) -> bool:
    """Say whether the end of a patch or of an MCP call tells of a failure."""
    if end.get("success") is False:
        return True
    result = end.get("result")
    if not isinstance(result, dict):
        return False
    fine = result.get("Ok")
    wrong = fine.get("isError", fine.get("is_error")) if isinstance(fine, dict) else None
    return "Err" in result or wrong is True


def _milliseconds(duration: Any) -> int | None:
    if not isinstance(duration, dict):
        return None
    seconds, nanos = duration.get("secs"), duration.get("nanos", 0)
    if not isinstance(seconds, (int, float)) or not isinstance(nanos, (int, float)):
        return None
    return round(seconds * 1000 + nanos / 1_000_000)
