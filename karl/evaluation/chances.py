"""Chances: how true numbers between 0 and 1 are when they are read as the chance that a task got done."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np

from karl.evaluation.ranking import Draws, Estimate, Flags, Floats, estimate

#: Bins of equal mass that the expected calibration error is taken over.
BINS = 10
#: Imagined outcomes that say how large the error of a true forecast of this size would be.
_IMAGINED = 200


class Bin(msgspec.Struct, frozen=True):
    """Runs of about one chance: how many, the mean chance that was said, and the share that got it done."""

    runs: float
    said: float
    happened: float


class Truth(msgspec.Struct, frozen=True):
    """Brier score and expected calibration error (ECE) of chances.

    `ece` is over bins of equal mass; `ece_width` over ten equal parts of what can be said, of which chances
    that lie close together fill few. `constant` is the Brier score of always saying the base rate. `perfect`
    is the ECE that chances which are exactly true come to on so few runs, on average: an ECE of that size is
    none.
    """

    brier: Estimate
    ece: float
    ece_width: float
    constant: float
    perfect: float
    bins: list[Bin]


def truth(chances: Floats, labels: Flags, draws: Draws) -> Truth | None:
    """Measure chances against labels; null without runs."""
    if not len(chances):
        return None
    happened = labels.astype(np.float64)
    base = happened.mean()
    found = bins(chances, happened)
    random = np.random.default_rng(0)
    imagined = random.random((_IMAGINED, len(chances))) < np.clip(chances, 0, 1)
    perfect = np.mean([ece(bins(chances, row.astype(np.float64))) for row in imagined])
    return Truth(
        brier=weighted_mean((chances - happened) ** 2, draws),
        ece=round(ece(found), 6),
        ece_width=round(_ece_width(chances, happened), 6),
        constant=round(float(base * (1 - base)), 6),
        perfect=round(float(perfect), 6),
        bins=found,
    )


def ece(found: list[Bin]) -> float:
    """Give the mean distance between what was said and what happened, by the weight of the bins."""
    total = sum(one.runs for one in found)
    return sum(one.runs * abs(one.said - one.happened) for one in found) / total if total else 0.0


def _ece_width(chances: Floats, happened: Floats) -> float:
    part = np.minimum((chances * BINS).astype(np.intp), BINS - 1)
    gaps = np.bincount(part, weights=chances - happened, minlength=BINS)
    return float(np.abs(gaps).sum() / len(chances))


def bins(chances: Floats, happened: Floats, count: int = BINS) -> list[Bin]:
    """Put runs into bins of equal mass by their chance.

    Runs of equal chance share what happened to them, so that no order of rows decides who is in which bin,
    and a constant is one bin in effect.
    """
    _, inverse, sizes = np.unique(chances, return_inverse=True, return_counts=True)
    shared = np.bincount(inverse, weights=happened) / sizes
    order = np.argsort(chances, kind="stable")
    said, came = chances[order], shared[inverse][order]
    edges = np.linspace(0, len(chances), min(count, len(chances)) + 1)
    return [_bin(said, came, low, high) for low, high in pairwise(edges.tolist())]


def _bin(said: Floats, came: Floats, low: float, high: float) -> Bin:
    """Take the runs from place `low` to `high`; one at a border belongs to both by its shares."""
    places = np.arange(len(said))
    share = np.clip(np.minimum(places + 1, high) - np.maximum(places, low), 0, 1)
    mass = float(share.sum())
    return Bin(round(mass, 6), float(share @ said) / mass, float(share @ came) / mass)


def weighted_mean(values: Floats, draws: Draws) -> Estimate:
    """Give a mean over runs, with its interval over groups."""
    sums = np.bincount(draws.of, weights=values, minlength=draws.groups)
    sizes = np.bincount(draws.of, minlength=draws.groups)
    return estimate(float(values.mean()), (draws.counts @ sums) / (draws.counts @ sizes))
