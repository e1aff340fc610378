"""Which rows go through together, and in which order: the same for any two runs with the same seed.

Rows come in one stream, shuffled anew for each epoch by (seed, epoch), and each batch takes the next ones
of it. So none is ever dropped, a batch may hold the end of one epoch and the beginning of the next, and the
batch of an iteration follows from its number alone: a run that goes on after a kill needs no more than that.
They are not sorted by length: what stands together would then depend on it, and with it what is learned.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import mlx.core as mx
import numpy as np

from karl.training.chat import Example

#: Batches are as long as their longest row, rounded up: few shapes are quicker than many.
_ROUND, _ROUND_ANSWERS = 32, 8

Batch = tuple[mx.array, mx.array, mx.array]


def batch_of(iteration: int, rows: int, size: int, seed: int) -> list[int]:
    """Name the rows of a batch; iterations count from 0."""
    return [
        order(rows, seed, position // rows)[position % rows]
        for position in range(iteration * size, (iteration + 1) * size)
    ]


@lru_cache(maxsize=4)
def order(rows: int, seed: int, epoch: int) -> tuple[int, ...]:
    """Give the order of an epoch."""
    indices = list(range(rows))
    random.Random(f"{seed} {epoch}").shuffle(indices)  # noqa: S311 - not for secrets
    return tuple(indices)


def batches(examples: Sequence[Example], size: int, seed: int, start: int) -> Iterator[Batch]:
    """Give the batches from an iteration on, without end."""
    iteration = start
    while True:
        yield padded([examples[index] for index in batch_of(iteration, len(examples), size, seed)])
        iteration += 1


def padded(examples: Sequence[Example]) -> Batch:
    """Give rows as arrays: tokens (rows, length), places (rows, most) of the answers' tokens, and weights.

    The length is one more than a multiple of 32: inputs are all but the last token, targets all but the
    first. Where a row has fewer targets than another its places are 0, which never is one.
    """
    longest = max(len(example.tokens) for example in examples)
    most = max(len(example.tokens) - example.start for example in examples)
    tokens: np.ndarray[Any, Any] = np.zeros((len(examples), 1 + _up(longest - 1, _ROUND)), np.int32)
    places: np.ndarray[Any, Any] = np.zeros((len(examples), _up(most, _ROUND_ANSWERS)), np.int32)
    for row, example in enumerate(examples):
        end = len(example.tokens)
        tokens[row, :end] = example.tokens
        places[row, : end - example.start] = range(example.start, end)
    return mx.array(tokens), mx.array(places), mx.array([example.weight for example in examples])


def _up(count: int, step: int) -> int:
    return -(-count // step) * step
