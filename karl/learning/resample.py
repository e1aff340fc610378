"""How sure a figure is that was measured with a few seeds over items that come in sessions: a bootstrap.

Every seed is judged on the same items, so both are drawn anew: seeds and whole sessions, each with
replacement, one fewer than there are, which makes the variance of few unbiased (Rao and Wu 1988, JASA
83:231). A draw of both counts what is peculiar to a seed and a session three times (Owen 2007, Annals of
Applied Statistics 1:386), and the percentiles of a handful of seeds are too near. So the percentiles are
moved away from the estimate, or towards it, by two factors: the root of what the variance should be by what
it is among the draws, and Student's t by the normal's, the mean of those for seeds and for sessions by what
each adds to the variance (Cochran and Cox 1950). Where a figure hangs on one seed or session the draws have
hardly any values, and their percentiles say too much: no interval is narrower than t spreads either way.

Chance comes from the raw numbers of PCG64, whose order numpy guarantees: the same figures everywhere, always.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from karl.intervals import TAIL95, t_of, z_of

#: How often seeds and sessions are drawn anew.
DRAWS = 10_000
#: Where chance begins.
_START = 20_260_219

Floats = NDArray[np.float64]


class Figure(NamedTuple):
    """A figure with its interval, of 95 % by default; none where there are too few seeds or sessions."""

    value: float
    low: float | None
    high: float | None


class Sums(NamedTuple):
    """What a figure is made of: by seed, session and kind (seeds, sessions, kinds), over (sessions, kinds).

    The figure is the mean over kinds of the sum of `values` of all sessions divided by that of `sizes`, in
    the mean of all seeds. Most figures have one kind.
    """

    values: Floats
    sizes: Floats


def interval(
    sums: Sums, bounds: tuple[float, float], *, one_run: bool = False, tail: float = TAIL95
) -> Figure:
    """Give a figure with its interval, kept in `bounds`. With `one_run` it has no chance but in its items.

    No interval of fewer than two sessions; nor of fewer than two seeds, unless `one_run`. `tail` is the
    chance that it leaves out on each side.
    """
    seeds, sessions, _ = sums.values.shape
    by_seed = _by_seed(sums, np.ones((1, sessions)))
    value = float(by_seed.mean())
    if sessions < 2 or (seeds < 2 and not one_run):
        return Figure(value, None, None)
    drawn = _by_seed(sums, _weights(sessions, 1))
    of_seeds = _weights(seeds, 2) / (seeds - 1) if seeds > 1 else np.ones((1, 1))
    both = (drawn * of_seeds).sum(axis=1)
    spread = _spread(
        (float((by_seed * of_seeds).sum(axis=1).var()), seeds - 1),
        (float(drawn.mean(axis=1).var()), sessions - 1),
        float(both.var()),
        tail,
    )
    half = spread.t * spread.sd
    scale = half / (z_of(tail) * spread.drawn) if spread.drawn > 0 else 1.0
    low, high = (value + (float(one) - value) * scale for one in np.quantile(both, (tail, 1 - tail)))
    return Figure(value, max(bounds[0], min(low, value - half)), min(bounds[1], max(high, value + half)))


def _by_seed(sums: Sums, weights: Floats) -> Floats:
    """Give the figure of each seed, (draws, seeds), with the weights of the sessions, (draws, sessions)."""
    seeds, sessions, kinds = sums.values.shape
    flat = sums.values.transpose(1, 0, 2).reshape(sessions, seeds * kinds)
    values = _product(weights, flat).reshape(-1, seeds, kinds)
    sizes = _product(weights, sums.sizes)[:, None, :]
    there = sizes > 0
    shares = np.divide(values, sizes, out=np.zeros_like(values), where=there)
    mean: Floats = shares.sum(axis=2) / np.maximum(1, there.sum(axis=2))
    return mean


def _product(one: Floats, other: Floats) -> Floats:
    """Multiply matrices without BLAS: its threads add in another order, and wait for each other."""
    made: Floats = np.einsum("ds,sk->dk", one, other, optimize=False)
    return made


class _Spread(NamedTuple):
    """What the standard deviation of a figure should be, Student's t for it, and what it is of the draws."""

    sd: float
    t: float
    drawn: float


def _spread(
    of_seeds: tuple[float, int], of_sessions: tuple[float, int], drawn: float, tail: float
) -> _Spread:
    """Put together what seeds and sessions add to the variance; of each it and its degrees of freedom."""
    parts = [part for part in (of_seeds, of_sessions) if part[1] > 0 and part[0] > 0]
    known = math.fsum(variance for variance, _ in parts)
    if drawn <= 0 or known <= 0:
        return _Spread(0.0, 0.0, 0.0)
    shared = max(0.0, drawn - known)
    right = max(known - shared, *(variance for variance, _ in parts))
    t = math.fsum(variance * t_of(freedom, tail) for variance, freedom in parts) / known
    return _Spread(math.sqrt(right), t, math.sqrt(drawn))


@lru_cache(maxsize=32)
def _weights(count: int, which: int) -> Floats:
    """Give how often each of `count` is drawn, (draws, count): one fewer than there are in each draw."""
    many = max(1, count - 1)
    raw = np.random.PCG64(_START + 1000 * which + count).random_raw(DRAWS * many)
    chosen = ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53 * count).astype(np.int64)
    rows = np.repeat(np.arange(DRAWS), many) * count
    counts = np.bincount(rows + chosen, minlength=DRAWS * count).reshape(DRAWS, count)
    drawn: Floats = counts.astype(np.float64)
    return drawn
