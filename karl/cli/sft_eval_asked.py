"""What `karl sft-eval` asks the training node for: the data set, its held-out rows, the arms, the seeds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from karl.cli.job_done import awaited
from karl.cli.people import user_at
from karl.cli.render import measuring, plain
from karl.errors import KarlError, NotFound, Refused
from karl.jobs import table
from karl.learning.cost import of_runs
from karl.learning.manifests import HELD, NAME, VALID
from karl.learning.marks import mark
from karl.learning.row import Row
from karl.schema.learning import EvaluationBody, Recipe, TrainingBody

if TYPE_CHECKING:
    from karl.settings import Settings
    from workers.launching import DataSet


class Wanted(NamedTuple):
    """What was said on the command line; what is null was not."""

    run: str | None
    data: Path | None
    model: str | None
    seeds: int
    items: int
    share: float
    arms: tuple[str, ...]
    label: str
    recipe: dict[str, Any]


class Plan(NamedTuple):
    """What would be asked for: the job's arguments but for the bundle, and the file of held-out rows."""

    found: DataSet
    held: Path
    arguments: dict[str, Any]
    rows: int
    sessions: int


class Estimate(msgspec.Struct, frozen=True):
    """What would be done. `seconds` is null where nobody knows; `basis` says what it follows from."""

    export: str
    model: str
    arms: tuple[str, ...]
    seeds: int
    runs: int
    iters: int
    held_out_rows: int
    held_out_sessions: int
    holdouts: tuple[str, ...]
    seconds: float | None
    basis: str


@contextmanager
def planned(settings: Settings, wanted: Wanted) -> Iterator[Plan]:
    """Find the data set and its held-out rows, for as long as they are needed. Raises KarlError."""
    from karl.cli.sft import settle  # noqa: PLC0415 - Redis loads when it is asked
    from workers.launching import may_train, opened  # noqa: PLC0415

    settle(settings)
    training = _training(settings, wanted.run) if wanted.run else None
    found = opened(wanted.data or _exported(settings, training))
    if training and training.export != found.id:
        raise Refused(
            f"{found.folder} is not what {training.id[:12]} was trained with: {training.export[:12]}"
        )
    may_train(settings, found)
    if found.manifest.options.get("detail") != "brief":
        raise Refused(
            f"the rows of {found.folder} are whole messages, whose next action can not be judged; export "
            "with `--format chatml --detail brief`"
        )
    with tempfile.TemporaryDirectory(prefix="karl-eval-") as folder:
        held = Path(folder) / HELD
        rows = _held_out(settings, found, held)
        sessions, holdouts = _whose(found, held)
        if training and not holdouts:
            raise Refused(
                "the held-out rows would be the validation part of the export, by which this adapter's "
                "checkpoint was chosen: `karl holdout reserve` first, then export and train again"
            )
        given = _arguments(settings, wanted, found, training, holdouts)
        yield Plan(found, held, given, rows, sessions)


def ask(settings: Settings, plan: Plan, *, wait: bool) -> EvaluationBody | None:
    """Send the data and ask for the job; with `wait` give what came of it. Raises KarlError."""
    from karl.cli.sft import how_to_start  # noqa: PLC0415 - RQ and Redis load when a job is asked for
    from karl.cli.sft_shown import Heard  # noqa: PLC0415
    from karl.jobs import asking, gate, listing  # noqa: PLC0415
    from workers.launching import send  # noqa: PLC0415
    from workers.line import on_jobs, on_line  # noqa: PLC0415

    names = (*plan.found.manifest.files, NAME)
    files = {**{name: plan.found.folder / name for name in names}, HELD: plan.held}
    with on_line(settings, "karl-eval") as redis, measuring("sending", in_bytes=True) as progress:
        bundle = send(redis, files, progress)
    job = table.find("lift")
    asked = gate.Asked(job, table.checked(job, {**plan.arguments, "data": bundle}))
    with on_jobs(settings, "karl-eval") as redis:
        made = asking.enqueue(redis, asked)
        if not listing.workers(redis, "train"):
            click.echo(f"karl: nobody trains now: {how_to_start(settings)}", err=True)
        if not wait:
            again = "" if made.new else ", where it was already"
            click.echo(f"{made.id} waits in the queue train{again}")
            click.echo(
                f"`karl jobs show {made.id}` says how far it is; `karl sft-eval --show latest` what it found"
            )
            return None
        says = f"karl: the job {made.id} waits in the queue train; Ctrl-C ends the waiting, not the job"
        told, given = awaited(redis, made.id, "lift", otherwise=says, heard=Heard())
    if told.status != "finished":
        raise KarlError(f"the evaluation {made.id} {told.status}: {given.failure or 'no reason is known'}")
    return msgspec.convert(given.result, EvaluationBody)


