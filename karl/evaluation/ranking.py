"""Ranking: how well scores put the runs that got their task done before the others, with intervals.

Intervals are percentiles of a bootstrap over groups (all runs of an instance are drawn together), so that
several runs of one task do not count as several tasks. Arrays are numpy's: `scores` float64, `labels` bool,
`weights` (draws, runs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

#: Draws of a bootstrap, and the share of them that lies outside an interval on each side.
DRAWS = 1000
_OUTSIDE = 2.5
#: Numbers that one piece of a bootstrap holds at a time.
_PIECE = 4_000_000


class Estimate(msgspec.Struct, frozen=True):
    """A value with the bounds of its 95 % bootstrap interval; null bounds where the draws gave none."""

    value: float
    low: float | None = None
    high: float | None = None


class Draws:
    """Bootstrap draws over groups: how often each run is drawn. One seed gives one set of draws."""

    def __init__(self, groups: list[str], *, draws: int = DRAWS, seed: int = 0) -> None:
        names = {name: place for place, name in enumerate(sorted(set(groups)))}
        self.of: Places = np.array([names[name] for name in groups], dtype=np.intp)
        self.groups = len(names)
        chance = np.full(self.groups, 1 / self.groups) if names else np.zeros(0)
        random = np.random.default_rng(seed)
        self.counts: Floats = random.multinomial(self.groups, chance, size=draws).astype(np.float64)

    def weights(self, which: Flags) -> Floats:
        """Give the weights (draws, runs) of the runs chosen."""
        return self.counts[:, self.of[which]]


class Ranked:
    """Scores in order, with their labels: AUROC for one weighting of the runs, or for many at once."""

    def __init__(self, scores: Floats, labels: Flags) -> None:
        self._order = np.argsort(scores, kind="stable")
        ordered = scores[self._order]
        # Runs of equal score are one step of the curve, which is what counting a tie as half a win gives.
        self._starts: Places = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._labels = labels[self._order].astype(np.float64)

    def won(self, weights: Floats) -> Floats:
        """Give, for each row of weights (draws, runs), the pairs ordered rightly and all pairs (2, draws)."""
        if not weights.shape[1]:
            return np.zeros((2, len(weights)))
        pieces = max(1, -(-weights.size // _PIECE))
        return np.concatenate([self._piece(part) for part in np.array_split(weights, pieces)], axis=1)

    def _piece(self, weights: Floats) -> Floats:
        ordered = weights[:, self._order]
        good = np.add.reduceat(ordered * self._labels, self._starts, axis=1)
        bad = np.add.reduceat(ordered * (1 - self._labels), self._starts, axis=1)
        below = np.cumsum(bad, axis=1) - bad
        return np.stack([(good * (below + bad / 2)).sum(axis=1), good.sum(axis=1) * bad.sum(axis=1)])


def auroc(scores: Floats, labels: Flags) -> float:
    """Give the chance that a run with the label has the higher score than one without, ties counting half.

    NaN where one of the two is missing. (Hanley and McNeil 1982: the area under the ROC curve.)
    """
    return float(_aurocs(scores, labels, np.ones((1, len(scores))), _whole(labels))[0])


def auroc_estimate(
    scores: Floats,
    labels: Flags,
    draws: Draws,
    *,
    which: Flags | None = None,
    parts: Sequence[Flags] | None = None,
) -> Estimate | None:
    """Give the AUROC of the runs chosen with its interval; null where a label is missing.

    Runs without a score (NaN) are left out. With `parts`, only pairs within a part are counted.
    """
    chosen = np.isfinite(scores) if which is None else which & np.isfinite(scores)
    value, drawn = _with_draws(scores, labels, draws, chosen, parts)
    return None if np.isnan(value) else estimate(value, drawn)


def auroc_difference(
    ours: Floats,
    theirs: Floats,
    labels: Flags,
    draws: Draws,
    *,
    which: Flags | None = None,
    parts: Sequence[Flags] | None = None,
) -> Estimate | None:
    """Give how much higher the AUROC of `ours` is, over the same draws (a paired bootstrap)."""
    chosen = np.ones(len(labels), dtype=bool) if which is None else which
    value, drawn = _with_draws(ours, labels, draws, chosen, parts)
    other, other_drawn = _with_draws(theirs, labels, draws, chosen, parts)
    return None if np.isnan(value - other) else estimate(value - other, drawn - other_drawn)


def _with_draws(
    scores: Floats, labels: Flags, draws: Draws, chosen: Flags, parts: Sequence[Flags] | None
) -> tuple[float, Floats]:
    """Give the AUROC of the chosen runs, and what each draw makes of it."""
    within = [part[chosen] for part in parts] if parts else _whole(labels[chosen])
    scores, labels = scores[chosen], labels[chosen]
    value = _aurocs(scores, labels, np.ones((1, len(labels))), within)[0]
    return float(value), _aurocs(scores, labels, draws.weights(chosen), within)


def _aurocs(scores: Floats, labels: Flags, weights: Floats, parts: Sequence[Flags]) -> Floats:
    """Give the AUROC for each row of weights (draws, runs), over the pairs within the parts."""
    won = sum((Ranked(scores[part], labels[part]).won(weights[:, part]) for part in parts), np.zeros((2, 1)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(won[0] / won[1])


def _whole(labels: Flags) -> list[Flags]:
    return [np.ones(len(labels), dtype=bool)]


class Wins(NamedTuple):
    """Pairs of runs of one instance with different labels, and the share that the scores order rightly."""

    pairs: int
    rate: Estimate | None


def wins(scores: Floats, labels: Flags, draws: Draws) -> Wins:
    """Compare runs of the same task only; ties count half, the interval is over tasks."""
    won = np.zeros(draws.groups)
    pairs = np.zeros(draws.groups)
    for group in np.unique(draws.of[labels]):
        mine = draws.of == group
        good, bad = scores[mine & labels], scores[mine & ~labels]
        pairs[group] = len(good) * len(bad)
        higher = good[:, None] - bad[None, :]
        won[group] = (higher > 0).sum() + 0.5 * (higher == 0).sum()
    count = int(pairs.sum())
    if not count:
        return Wins(0, None)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (draws.counts @ won) / (draws.counts @ pairs)
    return Wins(count, estimate(float(won.sum() / count), drawn))


def estimate(value: float, drawn: Floats) -> Estimate:
    """Put the percentiles of what the draws gave beside a value; draws that gave nothing are left out."""
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return Estimate(round(value, 6))
    low, high = np.percentile(known, (_OUTSIDE, 100 - _OUTSIDE))
    return Estimate(round(value, 6), round(float(low), 6), round(float(high), 6))


def ranks(values: Floats) -> Floats:
    """Give each value's rank from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


def spearman(one: Floats, other: Floats) -> float | None:
    """Give Spearman's rank correlation; null where one of the two is constant."""
    if len(one) < 2:
        return None
    a, b = ranks(one) - (len(one) + 1) / 2, ranks(other) - (len(one) + 1) / 2
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread else None


def overlap(one: Floats, other: Floats, k: int) -> float:
    """Give the share of the k highest by `one` that are among the k highest by `other`.

    Runs that tie at the border count by the share of their tie that fits in.
    """
    a, b = _top(one, k), _top(other, k)
    return float(np.minimum(a, b).sum() / k) if k else 1.0


def _top(values: Floats, k: int) -> Floats:
    """Give how much of each run is among the k highest, from 0 to 1."""
    if k >= len(values):
        return np.ones(len(values))
    border = np.partition(values, len(values) - k)[len(values) - k]
    inside = values > border
    tied = values == border
    return np.where(inside, 1.0, np.where(tied, (k - inside.sum()) / tied.sum(), 0.0))
