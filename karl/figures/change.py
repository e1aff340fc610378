"""Does it rise or fall? A slope that outliers do not move, and a test that assumes no distribution.

Theil and Sen's slope (the median of the slopes of all pairs) with Sen's interval, and Mann and Kendall's
test, with the correction for ties. Values must be independent: callers give one a session, not one a turn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from karl.figures.numbers import quantile, two_sided
from karl.intervals import Z95

#: Fewer values say nothing about a trend: the test's normal distribution begins to hold here.
VALUES_MIN = 8
#: More are averaged in runs of neighbours, so that the number of pairs stays bounded.
VALUES_MAX = 400
#: A trend is spoken of below this chance that there is none.
ALPHA = 0.05

Direction = Literal["rising", "falling", "steady", "too few"]


class Trend(msgspec.Struct, frozen=True):
    """`slope` a unit of time, with its 95 % interval, and `p`, the chance of as much order without a trend.

    `steady`: no trend can be told from none. `too few`: fewer than eight values, all else null.
    """

    n: int
    direction: Direction
    slope: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """Look for a trend in values over times, which need not be in order."""
    n = len(values)
    if n < VALUES_MIN or min(times) == max(times):
        return Trend(n, "too few")
    points = _thinned(sorted(zip(times, values, strict=True)))
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for at, earlier in enumerate(points)
        for later in points[at + 1 :]
        if later[0] > earlier[0]
    )
    order, variance = _kendall(points)
    slope = quantile(slopes, 0.5)
    if variance <= 0:  # all values are the same
        return Trend(n, "steady", slope, slope, slope, 1.0)
    p = two_sided(max(0.0, abs(order) - 1) / math.sqrt(variance))
    half = Z95 * math.sqrt(variance) / len(slopes) / 2
    low, high = quantile(slopes, max(0.0, 0.5 - half)), quantile(slopes, min(1.0, 0.5 + half))
    direction: Direction = "steady" if p >= ALPHA or not order else "rising" if order > 0 else "falling"
    return Trend(n, direction, slope, low, high, p)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average neighbours, in at most VALUES_MAX runs of nearly equal length."""
    if len(points) <= VALUES_MAX:
        return points
    cuts = [len(points) * at // VALUES_MAX for at in range(VALUES_MAX + 1)]
    return [
        (
            math.fsum(time for time, _ in points[start:end]) / (end - start),
            math.fsum(value for _, value in points[start:end]) / (end - start),
        )
        for start, end in pairwise(cuts)
    ]


def _kendall(points: Sequence[tuple[float, float]]) -> tuple[int, float]:
    """Give Kendall's S, and its variance when there is no trend; ties of times and of values count."""
    order = 0
    for at, (time, value) in enumerate(points):
        for later, other in points[at + 1 :]:
            if later > time:
                order += (other > value) - (other < value)
    n = len(points)
    ties = [
        [count for count in Counter(kind).values() if count > 1]
        for kind in ([time for time, _ in points], [value for _, value in points])
    ]
    variance = (_v0(n) - sum(map(_v0, ties[0])) - sum(map(_v0, ties[1]))) / 18
    pairs = n * (n - 1)
    variance += math.prod(sum(t * (t - 1) for t in kind) for kind in ties) / (2 * pairs)
    thirds = math.prod(sum(t * (t - 1) * (t - 2) for t in kind) for kind in ties)
    variance += thirds / (9 * pairs * (n - 2))
    return order, variance


def _v0(n: int) -> int:
    return n * (n - 1) * (2 * n + 5)
