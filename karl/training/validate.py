"""The mean loss of answers, without learning from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from karl.training.batches import padded
from karl.training.chat import Example
from karl.training.loss import Loss


def mean_loss(
    model: Any, loss: Loss, examples: Sequence[Example], size: int, say: Callable[[int, int], object]
) -> float | None:
    """Give the mean over all tokens of the answers (nats), null without rows; `say` is told rows done."""
    if not examples:
        return None
    model.eval()
    # By length, unlike in training: nothing is learned here, and what is padded costs time.
    by_length = sorted(examples, key=lambda example: len(example.tokens))
    total, count = 0.0, 0
    for start in range(0, len(by_length), size):
        mean, tokens = loss(model, *padded(by_length[start : start + size]))
        mx.eval(mean, tokens)
        total += float(mean) * int(tokens)
        count += int(tokens)
        say(min(start + size, len(by_length)), len(by_length))
    model.train()
    return total / count
