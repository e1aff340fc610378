"""What a row weighs: advantage-weighted SFT (AWR with a baseline); copies where there are no weights.

w = min(w_max, exp(A / beta)), divided by the mean of all (Peng et al. 2019). `tiers` are the copies of the
earlier "OAPL-Lite".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from karl.learning.row import Row
from karl.learning.split import chance

#: How sharply weights follow the advantage, which is in spreads; the largest before the mean is taken.
BETA, W_MAX = 1.0, 4.0
#: Advantages up to which a row has so many copies, and the copies above the last of them.
_TIERS = ((0.0, 0), (0.1, 1), (0.3, 2))
_MOST = 3
#: Below this, the logarithm of a weight is the same as any other: its weight is 0.
_HUGE = 1e300


def awr(advantages: Sequence[float], beta: float = BETA, w_max: float = W_MAX) -> list[float]:
    """Give each row's weight, of mean 1. Raises ValueError unless beta and w_max are above 0."""
    if not (beta > 0 and w_max > 0):
        raise ValueError("beta and w_max have to be above 0")
    top = math.log(w_max)
    logs = [min(top, max(-_HUGE, one / beta)) for one in advantages]
    return _of_mean_1([math.exp(one - max(logs)) for one in logs])


def ess(weights: Sequence[float]) -> float:
    """Give the effective sample size (sum w)^2 / sum w^2; 0 where nothing weighs anything."""
    squares = math.fsum(one * one for one in weights)
    return math.fsum(weights) ** 2 / squares if squares else 0.0


def tiers(advantages: Sequence[float]) -> list[int]:
    """Give copies by advantage: none up to 0, one up to 0.1, two up to 0.3, three above: OAPL-Lite's."""
    return [next((copies for most, copies in _TIERS if one <= most), _MOST) for one in advantages]


def positive(advantages: Sequence[float]) -> list[bool]:
    """Say which rows are better than expected."""
    return [one > 0 for one in advantages]


def top(advantages: Sequence[float], share: float) -> list[bool]:
    """Say which rows are among the best `share`, rounded up; of equals the first. Raises ValueError."""
    if not 0 < share <= 1:
        raise ValueError("a share is above 0 and at most 1")
    count = math.ceil(share * len(advantages) - 1e-9)
    best = set(sorted(range(len(advantages)), key=lambda at: (-advantages[at], at))[:count])
    return [at in best for at in range(len(advantages))]


def copies(weights: Sequence[float], seed: int) -> list[int]:
    """Give whole numbers of copies whose expected values are the weights, for trainers without weights.

    Each is rounded up with the chance of its fraction, by a hash of the seed and its place.
    """
    return [int(one) + (chance(f"{seed}", f"{at}") < one - int(one)) for at, one in enumerate(weights)]


def masked(row: Row) -> bool:
    """Say whether a step is no target: it failed, or it was corrected."""
    return row.karl.failed or row.karl.corrected


def _of_mean_1(weights: list[float]) -> list[float]:
    mean = math.fsum(weights) / len(weights) if weights else 0.0
    return [one / mean for one in weights] if mean else weights
