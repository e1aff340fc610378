"""Filter: which sessions or trajectories are asked for, and the condition in SQL that says so."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own columns; values are bound
from __future__ import annotations

from typing import Any, NamedTuple

from karl.views.search import HAS_WORDS, MEAN_REWARD, words_of


class Filter(NamedTuple):
    """Which rows; null stands for all. Times are Unix time (ms) of the last activity, `until_ms` left out.

    Rewards are those that count now; of a session, its turns' mean. `failed`: at least one call failed.
    `search`: all of its words are in one prompt; this reads every prompt that the rest leaves.
    """

    fleet: str | None = None
    node: str | None = None
    agent: str | None = None
    project: str | None = None
    session: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    min_reward: float | None = None
    max_reward: float | None = None
    failed: bool = False
    search: str | None = None


#: No condition at all.
ALL = Filter()


def condition(which: Filter, time: str) -> tuple[str, tuple[Any, ...]]:
    """Give the condition of a filter, and the values bound in it.

    `time` is the column of the last activity: `time_ms` of trajectories, `last_ms` of sessions.
    """
    reward = "reward" if time == "time_ms" else MEAN_REWARD
    parts: list[tuple[str, str | float | None]] = [
        (f"{name} = ?", value) for name, value in zip(Filter._fields[:5], which[:5], strict=True)
    ]
    parts += [
        (f"{time} >= ?", which.since_ms),
        (f"{time} < ?", which.until_ms),
        (f"{reward} >= ?", which.min_reward),
        (f"{reward} <= ?", which.max_reward),
        ("failures >= ?", 1 if which.failed else None),
    ]
    if which.search is not None:
        found = (
            HAS_WORDS
            if time == "time_ms"
            else f"session IN (SELECT session FROM trajectories WHERE {HAS_WORDS})"
        )
        parts.append((found, words_of(which.search)))
    used = [(part, value) for part, value in parts if value is not None]
    return " AND ".join(part for part, _ in used) or "1", tuple(value for _, value in used)
