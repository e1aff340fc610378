"""Chats as ShareGPT has them: `conversations` of `human`, `gpt`, `function_call` and `observation`.

Invariants:
- Turns alternate, a person's or a tool's and the model's, as trainers of this format demand: what one
  side says in several goes is one turn. Only a person who spoke while a call was under way breaks it.
- The last turn is the model's: an observation that nobody answered teaches nothing.
- Calls that were sent off together are one `function_call` with a list, and so is what they brought.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from karl.export.answers import as_json
from karl.export.chats import answer, examples
from karl.export.conversation import Asked, Item, Made, Reply
from karl.export.pieces import LeftOut, Piece
from karl.export.selection import Group


def pieces(group: Group, *, subagents: bool) -> Iterator[Piece | LeftOut]:
    """Give the examples of a group."""
    return examples(group, _write, subagents=subagents)


def _write(
    items: Sequence[Item], system_prompt: str, tools: list[dict[str, Any]]
) -> tuple[dict[str, Any], int]:
    turns: list[dict[str, str]] = []
    for who, value in _said(items):
        if turns and turns[-1]["from"] == who and who in ("human", "gpt"):
            turns[-1]["value"] += f"\n\n{value}"
        else:
            turns.append({"from": who, "value": value})
    while turns[-1]["from"] in ("observation", "human"):
        turns.pop()
    system = {"system": system_prompt} if system_prompt else {}
    return {"conversations": turns, **system, "tools": as_json(tools)}, len(turns)


def _said(items: Sequence[Item]) -> Iterator[tuple[str, str]]:
    text = ""  # what the model said in turns of its own, which may go on with calls
    for item in items:
        if isinstance(item, Reply):
            text = "\n\n".join(part for part in (text, item.text) if part)
            if item.calls:
                yield "function_call", as_json(_one_or_list([_call(made) for made in item.calls], text))
                yield "observation", _observation(item.calls)
                text = ""
        elif isinstance(item, Asked):
            if text:
                yield "gpt", text
                text = ""
            yield "human", item.text
    if text:
        yield "gpt", text


def _call(made: Made) -> dict[str, Any]:
    return {"name": made.name, "arguments": made.arguments}


def _one_or_list(calls: list[dict[str, Any]], text: str) -> Any:
    """Put what the model said with its calls beside the first; readers take the name and the arguments."""
    if text:
        calls[0]["content"] = text
    return calls[0] if len(calls) == 1 else calls


def _observation(calls: Sequence[Made]) -> str:
    if len(calls) == 1:
        return answer(calls[0])
    return as_json([{"name": made.name, "content": answer(made)} for made in calls])
