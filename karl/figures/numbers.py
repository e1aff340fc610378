"""The statistics that every figure is made of: means and shares with intervals, ranks, quantiles.

Pure arithmetic. Intervals are of 95 %. What can not be said (too few) is null, never a guess.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from statistics import NormalDist

import msgspec

#: The 97.5 % point of the normal distribution.
Z95 = 1.959963984540054
#: The same of Student's t for 1 to 30 degrees of freedom.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


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


def wilson(hits: float, n: float) -> tuple[float, float]:
    """Give Wilson's interval of a share (Wilson 1927); `n` above 0, need not be whole."""
    part, square = hits / n, Z95 * Z95
    middle = (part + square / (2 * n)) / (1 + square / n)
    half = Z95 / (1 + square / n) * math.sqrt(part * (1 - part) / n + square / (4 * n * n))
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


def t95(freedom: int) -> float:
    """Give the 97.5 % point of Student's t, to three decimals."""
    if freedom < 1:
        raise ValueError("Student's t needs at least one degree of freedom")
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    # Fisher's expansion; from 30 on two terms are right to the third decimal.
    first, second = (Z95**3 + Z95) / 4, (5 * Z95**5 + 16 * Z95**3 + 3 * Z95) / 96
    return Z95 + first / freedom + second / freedom**2


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


def quantile(ordered: Sequence[float], at: float) -> float:
    """Give a quantile of ordered values, between two of them linearly. Raises ValueError without any."""
    if not ordered:
        raise ValueError("no values have no quantile")
    place = at * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def standing(ordered: Sequence[float], value: float) -> float:
    """Say where a value stands among ordered ones: 0 below all, 1 above all, equals count half."""
    if not ordered:
        raise ValueError("among no values nothing has a place")
    return (bisect_left(ordered, value) + bisect_right(ordered, value)) / (2 * len(ordered))


def spread_of(values: Sequence[float]) -> float | None:
    """Give the sample's standard deviation; null of fewer than two."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def entropy(counts: Iterable[int]) -> float:
    """Give Shannon's entropy of counts in nats; 0 of none."""
    found = [count for count in counts if count > 0]
    total = sum(found)
    return -math.fsum(count / total * math.log(count / total) for count in found) if total else 0.0


def effective_number(counts: Iterable[int]) -> float:
    """Give how many equally frequent kinds would be as diverse (Hill's number of order 1); 0 of none."""
    found = [count for count in counts if count > 0]
    return math.exp(entropy(found)) if found else 0.0


def divergence(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Give the Jensen-Shannon divergence of two distributions, 0 alike to 1 disjoint; null for none."""
    first, second = math.fsum(one.values()), math.fsum(other.values())
    if first <= 0 or second <= 0:
        return None
    parts = []
    for kind in one.keys() | other.keys():
        p, q = one.get(kind, 0.0) / first, other.get(kind, 0.0) / second
        middle = (p + q) / 2
        parts += [part * math.log2(part / middle) / 2 for part in (p, q) if part > 0]
    return min(1.0, max(0.0, math.fsum(parts)))


def two_sided(z: float) -> float:
    """Give the probability of a normal value at least as far from 0."""
    return 2 * NormalDist().cdf(-abs(z))


def holm(chances: Sequence[float | None]) -> list[float | None]:
    """Give p values raised for how many there are (Holm 1979); null stays null."""
    order = sorted((chance, at) for at, chance in enumerate(chances) if chance is not None)
    raised: list[float | None] = [None] * len(chances)
    least = 0.0
    for rank, (chance, at) in enumerate(order):
        least = max(least, min(1.0, chance * (len(order) - rank)))
        raised[at] = least
    return raised
