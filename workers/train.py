"""Training an adapter on the designated node: the job `train`.

    bundle -> <runs>/<id>/data -> python -m karl.training -> <runs>/<id>/out -> <adapters>/<id>
                                                                                 -> bundle, record

A run's id is the sha256 of all that makes its adapter what it is: export, data, model, recipe. So the same
training asked for twice is one run, and two different ones never share a folder.

Invariants:
- It may be broken off at any moment and run again: it goes on from the last checkpoint on this node's disk
  or, where another node began it, from the one in Redis.
- A run that ended leaves a record, however it ended; it is sent before the job's end is written.
- Redis may be away while it trains: nothing is said to it then but how far it is, and that by the worker.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from karl.errors import KarlError, LineDown, Refused
from karl.jobs import table
from karl.jobs.table import Outcome, Progress
from karl.learning import manifests
from karl.schema.learning import Measured, Recipe, TrainingBody, TrainingEnd
from karl.stream import bundles
from karl.training import checkpoint
from karl.training.base_models import find
from karl.training.order import Notice, Train, Trained
from karl.training.process import Died, run
from workers import adapter_files, capability
from workers.checkpoints import forget, restore, share
from workers.datasets import check
from workers.line import on_line
from workers.records import LEARNING, Outgoing, send
from workers.run_folders import began, clean
from workers.this_job import asked_to_end, this

if TYPE_CHECKING:
    from karl.settings import Settings

#: How often a training process that died is started again before the job fails.
_STARTS = 4
#: Points of the loss curve that are told while it runs.
_POINTS = 60
#: Seconds for which the end of a training tries to reach Redis before the job is tried again.
_PATIENCE_S, _PAUSE_S = 120.0, 2.0

_log = logging.getLogger("karl")


class State(msgspec.Struct):
    """How far a run is: when it began here (Unix ms), its losses and seconds so far, how often it went on."""

    started_ms: int
    curve: list[Measured] = []
    seconds: float = 0.0
    resumed: int = 0


class Run(NamedTuple):
    """One run: its id, its folder on this node, what was asked, and the model."""

    id: str
    folder: Path
    asked: table.Train
    model: Path
    model_name: str
    model_digest: str

    @property
    def data(self) -> Path:
        """Where the data set lies."""
        return self.folder / "data"

    @property
    def out(self) -> Path:
        """Where checkpoints and the adapter are."""
        return self.folder / "out"


def job(arguments: table.Train, settings: Settings, progress: Progress) -> Outcome:
    """Train as asked; as a job. Its result is the run, the adapter and the bundle that brings it."""
    one = run_of(arguments, settings)
    one.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = State(began(one.folder))
    try:
        _fetch(one, settings, progress)
        made = _trained(one, settings, state, progress)
    except LineDown:
        raise
    except KarlError as error:
        ended: TrainingEnd = "canceled" if asked_to_end.is_set() else "failed"
        _say(one, settings, _body(one, settings, state, ended, reason=str(error)[-2000:]))
        raise
    found = _bring_back(one, settings, state, made, progress)
    clean(settings.runs, one.folder)
    return Outcome(found)


def run_of(asked: table.Train, settings: Settings) -> Run:
    """Say which run this is, with the model of this node. Raises NotFound where it has no such model."""
    name = asked.model or settings.train_model
    model = find(settings.models, name)
    id_ = run_id(asked.export, asked.data, model.digest, asked.recipe)
    return Run(id_, settings.runs / id_, asked, model.path, model.name, model.digest)


def run_id(export: str, data: str, model_digest: str, recipe: Recipe) -> str:
    """Give the id of a run: the sha256 of all that makes its adapter what it is."""
    made = msgspec.json.encode(
        [export, data, model_digest, *(getattr(recipe, n) for n in recipe.__struct_fields__)]
    )
    return hashlib.sha256(made).hexdigest()


class Watch:
    """Hears what the training process says, tells it on, and keeps what must not be lost."""

    def __init__(self, one: Run, state: State, settings: Settings, progress: Progress) -> None:
        self._run = one
        self._state = state
        self._settings = settings
        self._progress = progress
        self._began = time.monotonic() - state.seconds
        self._last = Notice("progress")

    def __call__(self, told: Notice) -> None:
        """Hear one line."""
        self._state.seconds = time.monotonic() - self._began
        if told.valid_loss is not None or told.train_loss is not None:
            self._measured(told)
        if told.kind == "saved":
            share(self._settings, self._run.id, self._run.out, told)
        self._last = told if told.iterations else self._last
        last = self._last
        figures = {
            "where": told.where if told.kind == "progress" else "a checkpoint is kept",
            "run": self._run.id,
            "iteration": last.iteration,
            "iterations": last.iterations,
            "loss": self._latest("train_loss"),
            "valid_loss": self._latest("valid_loss"),
            "tokens_per_s": round(last.tokens_per_s, 1),
            "seconds_left": None if last.seconds_left is None else round(last.seconds_left),
            "peak_mb": round(last.peak_mb),
            "resumed": self._state.resumed,
            "curve": thinned(self._state.curve),
        }
        self._progress(last.iteration, last.iterations or self._run.asked.iters, figures)

    def _measured(self, told: Notice) -> None:
        curve = self._state.curve
        while curve and curve[-1].iteration >= told.iteration:  # it went on from an earlier checkpoint
            before = curve.pop()
            if before.iteration == told.iteration:
                valid = before.valid_loss if told.valid_loss is None else told.valid_loss
                train = before.train_loss if told.train_loss is None else told.train_loss
                curve.append(Measured(told.iteration, train, valid))
                return
        curve.append(Measured(told.iteration, told.train_loss, told.valid_loss))

    def _latest(self, name: str) -> float | None:
        found: float | None = next(
            (value for one in reversed(self._state.curve) if (value := getattr(one, name)) is not None), None
        )
        return None if found is None else round(found, 4)


def thinned(curve: list[Measured]) -> list[Measured]:
    """Give a curve in few points: all that were validated, as far as they are few, and the last."""
    points = [one for one in curve if one.valid_loss is not None]
    if len(points) < 2:
        points = curve
    step = max(1, -(-len(points) // _POINTS))
    return [*points[-1::-step]][::-1]


# --- its steps ---


def _go_on(one: Run, state: State) -> None:
    """Take up what the last checkpoint says, if there is one."""
    if folder := checkpoint.last(one.out):
        try:
            told = msgspec.json.decode((folder / checkpoint.STATE).read_bytes(), type=checkpoint.State)
        except (OSError, msgspec.DecodeError):
            return  # the training process says what is wrong with it
        state.curve, state.seconds, state.resumed = list(told.curve), told.seconds, told.resumed + 1


def _fetch(one: Run, settings: Settings, progress: Progress) -> None:
    """Bring the data set here, and the last checkpoint of a node that had it before."""

    def told(done: int, total: int, where: object) -> None:
        progress(
            0, one.asked.iters, {"where": f"fetching {where}", "run": one.id, "bytes": done, "of": total}
        )

    with on_line(settings, "karl-train") as redis:
        if not _has_data(one):
            shutil.rmtree(one.data, ignore_errors=True)
            bundles.get(redis, one.asked.data, one.data, told)
            if not _has_data(one):
                shutil.rmtree(one.data)
                bundle, export = one.asked.data[:12], one.asked.export[:12]
                raise Refused(f"the bundle {bundle} brings another export than {export}")
        restore(redis, one.id, one.out)


def _has_data(one: Run) -> bool:
    """Say whether the data set is here, each file as its manifest says, and the one that was asked for."""
    try:
        return manifests.id_of(check(one.data)) == one.asked.export
    except KarlError:
        return False


def _trained(one: Run, settings: Settings, state: State, progress: Progress) -> Trained:
    """Train until it is done; a process that dies is started again from its last checkpoint."""
    order = Train(
        data=one.data,
        model=one.model,
        name=one.model_name,
        out=one.out,
        recipe=one.asked.recipe,
        resume=True,
        device=capability.device_of(settings),
    )
    for start in range(1, _STARTS + 1):
        _go_on(one, state)
        try:
            return run(
                order,
                cache=settings.fast,
                progress=Watch(one, state, settings, progress),
                stop=asked_to_end,
                log=one.folder / "log.txt",
            )
        except Died as error:
            if start == _STARTS or asked_to_end.is_set():
                raise
            _log.warning("train: %s; it goes on from its last checkpoint", str(error).splitlines()[0])
    raise AssertionError


def _bring_back(
    one: Run, settings: Settings, state: State, made: Trained, progress: Progress
) -> dict[str, Any]:
    """Keep the adapter here, put it into Redis, and say so in the ledger. Raises LineDown."""
    adapter = adapter_files.keep(settings, made.adapter)
    folder = settings.adapters / adapter
    size = sum((folder / name).stat().st_size for name in adapter_files.FILES)
    progress(one.asked.iters, one.asked.iters, {"where": "bringing the adapter back", "run": one.id})
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with on_line(settings, "karl-train") as redis:
                parcel = adapter_files.send(redis, folder)
                body = _body(
                    one, settings, state, "done", made=made, adapter=adapter, parcel=parcel, size=size
                )
                send(redis, [Outgoing("training", LEARNING, body)], time.sleep)
                forget(redis, one.id, parcel)
            break
        except LineDown as error:
            if time.monotonic() > until:
                raise
            _log.warning("train: the adapter can not be brought back yet: %s", error)
            time.sleep(_PAUSE_S)
    return {
        "run": one.id,
        "adapter": adapter,
        "parcel": parcel,
        "bytes": size,
        "best": made.best,
        "node": settings.node,
        "device": made.device,
        "seconds": round(made.seconds, 1),
        "tokens_per_s": round(made.tokens_per_s, 1),
        "resumed": body.resumed,
        "curve": thinned(list(made.curve)),
        "label": one.asked.label,
        "export": one.asked.export,
        "model": one.model_name,
    }


def _say(one: Run, settings: Settings, body: TrainingBody) -> None:
    """Record how a run ended that made no adapter; the log has it where Redis is away."""
    try:
        with on_line(settings, "karl-train") as redis:
            send(redis, [Outgoing("training", LEARNING, body)], time.sleep)
    except LineDown as error:
        _log.warning("train: the run %s %s, and no record says so: %s", one.id[:12], body.ended, error)


def _body(
    one: Run,
    settings: Settings,
    state: State,
    ended: TrainingEnd,
    *,
    made: Trained | None = None,
    adapter: str = "",
    parcel: str = "",
    size: int = 0,
    reason: str = "",
) -> TrainingBody:
    if made is None:
        more: dict[str, Any] = {
            "device": "",
            "versions": {},
            "curve": tuple(thinned(state.curve)),
            "seconds": state.seconds,
        }
    else:
        names = (
            "device", "versions", "curve", "best", "files", "rows", "tokens", "tokens_per_s", "seconds",
            "peak_mb",
        )  # fmt: skip
        state.resumed = made.resumed
        more = {name: getattr(made, name) for name in names}
    return TrainingBody(
        id=one.id,
        export=one.asked.export,
        model=one.model_name,
        model_digest=one.model_digest,
        recipe=one.asked.recipe,
        ended=ended,
        node=settings.node,
        started_ms=state.started_ms,
        time_ms=_now_ms(),
        adapter=adapter,
        bytes=size,
        parcel=parcel,
        resumed=state.resumed,
        reason=reason,
        job=this.id,
        label=one.asked.label,
        person=one.asked.person,
        **more,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
