"""What is measured of a ranking of skills: accuracy, top-3, MRR, out-of-scope AUROC, coverage.

Intervals are percentiles of a bootstrap over prompts. Arrays are numpy's: `logs` (n, labels) float32,
`labels` (n) places.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from karl.evaluation.ranking import Draws, Estimate, Floats, auroc_estimate, estimate

#: Of what is let through, this share may be wrong.
ERROR_MAX = 0.05


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one head made of the prompts of one set; shares from 0 to 1."""

    accuracy: Estimate
    top3: Estimate
    mrr: Estimate
    #: Prompts in scope against those that are not, by how well they fit; null where a set has none.
    oos_auroc: Estimate | None
    #: The most prompts that can be answered with at most 5 % of the answers wrong, by log p: in hindsight.
    coverage: Estimate


def ranks(logs: NDArray[np.float32], labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give each label's place from 1; of equals, all count as the last of them."""
    own = logs[np.arange(len(logs)), labels][:, None]
    return np.asarray((logs >= own).sum(axis=1), dtype=np.intp)


def measure(
    logs: NDArray[np.float32],
    labels: NDArray[np.intp],
    fits: NDArray[np.float32],
    strange: NDArray[np.float32],
    draws: Draws,
) -> Measured:
    """Measure; `fits` says how well each prompt fits, `strange` the same of those out of scope.

    `draws` are over the prompts in scope.
    """
    places = ranks(logs, labels)
    right = places == 1
    return Measured(
        accuracy=share(right, draws),
        top3=share(places <= 3, draws),
        mrr=share(1 / places, draws),
        oos_auroc=_strange(fits, strange, len(draws.counts)),
        coverage=_coverage(logs.max(axis=1).astype(np.float64), right, draws),
    )


def share(values: NDArray[np.generic], draws: Draws) -> Estimate:
    """Give the mean of values (n), or of their differences, with its interval."""
    numbers = values.astype(np.float64)
    return estimate(float(numbers.mean()), draws.counts @ numbers / len(numbers))


def _strange(fits: NDArray[np.float32], strange: NDArray[np.float32], count: int) -> Estimate | None:
    if not len(strange):
        return None
    both = np.concatenate([fits, strange]).astype(np.float64)
    inside = np.arange(len(both)) < len(fits)
    names = [str(place) for place in range(len(both))]
    return auroc_estimate(both, inside, Draws(names, draws=min(count, 300), seed=0))


def _coverage(chances: Floats, right: NDArray[np.bool_], draws: Draws) -> Estimate:
    order = np.argsort(-chances, kind="stable")
    ends = np.append(np.diff(chances[order]) != 0, True)  # equals are answered together
    wrong = (~right[order]).astype(np.float64)

    def covered(counts: Floats) -> Floats:
        seen = np.cumsum(counts, axis=1)
        good = (np.cumsum(counts * wrong, axis=1) <= ERROR_MAX * seen) & ends
        return np.asarray((np.where(good, seen, 0.0)).max(axis=1) / seen[:, -1])

    value = float(covered(np.ones((1, len(chances))))[0])
    return estimate(value, covered(draws.counts[:, order]))
