"""How much a value rises with another one, with an error that takes a session's for alike.

One slope serves three figures: accuracy over time, rewards of turns routed rightly against the others (the
other value is 1 or 0, the slope the difference of the means), and the same within skills. The error is a
jackknife's (Tukey 1958): how the slope moves when each session is left out, levels and all. Among the ways to
get an error from sessions it holds best where there are few, or where they differ in size.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

#: A part of the squares up to which nothing is left to get a slope from.
_NOTHING = 1e-12


class Point(NamedTuple):
    """A value `y` at `x`, of a session; the slope is that within levels of its own for each `level`."""

    session: Hashable
    level: Hashable
    x: float
    y: float


class Slope(NamedTuple):
    """The slope, and its standard error, null where one session alone makes the slope."""

    value: float
    error: float | None
    sessions: int


class _Sums(NamedTuple):
    """Of some points: how many, and the sums of x, y, x squared and x times y."""

    n: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def less(self, other: _Sums) -> _Sums:
        """Take points away."""
        n, *rest = (own - theirs for own, theirs in zip(self, other, strict=True))
        return _Sums(int(n), *rest)

    @property
    def centred(self) -> tuple[float, float]:
        """The sums of x squared and of x times y, both less their means."""
        if not self.n:
            return 0.0, 0.0
        return self.xx - self.x * self.x / self.n, self.xy - self.x * self.y / self.n


def slope_of(points: Iterable[Point]) -> Slope | None:
    """Give the slope of y over x within levels; null where x does not differ within any."""
    whole = list(points)
    if not whole:
        return None
    middle = [math.fsum(column) / len(whole) for column in ([p.x for p in whole], [p.y for p in whole])]
    parts: defaultdict[Hashable, defaultdict[Hashable, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in whole:
        centred = point._replace(x=point.x - middle[0], y=point.y - middle[1])
        parts[point.session][point.level].append(centred)
    sessions = [{level: _sums(some) for level, some in levels.items()} for levels in parts.values()]
    levels = _together(sessions)
    squares = math.fsum(one.centred[0] for one in levels.values())
    products = math.fsum(one.centred[1] for one in levels.values())
    if squares <= _NOTHING * math.fsum(one.xx for one in levels.values()):
        return None
    slope = products / squares
    moved = []
    for own in sessions:
        rest = [(levels[level].centred, levels[level].less(sums).centred) for level, sums in own.items()]
        left = squares - math.fsum(before[0] - after[0] for before, after in rest)
        if left <= _NOTHING * squares:
            return Slope(slope, None, len(sessions))
        moved.append((products - math.fsum(before[1] - after[1] for before, after in rest)) / left - slope)
    scale = (len(moved) - 1) / len(moved)
    return Slope(slope, math.sqrt(scale * math.fsum(one * one for one in moved)), len(sessions))


def _sums(points: Iterable[Point]) -> _Sums:
    some = list(points)
    return _Sums(
        len(some),
        math.fsum(p.x for p in some),
        math.fsum(p.y for p in some),
        math.fsum(p.x * p.x for p in some),
        math.fsum(p.x * p.y for p in some),
    )


def _together(sessions: Iterable[Mapping[Hashable, _Sums]]) -> dict[Hashable, _Sums]:
    """Add up the sums of all sessions, by level."""
    parts: defaultdict[Hashable, list[_Sums]] = defaultdict(list)
    for session in sessions:
        for level, sums in session.items():
            parts[level].append(sums)
    return {
        level: _Sums(
            sum(one.n for one in some), *(math.fsum(column) for column in list(zip(*some, strict=True))[1:])
        )
        for level, some in parts.items()
    }
