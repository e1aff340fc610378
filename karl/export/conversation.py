"""The shape of a conversation, from which every format is written."""

from __future__ import annotations

from typing import Any

import msgspec

from karl.schema.trajectory import ToolCall, Usage


class Asked(msgspec.Struct):
    """A prompt. `kind` is a person's (`human`), another program's (`machine`), or a `report` or `note`."""

    text: str
    kind: str
    time_ms: int | None = None


class Note(msgspec.Struct):
    """What nobody said to anybody: a `compaction` with its summary, an `interrupt`, an `error`."""

    what: str
    text: str
    time_ms: int | None = None


class Made(msgspec.Struct):
    """A call as its agent made it: `name` and `arguments` are the agent's own.

    `id` is unique within the trajectory. `answer` is null where no result was recorded. `call` is our
    reading of it; `agents` are the subagents that it started.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    answer: str | None
    call: ToolCall
    agents: list[str] = []


class Reply(msgspec.Struct):
    """A model's response. `told`: by a transcript; else it was put together from what was heard of it."""

    text: str = ""
    thinking: str = ""
    model: str | None = None
    message_id: str | None = None
    usage: Usage | None = None
    calls: list[Made] = []
    time_ms: int | None = None
    told: bool = False


Item = Asked | Reply | Note


class Conversation(msgspec.Struct):
    """What one agent was asked and did. `agent_id` is empty for the session's own agent.

    `parent` is the id of the call that started a subagent, null where that is not known.
    """

    agent_id: str = ""
    agent_type: str | None = None
    parent: str | None = None
    items: list[Item] = []

    @property
    def replies(self) -> list[Reply]:
        """Give the responses alone."""
        return [item for item in self.items if isinstance(item, Reply)]


class Transcript(msgspec.Struct):
    """A trajectory's conversations: the agent's own, and those of its subagents as they began."""

    main: Conversation
    agents: dict[str, Conversation]

    @property
    def all(self) -> list[Conversation]:
        """Give the main conversation, then the subagents'."""
        return [self.main, *self.agents.values()]

    @property
    def is_empty(self) -> bool:
        """Say whether nobody asked anything and no call was made."""
        return not any(
            isinstance(item, Asked) or (isinstance(item, Reply) and item.calls)
            for conversation in self.all
            for item in conversation.items
        )
