"""The lines of Claude Code's transcripts: what is read of each, and what their texts are."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_IMAGE = "[image]"
#: What the agent writes in a person's name when the Escape key was pressed.
INTERRUPTED = "[Request interrupted by user"


class Line(msgspec.Struct, rename="camel"):
    """What is read of a line; anything else in it is passed over without being decoded.

    Fields are as loose as the format is: whoever reads one looks at its type first.
    """

    type: Any = None
    subtype: Any = None
    uuid: Any = None
    parent_uuid: Any = None
    session_id: Any = None
    timestamp: Any = None
    cwd: Any = None
    version: Any = None
    agent_id: Any = None
    prompt_id: Any = None
    is_sidechain: Any = None
    is_meta: Any = None
    is_compact_summary: Any = None
    is_api_error_message: Any = None
    permission_mode: Any = None
    origin: Any = None
    tool_denial_kind: Any = None
    message: Any = None
    tool_use_result: Any = None
    attachment: Any = None
    custom_title: Any = None
    ai_title: Any = None


def without_pictures(value: Any) -> Any:
    """Give a value with `[image]` for the bytes of every picture and document in it."""
    if isinstance(value, list):
        return [without_pictures(item) for item in value]
    if not isinstance(value, dict):
        return value
    coded = value.get("type") == "base64" or "base64" in value
    return {
        key: _IMAGE
        if coded and key in ("data", "base64") and isinstance(item, str)
        else without_pictures(item)
        for key, item in value.items()
    }


def blocks_of(message: Any) -> list[Any]:
    """Give the content of a message as a list of blocks; a text is one block."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def text_of_block(block: dict[str, Any]) -> str | None:
    """Give the text of a block that a person could have written; null when it is none."""
    kind = block.get("type")
    if kind == "text":
        found = block.get("text")
        return found if isinstance(found, str) else None
    return f"[{kind}]" if kind in ("image", "document") else None


def text_of_content(content: Any) -> str:
    """Give the text of what a tool answered: a text, or blocks."""
    if isinstance(content, str):
        return content
    texts = (text_of_block(block) for block in blocks_of({"content": content}))
    return "\n".join(text for text in texts if text)


def is_interruption(text: str) -> bool:
    """Say whether a text stands for the Escape key."""
    return text.startswith(INTERRUPTED) and len(text) < 100


_COMMAND_NAME = re.compile(r"<command-name>\s*/?([^<\s]{1,200})\s*</command-name>")
_COMMAND_ARGS = re.compile(r"<command-args>(.*?)</command-args>", re.DOTALL)


def typed_command(text: str) -> tuple[str, str] | None:
    """Give the name and the arguments of a /command that a person typed; null for any other text."""
    if not text.startswith("<command-"):
        return None
    name, given = _COMMAND_NAME.search(text[:2000]), _COMMAND_ARGS.search(text)
    return (name[1], given[1].strip() if given else "") if name else None
