"""Claude Code's own transcripts: `~/.claude/projects/<folder>/<session>.jsonl`, and its subagents' files.

A subagent's file is read where the call that started it has its result, or failing that before the end
of the turn that it began in: so what it did stands in the turn that asked for it.

Sources: files of many versions; the format is internal to the agent and not documented.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from karl.errors import Refused
from producers.transcripts.claude_agents import AgentFile, Agents, by_session
from producers.transcripts.claude_chain import Chain, Item
from producers.transcripts.claude_line import Line, text_of_content
from producers.transcripts.claude_parts import Due, Whose
from producers.transcripts.lines import TORN, read_lines
from producers.transcripts.recognise import HEAD, name_of, nothing_in, refusal_of
from producers.transcripts.told import Broken, Skipped, Told

#: Facts that wait for the first response, because what is told before it belongs to the session's start.
_WAITING_MAX = 64
#: Lines of a file in which one of Claude Code's is looked for.
_LOOKED_AT = 200
_SUBAGENTS = "subagents"
_TURN_OVER = ("turn_duration", "stop_hook_summary")
_CONVERSATION = frozenset({"user", "assistant"})
#: What only Claude Code's files have, besides a conversation.
_OWN = frozenset(
    {
        "ai-title", "attachment", "custom-title", "file-history-snapshot", "last-prompt", "mode",
        "permission-mode", "progress", "queue-operation", "summary", "system",
    }
)  # fmt: skip

_Found = Told | Broken | Skipped


class Claude:
    """The format of Claude Code."""

    agent = "claude-code"

    def __init__(self) -> None:
        self._beside: dict[Path, dict[str, list[Path]]] = {}

    def default(self) -> Path:
        """Give the folder of all projects, in CLAUDE_CONFIG_DIR if that is set."""
        own = os.environ.get("CLAUDE_CONFIG_DIR")
        return (Path(own).expanduser() if own else Path.home() / ".claude") / "projects"

    def find(self, path: Path) -> list[Path]:
        """List the session files of a file or folder; a subagent's only where its session's is missing.

        Raises Refused, and OSError.
        """
        if not path.is_dir():
            if other := _other_format(path):
                raise Refused(other)
            return [path]
        files = sorted(item for item in path.rglob("*.jsonl") if item.is_file())
        if not files:
            raise nothing_in(path, "claude")
        read_with_theirs = {part for file in files for part in self.parts(file)[1:]}
        return [file for file in files if file not in read_with_theirs and not _is_aside(file)]

    def parts(self, path: Path) -> list[Path]:
        """List a session's file and those of its subagents, in both layouts."""
        if path.stem.startswith("agent-"):
            return [path]
        below = (path.parent / path.stem / _SUBAGENTS).rglob("agent-*.jsonl")
        own = sorted(item for item in below if item.is_file())
        if path.parent not in self._beside:
            self._beside[path.parent] = by_session(path.parent)
        return [path, *own, *self._beside[path.parent].get(path.stem, [])]

    def read(self, path: Path) -> Iterator[Told | Broken | Skipped]:
        """Give what a session's file and its subagents' files tell. Raises OSError, Refused."""
        parts = self.parts(path)
        agents = Agents(parts[1:])
        yield from _Reader(path, agents).read()
        if agents.unread:
            raise agents.unread[0]


