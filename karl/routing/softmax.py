"""Multinomial logistic regression over dense vectors and sparse grams, by L-BFGS in plain numpy.

It minimises `sum(-counts * log p(label)) + strength / 2 * sum(weights ** 2)`; the biases are free. The
problem is convex, so where it ends does not depend on where it begins. (Liu and Nocedal 1989: L-BFGS with a
line search of Armijo's.)
Rows go through in blocks, so that memory does not grow with the exemplars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from karl.routing.ngrams import Sparse, dense, folded

Floats = NDArray[np.float32]

#: Columns that grams fold into here: with 4,096 nothing was righter, and all took 2.5 times as long.
COLUMNS = 1024
_BLOCK = 1024
#: Numbers of all blocks that are kept from one step to the next: 256 MiB of them.
_KEPT_MAX = 1 << 26
_MEMORY = 10
_STEPS_MAX, _STEPS_MIN = 120, 5
_HALVINGS_MAX = 30
#: The loss must fall by this share of itself in a step, or the search is over.
_SMALL = 5e-5


class Weights(NamedTuple):
    """A fitted model: log p = log softmax(vectors @ dense + folded grams @ sparse + bias)."""

    dense: Floats
    sparse: Floats
    bias: Floats


def fit(
    vectors: Floats,
    grams: Sparse,
    labels: NDArray[np.intp],
    count: int,
    *,
    strength: float,
    counts: Floats | None = None,
) -> Weights:
    """Fit `count` labels to rows (n, dim) and their grams; `labels` (n) holds places from 0 to count - 1.

    A row counts as often as `counts` (n) says, or once.
    """
    dim = vectors.shape[1]
    grams = folded(grams, COLUMNS)
    often = np.ones(len(labels), dtype=np.float32) if counts is None else counts
    used = np.unique(grams.columns)  # what no exemplar has keeps the weight 0
    shape = (dim + len(used) + 1, count)
    rows = _Rows(vectors, grams, used)

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        slope = np.float32(strength) * weights
        slope[-1] = 0
        lost = strength / 2 * float((weights[:-1] ** 2).sum(dtype=np.float64))
        for start, block in rows.blocks():
            logs = log_softmax(block @ weights[:-1] + weights[-1])
            of = np.arange(len(block)), labels[start : start + len(block)]
            here = often[start : start + len(block)]
            lost -= float((here * logs[of]).sum(dtype=np.float64))
            wrong = np.exp(logs)
            wrong[of] -= 1
            wrong *= here[:, None]
            slope[:-1] += block.T @ wrong
            slope[-1] += wrong.sum(axis=0)
        return lost, np.asarray(slope.ravel(), dtype=np.float32)

    found = _lowest(loss, np.zeros(shape[0] * count, dtype=np.float32)).reshape(shape)
    sparse = np.zeros((COLUMNS, count), dtype=np.float32)
    sparse[used] = found[dim:-1]
    return Weights(found[:dim].copy(), sparse, found[-1].copy())


class _Rows:
    """Vectors and grams side by side, in blocks; kept while all of them are not too large."""

    def __init__(self, vectors: Floats, grams: Sparse, used: NDArray[np.int64]) -> None:
        self._vectors, self._grams, self._used = vectors, grams, used
        size = len(vectors) * (vectors.shape[1] + len(used))
        self._kept = list(self._made()) if size <= _KEPT_MAX else None

    def blocks(self) -> Iterable[tuple[int, Floats]]:
        """Give the place of each block's first row, and the block."""
        return self._made() if self._kept is None else self._kept

    def _made(self) -> Iterator[tuple[int, Floats]]:
        for start in range(0, len(self._vectors), _BLOCK):
            stop = min(start + _BLOCK, len(self._vectors))
            seen = dense(self._grams, start, stop, COLUMNS)[:, self._used]
            yield start, np.hstack([self._vectors[start:stop], seen])


def log_softmax(logits: Floats) -> Floats:
    """Give the logarithms of chances that sum to 1 in each row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), dtype=np.float32)


def _lowest(loss: Callable[[Floats], tuple[float, Floats]], at: Floats) -> Floats:
    value, slope = loss(at)
    pairs: list[tuple[Floats, Floats]] = []
    for step in range(_STEPS_MAX):
        direction = _direction(slope, pairs)
        length = 1.0 if pairs else min(1.0, 1.0 / max(float(np.abs(slope).sum()), 1e-12))
        downhill = float(slope @ direction)
        for _ in range(_HALVINGS_MAX):
            moved = at + np.float32(length) * direction
            lower, new_slope = loss(moved)
            if lower <= value + 1e-4 * length * downhill:
                break
            length /= 2
        else:
            return at  # as low as float32 can tell
        way, turn = moved - at, new_slope - slope
        if float(way @ turn) > 1e-10:
            pairs = [*pairs[-_MEMORY + 1 :], (way, turn)]
        done = value - lower <= _SMALL * max(abs(lower), 1e-9) and step >= _STEPS_MIN
        at, value, slope = moved, lower, new_slope
        if done:
            break
    return at


def _direction(slope: Floats, pairs: list[tuple[Floats, Floats]]) -> Floats:
    """Give the way down, by the curvature that the last steps have shown."""
    way = -slope
    shares = []
    for step, turn in reversed(pairs):
        share = float(step @ way) / float(turn @ step)
        way = way - np.float32(share) * turn
        shares.append(share)
    if pairs:
        step, turn = pairs[-1]
        way = way * np.float32(float(step @ turn) / float(turn @ turn))
    for (step, turn), share in zip(pairs, reversed(shares), strict=True):
        way = way + np.float32(share - float(turn @ way) / float(turn @ step)) * step
    return way