def estimate(settings: Settings, plan: Plan) -> Estimate:
    """Say what would be done, and how long it might take by what was measured before."""
    from workers.speed import speed_of  # noqa: PLC0415 - SQLite loads when it is asked

    asked = table.checked(table.find("lift"), {**plan.arguments, "data": "0" * 64})
    assert isinstance(asked, table.Lift)
    runs = len(asked.seeds) * len(asked.arms)
    items = min(asked.items, plan.rows)
    valid = plan.found.manifest.files[VALID].rows if asked.adapter else 0
    speed = speed_of(settings, asked.model)
    given = bool(asked.adapter) and asked.seed in asked.seeds
    rows = of_runs(asked.recipe, runs, items, given=given, valid=valid)
    return Estimate(
        export=plan.found.id,
        model=asked.model,
        arms=asked.arms,
        seeds=len(asked.seeds),
        runs=runs,
        iters=asked.iters,
        held_out_rows=items,
        held_out_sessions=plan.sessions,
        holdouts=asked.holdouts,
        seconds=speed.seconds(rows),
        basis=speed.basis,
    )


def _arguments(
    settings: Settings,
    wanted: Wanted,
    found: DataSet,
    training: TrainingBody | None,
    holdouts: tuple[str, ...],
) -> dict[str, Any]:
    recipe = training.recipe if training else Recipe()
    given = {name: value for name, value in wanted.recipe.items() if value is not None}
    if training and given:
        raise Refused(f"RUN has a recipe of its own: leave out {', '.join(f'--{name}' for name in given)}")
    recipe = msgspec.structs.replace(recipe, **given)
    weights = found.manifest.weights
    awr = {"beta": weights.beta, "w_max": weights.w_max} if weights.way == "awr" else {}
    return {
        "export": found.id,
        "model": training.model if training else wanted.model or settings.train_model,
        **msgspec.to_builtins(recipe),
        "label": wanted.label,
        "person": user_at(settings),
        "seeds": list(range(recipe.seed, recipe.seed + wanted.seeds)),
        "arms": list(wanted.arms),
        "share": 1.0 if training else wanted.share,
        **awr,
        "items": wanted.items,
        "holdouts": list(holdouts),
        "adapter": training.adapter if training else "",
    }


def _training(settings: Settings, name: str) -> TrainingBody:
    from karl.views.lineage import Lineage  # noqa: PLC0415 - SQLite loads when it is asked
    from karl.views.routing import body_at  # noqa: PLC0415

    with Lineage(settings.views) as views:
        row = views.training(name)
    body = body_at(settings.ledger, row.place, TrainingBody)
    if not body.adapter:
        raise Refused(
            f"the training {body.id[:12]} {body.ended} and made no adapter: there is nothing to judge"
        )
    return body


def _exported(settings: Settings, training: TrainingBody | None) -> Path:
    """Find the folder of the data set that a training used. Raises NotFound."""
    if training is None:
        raise click.UsageError("name a training as RUN, or a data set with --data DIR")
    folder = settings.exports / training.export
    if not folder.is_dir():
        raise NotFound(
            f"the data set {training.export[:12]} of {plain(training.id[:12])} is not in {settings.exports}: "
            "say where it is with --data DIR"
        )
    return folder


def _held_out(settings: Settings, found: DataSet, path: Path) -> int:
    from karl.export.budget import Budget, folder_of  # noqa: PLC0415 - what counts tokens loads when needed
    from karl.export.budget import Counter as Tokens  # noqa: PLC0415
    from karl.export.heldout import held_out_rows  # noqa: PLC0415

    options = found.manifest.options
    model, most = options.get("model"), options.get("max_tokens")
    budget = Budget(Tokens(folder_of(settings.models, model)), most) if model and most else None
    return held_out_rows(settings.views, settings.ledger, found.manifest, path, budget=budget)


def _whose(found: DataSet, held: Path) -> tuple[int, tuple[str, ...]]:
    """Count the sessions of the held-out rows; gives the holdouts too, none for the validation part.

    Raises Refused where a session of them is trained with.
    """
    decode = msgspec.json.Decoder(Row).decode
    with held.open("rb") as lines:
        marks = {mark(decode(line).karl.session) for line in lines}
    parts = {name: set(of) for name, of in found.manifest.sessions.items()}
    if both := marks & parts.get("train", set()):
        raise Refused(f"{len(both)} held-out sessions are trained with ({min(both)}); export again")
    return len(marks), () if marks & parts.get("valid", set()) else found.manifest.held_out
