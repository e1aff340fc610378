"""The turns that a figure is made of: those that fit, scored by one version, one agent at a time.

Rewards of different agents, or of different versions, are never put together: they do not mean the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

from karl.views.figures import Measured

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS

#: What turns of one agent can be grouped by.
By = Literal["skill", "project", "domain"]


class Chosen(NamedTuple):
    """Turns by agent, scored alike: by `version`, with one set of weights and one calibration an agent.

    `others` counts those left out because they were scored otherwise, by the version of their score,
    `unobserved` those of which nothing was observed that a reward could be made from: theirs says nothing.
    """

    version: str
    agents: dict[str, list[Measured]]
    others: dict[str, int]
    unobserved: int = 0

    @property
    def turns(self) -> int:
        """Count the turns that are in."""
        return sum(map(len, self.agents.values()))


def choose(rows: Iterable[Measured], version: str) -> Chosen:
    """Take the turns that this version scored, by agent, the agents in the order of their names.

    Of an agent's turns, those that were scored as its last one was.
    """
    others: Counter[str] = Counter()
    unobserved = 0
    fitting = []
    for row in rows:
        if row.version != version:
            others[row.version] += 1
        elif all(value is None for value in row.signals):
            unobserved += 1
        else:
            fitting.append(row)
    agents = {}
    for agent, turns in by_agent(fitting).items():
        made_by = max(turns, key=lambda row: row.time_ms).made_by
        agents[agent] = [row for row in turns if row.made_by == made_by]
        if len(agents[agent]) < len(turns):
            others[version] += len(turns) - len(agents[agent])
    return Chosen(version, agents, dict(sorted(others.items())), unobserved)


def by_agent(rows: Iterable[Measured]) -> dict[str, list[Measured]]:
    """Group turns by agent, however they were scored: for what does not look at rewards."""
    agents: dict[str, list[Measured]] = {}
    for row in rows:
        agents.setdefault(row.agent, []).append(row)
    return dict(sorted(agents.items()))


def grouped(rows: Iterable[Measured], by: By) -> dict[str, list[Measured]]:
    """Group turns by a name of theirs, the largest group first; what has no such name is left out."""
    groups: dict[str, list[Measured]] = {}
    for row in rows:
        name = getattr(row, by)
        if name:
            groups.setdefault(name, []).append(row)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))
