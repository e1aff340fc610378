"""Copilot CLI's own sessions: `~/.copilot/session-state/<session>/events.jsonl`, and such logs anywhere.

A line is {type, data, id, timestamp, parentId}. Calls of a subagent name the call that started it.

Sources: files of several versions, and the types of the agent's SDK; the format is internal to the agent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from producers.transcripts.copilot_log import Line, Log
from producers.transcripts.lines import read_lines
from producers.transcripts.recognise import require, sessions_in
from producers.transcripts.told import Broken, Skipped, Told

_LOG = "events.jsonl"


class _Event(msgspec.Struct):
    """What is read of a line; whoever reads a field looks at its type first."""

    type: Any = None
    id: Any = None
    timestamp: Any = None
    data: Any = None


class Copilot:
    """The format of Copilot CLI."""

    agent = "copilot"

    def default(self) -> Path:
        """Give the folder of all sessions, in COPILOT_HOME if that is set."""
        own = os.environ.get("COPILOT_HOME")
        return (Path(own).expanduser() if own else Path.home() / ".copilot") / "session-state"

    def find(self, path: Path) -> list[Path]:
        """List the logs of a file or folder; what else an agent keeps beside them is passed over."""
        return sessions_in([path], "copilot", ("*.jsonl",), every=False)

    def read(self, path: Path) -> Iterator[Told | Broken | Skipped]:
        """Give what a session's log tells. Raises OSError, Refused."""
        require(path, "copilot")
        log = Log(path.parent.name if path.name == _LOG else path.stem)
        for number, found in read_lines(path, _Event):
            if isinstance(found, _Event):
                log.take(_line(found, number))
                yield from _taken(log)
            else:
                yield found
        log.end()
        yield from _taken(log)


def _line(event: _Event, number: int) -> Line:
    kind = event.type if isinstance(event.type, str) else "line without a type"
    return Line(
        number,
        kind,
        _text(event.id),
        _text(event.timestamp),
        event.data if isinstance(event.data, dict) else {},
    )


def _taken(log: Log) -> list[Told | Skipped]:
    items, log.out = log.out, []
    return items


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
