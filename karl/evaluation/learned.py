"""What can be learned of one agent's outcomes: a logistic model, and whether it may be used.

The model's features are the reward by the fixed weights, which is drawn to nothing only weakly, and its
signals, which must earn their weight. So it falls back to a mere scaling of the reward where
they earn none. It is judged by grouped cross-validation (all runs of an instance, or of a session, are in one
fold) against the reward itself, over the same draws of groups.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from karl.evaluation.chances import Truth, truth, weighted_mean
from karl.evaluation.logistic import Fit, fit
from karl.evaluation.ranking import Draws, Estimate, Flags, Floats, Places, auroc_difference, auroc_estimate
from karl.evaluation.scoring import Sheet, columns, rewards
from karl.reward.calibration import REWARD
from karl.reward.signal import SIGNALS
from karl.schema.record import Score

#: What may have a weight beside the reward. Components beside their signals earned none on labelled runs.
FEATURES = tuple(name for name in SIGNALS if name != "outcome")
FOLDS = 5
#: Fewer runs, or fewer of either outcome, than these are too few to learn from.
RUNS_MIN, EACH_MIN = 40, 10
#: How strongly the weights of features are drawn to 0; the log loss over inner folds decides.
STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0, math.inf)
#: The same for the reward's own weight, in units of its spread.
_REWARD_STRENGTH = 1.0

#: The AUROC of what says nothing.
_CHANCE = 0.5

#: What was learned: weights of features, or the reward's scale alone.
Kind = Literal["weights", "scale"]


class Table(NamedTuple):
    """Features of runs as columns by name (NaN where unobserved), the reward first, and what is known."""

    names: tuple[str, ...]
    features: Floats
    labels: Flags
    draws: Draws

    @property
    def fixed(self) -> Floats:
        """The reward by the fixed weights."""
        return self.features[:, 0]


class Learned(msgspec.Struct, frozen=True):
    """What the cross-validation gave.

    AUROCs are over pairs of runs of one fold: models of different folds differ in level. Gains are positive
    where the learned model is better than the reward as it stands. `beats` says whether it may be used, `why`
    gives the reason, `weights` are those of a model of all runs.
    """

    kind: Kind
    runs: int
    resolved: int
    groups: int
    folds: int
    auroc: Estimate | None
    fixed_auroc: Estimate | None
    auroc_gain: Estimate | None
    brier_gain: Estimate
    truth: Truth | None
    beats: bool
    why: str
    weights: dict[str, float]


def table(scores: Sequence[Score], labels: Flags, draws: Draws) -> Table:
    """Give the table of scores that know no outcome; a feature that is never observed is left out."""
    found = columns(scores, signals=True)
    names = tuple(name for name in FEATURES if name in found)
    stacked = np.column_stack([rewards(scores), *(found[name] for name in names)])
    return Table((REWARD, *names), stacked, labels, draws)


def enough(labels: Flags) -> bool:
    """Say whether there are runs enough, of either outcome, to learn from."""
    resolved = int(labels.sum())
    return len(labels) >= RUNS_MIN and min(resolved, len(labels) - resolved) >= EACH_MIN


def cross_validated(sheet: Sheet, data: Table) -> Learned | None:
    """Learn from a set's runs, agent by agent, and judge what is said of runs that were not learned from.

    Agents with too few runs are learned from together; null where even that is too little.
    """
    return judged(data, _by_agent(sheet)) if enough(sheet.labels) else None


def _by_agent(sheet: Sheet) -> list[Flags]:
    agents = sorted({run.agent for run in sheet.runs})
    mine = [np.array([run.agent == agent for run in sheet.runs]) for agent in agents]
    alone = [which for which in mine if enough(sheet.labels[which])]
    rest = ~np.logical_or.reduce(alone) if alone else np.ones(len(sheet.runs), dtype=bool)
    return [*alone, rest] if rest.any() else alone


class Elsewhere(msgspec.Struct, frozen=True):
    """How a model of all other sets does on this one, beside the reward as it stands."""

    sets: int
    auroc: Estimate | None
    auroc_gain: Estimate | None
    brier_gain: Estimate
    ece: float | None


def from_elsewhere(here: Table, others: Sequence[Table]) -> Elsewhere | None:
    """Learn from other sets and judge what is said of this one; null where those are too few.

    It shows what a calibration would do to an agent that it was not made for: why it touches no other.
    """
    if not others or not enough(np.concatenate([one.labels for one in others])):
        return None
    theirs = _joined(others)
    said = fitted(theirs, np.arange(len(theirs.labels))).chances(_aligned(here, theirs.names))
    found = truth(said, here.labels, here.draws)
    return Elsewhere(
        sets=len(others),
        auroc=auroc_estimate(said, here.labels, here.draws),
        auroc_gain=auroc_difference(said, here.fixed, here.labels, here.draws),
        brier_gain=weighted_mean((here.fixed - here.labels) ** 2 - (said - here.labels) ** 2, here.draws),
        ece=found.ece if found else None,
    )


def _joined(tables: Sequence[Table]) -> Table:
    """Put tables under each other; groups of different tables stay different."""
    names = tuple(dict.fromkeys(name for one in tables for name in one.names))
    features = np.concatenate([_aligned(one, names) for one in tables])
    groups = [f"{at}/{of}" for at, one in enumerate(tables) for of in one.draws.of.tolist()]
    return Table(names, features, np.concatenate([one.labels for one in tables]), Draws(groups, draws=1))


def _aligned(data: Table, names: Sequence[str]) -> Floats:
    """Give a table's features in another order; what it has not is unobserved."""
    unseen = np.full(len(data.labels), np.nan)
    found = {name: data.features[:, at] for at, name in enumerate(data.names)}
    return np.column_stack([found.get(name, unseen) for name in names])


