"""Tables that only count: which tool follows which, and on what. Who loses to them has learned little.

Fitted on the rows of the arm `all`, each once. What is foretold of a row is what followed most often in the
same place; where that place was never seen, in a wider one. Of equally frequent ones the first by name is
taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from karl.learning.action import Action
from karl.learning.row import Row


class Right(NamedTuple):
    """Whether the next tool was foretold, and the tool with what it is called on."""

    tool: bool
    target: bool


class Table:
    """Tool after tool (`bigram`), or always the same one (`majority`)."""

    def __init__(self, rows: Iterable[Row], *, after: bool) -> None:
        self._after = after
        tools: dict[Hashable, Counter[str]] = {}
        targets: dict[Hashable, Counter[str]] = {}
        for row in rows:
            about = row.karl
            if not about.tool:
                continue
            for place in self._places(about.previous):
                tools.setdefault(place, Counter())[about.tool] += 1
            for place in self._targets(about.tool, about.previous, before(row)):
                targets.setdefault(place, Counter())[about.target] += 1
        self._tools, self._told = _first(tools), _first(targets)

    def foretold(self, row: Row) -> tuple[str, str]:
        """Give the tool that most often comes next, and what it is most often called on there."""
        previous = row.karl.previous
        tool = _known(self._tools, self._places(previous))
        return tool, _known(self._told, self._targets(tool, previous, before(row)))

    def judge(self, rows: Sequence[Row]) -> list[Right]:
        """Say of each row whether it was foretold."""
        found = []
        for row in rows:
            tool, target = self.foretold(row)
            right = bool(tool) and tool == row.karl.tool
            found.append(Right(right, right and target == row.karl.target))
        return found

    def _places(self, previous: str) -> list[Hashable]:
        """Give where a step stands, the nearest first."""
        return [("after", previous), "any"] if self._after else ["any"]

    def _targets(self, tool: str, previous: str, target: str) -> list[Hashable]:
        """Give where a tool is called, the nearest first."""
        anywhere: list[Hashable] = [(tool,)]
        return [(tool, previous, target), (tool, previous), *anywhere] if self._after else anywhere


def bigram(rows: Iterable[Row]) -> Table:
    """Count which tool follows which, and on what it is called after what."""
    return Table(rows, after=True)


def majority(rows: Iterable[Row]) -> Table:
    """Count the tools."""
    return Table(rows, after=False)


def before(row: Row) -> str:
    """Give what the call before this step was called on, as its history says; empty where it says nothing."""
    earlier = (one for one in reversed(row.messages[:-1]) if one.get("role") == "assistant")
    said: Mapping[str, Any] = next(earlier, {})
    found = action_of(said)
    return found.target if found else ""


def action_of(message: Mapping[str, Any]) -> Action | None:
    """Read a message that is an action in brief; null for any other."""
    try:
        return msgspec.json.decode(str(message.get("content") or ""), type=Action)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _first(counts: Mapping[Hashable, Counter[str]]) -> dict[Hashable, str]:
    return {place: min(of, key=lambda name: (-of[name], name)) for place, of in counts.items()}


def _known(table: Mapping[Hashable, str], places: Iterable[Hashable]) -> str:
    return next((table[place] for place in places if place in table), "")
