"""What waits in a chain of a Claude Code transcript, and how a result's line reads."""

from __future__ import annotations

from typing import Any, NamedTuple

from producers.transcripts.claude_line import Line, is_interruption, text_of_content, without_pictures


class Due(NamedTuple):
    """Where subagents' lines belong: those of a call, or (`until`, a time) all that began before it.

    `until` is empty at the end of everything.
    """

    call_id: str = ""
    agent_id: str = ""
    agent_type: str = ""
    until: str | None = None


class Whose(NamedTuple):
    """A subagent: its id, its type, and the call that asked for it, where they are known."""

    agent_id: str
    agent_type: str = ""
    call_id: str = ""


class Call(NamedTuple):
    name: Any
    input: Any


class Early(NamedTuple):
    """A result that stands before its call."""

    line: Line
    number: int
    block: dict[str, Any]
    alone: bool


class Prompt(NamedTuple):
    """What a person said while calls were under way; it is told when they are over."""

    line: Line
    number: int
    text: str
    source: str | None


class Command(NamedTuple):
    """A /command of which the next line says whether the agent, or only its window, took it."""

    line: Line
    number: int
    name: str
    given: str
    in_window: bool


def end_of(line: Line, block: dict[str, Any], answer: Any) -> tuple[str, dict[str, Any]]:
    """Give the kind and the fields of a result, as the hook for it would have said."""
    content = block.get("content")
    if block.get("is_error") is True:
        text = text_of_content(content) or (answer if isinstance(answer, str) else "")
        if isinstance(line.tool_denial_kind, str) and not is_interruption(text):
            return "PermissionDenied", {"reason": text}
        interrupt = {"is_interrupt": True} if is_interruption(text) else {}
        return "PostToolUseFailure", {"error": text, **interrupt}
    if answer is None:
        answer = [{"type": "text", "text": content}] if isinstance(content, str) else content
    elif isinstance(answer, dict):
        answer = {key: value for key, value in answer.items() if key != "originalFile"}
    return "PostToolUse", {"tool_response": without_pictures(answer)}


def source_of(line: Line) -> str | None:
    """Say where a prompt came from, when it was no person."""
    kind = line.origin.get("kind") if isinstance(line.origin, dict) else None
    return kind if isinstance(kind, str) and kind != "human" else None


def time_of(line: Line) -> str:
    """Give the time of a line as it is written, empty when there is none."""
    return line.timestamp if isinstance(line.timestamp, str) else ""
