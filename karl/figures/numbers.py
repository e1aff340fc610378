"""The statistics that every figure is made of, beside intervals (`karl.intervals`): ranks, spreads.

Pure arithmetic. What can not be said (too few) is null, never a guess.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist


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
