"""What moment of a session an event's kind names, whichever agent said it, and when it was."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

_YEAR_10000_MS = 253_402_300_800_000

#: Other agents' names for the same moments, where the fields are Claude Code's too.
_SAME_AS = {
    "BeforeAgent": "UserPromptSubmit",
    "AfterAgent": "Stop",
    "BeforeTool": "PreToolUse",
    "AfterTool": "PostToolUse",
    "beforeSubmitPrompt": "UserPromptSubmit",
    "userPromptSubmitted": "UserPromptSubmit",
    "userPromptSubmit": "UserPromptSubmit",
    "preToolUse": "PreToolUse",
    "postToolUse": "PostToolUse",
    "postToolUseFailure": "PostToolUseFailure",
    "permissionRequest": "PermissionRequest",
    "subagentStart": "SubagentStart",
    "subagentStop": "SubagentStop",
    "sessionStart": "SessionStart",
    "sessionEnd": "SessionEnd",
    "agentStop": "Stop",
    "stop": "Stop",
}
_OWN = (
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PermissionRequest",
    "PermissionDenied",
    "Stop",
    "AssistantMessage",
)
#: The kinds of the events that bring a prompt, whichever agent sent them.
PROMPTS = ("UserPromptSubmit", *(kind for kind, same in _SAME_AS.items() if same == "UserPromptSubmit"))
#: The moments that say how a call ended.
RESULTS = frozenset({"PostToolUse", "PostToolUseFailure", "PermissionDenied"})


class _Moments(dict[str, str]):
    def __missing__(self, kind: str) -> str:
        return kind


#: Gives Claude Code's name for an event kind; a kind that we do not know is its own name. Each event asks
#: three times, so it is no function of ours that answers.
moment: Callable[[str], str] = _Moments(dict(zip(_OWN, _OWN, strict=True)) | _SAME_AS).__getitem__


def known_time(time_ms: int | None) -> int | None:
    """Give Unix milliseconds back when they lie in the years 1970 to 9999, else null."""
    return time_ms if time_ms is not None and 0 <= time_ms < _YEAR_10000_MS else None


def iso(time_ms: int | None) -> str | None:
    """Write Unix milliseconds as ISO-8601 in UTC; null where `known_time` is."""
    if time_ms is None or not 0 <= time_ms < _YEAR_10000_MS:
        return None
    seconds = time_ms // 1000
    return _minute(seconds // 60) + _SECONDS[seconds % 60] + _MILLIS[time_ms % 1000]


#: How the seconds of a minute and the milliseconds of a second are written: to format them is dear.
_SECONDS = tuple(f"{second:02d}" for second in range(60))
_MILLIS = tuple(f".{millis:03d}Z" for millis in range(1000))


@lru_cache(maxsize=1024)  # events come by the dozen a minute; writing the calendar out is the dear part
def _minute(minutes: int) -> str:
    return datetime.fromtimestamp(minutes * 60, UTC).isoformat()[:17]
