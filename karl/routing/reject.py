"""When a prompt fits no skill: one number says how well it fits, and a threshold learned from exemplars.

    fit = max over skills of (log p + weight * cosine with the skill's centroid)

log p alone is sure of the nearest of skills however far it is; the cosine alone does not see a doubt between
two. The threshold is learned from exemplars that a head has not seen, and from the same with their own skill
taken away, which are prompts that no skill is there for. Prompts that are known to fit nothing take the place
of these where there are any, and teach the weight as well: prompts whose skill was taken away stay near
others' centroids and would teach that the cosine says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from karl.routing import heads
from karl.routing.heads import Floats, Places, Prompts

#: The weight of the cosine, and those that are tried where strangers are known.
WEIGHT, WEIGHTS = 8.0, (0.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0)
#: Of what is let through, this share may be wrong, when a tenth as many strangers as prompts come by.
ERROR_MAX, STRANGERS = 0.05, 0.1
#: Of a skill's exemplars a fifth is held out at a time, and this many at most; of all, enough to learn from.
_SHARE, _PER_SKILL_MAX = 5, 4
_ENOUGH, _ROUNDS_MAX = 300, 4


class Rejection(NamedTuple):
    """How to turn prompts away: below `threshold` nothing fits. `exemplars` (0: not calibrated) taught it."""

    weight: float = WEIGHT
    threshold: float = -np.inf
    exemplars: int = 0
    #: Of the exemplars, the share that is let through, and of strangers; the share of the former that is right.
    kept: float = 1.0
    strangers_kept: float = 1.0
    right: float = 1.0


class _HeldOut(NamedTuple):
    logs: Floats
    cosines: Floats
    labels: Places


def fits(logs: Floats, cosines: Floats, weight: float) -> Floats:
    """Give how well each prompt fits what it fits best; (n)."""
    return np.asarray((logs + np.float32(weight) * cosines).max(axis=1))


def calibrate(
    head: str, given: Prompts, labels: Places, count: int, *, seed: int, strangers: Prompts | None = None
) -> Rejection:
    """Learn weight and threshold by training on some exemplars and looking at the others.

    Skills with one exemplar teach nothing here; where all are such, nothing is turned away.
    """
    rounds = _rounds(labels, count, np.random.default_rng(seed))
    held: list[_HeldOut] = []
    unknown: list[_HeldOut] = []
    for out in rounds:
        learned = np.setdiff1d(np.arange(len(labels)), out)
        trained = heads.train(head, given.some(learned), labels[learned], count)
        centroid = heads.centroid(given.some(learned), labels[learned], count)
        held.append(_looked_at(trained, centroid, given.some(out), labels[out]))
        if strangers is not None:
            none = np.full(len(strangers.vectors), -1)
            unknown.append(_looked_at(trained, centroid, strangers, none))
    if not held:
        return Rejection()
    if unknown:
        return _choose(_together(held), _together(unknown), WEIGHTS)
    return _choose(_together(held), _without_own(_together(held)), (WEIGHT,))


def _rounds(labels: Places, count: int, random: np.random.Generator) -> list[Places]:
    """Give the exemplars that are held out in each round; none twice, and some of each skill are left."""
    orders = [random.permutation(np.flatnonzero(labels == label)) for label in range(count)]
    found: list[Places] = []
    while len(found) < _ROUNDS_MAX and sum(map(len, found)) < _ENOUGH:
        out = []
        for order in orders:
            size = min(_PER_SKILL_MAX, max(1, len(order) // _SHARE))
            mine = order[len(found) * size : (len(found) + 1) * size]
            out += list(mine) if len(order) > size else []
        if not out:
            break
        found.append(np.array(sorted(out), dtype=np.intp))
    return found


def _looked_at(head: heads.Head, centroid: heads.Centroid, given: Prompts, labels: Places) -> _HeldOut:
    return _HeldOut(head.log_chances(given), centroid.similarities(given), labels)


def _together(parts: list[_HeldOut]) -> _HeldOut:
    return _HeldOut(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _without_own(held: _HeldOut) -> _HeldOut:
    """Give the same prompts as if their own skill were not there."""
    logs, cosines = held.logs.copy(), held.cosines.copy()
    of = np.arange(len(logs)), held.labels
    own = np.minimum(np.exp(logs[of].astype(np.float64)), 1 - 1e-9)
    logs -= np.log1p(-own).astype(np.float32)[:, None]
    logs[of] = -np.inf
    cosines[of] = -1
    return _HeldOut(logs, cosines, held.labels)


def _choose(held: _HeldOut, unknown: _HeldOut, weights: Sequence[float]) -> Rejection:
    ranked = [(_auroc(fits(*held[:2], one), fits(*unknown[:2], one)), one) for one in weights]
    weight = max(ranked)[1]
    right = held.logs.argmax(axis=1) == held.labels
    inside, outside = fits(*held[:2], weight), fits(*unknown[:2], weight)
    threshold = _threshold(inside, right, outside)
    kept = inside >= threshold
    return Rejection(
        weight,
        threshold,
        len(inside),
        float(kept.mean()),
        float((outside >= threshold).mean()),
        float(right[kept].mean()) if kept.any() else 1.0,
    )


def _threshold(inside: Floats, right: NDArray[np.bool_], outside: Floats) -> float:
    """Give the lowest threshold above which at most ERROR_MAX is wrong; else the one with the fewest errors."""
    scores = np.concatenate([inside, outside])
    stranger = STRANGERS * len(inside) / max(len(outside), 1)
    counts = np.concatenate([np.ones(len(inside)), np.full(len(outside), stranger)])
    wrong = np.concatenate([(~right).astype(np.float64), np.full(len(outside), stranger)])
    order = np.argsort(-scores, kind="stable")
    share = np.cumsum(wrong[order]) / np.cumsum(counts[order])
    ends = np.append(np.diff(scores[order]) != 0, True)  # ties are let through together
    good = np.flatnonzero((share <= ERROR_MAX) & ends)
    place = good[-1] if len(good) else np.flatnonzero(ends)[np.argmin(share[ends])]
    return float(scores[order][place])


def _auroc(inside: Floats, outside: Floats) -> float:
    """Give the chance that one from inside has the higher score, ties counting half."""
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, "left") + np.searchsorted(ordered, inside, "right")
    return float(below.mean() / 2 / len(ordered))
