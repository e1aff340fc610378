"""The files of a session's subagents: which there are, who asked for each, and when it began."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from karl.errors import Unreadable
from producers.envelope import parse
from producers.transcripts.claude_line import Line
from producers.transcripts.lines import read_lines

#: Lines of a file in which it says whose it is.
_HEAD = 20


class AgentFile(NamedTuple):
    """A subagent's file. `call_id` and `agent_type` are empty where nothing beside it names them."""

    path: Path
    agent_id: str
    agent_type: str
    call_id: str
    began: str


class Agents:
    """The files that were not told yet; `unread` keeps the errors of those that could not be read."""

    def __init__(self, paths: list[Path]) -> None:
        self.unread: list[OSError] = []
        self._files: list[AgentFile] = []
        for path in paths:
            try:
                self._files.append(_agent_file(path))
            except OSError as error:
                self.unread.append(error)

    def of_call(self, call_id: str, agent_id: str) -> list[AgentFile]:
        """Take the files of the agents that a call started: it is named beside them, or names them."""
        return self._take(
            {file for file in self._files if file.call_id == call_id or file.agent_id == agent_id}
        )

    def begun_before(self, time: str, knows: Callable[[str], bool]) -> list[AgentFile]:
        """Take the files of the agents that began before a time (ISO-8601), all when it is empty.

        One whose call is named, and not known yet, waits for it: clocks go back in these files.
        """
        return self._take(
            {
                file
                for file in self._files
                if not time or (file.began < time and (not file.call_id or knows(file.call_id)))
            }
        )

    def _take(self, chosen: set[AgentFile]) -> list[AgentFile]:
        if not chosen:
            return []
        self._files = [file for file in self._files if file not in chosen]
        return sorted(chosen, key=lambda file: (file.began, file.path))


def by_session(folder: Path) -> dict[str, list[Path]]:
    """List the subagents' files that lie beside their session's, as older versions kept them."""
    found: dict[str, list[Path]] = {}
    for path in sorted(item for item in folder.glob("agent-*.jsonl") if item.is_file()):
        try:
            session = _head(path).session_id
        except OSError:
            continue  # it is found as a file of its own, and the reader says what is wrong with it
        if isinstance(session, str):
            found.setdefault(session, []).append(path)
    return found


def _agent_file(path: Path) -> AgentFile:
    head, beside = _head(path), _beside(path.with_suffix(".meta.json"))
    named = path.stem.removeprefix("agent-")
    return AgentFile(
        path,
        head.agent_id if isinstance(head.agent_id, str) and head.agent_id else named,
        _text(beside.get("agentType")),
        _text(beside.get("toolUseId")),
        _text(head.timestamp),
    )


def _head(path: Path) -> Line:
    """Give the first line that is part of a conversation; an empty one when there is none."""
    for number, line in read_lines(path, Line):
        if isinstance(line, Line) and line.type in ("user", "assistant"):
            return line
        if number >= _HEAD:
            break
    return Line()


def _beside(path: Path) -> dict[str, Any]:
    if not path.is_file():  # a pipe or a device would not end
        return {}
    try:
        return parse(path.read_bytes())
    except (FileNotFoundError, Unreadable):
        return {}  # older versions have none; without it the file's own lines say less, and still enough


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
