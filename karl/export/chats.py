"""What the chat formats share: which conversations of a group become examples, and what fills a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from karl.export.conversation import Asked, Item, Made, Reply
from karl.export.pieces import LeftOut, Piece, about_all
from karl.export.selection import Chosen, Group, Opening
from karl.export.tools import definitions

NO_PROMPT = "no prompt: it goes on from something that was not recorded, or not wanted"
NO_REPLY = "no reply: nothing to learn from"
SUBAGENTS = "conversations of subagents (--subagents writes them)"

#: What stands for a result that nobody recorded, by how the call ended.
_NO_RESULT = {
    "interrupted": "[no result: the call was interrupted]",
    "denied": "[no result: the call was denied]",
    "interrupted_or_denied": "[no result: the call was interrupted or denied]",
    "launched": "[no result yet: it runs in the background]",
    "background": "[no result yet: it runs in the background]",
}
_UNKNOWN = "[no result was recorded]"
#: A subagent has a system prompt and tools of its own, which nobody told.
_NOTHING = Opening()

#: Makes an example: the items, the system prompt, the tools -> the document and how many messages it has.
Writer = Callable[[Sequence[Item], str, list[dict[str, Any]]], tuple[dict[str, Any], int]]


def answer(made: Made) -> str:
    """Give what a call brought; where nothing was recorded, why, in brackets."""
    return made.answer if made.answer is not None else _NO_RESULT.get(made.call.status, _UNKNOWN)


def examples(group: Group, write: Writer, *, subagents: bool) -> Iterator[Piece | LeftOut]:
    """Give the examples of a group: its own conversation, and on demand those of its subagents."""
    turns = group.turns
    items = [item for turn in turns for item in turn.transcript.main.items]
    yield _example(group, turns, items, write, trajectories=len(turns))
    theirs = [(turn, one) for turn in turns for one in turn.transcript.agents.values()]
    if theirs and not subagents:
        yield LeftOut(SUBAGENTS, len(theirs))
        return
    for turn, conversation in theirs:
        agent = {"agent_id": conversation.agent_id, "agent_type": conversation.agent_type}
        made = _example(group._replace(opening=_NOTHING), [turn], conversation.items, write)
        if isinstance(made, Piece) and isinstance(made.data, dict):
            made.data["karl"] = {**made.data["karl"], "subagent": agent}
        yield made


def _example(
    group: Group, turns: list[Chosen], items: Sequence[Item], write: Writer, trajectories: int = 0
) -> Piece | LeftOut:
    count = max(1, trajectories)
    spoken = [item for item in items if isinstance(item, Asked) or _says_something(item)]
    if not any(isinstance(item, Reply) for item in spoken):
        return LeftOut(NO_REPLY, count)
    if not isinstance(spoken[0], Asked):
        return LeftOut(NO_PROMPT, count)
    calls = [call for item in spoken if isinstance(item, Reply) for call in item.calls]
    tools = definitions(group.opening.tools, calls)
    data, messages = write(spoken, group.opening.system_prompt, tools)
    return Piece(turns[0].row.session, {**data, "karl": about_all(turns)}, trajectories, messages, len(calls))


def _says_something(item: Item) -> bool:
    return isinstance(item, Reply) and bool(item.text or item.calls)
