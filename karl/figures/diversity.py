"""How varied the work of each agent is: what was used, where, and what was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from karl.figures.variety import Prompts, Variety, prompts_of, variety_of
from karl.reward.deeds import acts_of
from karl.schema.trajectory import Trajectory
from karl.views.figures import Measured, Reading


class Used(msgspec.Struct, frozen=True):
    """What one turn used: its tools, what programs ran, and the files that it read or changed."""

    tools: dict[str, int]
    programs: dict[str, int]
    files: dict[str, int]


class Diversity(msgspec.Struct, frozen=True):
    """One agent: its turns, and the variety of each kind of thing, by name; see `karl.figures.variety`."""

    agent: str
    turns: int
    sessions: int
    varieties: dict[str, Variety]
    prompts: Prompts


def used_by(trajectory: Trajectory) -> Used:
    """Say what a turn used. A file counts once a turn, however often it was touched."""
    tools = Counter(call.tool_name for call in trajectory.trajectory.events)
    taken = acts_of(trajectory)
    acts = [act for one in taken for act in one]
    programs = Counter(
        act.program
        for call, one in zip(trajectory.trajectory.events, taken, strict=True)
        for act in one
        if act.program and act.program != call.tool_name
    )
    files = dict.fromkeys((act.path for act in acts if act.path and act.does in _OF_FILES), 1)
    return Used(dict(tools), dict(programs), files)


_OF_FILES = frozenset({"read", "edit", "delete"})


def diversity_of(agents: Mapping[str, Sequence[Measured]], readings: Iterable[Reading]) -> list[Diversity]:
    """Measure each agent; `readings` are those of its turns, in any order."""
    used = {reading.row.id: used_by(reading.trajectory) for reading in readings}
    return [_diversity(agent, rows, used) for agent, rows in agents.items()]


def _diversity(agent: str, rows: Sequence[Measured], used: dict[str, Used]) -> Diversity:
    kinds: dict[str, dict[str, Counter[str]]] = {
        name: {} for name in ("tools", "programs", "files", "prompts", "skills", "domains", "projects")
    }
    for row in rows:
        one = used.get(row.id)
        asked = {
            "tools": one.tools if one else {},
            "programs": one.programs if one else {},
            "files": {f"{row.project}:{path}": count for path, count in one.files.items()} if one else {},
            "prompts": {row.words: 1} if row.words else {},
            "skills": {row.skill: 1} if row.skill else {},
            "domains": {row.domain: 1} if row.domain else {},
            "projects": {row.project: 1} if row.project else {},
        }
        for name, counts in asked.items():
            kinds[name].setdefault(row.session, Counter()).update(counts)
    varieties = {name: variety_of(sessions.values()) for name, sessions in kinds.items()}
    return Diversity(agent, len(rows), len({row.session for row in rows}), varieties, prompts_of(rows))
