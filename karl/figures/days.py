"""How an agent's rewards went, day by day (UTC): means with intervals, and whether they rise or fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from karl.figures.change import Trend, trend
from karl.figures.chosen import DAY_MS, WEEK_MS, Chosen
from karl.intervals import Mean, mean_of
from karl.views.figures import Measured

SHARES = (0.0, 1.0)


class Day(msgspec.Struct, frozen=True):
    """One day (UTC) on which turns closed; `number` counts days from 1970-01-01."""

    day: str
    number: int
    reward: Mean


class AgentDays(msgspec.Struct, frozen=True):
    """One agent: all its turns' mean, its days, and the trend of its sessions' mean rewards a week."""

    agent: str
    reward: Mean
    trend: Trend
    days: list[Day]


def days_of(chosen: Chosen) -> list[AgentDays]:
    """Give each agent's days."""
    return [
        AgentDays(agent, reward_of(rows), reward_trend(rows), _days(rows))
        for agent, rows in chosen.agents.items()
    ]


def reward_of(rows: Sequence[Measured]) -> Mean:
    """Give the mean reward of turns, with an interval that takes a session's turns for alike."""
    return mean_of(((row.session, row.reward) for row in rows), SHARES)


def reward_trend(rows: Sequence[Measured]) -> Trend:
    """Look for a trend of the mean rewards of sessions, a week; times are those of their last turns."""
    sessions: dict[str, list[Measured]] = {}
    for row in rows:
        sessions.setdefault(row.session, []).append(row)
    return trend(
        [max(row.time_ms for row in one) / WEEK_MS for one in sessions.values()],
        [math.fsum(row.reward for row in one) / len(one) for one in sessions.values()],
    )


def _days(rows: Sequence[Measured]) -> list[Day]:
    by_day: dict[int, list[Measured]] = {}
    for row in rows:
        by_day.setdefault(row.time_ms // DAY_MS, []).append(row)
    return [Day(day_name(day), day, reward_of(by_day[day])) for day in sorted(by_day)]


def day_name(day: int) -> str:
    """Give days since 1970 as a date; the number itself when it is no date."""
    try:
        return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return str(day)