class _Reader:
    """One file while it is read: a chain for each session and each subagent in it.

    What comes first waits until the file has shown that it is Claude Code's, and until the first response:
    what is said of the session before that belongs to its start.
    """

    def __init__(self, path: Path, agents: Agents, whose: Whose | None = None) -> None:
        self._path = path
        self._agents = agents
        self._whose = whose
        self._session = path.stem
        self._chains: dict[str, Chain] = {}
        self._sides: dict[tuple[str, str], Chain] = {}
        self._roots: dict[str, str] = {}  # uuid of a subagent's line -> the subagent
        self._titles: dict[str, tuple[str, int]] = {}
        self._named: set[str] = set()  # sessions that a person gave their title
        self._start: dict[str, Any] | None = None
        self._is_ours = whose is not None
        self._waits = whose is None

    def read(self) -> Iterator[_Found]:
        """Give what the file tells, with the subagents that it started. Raises OSError, Refused."""
        waiting: list[_Found] = []
        for found in self._opened(self._items()):
            if not self._waits:
                yield from waiting
                waiting.clear()
                yield found
                continue
            waiting.append(found)
            if not self._is_ours and len(waiting) >= _LOOKED_AT:
                break
            self._waits = not self._is_ours or len(waiting) < _WAITING_MAX
        if not self._is_ours and any(found is not TORN for found in waiting):
            raise Refused(_other_format(self._path) or "it is no transcript of Claude Code")
        yield from waiting

    def _items(self) -> Iterator[Item | Broken]:
        for number, found in read_lines(self._path, Line):
            if isinstance(found, Line):
                yield from self._line(found, number)
            elif isinstance(found, Broken) and self._whose:
                yield found._replace(reason=f"{found.reason} (in {self._path.name})")
            else:
                yield found
        for session, (title, number) in self._titles.items():
            if chain := self._chains.get(session):
                yield chain.titled(title, number)
        for chain in [*self._sides.values(), *self._chains.values()]:
            chain.end()
            yield from _taken(chain)

    def _opened(self, items: Iterable[Item | Broken]) -> Iterator[_Found]:
        """Put subagents where they belong."""
        for item in items:
            if not isinstance(item, Due):
                yield item
                continue
            yield from self._opened(self._sides_ended(item.call_id))
            if item.until is None:
                files = self._agents.of_call(item.call_id, item.agent_id)
            else:
                files = self._agents.begun_before(item.until, self._knows)
            for file in files:
                yield from self._agent(file, item)

    def _agent(self, file: AgentFile, due: Due) -> Iterator[_Found]:
        call_id = due.call_id or file.call_id
        whose = Whose(file.agent_id, file.agent_type or due.agent_type, call_id)
        try:
            yield from _Reader(file.path, self._agents, whose).read()
        except OSError as error:
            self._agents.unread.append(error)

    def _knows(self, call_id: str) -> bool:
        return any(chain.knows(call_id) for chain in self._chains.values())

    def _sides_ended(self, call_id: str) -> Iterator[Item]:
        """End the subagents of a call whose lines lie in this file, or all when no call is named."""
        for key, chain in list(self._sides.items()):
            if chain.whose and (not call_id or chain.whose.call_id == call_id):
                chain.end()
                del self._sides[key]
                yield from _taken(chain)

    # --- lines ---

    def _line(self, line: Line, number: int) -> list[Item]:
        kind = line.type if isinstance(line.type, str) else "line without a type"
        if kind not in _CONVERSATION:
            self._is_ours = self._is_ours or kind in _OWN
            return self._aside(line, number, kind)
        if not isinstance(line.message, dict):
            return [Skipped(f"{kind} without a message")]
        self._is_ours = True
        self._waits = self._waits and kind != "assistant"
        chain = self._chain(line, number)
        (chain.user if kind == "user" else chain.assistant)(line, number)
        return _taken(chain)

    def _aside(self, line: Line, number: int, kind: str) -> list[Item]:
        """Take a line that is no part of the conversation."""
        chain = self._chains.get(_text(line.session_id) or self._session)
        if kind == "attachment" and isinstance(line.attachment, dict):
            return self._attached(line, number)
        if kind == "system":
            if chain and line.subtype == "local_command":
                chain.local_command()
            elif chain and line.subtype in _TURN_OVER:
                chain.over()
            kind = f"system: {line.subtype}"[:80]
        elif kind in ("custom-title", "ai-title"):
            self._title(line, number)
        elif kind == "permission-mode" and chain and isinstance(line.permission_mode, str):
            chain.mode = line.permission_mode
        return [*(_taken(chain) if chain else ()), Skipped(kind[:80])]

    def _attached(self, line: Line, number: int) -> list[Item]:
        given = {"system_prompt": line.attachment.get("systemPrompt"), "tools": line.attachment.get("tools")}
        given = {name: value for name, value in given.items() if value}
        if line.attachment.get("type") == "queued_command":
            chain = self._chain(line, number)
            chain.queued(line, number)
            return _taken(chain)
        if given and not self._whose:
            chain = self._chain(line, number)
            if self._waits and self._start is not None:
                self._start.update(given)
                return _taken(chain)
        return [Skipped(f"attachment: {line.attachment.get('type')}"[:80])]

    def _title(self, line: Line, number: int) -> None:
        """Keep the last title, but one that a person gave before all that the agent thought of."""
        session, by_person, by_agent = _text(line.session_id), _text(line.custom_title), _text(line.ai_title)
        if by_person:
            self._named.add(session)
        if by_person or (by_agent and session not in self._named):
            self._titles[session] = (by_person or by_agent, number)

    # --- whose line it is ---

    def _chain(self, line: Line, number: int) -> Chain:
        self._session = session = _text(line.session_id) or self._session
        agent = _text(line.agent_id) or (self._whose.agent_id if self._whose else "")
        if line.is_sidechain is True or agent:
            return self._side(line, number, session, agent)
        if session not in self._chains:
            chain = self._chains[session] = Chain(session)
            self._start = chain.start(line, number)
        return self._chains[session]

    def _side(self, line: Line, number: int, session: str, agent: str) -> Chain:
        """Give the chain of a subagent; one that no line names is known by the line that it began with."""
        if not agent:
            named, parent = _text(line.uuid), _text(line.parent_uuid)
            agent = self._roots.get(parent) or f"side-{named or number}"
            self._roots[named] = agent
        key = (session, agent)
        if key not in self._sides:
            whose = self._whose if self._whose and self._whose.agent_id == agent else self._asked(line, agent)
            self._sides[key] = Chain(session, whose)
            self._sides[key].start(line, number)
        return self._sides[key]

    def _asked(self, line: Line, agent: str) -> Whose:
        """Find the call that asked for a subagent: the open one with its first prompt."""
        prompt = text_of_content(line.message.get("content")) if isinstance(line.message, dict) else ""
        chain = self._chains.get(self._session)
        for call_id, call in chain.open.items() if chain else ():
            if isinstance(call.input, dict) and prompt and call.input.get("prompt") == prompt:
                return Whose(agent, _text(call.input.get("subagent_type")), call_id)
        return Whose(agent)


def _taken(chain: Chain) -> list[Item]:
    items, chain.out = chain.out, []
    return items


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_aside(path: Path) -> bool:
    """Say whether a file among subagents' is none of theirs: a workflow's journal."""
    return _SUBAGENTS in path.parts and not path.stem.startswith("agent-")


def _other_format(path: Path) -> str | None:
    """Say how to read a file that is known to be another format's; null for any other. Raises OSError."""
    with path.open("rb") as file:
        named = name_of(file.read(HEAD), path)
    return refusal_of(path, "claude") if named not in {None, "claude"} else None
