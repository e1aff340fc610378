"""How agents do, and each with each skill (or project, or domain): level, errors, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from karl.figures.change import ALPHA, Trend
from karl.figures.chosen import By, Chosen, grouped
from karl.figures.days import SHARES, reward_of, reward_trend
from karl.figures.numbers import holm
from karl.figures.quality import corrected_of, failed_of
from karl.intervals import Mean, Share, mean_of
from karl.views.figures import Measured


class Health(msgspec.Struct, frozen=True):
    """One agent (`name` null), or its turns with one skill, project or domain.

    `calls` is the mean number of a turn. `trend` is that of the sessions' rewards a week; `p` is its chance
    raised for the number of trends that were looked at (Holm), and `falls` says that it falls by that.
    """

    agent: str
    name: str | None
    reward: Mean
    process: Mean
    calls: Mean
    failed: Share
    corrected: Share
    trend: Trend
    p: float | None
    falls: bool


class _Group(NamedTuple):
    agent: str
    name: str | None
    rows: Sequence[Measured]
    trend: Trend


def health_of(chosen: Chosen, by: By) -> list[Health]:
    """Give each agent, followed by its groups."""
    groups = [
        _Group(agent, name, some, reward_trend(some))
        for agent, rows in chosen.agents.items()
        for name, some in [(None, rows), *grouped(rows, by).items()]
    ]
    return [_health(group, p) for group, p in zip(groups, holm([g.trend.p for g in groups]), strict=True)]


def _health(group: _Group, p: float | None) -> Health:
    rows = group.rows
    process = ((row.session, row.signal("process")) for row in rows)
    return Health(
        group.agent,
        group.name,
        reward_of(rows),
        mean_of(((session, value) for session, value in process if value is not None), SHARES),
        mean_of((row.session, float(row.calls)) for row in rows),
        failed_of(rows),
        corrected_of(rows),
        group.trend,
        p,
        group.trend.direction == "falling" and p is not None and p < ALPHA,
    )