def judged(data: Table, parts: Sequence[Flags] = ()) -> Learned:
    """Cross-validate over a table, part by part; try the reward's scale where weights do not beat it."""
    weights = _judged(data, parts, "weights", STRENGTHS)
    if weights.beats:
        return weights
    scale = _judged(data, parts, "scale", (math.inf,))
    return scale if scale.beats or scale.brier_gain.value >= weights.brier_gain.value else weights


def _judged(data: Table, parts: Sequence[Flags], kind: Kind, strengths: Sequence[float]) -> Learned:
    chances, folds = np.zeros(len(data.labels)), np.zeros(len(data.labels), dtype=np.intp)
    whole = np.ones(len(data.labels), dtype=bool)
    for number, part in enumerate(parts or (whole,)):
        places = np.flatnonzero(part)
        chances[places], dealt = _out_of_fold(data, places, strengths)
        folds[places] = dealt + number * FOLDS
    within = [folds == fold for fold in np.unique(folds)]
    gain = auroc_difference(chances, data.fixed, data.labels, data.draws, parts=within)
    better = weighted_mean((data.fixed - data.labels) ** 2 - (chances - data.labels) ** 2, data.draws)
    weights = weights_of(data, fitted(data, np.flatnonzero(whole), strengths))
    ranks = auroc_estimate(chances, data.labels, data.draws, parts=within)
    beats, why = _verdict(ranks, gain, better)
    return Learned(
        kind=kind,
        runs=len(data.labels),
        resolved=int(data.labels.sum()),
        groups=data.draws.groups,
        folds=FOLDS,
        auroc=ranks,
        fixed_auroc=auroc_estimate(data.fixed, data.labels, data.draws, parts=within),
        auroc_gain=gain,
        brier_gain=better,
        truth=truth(chances, data.labels, data.draws),
        beats=beats,
        why=why,
        weights=weights,
    )


