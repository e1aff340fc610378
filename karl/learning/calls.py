"""Whether a model's chat template has a place for tool calls: it is tried with a chat that has one.

Who exports and who trains ask alike: what one takes for a place the other must find there.
"""

from __future__ import annotations

from typing import Any

#: What must be said again of the call, and of its result.
_NAME, _RESULT = "look_for_the_archive", "zqx result 7"
#: Some templates insist on nine letters and digits.
_ID = "callid001"

#: A chat with a call, its result, and an answer.
PROBE: list[dict[str, Any]] = [
    {"role": "user", "content": "?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": _ID, "type": "function", "function": {"name": _NAME, "arguments": {"in": "x"}}}
        ],
    },
    {"role": "tool", "tool_call_id": _ID, "name": _NAME, "content": _RESULT},
    {"role": "assistant", "content": "!"},
]


def has_place(rendered: str) -> bool:
    """Say whether a template that made this of PROBE wrote both the call and what came back."""
    return _NAME in rendered and _RESULT in rendered
