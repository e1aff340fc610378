"""How near skills' centroids lie to each other, in the router in use: cosines, outliers, clusters.

A cosine of two centroids is a property of the router and no estimate, so it has no interval; beside it stand
the exemplars that made them. What is near depends on the encoder, so no fixed cosine says it: a pair is near
where it lies beyond the others of the same router as outliers do (Tukey 1977: the upper quartile and one and
a half times the distance of the quartiles, or more where there are so many pairs that as many normal values
would have one beyond that by chance).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from karl.figures.numbers import quantile
from karl.figures.routing.confusion import apart
from karl.intervals import Share, z_of
from karl.views.routing_rows import ShadowRow

#: Distances of the quartiles beyond the upper one from which on a pair is near, at least.
FENCE = 1.5
#: Of so many normal values as there are pairs, these would lie beyond the fence.
_BY_CHANCE = 0.5
#: Fewer skills have too few pairs for an outlier among them.
SKILLS_MIN = 5
#: Two skills are told apart by a coin, and half-way between that and always.
COIN, HALFWAY = 0.5, 0.75

Verdict = Literal["merge", "unsure", "keep"]


class Near(msgspec.Struct, frozen=True):
    """Two skills and the cosine of their centroids; `exemplars` made each, null if not known."""

    one: str
    other: str
    cosine: float
    exemplars: tuple[int | None, int | None]


class Layout(msgspec.Struct, frozen=True):
    """All pairs of a router's skills: how alike they are, and which are near.

    `fence` is the cosine above which a pair is near; null of fewer than five skills. `clusters` are skills
    of which each is near every other, `nearest` the nearest other of each skill, the nearest first.
    """

    skills: int
    pairs: int
    mean: float | None
    least: Near | None
    most: Near | None
    quartiles: tuple[float, float, float] | None
    fence: float | None
    near: list[Near]
    clusters: list[tuple[str, ...]]
    nearest: list[Near]


class Merge(msgspec.Struct, frozen=True):
    """A near pair, and how often the two are told apart.

    `merge`: surely nearer to a coin than to always; `keep`: surely better than a coin; else `unsure`.
    """

    pair: Near
    apart: Share
    verdict: Verdict


def cosines(centroids: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give the cosines (skills, skills) of centroids (dim, skills), which have length 1 or are all zeros."""
    wide = centroids.astype(np.float64)
    return np.asarray(np.clip(wide.T @ wide, -1.0, 1.0))


def layout_of(
    skills: Sequence[str], found: NDArray[np.float64], exemplars: Mapping[str, int] | None = None
) -> Layout:
    """Say how the skills of a router lie; `found` are their cosines (skills, skills)."""
    known = exemplars or {}
    pairs = [
        Near(skills[a], skills[b], float(found[a, b]), (known.get(skills[a]), known.get(skills[b])))
        for a in range(len(skills))
        for b in range(a + 1, len(skills))
    ]
    if not pairs:
        return Layout(len(skills), 0, None, None, None, None, None, [], [], [])
    ordered = sorted(pairs, key=lambda pair: (-pair.cosine, pair.one, pair.other))
    values = [pair.cosine for pair in reversed(ordered)]
    low, middle, high = (quantile(values, at) for at in (0.25, 0.5, 0.75))
    fence = high + _reach(len(pairs)) * (high - low) if len(skills) >= SKILLS_MIN else None
    near = [] if fence is None else [pair for pair in ordered if pair.cosine > fence]
    return Layout(
        len(skills),
        len(pairs),
        math.fsum(values) / len(values),
        ordered[-1],
        ordered[0],
        (low, middle, high),
        fence,
        near,
        _clusters(near),
        _nearest(ordered),
    )


def _reach(pairs: int) -> float:
    """Give how many distances of the quartiles lie between the upper one and the fence."""
    quartile = z_of(0.25)
    return max(FENCE, (z_of(_BY_CHANCE / pairs) - quartile) / (2 * quartile))


def _nearest(ordered: Sequence[Near]) -> list[Near]:
    """Give each skill's nearest other, a pair once."""
    seen: set[str] = set()
    out = []
    for pair in ordered:
        if not {pair.one, pair.other} <= seen:
            seen |= {pair.one, pair.other}
            out.append(pair)
    return out


def _clusters(near: Sequence[Near]) -> list[tuple[str, ...]]:
    """Put skills together of which each is near every other, the nearest pairs first; the largest first."""
    pairs = {(pair.one, pair.other) for pair in near} | {(pair.other, pair.one) for pair in near}
    of: dict[str, set[str]] = {}
    for pair in near:
        one, other = of.get(pair.one, {pair.one}), of.get(pair.other, {pair.other})
        if one is not other and all((a, b) in pairs for a in one for b in other):
            joined = one | other
            of.update(dict.fromkeys(joined, joined))
    found = {tuple(sorted(one)) for one in of.values()}
    return sorted(found, key=lambda one: (-len(one), one))


def merges_of(layout: Layout, asked: Sequence[ShadowRow]) -> list[Merge]:
    """Say of each near pair whether it should be one skill; `asked` are predictions of known truth."""
    out = []
    for pair in layout.near:
        told = apart(asked, pair.one, pair.other)
        verdict: Verdict = "unsure"
        if told.high is not None and told.high < HALFWAY:
            verdict = "merge"
        elif told.low is not None and told.low > COIN:
            verdict = "keep"
        out.append(Merge(pair, told, verdict))
    order = {"merge": 0, "unsure": 1, "keep": 2}
    return sorted(out, key=lambda one: (order[one.verdict], -one.pair.cosine, one.pair.one, one.pair.other))
