"""An action in brief: which tool was called on what, as the text that a model learns to say.

{"tool":"Bash","target":"pytest -q"}
"""

from __future__ import annotations

import msgspec

#: Characters of a target at most.
TARGET_MAX = 60


class Action(msgspec.Struct, frozen=True):
    """A tool by its canonical name, and what it is called on; empty where nothing names that."""

    tool: str
    target: str


_encode = msgspec.json.Encoder().encode


def action(tool: str, target: str) -> str:
    """Give the text of an action: one JSON object, the tool first, without spaces."""
    return _encode(Action(tool, target)).decode()
