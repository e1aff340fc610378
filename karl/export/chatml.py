"""Chats as OpenAI's and TRL's trainers read them: `messages` with `tool_calls`, `tools`, ours under `karl`.

Every call has exactly one message of the role `tool`, right behind the message that made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from karl.export.answers import as_json
from karl.export.chats import answer, examples
from karl.export.conversation import Asked, Item, Reply
from karl.export.pieces import LeftOut, Piece
from karl.export.selection import Group


def pieces(group: Group, *, subagents: bool) -> Iterator[Piece | LeftOut]:
    """Give the examples of a group."""
    return examples(group, _write, subagents=subagents)


def _write(
    items: Sequence[Item], system_prompt: str, tools: list[dict[str, Any]]
) -> tuple[dict[str, Any], int]:
    messages: list[dict[str, Any]] = []
    if system_prompt:
        messages.append({"role": "system", "content": system_prompt})
    for item in items:
        if isinstance(item, Asked):
            messages.append({"role": "user", "content": item.text})
        elif isinstance(item, Reply):
            messages += _reply(item)
    return {"messages": messages, "tools": tools}, len(messages)


def _reply(reply: Reply) -> Iterator[dict[str, Any]]:
    said: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.thinking:
        said["reasoning_content"] = reply.thinking
    if reply.calls:
        said["tool_calls"] = [
            {
                "id": made.id,
                "type": "function",
                "function": {"name": made.name, "arguments": as_json(made.arguments)},
            }
            for made in reply.calls
        ]
    yield said
    for made in reply.calls:
        yield {"role": "tool", "tool_call_id": made.id, "name": made.name, "content": answer(made)}
