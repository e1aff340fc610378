"""Many adapters of one recipe, trained and judged side by side: the job `lift`.

    bundle: train.jsonl, valid.jsonl, heldout.jsonl
        -> arms x seeds: rows -> adapter -> judged -> result, kept --+
        -> tables that only count ------------------> result --------+-> figures, verdict -> evaluation record

Invariants:
- What was judged stays in the run's folder: a job that was broken off goes on with what is missing.
- Every arm is judged by the same steps, and starts from the same model.
- The record is sent when all is there; its id follows from what was asked and the model, so that a job that
  runs twice tells of the same evaluation twice.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from karl.errors import Refused
from karl.jobs.table import Lift, Outcome, Progress
from karl.learning import counts, lift
from karl.learning.arms import COUNTED, TRAINED, Arms, Options, items
from karl.learning.lift import pack
from karl.learning.manifests import HELD, TRAIN, VALID
from karl.learning.repeats import said
from karl.learning.row import Row
from karl.schema.learning import Arm, ArmRun, EvaluationBody
from karl.stream import bundles
from karl.training.base_models import Model, find
from workers.adapter_files import folder_of
from workers.adapter_files import send as send_adapter
from workers.lift_runs import RESULTS, Done, Items, Runs, rows_of
from workers.line import on_line
from workers.records import LEARNING, Outgoing, send
from workers.run_folders import began, clean
from workers.this_job import this

if TYPE_CHECKING:
    from pathlib import Path

    from karl.settings import Settings


def job(arguments: Lift, settings: Settings, progress: Progress) -> Outcome:
    """Train and judge what was asked for, and tell the ledger; gives the evaluation's record."""
    model = find(settings.models, arguments.model)
    evaluation = id_of(arguments, model.digest)
    folder = settings.runs / f"lift-{evaluation[:16]}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    began(folder)
    with on_line(settings, "karl-lift") as redis:
        bundles.get(redis, arguments.data, folder / "data", progress)
        given = folder_of(settings, redis, arguments.adapter) if arguments.adapter else None
    found = _Found(arguments, settings, model, evaluation, folder, given)
    body, done = _evaluated(found, progress)
    with on_line(settings, "karl-lift") as redis:
        kept = [one.training for one in done if one.training is not None]
        for training in kept:
            send_adapter(redis, settings.adapters / training.adapter)
        told = [Outgoing("training", LEARNING, one) for one in kept]
        send(redis, [*told, Outgoing("evaluation", LEARNING, body)], time.sleep)
    _forget_rows(folder)
    clean(settings.runs, folder)
    return Outcome(msgspec.to_builtins(body))


class _Found(msgspec.Struct, frozen=True):
    """What there is to work with; `given` is the folder of an adapter that is judged as it is.

    `evaluation` is the id of what comes of it; results are kept in `folder` while it goes on.
    """

    asked: Lift
    settings: Settings
    model: Model
    evaluation: str
    folder: Path
    given: Path | None


def id_of(asked: Lift, model_digest: str) -> str:
    """Give the id of an evaluation: the sha256 of what was asked and of the model that it was asked of."""
    what = msgspec.structs.replace(asked, person="", label="")
    return hashlib.sha256(msgspec.json.encode((what, model_digest), order="deterministic")).hexdigest()


