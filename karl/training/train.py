"""A training: an adapter learned from a data set through mlx-lm's trainer, in segments that end on disk.

Invariants:
- What is learned follows from the order alone: batches by (seed, iteration), chance by a seed that a
  checkpoint keeps. A run that was killed and goes on makes the adapter that it would have made.
- The adapter that is kept is that of the best validation loss, the first of equals; of the last iteration
  where there is nothing to validate with.
"""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import mlx.core as mx
import msgspec
import numpy as np
from mlx import optimizers
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.tuner.trainer import TrainingArgs
from mlx_lm.tuner.trainer import train as train_segment

from karl.errors import Refused
from karl.learning.weights import ess
from karl.schema.learning import Measured
from karl.training import adapter, batches, checkpoint, dataset, loss
from karl.training.chat import Chat
from karl.training.checkpoint import BEST, LAST, OPTIMIZER, State
from karl.training.dataset import Examples
from karl.training.loaded import choose, load, peak_mb, versions
from karl.training.order import ADAPTER, Notice, Train, Trained
from karl.training.pace import Pace
from karl.training.parts import parts_of
from karl.training.telling import Teller
from karl.training.validate import mean_loss

_CHANCE = "chance"
#: Bytes that mlx may keep of what it has freed, for what comes next.
_KEPT = 1 << 30


def train(order: Train, teller: Teller) -> Trained:
    """Train an adapter; says how far it is. Raises KarlError where that can not be done."""
    device = choose(order.device)
    of = dataset.digest(order)
    if not order.resume and checkpoint.last(order.out):
        raise Refused(f"{order.out} holds a training already; resume it, or name another folder")
    order.out.mkdir(parents=True, exist_ok=True)
    teller.where("loading the model")
    loaded = load(order.model)
    teller.where("reading the rows")
    data = dataset.read(order, Chat(loaded.tokenizer))
    training = _Training(order, loaded.model, data, of, teller)
    training.run()
    return training.result(device)


