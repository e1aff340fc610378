"""Ablation: what each signal does to the ranking, by leaving it out.

Rankings are within one set of labelled runs, or one agent of the ledger: scores are not to be compared
beyond. A calibration is left out of it: the fixed weights are looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from karl.evaluation.ranking import DRAWS, Estimate, Floats, auroc_difference, overlap, spearman
from karl.evaluation.runs import Run
from karl.evaluation.scoring import Sheet
from karl.reward.score import VERSIONS, signals_of
from karl.reward.signal import SIGNALS
from karl.schema.record import Score

#: How many of the highest scores are compared: a number, and a share.
TOP, TOP_SHARE = 20, 0.1


class LeftOut(msgspec.Struct, frozen=True):
    """What the scores are without one signal.

    `rank_correlation` is Spearman's with the whole score (null where nothing varies), `top` and `top_tenth`
    the shares of the highest TOP, and of the highest tenth, that stay. `auroc_change` is how much higher the
    AUROC is without the signal; null where no outcome is known.
    """

    signal: str
    weight: float
    observed: float
    rank_correlation: float | None
    top: float
    top_tenth: float
    auroc_change: Estimate | None


class Ablation(msgspec.Struct, frozen=True):
    """One set, or one agent of the ledger, with each signal left out."""

    of: str
    version: str
    runs: int
    signals: list[LeftOut]


def ablate(of: str, version: str, scores: Sequence[Score], sheet: Sheet | None = None) -> Ablation:
    """Leave each signal out of scores of one version; `sheet` holds the labels of the same runs, if any."""
    whole = composed(scores, version)
    names = [name for name in SIGNALS if any(name in one.signals for one in scores)]
    return Ablation(
        of, version, len(scores), [_left_out(name, version, scores, whole, sheet) for name in names]
    )


def composed(scores: Sequence[Score], version: str, without: str | None = None) -> Floats:
    """Compose scores anew by the weights that each was made with, one signal weighing nothing."""
    compose = VERSIONS[version].compose
    made = [compose(signals_of(one), _but(one.weights, without), None)[0] for one in scores]
    return np.array(made, dtype=np.float64)


def _but(weights: Mapping[str, float], without: str | None) -> dict[str, float]:
    return {name: 0.0 if name == without else weight for name, weight in weights.items()}


def _left_out(
    name: str, version: str, scores: Sequence[Score], whole: Floats, sheet: Sheet | None
) -> LeftOut:
    without = composed(scores, version, name)
    tenth = max(1, round(TOP_SHARE * len(scores)))
    change = auroc_difference(without, whole, sheet.labels, sheet.draws) if sheet else None
    correlation = spearman(without, whole)
    return LeftOut(
        signal=name,
        weight=round(float(np.mean([one.weights.get(name, 0.0) for one in scores])), 6),
        observed=round(float(np.mean([name in one.signals for one in scores])), 6),
        rank_correlation=None if correlation is None else round(correlation, 6),
        top=round(overlap(without, whole, min(TOP, len(scores))), 6),
        top_tenth=round(overlap(without, whole, tenth), 6),
        auroc_change=change,
    )


def ablate_sets(runs: Sequence[Run], version: str, *, draws: int = DRAWS, seed: int = 0) -> list[Ablation]:
    """Leave each signal out of each set of labelled runs."""
    sets: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        sets[run.set].append(run)
    sheets = {name: Sheet(sets[name], draws=draws, seed=seed) for name in sorted(sets)}
    return [ablate(name, version, sheet.scores(version), sheet) for name, sheet in sheets.items()]
