"""How hard tasks are: by how an agent's turns on them went, against its own other turns.

    difficulty = mean of five parts, each from 0 to 1, and 0.5 where it is not known:
      reward     1 - the mean place of the rewards among the agent's
      length     the mean place of the numbers of calls among the agent's
      failures   the mean place of the shares of calls that failed among the agent's
      corrected  the mean place of having been corrected among the agent's turns of which it is known
      redone     the same of having had to be done again

A place is 0 below all, 1 above all, equals count half. A task is what the reward's baseline takes for one
(karl.reward.task); a turn that is no run of a task stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import msgspec

from karl.figures.chosen import By, Chosen, grouped
from karl.figures.numbers import standing
from karl.intervals import Mean, mean_of
from karl.views.figures import Measured

#: Fewer turns of an agent give no places.
TURNS_MIN = 20
#: Groups of turns that came in fewer sessions stand behind the others: a single turn is often extreme.
SESSIONS_MIN = 3
PARTS = ("reward", "length", "failures", "corrected", "redone")
_MIDDLE = 0.5
_SAID = {"corrected": "correction_detected", "redone": "redo_detected"}


class Task(msgspec.Struct, frozen=True):
    """One task (`name` null), or a group of turns: how hard, the parts that were known, and its first turn.

    `difficulty` has an interval over sessions where there are two or more.
    """

    agent: str
    name: str | None
    difficulty: Mean
    parts: dict[str, float]
    calls: float
    first: str


class AgentDifficulty(msgspec.Struct, frozen=True):
    """One agent: its turns, and its tasks or groups, the hardest first; null when it has too few turns."""

    agent: str
    turns: int
    tasks: list[Task] | None


def difficulty_of(chosen: Chosen, by: By | None) -> list[AgentDifficulty]:
    """Say how hard the tasks of each agent were, or its turns grouped by a name of theirs."""
    return [
        AgentDifficulty(agent, len(rows), _tasks(agent, rows, by) if len(rows) >= TURNS_MIN else None)
        for agent, rows in chosen.agents.items()
    ]


def _tasks(agent: str, rows: Sequence[Measured], by: By | None) -> list[Task]:
    groups: dict[str, list[Measured]] = {}
    if by:
        groups = grouped(rows, by)
    else:
        for row in rows:
            groups.setdefault(row.task or row.id, []).append(row)
    parts = _parts(rows)
    tasks = []
    for name, some in groups.items():
        own = [parts[row.id] for row in some]
        each = [(row.session, _hard(one)) for row, one in zip(some, own, strict=True)]
        known = {
            part: math.fsum(one[part] for one in own if part in one) / sum(part in one for one in own)
            for part in PARTS
            if any(part in one for one in own)
        }
        hard = mean_of(each, (0.0, 1.0))
        tasks.append(
            Task(agent, name if by else None, hard, known, median(row.calls for row in some), some[0].id)
        )
    few = SESSIONS_MIN if by else 0
    return sorted(
        tasks,
        key=lambda task: (task.difficulty.groups < few, -(task.difficulty.mean or 0.0), task.first),
    )


def _hard(parts: dict[str, float]) -> float:
    return math.fsum(parts.get(part, _MIDDLE) for part in PARTS) / len(PARTS)


def _parts(rows: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Give each turn's parts by its id."""
    rewards = sorted(row.reward for row in rows)
    lengths = sorted(float(row.calls) for row in rows)
    failing = sorted(row.failures / row.calls for row in rows if row.calls)
    said = {
        part: sorted(float(row.flags[flag]) for row in rows if flag in row.flags)
        for part, flag in _SAID.items()
    }
    out = {}
    for row in rows:
        parts = {
            "reward": 1 - standing(rewards, row.reward),
            "length": standing(lengths, float(row.calls)),
        }
        if row.calls:
            parts["failures"] = standing(failing, row.failures / row.calls)
        for part, flag in _SAID.items():
            if flag in row.flags:
                parts[part] = standing(said[part], float(row.flags[flag]))
        out[row.id] = parts
    return out
