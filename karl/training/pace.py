"""How fast a training is and how long the rest takes, from what its trainer reports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from mlx_lm.tuner.callbacks import TrainingCallback

from karl.errors import KarlError


class Pace:
    """Counts iterations and their losses since this process began to train."""

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations
        self._first: int | None = None
        self._begun_s = 0.0
        self._start = 0
        self._losses: list[float] = []

    def begin(self, iteration: int) -> None:
        """Say that a segment begins after so many iterations."""
        if self._first is None:
            self._first, self._begun_s = iteration, time.monotonic()
        self._start, self._losses = iteration, []

    def mean_loss(self) -> float | None:
        """Give the mean loss of the segment's batches."""
        return sum(self._losses) / len(self._losses) if self._losses else None

    def seconds_left(self, iteration: int) -> float | None:
        """Say how long the rest takes if it goes on as it did, validation and all."""
        done = iteration - (self._first or 0)
        if done < 1:
            return None
        return round((time.monotonic() - self._begun_s) / done * (self._iterations - iteration), 1)

    def callback(self, say: Callable[[int, float, float], object]) -> TrainingCallback:
        """Give what mlx-lm's trainer calls after each iteration; `say` gets iteration, loss, seconds."""
        return _Callback(self, say)

    def take(self, done: int, loss: float) -> int:
        """Take in the loss of a batch; gives the iteration. Raises KarlError where it is no number."""
        iteration = self._start + done
        if not math.isfinite(loss):
            raise KarlError(
                f"the loss of iteration {iteration} is {loss}: the training has come apart. "
                "A lower learning rate often helps; look for odd weights in the data set too"
            )
        self._losses.append(loss)
        return iteration


class _Callback(TrainingCallback):
    def __init__(self, pace: Pace, say: Callable[[int, float, float], object]) -> None:
        self._pace, self._say = pace, say

    def on_train_loss_report(self, train_info: dict[str, Any]) -> None:
        loss = float(train_info["train_loss"])
        iteration = self._pace.take(int(train_info["iteration"]), loss)
        self._say(iteration, loss, 1.0 / train_info["iterations_per_second"])
