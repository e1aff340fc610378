"""What training makes small: the loss of the answers' tokens, each row's times its weight.

    L(batch) = sum_i w_i * sum_t ce_it / sum_i n_i

with ce_it the cross entropy (nats) of token t of row i's answer, n_i how many it has, and weights w of mean
1 over all rows. It is divided by the tokens, not by sum_i w_i * n_i: that would give a batch of poor rows as
large a step as a batch of good ones, so that weights only counted within a batch and the more rows fit into
one, the more. So the expected step is that of the weighted mean over all rows, whoever stands together. With
all weights 1 it is mlx-lm's own loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
from mlx import nn

from karl.errors import KarlError
from karl.training.parts import Parts

Loss = Callable[[Any, mx.array, mx.array, mx.array], tuple[mx.array, mx.array]]


def of(parts: Parts) -> Loss:
    """Give a model's loss: of a batch (`karl.training.batches`), with the tokens that it is of."""

    def weighted(
        model: Any, tokens: mx.array, places: mx.array, weights: mx.array
    ) -> tuple[mx.array, mx.array]:
        logits = parts.logits(model, tokens, places)
        mask = places > 0
        losses = nn.losses.cross_entropy(logits, mx.take_along_axis(tokens, places, axis=1))
        count = mask.sum()
        return (losses.astype(mx.float32) * mask * weights[:, None]).sum() / count, count

    return weighted


def of_mean_one(weights: Sequence[float]) -> list[float]:
    """Divide weights by their mean. Raises KarlError where that can not be done."""
    total = sum(weights)
    if not weights or min(weights) < 0 or not 0 < total < float("inf"):
        raise KarlError("weights of rows must be 0 or more, and not all 0; export the data set again")
    return [weight * len(weights) / total for weight in weights]