def _forget_rows(folder: Path) -> None:
    """Leave results and the log: what was said in sessions stays no longer than it is needed."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != RESULTS:
            shutil.rmtree(path)
        elif path.suffix == ".jsonl":
            path.unlink()


def _evaluated(found: _Found, progress: Progress) -> tuple[EvaluationBody, list[Done]]:
    asked, data = found.asked, found.folder / "data"
    train = rows_of(data / TRAIN)
    held = _held(rows_of(data / HELD), asked, train)
    exported = bool(asked.adapter)
    arms = Arms(train, Options(asked.share, asked.beta, asked.w_max, exported))
    runs = Runs(
        asked=asked,
        settings=found.settings,
        model=found.model,
        folder=found.folder,
        given=found.given,
        train=train,
        valid=rows_of(data / VALID) if exported else [],
        held=held,
        arms=arms,
        progress=progress,
        evaluation=found.evaluation,
    )
    done = runs.all()
    made = _arms(done, _tables([train[at] for at in arms.once], held))
    guard = {arm.name: value for arm in made if (value := _guard(done, arm.name)) is not None}
    return _body(found, runs, made, guard, sum(one.seconds for one in done)), done


def _held(rows: list[Row], asked: Lift, train: list[Row]) -> Items:
    """Choose the steps that are judged. Raises Refused where there are none, or they can not be judged by."""
    sessions, seen = {row.karl.session for row in train}, {said(row) for row in train}
    if any(row.karl.session in sessions for row in rows):
        raise Refused("a held-out session is among those that are trained with; export again")
    # A usual turn that is in both is known by heart, and says nothing of what was learned.
    new = [row for row in rows if said(row) not in seen]
    chosen = [new[at] for at in items(new, asked.items, asked.items_seed)]
    if not chosen:
        raise Refused(
            f"of {len(rows)} held-out steps none is new and calls a tool without failing; hold out more"
        )
    if any(counts.action_of(row.messages[-1]) is None for row in chosen):
        raise Refused("held-out steps are no actions in brief; export with --detail brief")
    of = Counter(row.karl.session for row in chosen)
    return Items(chosen, tuple(of.values()), len(rows) - len(new))


def _tables(train: list[Row], held: Items) -> list[Arm]:
    """Judge the tables that only count."""
    made = []
    for name, table in zip(COUNTED, (counts.bigram(train), counts.majority(train)), strict=True):
        right = table.judge(held.rows)
        run = ArmRun(
            0, pack([one.tool for one in right]), pack([one.target for one in right]), rows=len(train)
        )
        made.append(Arm(name, (run,)))
    return made


def _arms(done: list[Done], tables: list[Arm]) -> list[Arm]:
    trained = [
        Arm(name, tuple(one.run for one in done if one.arm == name))
        for name in ("base", *TRAINED)
        if any(one.arm == name for one in done)
    ]
    return [*trained, *tables]


def _guard(done: list[Done], name: str) -> float | None:
    losses = [one.guard for one in done if one.arm == name and one.guard is not None]
    return sum(losses) / len(losses) if losses else None


def _body(
    found: _Found, runs: Runs, arms: list[Arm], guard: dict[str, float], seconds: float
) -> EvaluationBody:
    asked, held = found.asked, runs.held
    labels = {
        tool: pack([row.karl.tool == tool for row in held.rows])
        for tool in sorted({row.karl.tool for row in held.rows})
    }
    figures = lift.found(lift.Asked(arms, held.sessions, labels, guard))
    options = {
        "share": asked.share,
        "beta": asked.beta,
        "w_max": asked.w_max,
        "items_seed": float(asked.items_seed),
        "masked": float(runs.arms.masked),
        "train_rows": float(len(runs.arms.once)),
        "repeated": float(held.repeated),
        "exported": float(bool(asked.adapter)),
    }
    return EvaluationBody(
        id=runs.evaluation,
        export=asked.export,
        model=found.model.name,
        model_digest=found.model.digest,
        recipe=asked.recipe,
        seeds=asked.seeds,
        items=len(held.rows),
        sessions=held.sessions,
        arms=tuple(arms),
        primary=figures.primary,
        contrasts=figures.contrasts,
        guard=guard,
        verdict=figures.verdict,
        why=figures.why,
        node=found.settings.node,
        time_ms=time.time_ns() // 1_000_000,
        holdouts=asked.holdouts,
        labels=labels,
        options=options,
        seconds=seconds,
        job=this.id,
        person=asked.person,
    )