class _Training:
    """One training, from its last checkpoint to its end."""

    def __init__(self, order: Train, model: Any, data: Examples, of: str, teller: Teller) -> None:
        self._order, self._recipe, self._data, self._teller = order, order.recipe, data, teller
        self._model = model
        self._loss = loss.of(parts_of(model))
        mx.random.seed(self._recipe.seed)
        self._layers = adapter.attach(model, self._recipe)
        self._optimizer = optimizers.Adam(learning_rate=self._recipe.learning_rate)
        self._optimizer.init(model.trainable_parameters())
        mx.eval(model.parameters(), self._optimizer.state)
        self._best: Path | None = None
        self._state = State(of, 0, (), 0, 0.0, 0, 0.0, 0)
        self._pace = Pace(self._recipe.iters)
        if (folder := checkpoint.last(order.out)) is not None:
            self._take_up(folder, of)

    def run(self) -> None:
        """Train until all iterations are done."""
        if not self._state.iteration and not self._state.curve:
            valid = self._validate(0)
            self._state = _with(self._state, curve=(Measured(0, None, valid),))
        while (at := self._state.iteration) < self._recipe.iters:
            every = max(1, self._recipe.every)
            self._segment(min(self._recipe.iters, at - at % every + every) - at)

    def result(self, device: str) -> Trained:
        """Write the adapter; gives what came of it."""
        assert self._best is not None
        state, weights = self._state, [example.weight for example in self._data.train]
        return Trained(
            adapter=self._order.out / ADAPTER,
            files=adapter.keep(
                self._order.out, self._best, self._recipe, name=self._order.name, layers=self._layers
            ),
            best=state.best,
            curve=state.curve,
            device=device,
            versions=versions(),
            rows=len(weights),
            ess=round(ess(weights), 2),
            tokens=state.tokens,
            tokens_per_s=round(state.tokens / state.seconds, 1) if state.seconds else 0.0,
            seconds=round(state.seconds, 3),
            peak_mb=state.peak_mb,
            resumed=state.resumed,
            cut=self._data.cut,
            left=self._data.left,
        )

    def _take_up(self, folder: Path, of: str) -> None:
        """Go on from a checkpoint."""
        state = checkpoint.read_state(folder, of)
        self._model.load_weights(list(adapter.read(folder / LAST).items()), strict=False)
        kept = adapter.read(folder / OPTIMIZER)
        high, low = map(int, np.array(kept.pop(_CHANCE)))
        self._optimizer.state = tree_unflatten(list(kept.items()))
        mx.eval(self._model.parameters(), self._optimizer.state)
        mx.random.seed(high << 32 | low)  # a seed is what it starts from, in two halves
        self._state = _with(state, resumed=state.resumed + 1)
        self._best = folder / BEST

    def _segment(self, iterations: int) -> None:
        """Train some iterations, validate, and put all of it on disk."""
        folder = checkpoint.fresh(self._order.out)
        begun_s, at = time.monotonic(), self._state.iteration
        self._pace.begin(at)
        args = TrainingArgs(
            batch_size=self._recipe.batch,
            iters=iterations,
            steps_per_report=1,
            steps_per_save=self._recipe.iters + 1,
            adapter_file=str(folder / LAST),
            clear_cache_threshold=_KEPT,
        )
        with adapter.writing(folder / LAST), redirect_stdout(_Nowhere()):
            train_segment(
                self._model,
                self._optimizer,
                self._data.train,
                args=args,
                loss=self._loss,
                iterate_batches=self._batches,
                training_callback=self._pace.callback(self._say),
            )
        valid = self._validate(at + iterations)
        point = Measured(at + iterations, self._pace.mean_loss(), valid)
        improved = valid is None or all(
            past.valid_loss is None or valid < past.valid_loss for past in self._state.curve if past.iteration
        )
        self._state = _with(
            self._state,
            iteration=at + iterations,
            curve=(*self._state.curve, point),
            best=at + iterations if improved else self._state.best,
            seconds=self._state.seconds + time.monotonic() - begun_s,
            tokens=self._state.tokens + self._tokens(at, iterations),
            peak_mb=max(self._state.peak_mb, peak_mb()),
        )
        self._write(folder, improved=improved)

    def _write(self, folder: Path, *, improved: bool) -> None:
        """Make a checkpoint of the folder that the trainer has left the weights in."""
        shutil.copyfile(folder / LAST if improved or self._best is None else self._best, folder / BEST)
        arrays = dict(tree_flatten(self._optimizer.state))
        adapter.save(folder / OPTIMIZER, {**arrays, _CHANCE: _chance()})
        made = checkpoint.write(self._order.out, folder, self._state)
        self._best = made / BEST
        point = self._state.curve[-1]
        self._teller.say(
            Notice(
                kind="saved",
                where=str(made),
                iteration=point.iteration,
                iterations=self._recipe.iters,
                train_loss=point.train_loss,
                valid_loss=point.valid_loss,
                seconds_left=self._pace.seconds_left(point.iteration),
                peak_mb=self._state.peak_mb,
            )
        )

    def _batches(self, **_how: Any) -> Iterator[batches.Batch]:
        return batches.batches(self._data.train, self._recipe.batch, self._recipe.seed, self._state.iteration)

    def _tokens(self, start: int, iterations: int) -> int:
        """Count the tokens that were read in some iterations."""
        rows, size, seed = len(self._data.train), self._recipe.batch, self._recipe.seed
        return sum(
            len(self._data.train[index].tokens)
            for iteration in range(start, start + iterations)
            for index in batches.batch_of(iteration, rows, size, seed)
        )

    def _validate(self, iteration: int) -> float | None:
        def say(done: int, total: int) -> None:
            self._teller.progress(
                Notice(
                    kind="progress",
                    where=f"validating, row {done} of {total}",
                    iteration=iteration,
                    iterations=self._recipe.iters,
                )
            )

        return mean_loss(self._model, self._loss, self._data.valid, self._recipe.batch, say)

    def _say(self, iteration: int, train_loss: float, seconds: float) -> None:
        """Say how far it is after an iteration."""
        self._teller.progress(
            Notice(
                kind="progress",
                where="training",
                iteration=iteration,
                iterations=self._recipe.iters,
                train_loss=train_loss,
                tokens_per_s=round(self._tokens(iteration - 1, 1) / seconds, 1),
                seconds_left=self._pace.seconds_left(iteration),
                peak_mb=peak_mb(),
            )
        )


class _Nowhere(io.TextIOBase):
    """Takes what the trainer draws for a terminal; our own lines say it to the log."""

    def write(self, text: str, /) -> int:
        return len(text)


def _chance() -> mx.array:
    """Give the state of mlx's chance: two halves of what would be the seed for it."""
    state: Any = mx.random.state
    return mx.array(state[0])


def _with(state: State, **changed: Any) -> State:
    return msgspec.structs.replace(state, **changed)
