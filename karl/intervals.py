"""How sure a share, a mean or a difference is: intervals for what comes in groups that are alike.

Pure arithmetic, for any room. Intervals are of 95 % where nothing else is asked for; `tail` is the chance
that is left out on each side. What can not be said (too few) is null, never a guess.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import msgspec

#: The 97.5 % point of the normal distribution.
Z95 = 1.959963984540054
#: What an interval of 95 % leaves out on each side.
TAIL95 = 0.025
#: Whether the first was right, and the second, in the order in which they are counted.
_CELLS = ((True, True), (True, False), (False, True), (False, False))
#: Degrees of freedom up to which Student's t is summed exactly.
_EXACT = 60


class Share(msgspec.Struct, frozen=True):
    """`hits` of `n`, which came in `groups`, with an interval; null where `n` is 0."""

    hits: int
    n: int
    groups: int
    share: float | None
    low: float | None
    high: float | None


class Mean(msgspec.Struct, frozen=True):
    """The mean of `n` values that came in `groups`, with its standard `error`; no interval of one group."""

    n: int
    groups: int
    mean: float | None
    low: float | None
    high: float | None
    error: float | None = None


class Paired(msgspec.Struct, frozen=True):
    """Of `n` things that two judged, how many which of them got right, and how much more the first did.

    `difference` is the first's share less the second's, with an interval that takes a group's things for
    alike; `worth` is how many independent ones they count as. Null where `n` is 0.
    """

    n: int
    groups: int
    both: int
    first: int
    second: int
    difference: float | None
    low: float | None
    high: float | None
    worth: float = 0.0

    @property
    def first_share(self) -> float | None:
        """The share that the first got right."""
        return (self.both + self.first) / self.n if self.n else None

    @property
    def second_share(self) -> float | None:
        """The share that the second got right."""
        return (self.both + self.second) / self.n if self.n else None


class Verdict(NamedTuple):
    """What two said of one thing of a group: whether each was right."""

    group: Hashable
    first: bool
    second: bool


def z_of(tail: float) -> float:
    """Give the point above which a normal value lies with the chance `tail`."""
    return Z95 if tail == TAIL95 else -NormalDist().inv_cdf(tail)


def wilson(hits: float, n: float, tail: float = TAIL95) -> tuple[float, float]:
    """Give Wilson's interval of a share (Wilson 1927); `n` above 0, need not be whole."""
    z = z_of(tail)
    part, square = hits / n, z * z
    middle = (part + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(max(0.0, part * (1 - part)) / n + square / (4 * n * n))
    low = 0.0 if hits <= 0 else max(0.0, middle - half)
    return low, 1.0 if hits >= n else min(1.0, middle + half)


def share_of(counts: Iterable[tuple[Hashable, int, int]]) -> Share:
    """Give a share from (group, hits, n), the groups being sessions: what one says may come several times.

    Wilson's interval, for as many independent ones as the groups are worth: `n` divided by the design effect
    (the variance between groups by that of as many independent ones; at least 1) and lowered as Student's t
    widens an interval of few groups (Korn and Graubard 1998).
    """
    sums: defaultdict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for group, hits, n in counts:
        sums[group][0] += hits
        sums[group][1] += n
    used = [(hits, n) for hits, n in sums.values() if n > 0]
    hits, n, groups = sum(one[0] for one in used), sum(one[1] for one in used), len(used)
    if not n:
        return Share(0, 0, 0, None, None, None)
    part = hits / n
    worth = float(n)
    if groups > 1 and 0 < hits < n:
        apart = math.fsum((of - size * part) ** 2 for of, size in used) * groups / (groups - 1)
        worth = n / max(1.0, apart / (n * part * (1 - part))) * (Z95 / t95(groups - 1)) ** 2
    low, high = wilson(part * worth, worth)
    return Share(hits, n, groups, part, low, high)


def newcombe(
    both: float, first: float, second: float, neither: float, tail: float = TAIL95
) -> tuple[float, float]:
    """Give the interval of a difference of two shares of the same things.

    Method 10 of Newcombe (1998, Statistics in Medicine 17:2635): Wilson's bounds of each share, put together
    with their correlation, its continuity corrected. Counts need not be whole; their sum is above 0.
    """
    n = both + first + second + neither
    one, other = (both + first) / n, (both + second) / n
    one_low, one_high = wilson(both + first, n, tail)
    other_low, other_high = wilson(both + second, n, tail)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    together = both * neither - first * second
    if together > 0:
        together = max(0.0, together - n / 2)
    alike = together / math.sqrt(margins) if margins > 0 else 0.0

    def reach(this: float, that: float) -> float:
        return math.sqrt(max(0.0, this * this - 2 * alike * this * that + that * that))

    return (
        max(-1.0, one - other - reach(one - one_low, other_high - other)),
        min(1.0, one - other + reach(one_high - one, other - other_low)),
    )


def paired_of(verdicts: Iterable[Verdict], tail: float = TAIL95) -> Paired:
    """Say how much more often the first was right than the second, over things that come in groups.

    Newcombe's interval for as many independent things as the groups are worth (see `share_of`), the design
    effect being that of the difference. Where no two things differ, nothing tells how alike a group's are:
    then a group counts as one thing.
    """
    cells: defaultdict[tuple[bool, bool], int] = defaultdict(int)
    sums: defaultdict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for group, first, second in verdicts:
        cells[first, second] += 1
        sums[group][0] += first - second
        sums[group][1] += 1
    n, groups = sum(cells.values()), len(sums)
    if not n:
        return Paired(0, 0, 0, 0, 0, None, None, None)
    both, one, other, neither = (cells[key] for key in _CELLS)
    difference = (one - other) / n
    if groups < 2:
        return Paired(n, groups, both, one, other, difference, -1.0, 1.0)
    spread = one + other - n * difference * difference
    apart = math.fsum((of - size * difference) ** 2 for of, size in sums.values()) * groups / (groups - 1)
    effect = max(1.0, apart / spread) if spread > 1e-9 else n / groups
    worth = n / effect * (z_of(tail) / t_of(groups - 1, tail)) ** 2
    part = worth / n
    low, high = newcombe(both * part, one * part, other * part, neither * part, tail)
    return Paired(n, groups, both, one, other, difference, low, high, worth)


def always(error: float, best: float, alpha: float = 2 * TAIL95) -> float:
    """Give half the width of an interval that holds however often it is looked at, and whenever one stops.

    `error` is the standard error of the estimate by now. Robbins' normal mixture (1970; with an estimated
    error Waudby-Smith et al. 2021): the truth is outside at any time with the chance `alpha` at most, half of
    it on each side. It is narrowest, as errors go, where the error is about `best`, which must be chosen
    before looking; it holds with any.
    """
    sure = 2 * math.log(1 / alpha)
    ratio = (error / best) ** 2 / (sure + math.log1p(sure))
    return error * math.sqrt((1 + ratio) * (math.log((1 + ratio) / ratio) + sure)) if error > 0 else 0.0


def t95(freedom: int) -> float:
    """Give the 97.5 % point of Student's t; up to 30 degrees of freedom to three decimals, as in books."""
    found = t_of(freedom, TAIL95)
    return round(found, 3) if freedom <= 30 else found


@lru_cache(maxsize=4096)
def t_of(freedom: int, tail: float) -> float:
    """Give the point above which Student's t lies with the chance `tail`, 0 to a half."""
    if freedom < 1:
        raise ValueError("Student's t needs at least one degree of freedom")
    z = z_of(tail)
    if freedom > _EXACT:
        # Fisher's expansion; four terms are right to six decimals from here on.
        terms = (
            (z**3 + z) / 4,
            (5 * z**5 + 16 * z**3 + 3 * z) / 96,
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
            (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
        )
        return z + math.fsum(term / freedom ** (place + 1) for place, term in enumerate(terms))
    low, high = z, 2 * z + 1
    while _t_above(high, freedom) > tail:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_above(middle, freedom) > tail else (low, middle)
    return high


def _t_above(t: float, freedom: int) -> float:
    """Give the chance that Student's t lies above a positive `t`: a sum (Abramowitz and Stegun 26.7.3, 4)."""
    angle = math.atan(t / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for step in range(1 + odd, freedom, 2):
        total += term
        term *= square * step / (step + 1)
    inside = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return (1 - inside) / 2


def mean_of(values: Iterable[tuple[Hashable, float]], bounds: tuple[float, float] = (0.0, math.inf)) -> Mean:
    """Give the mean of values, each with the group (a session) that it belongs to.

    Turns of one session are alike, so the interval comes from how the groups differ: the linearised
    variance of a ratio of sums, with Student's t of groups - 1 degrees of freedom. It is kept in `bounds`.
    """
    sums: defaultdict[Hashable, list[float]] = defaultdict(list)
    for group, value in values:
        sums[group].append(value)
    n, groups = sum(map(len, sums.values())), len(sums)
    if not n:
        return Mean(0, 0, None, None, None)
    mean = math.fsum(math.fsum(one) for one in sums.values()) / n
    if groups < 2:
        return Mean(n, groups, mean, None, None)
    apart = math.fsum((math.fsum(one) - len(one) * mean) ** 2 for one in sums.values())
    error = math.sqrt(apart * groups / (groups - 1)) / n
    half = t95(groups - 1) * error
    return Mean(n, groups, mean, max(bounds[0], mean - half), min(bounds[1], mean + half), error)


def spread_of(values: Sequence[float]) -> float | None:
    """Give the sample's standard deviation; null of fewer than two."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
