"""What a transcript tells: facts in the shape of the hook payloads that would have said them.

A reader of a format gives Told and Broken in the order of the file, and nothing else decides what is
a fact: the importer names, redacts, cuts and sends what it is given, and the fold, the normaliser and
the reward see transcripts and live hooks alike.

Kinds a reader may give (`hook_event_name`; the fields are Claude Code's hooks', as far as there are any):
- SessionStart {source: startup|resume|fork, model?, continues?: the session that a fork goes on from}
- UserPromptSubmit {prompt, prompt_id?}, also for prompts that no person typed: the fold tells them apart
- PreToolUse {tool_name, tool_input, tool_use_id}
- PostToolUse {.., tool_response} / PostToolUseFailure {.., error}: the failure is what the agent calls one
- PermissionDenied {.., reason}: a person or a classifier refused the call
- AssistantMessage {message_id, model?, text?, thinking?, stop_reason?, usage?}, see below
- SubagentStart / SubagentStop {agent_id, agent_type?}
- PostCompact {compact_summary}, Interrupt {}, StopFailure {error}
- Stop {last_assistant_message?}: the agent had finished its turn
Every payload has session_id and timestamp (ISO-8601 with a zone) where they are known, cwd, and the
agent's version as `agent_version`; what a subagent did has agent_id (and agent_type).

`usage` counts tokens of one response: {input_tokens, output_tokens, cache_read_tokens,
cache_write_tokens}, where input_tokens leaves out what came from, or went into, the cache. A message
that is told twice, by a later import of a file that had grown, counts once: with its larger numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Told(NamedTuple):
    """One fact. `key` names it within its session: the same fact has the same key in every import.

    `origin`, where the format has one, names the fact whichever session's file repeats it (a fork or a
    resumed session repeats the history it goes on from); such a fact is imported once. `line` counts
    from 1. `payload` is the reader's to give away: whoever takes it may change it.
    """

    payload: dict[str, Any]
    key: str
    line: int
    origin: str = ""


class Broken(NamedTuple):
    """Bytes that are no fact of the format though they should be, where they begin, and why."""

    data: bytes
    line: int
    reason: str


class Skipped(NamedTuple):
    """A line that holds no fact, by its type: counted, so that nothing goes unsaid."""

    what: str


class Format(Protocol):
    """A reader of one agent's files."""

    #: The `agent` of the events.
    agent: str

    def default(self) -> Path:
        """Give the folder where the agent keeps its sessions."""
        ...

    def find(self, path: Path) -> list[Path]:
        """List the session files that a file or folder means, those of subagents after their session's.

        Raises Refused for a file that is another format's, naming the format when it is known.
        """
        ...

    def read(self, path: Path) -> Iterator[Told | Broken | Skipped]:
        """Give what a file tells, in order; one line is in memory at a time. Raises OSError, Refused."""
        ...
