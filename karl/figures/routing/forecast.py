"""What more predictions would tell: intervals as they would be, if all else stayed as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from karl.figures.routing.accuracy import over_regex
from karl.figures.routing.chosen import able
from karl.figures.routing.shares import part
from karl.figures.routing.skills import SkillAccuracy, skills_of
from karl.intervals import Paired, Share, newcombe, wilson
from karl.views.routing_rows import ShadowRow

#: Counts that are looked at beside the one asked for.
TARGETS = (200, 500, 1000)
#: Prompts beyond which nobody waits for an answer.
FAR = 1_000_000


class Expected(msgspec.Struct, frozen=True):
    """The interval that `n` prompts would have, were accuracy and sessions as they are now."""

    n: int
    low: float
    high: float


class Forecast(msgspec.Struct, frozen=True):
    """The accuracy now, and its interval at more prompts; none of too few.

    `worth` is how many independent prompts the interval now is as wide as. `over_regex` is the difference to
    the rules now, `needed` the prompts at which a difference of that size would be told from none; null
    where there is none, or too little to say.
    """

    first: Share
    worth: float | None
    expected: list[Expected]
    over_regex: Paired
    needed: int | None
    skills: list[SkillAccuracy]


def forecast_of(asked: Sequence[ShadowRow], target: int) -> Forecast:
    """Say what the accuracy of the vector router's first would be known to be at more prompts."""
    rows = able(asked, "first")
    first = part((row, row.vector == row.truth) for row in rows)
    ahead = over_regex(asked)
    worth = worth_of(first)
    counts = sorted(count for count in {*TARGETS, target} if count > first.n)
    return Forecast(
        first, worth, list(_expected(first, worth, counts)), ahead, _needed(ahead), skills_of(asked)
    )


def worth_of(found: Share) -> float | None:
    """Give the number of independent ones for which Wilson's interval is as wide as a share's."""
    if found.share is None or found.low is None or found.high is None:
        return None
    low, high = 0.0, float(found.n)
    for _ in range(60):  # the width falls as the number grows
        middle = (low + high) / 2
        bounds = wilson(found.share * middle, middle)
        low, high = (middle, high) if bounds[1] - bounds[0] > found.high - found.low else (low, middle)
    return high


def _expected(first: Share, worth: float | None, counts: Iterable[int]) -> Iterable[Expected]:
    if first.share is None or worth is None:
        return
    for count in counts:
        more = worth * count / first.n
        yield Expected(count, *wilson(first.share * more, more))


def _needed(ahead: Paired) -> int | None:
    """Give the prompts at which the lower bound of a difference of that size would be above none."""
    if not ahead.difference or not ahead.worth:
        return None
    neither = ahead.n - ahead.both - ahead.first - ahead.second
    counts = (ahead.both, *_ordered(ahead), neither)

    def is_told(n: int) -> bool:
        return newcombe(*(count / ahead.n * ahead.worth * n / ahead.n for count in counts))[0] > 0

    low, high = 0, 1
    while not is_told(high):
        if high > FAR:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_told(middle) else (middle, high)
    return high


def _ordered(ahead: Paired) -> tuple[int, int]:
    """Give what only one of the two got right, the larger first: less is told from none as more is."""
    return max(ahead.first, ahead.second), min(ahead.first, ahead.second)