def _verdict(ranks: Estimate | None, gain: Estimate | None, better: Estimate) -> tuple[bool, str]:
    """Decide whether a learned model may be used, and say why."""
    if ranks is None or gain is None:
        return False, "no fold has runs of both outcomes"
    if ranks.low is None or ranks.low <= _CHANCE:
        return False, f"it does not surely rank better than chance (AUROC {ranks.value:.3f})"
    if gain.value < 0:
        return False, f"it ranks worse than the fixed weights (AUROC {gain.value:+.3f})"
    if better.low is None or better.low <= 0:
        return False, "its Brier score is not surely better than the fixed weights'"
    return True, f"it ranks no worse (AUROC {gain.value:+.3f}) and its Brier score is surely better"


def fitted(data: Table, places: Places, strengths: Sequence[float] = STRENGTHS) -> Fit:
    """Fit a model to the runs at these places, with the strength that inner folds choose."""
    strength = _best_strength(data, places, strengths)
    return _fit(data, places, strength)


def weights_of(data: Table, made: Fit) -> dict[str, float]:
    """Name the weights that are not 0."""
    named = zip(data.names, made.weights.tolist(), strict=True)
    return {name: round(weight, 6) for name, weight in named if weight > 1e-6}


def _fit(data: Table, places: Places, strength: float) -> Fit:
    strengths = np.r_[_REWARD_STRENGTH, np.full(len(data.names) - 1, strength)]
    return fit(data.features[places], data.labels[places], strengths)


def _out_of_fold(data: Table, places: Places, strengths: Sequence[float]) -> tuple[Floats, Places]:
    """Give each run the chance that a model says which has not seen its group, and its fold."""
    chances = np.zeros(len(places))
    folds = fold_of(data.draws.of[places], data.labels[places])
    for fold in range(FOLDS):
        test = folds == fold
        if test.any() and not test.all():
            made = fitted(data, places[~test], strengths)
            chances[test] = made.chances(data.features[places[test]])
    return chances, folds


def _best_strength(data: Table, places: Places, strengths: Sequence[float]) -> float:
    """Choose the greatest strength that does not surely lose: within one standard error of the least loss.

    (Breiman and others 1984.) So a feature gets a weight where the inner folds are sure of it.
    """
    if len(strengths) == 1:
        return strengths[0]
    folds = fold_of(data.draws.of[places], data.labels[places])
    losses = np.array([_losses(data, places, folds, strength) for strength in strengths])
    best = losses[np.argmin(losses.sum(axis=1))]
    behind = losses - best
    error = behind.std(axis=1) * math.sqrt(len(places))
    return max(one for one, lost, by in zip(strengths, behind.sum(axis=1), error, strict=True) if lost <= by)


def _losses(data: Table, places: Places, folds: Places, strength: float) -> Floats:
    """Give each run's log loss by a model that has not seen its fold."""
    said = np.full(len(places), 0.5)
    for fold in range(FOLDS):
        test = folds == fold
        if test.any() and not test.all():
            said[test] = _fit(data, places[~test], strength).chances(data.features[places[test]])
    right = np.where(data.labels[places], said, 1 - said)
    return np.asarray(-np.log(np.maximum(right, 1e-6)))


def fold_of(groups: Places, labels: Flags) -> Places:
    """Deal groups out to the folds so that each fold gets about its share of either outcome.

    Groups are dealt in order of size and outcome, each to the fold that has least of what it brings.
    """
    good: Counter[int] = Counter()
    size: Counter[int] = Counter(groups.tolist())
    for group, label in zip(groups.tolist(), labels.tolist(), strict=True):
        good[group] += label
    have = np.zeros((FOLDS, 2))
    chosen: dict[int, int] = {}
    for group in sorted(size, key=lambda one: (-size[one], -good[one], one)):
        brought = np.array([good[group], size[group] - good[group]])
        load = have @ brought + have.sum(axis=1) / (1 + have.sum())
        fold = int(np.argmin(load))
        have[fold] += brought
        chosen[group] = fold
    return np.array([chosen[group] for group in groups.tolist()], dtype=np.intp)
