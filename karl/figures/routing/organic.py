"""How much evidence there is to decide about promotion by, and when there will be enough.

What is evidence is said in one place (workers.evidence), for the promotion itself and for this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from karl.figures.chosen import DAY_MS
from karl.figures.routing.chosen import counted
from karl.intervals import Z95
from karl.routing.evidence import Evidence

#: Days whose rate is carried on: two weeks have as many of each weekday.
RATE_DAYS = 14
#: Fewer came too seldom for a rate that could be carried on: its bounds are further apart than one to three.
RATE_MIN = 10


class Organic(msgspec.Struct, frozen=True):
    """`count` records of prompts that asked for a skill, of `needed`; by agent, and by who says what for.

    `none` asked for none: they count for false takes alone. `left_out` counts predictions that are no
    evidence, by why. `recent` of the `count` came in the last `days`; `per_day` is their rate between its
    bounds, and `days_left` how long the rest takes at it: at best, so, at worst. Null of too few.
    """

    count: int
    needed: int
    sessions: int
    skills: int
    none: int
    left_out: dict[str, int]
    agents: dict[str, int]
    truths: dict[str, int]
    days: float
    recent: int
    per_day: tuple[float, float, float] | None
    days_left: tuple[float, float, float] | None


def organic_of(
    evidence: Sequence[Evidence], left_out: Mapping[str, int], needed: int, now_ms: int
) -> Organic:
    """Count the evidence for a router."""
    rows = [row for row in evidence if row.truth is not None]
    days, recent = _recent([row.time_ms for row in rows], now_ms)
    rate = _rate(recent, days)
    missing = max(0, needed - len(rows))
    left = None
    if not missing:
        left = (0.0, 0.0, 0.0)
    elif rate is not None:
        left = (missing / rate[2], missing / rate[1], missing / rate[0])
    return Organic(
        len(rows),
        needed,
        len({row.session for row in rows}),
        len({row.truth for row in rows}),
        len(evidence) - len(rows),
        dict(left_out),
        counted(row.agent for row in rows),
        counted(row.by for row in rows),
        days,
        recent,
        rate,
        left,
    )


def _recent(times: Sequence[int], now_ms: int) -> tuple[float, int]:
    """Give how many days are looked at, and how many came in them: since the first, two weeks at most."""
    since = now_ms - RATE_DAYS * DAY_MS
    past = [time for time in times if time <= now_ms]
    if past:
        since = max(since, min(past))
    days = max(1.0, (now_ms - since) / DAY_MS)
    return (days if past else 0.0), sum(time >= since for time in past)


def _rate(count: int, days: float) -> tuple[float, float, float] | None:
    """Give a rate a day between its bounds: Poisson's, by Wilson and Hilferty's cube (1931)."""
    if count < RATE_MIN:
        return None
    low = count * (1 - 1 / (9 * count) - Z95 / (3 * math.sqrt(count))) ** 3
    more = count + 1
    high = more * (1 - 1 / (9 * more) + Z95 / (3 * math.sqrt(more))) ** 3
    return low / days, count / days, high / days
