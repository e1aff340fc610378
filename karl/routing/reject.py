"""When no skill is to be taken: a prompt fits none of them, or may as well ask for another.

    fit = max over skills of (log p + weight * cosine with the skill's centroid)

log p alone is sure of the nearest of skills however far it is; the cosine alone does not see a doubt between
two. So a skill is taken where the fit and the skill's log p both reach a threshold of their own, and both are
learned from exemplars that a head has not seen: the first lets 95 % of them through, the second is the lowest
above which at most 5 % of the rest go to the wrong skill. Prompts that are known to ask for no skill teach
the weight, and raise the first threshold to where it parts them from exemplars best; without them the weight
is what was best for other sets.
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
#: The share of exemplars that must fit, and of those that are answered the share that may be wrong.
KEPT, ERROR_MAX = 0.95, 0.05
#: Where strangers are known, so many exemplars must fit in any case; looks at strangers that say enough.
KEPT_LEAST, _STRANGERS_MIN = 0.8, 20
#: Of a skill's exemplars a fifth is held out at a time, and this many at most; of all, enough to learn from.
_SHARE, _PER_SKILL_MAX = 5, 4
_ENOUGH, _ROUNDS_MAX = 300, 4


class Rejection(NamedTuple):
    """When to take a skill: from both thresholds on. `exemplars` taught them; 0: nobody did."""

    weight: float = WEIGHT
    fit_min: float = -np.inf
    log_chance_min: float = -np.inf
    exemplars: int = 0
    #: Of these exemplars, the share that is answered, and of the answers the share that is right.
    kept: float = 1.0
    right: float = 1.0

    def takes(self, logs: Floats, fits: Floats) -> NDArray[np.bool_]:
        """Say for each prompt, by its log p (n, skills) and fit (n), whether its best is to be taken."""
        return np.asarray((fits >= self.fit_min) & (logs.max(axis=1) >= self.log_chance_min))


class _HeldOut(NamedTuple):
    logs: Floats
    cosines: Floats
    labels: Places


def fits(logs: Floats, cosines: Floats, weight: float) -> Floats:
    """Give how well each prompt fits what it fits best; (n)."""
    return np.asarray((logs + np.float32(weight) * cosines).max(axis=1))


def calibrate(head: str, learned: heads.Lessons, *, seed: int, strangers: Prompts | None = None) -> Rejection:
    """Learn the thresholds by training on some exemplars and looking at the others, prompts alone.

    A skill's only exemplar teaches nothing here; where all are such, nothing is turned away.
    """
    held: list[_HeldOut] = []
    unknown: list[_HeldOut] = []
    for out in _rounds(learned, np.random.default_rng(seed)):
        left = learned.some(np.setdiff1d(np.arange(len(learned.labels)), out))
        trained, centroid = heads.train(head, left), heads.centroid(left)
        held.append(_looked_at(trained, centroid, learned.given.some(out), learned.labels[out]))
        if strangers is not None:
            none = np.full(len(strangers.vectors), -1)
            unknown.append(_looked_at(trained, centroid, strangers, none))
    if not held:
        return Rejection()
    inside = _together(held)
    outside = _together(unknown) if unknown else None
    return _thresholds(inside, outside, WEIGHT if outside is None else _weight(inside, outside))


def _rounds(learned: heads.Lessons, random: np.random.Generator) -> list[Places]:
    """Give the prompts that are held out in each round; none twice, and something of each skill is left."""
    rows = np.bincount(learned.labels, minlength=learned.skills)
    of_each = [np.flatnonzero((learned.labels == label) & learned.asked) for label in range(learned.skills)]
    orders = [random.permutation(mine) for mine in of_each]
    # Of skills that have one prompt beside a description, one in five is without it at a time.
    turns = random.permutation(learned.skills) % _SHARE
    found: list[Places] = []
    while len(found) < _ROUNDS_MAX and sum(map(len, found)) < _ENOUGH:
        out: list[int] = []
        for label, order in enumerate(orders):
            size = min(_PER_SKILL_MAX, max(1, len(order) // _SHARE))
            mine = order[len(found) * size : (len(found) + 1) * size]
            if len(order) == 1:
                mine = order if turns[label] == len(found) else order[:0]
            out += mine.tolist() if rows[label] > size else []
        if not out:
            break
        found.append(np.array(sorted(out), dtype=np.intp))
    return found


def _looked_at(head: heads.Head, centroid: heads.Centroid, given: Prompts, labels: Places) -> _HeldOut:
    return _HeldOut(head.log_chances(given), centroid.similarities(given), labels)


def _together(parts: Sequence[_HeldOut]) -> _HeldOut:
    logs, cosines, labels = zip(*parts, strict=True)
    return _HeldOut(np.concatenate(logs), np.concatenate(cosines), np.concatenate(labels))


def _weight(held: _HeldOut, unknown: _HeldOut) -> float:
    """Give the weight whose fit tells exemplars from strangers best."""
    scores = [fits(held.logs, held.cosines, one) for one in WEIGHTS]
    others = [fits(unknown.logs, unknown.cosines, one) for one in WEIGHTS]
    ranked = [(_auroc(*both), one) for *both, one in zip(scores, others, WEIGHTS, strict=True)]
    return max(ranked)[1]


def _thresholds(held: _HeldOut, unknown: _HeldOut | None, weight: float) -> Rejection:
    right = held.logs.argmax(axis=1) == held.labels
    scores = fits(held.logs, held.cosines, weight)
    fit_min = float(np.quantile(scores, 1 - KEPT, method="lower"))
    if unknown is not None and len(unknown.logs) >= _STRANGERS_MIN:
        fit_min = max(fit_min, _apart(scores, fits(unknown.logs, unknown.cosines, weight)))
    fitting = scores >= fit_min
    chance_min = _threshold(held.logs.max(axis=1)[fitting], right[fitting])
    found = Rejection(weight, fit_min, chance_min, len(scores))
    taken = found.takes(held.logs, scores)
    return found._replace(kept=float(taken.mean()), right=float(right[taken].mean()))


def _apart(inside: Floats, outside: Floats) -> float:
    """Give the fit from which on most of the exemplars and least of the strangers are, as shares.

    At least KEPT_LEAST of the exemplars stay. (Youden 1950.)
    """
    ordered, others = np.sort(inside), np.sort(outside)
    ordered = ordered[: max(1, round(len(ordered) * (1 - KEPT_LEAST)))]
    kept = 1 - np.searchsorted(np.sort(inside), ordered, "left") / len(inside)
    strange = 1 - np.searchsorted(others, ordered, "left") / len(others)
    return float(ordered[np.argmax(kept - strange)])


def _threshold(scores: Floats, right: NDArray[np.bool_]) -> float:
    """Give the lowest above which at most ERROR_MAX is wrong, or the one with the smallest share of it."""
    order = np.argsort(-scores, kind="stable")
    share = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(np.diff(scores[order]) != 0, True)  # ties are let through together
    good = np.flatnonzero((share <= ERROR_MAX) & ends)
    place = good[-1] if len(good) else np.flatnonzero(ends)[np.argmin(share[ends])]
    return float(scores[order][place])


def _auroc(inside: Floats, outside: Floats) -> float:
    """Give the chance that one from inside has the higher score, ties counting half."""
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, "left") + np.searchsorted(ordered, inside, "right")
    return float(below.mean() / 2 / len(ordered))
