"""How a training is shown: what was looked at before, a line while it runs, its losses, what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from karl.cli.job_done import figures_of, how_far, span
from karl.cli.moments import moment
from karl.cli.render import one_line, plain, print_table

if TYPE_CHECKING:
    from karl.jobs.gate import JobFacts
    from karl.learning.findings import Finding
    from karl.schema.learning import TrainingBody
    from karl.views.lineage import TrainingRow

#: Seconds between two lines about a training of which nothing else is new.
_SAY_S = 30.0
_STATES = {
    "started": "runs",
    "queued": "waits",
    "scheduled": "waits for its next attempt",
    "finished": "is done",
}


class Heard:
    """Says on stderr what changes of a training, where there is no terminal to draw on.

    A line where something else is done, or a loss was validated; else one every _SAY_S seconds.
    """

    def __init__(self) -> None:
        self._said: object = None
        self._said_s = 0.0

    def __call__(self, told: JobFacts) -> None:
        """Hear a look at the job."""
        figures = figures_of(told)
        validated = sum(point[2] is not None for point in curve_of(figures))
        phase = str(told.meta.get("where", "")).partition(",")[0]
        now = (told.status, validated, figures.get("resumed"), phase)
        due = now != self._said or time.monotonic() - self._said_s >= _SAY_S
        if due and (far := how_far(told)):
            click.echo(f"karl: {far[0]:,} of {far[1]:,} {one_line(far[2], 160)}", err=True)
            self._said, self._said_s = now, time.monotonic()


def curve_of(figures: dict[str, Any]) -> list[list[Any]]:
    """Give the curve that a job tells of: [iteration, loss, validation loss], null where there is none."""
    found = figures.get("curve")
    return [one for one in found if _is_point(one)] if isinstance(found, list) else []


def print_curve(curve: Sequence[Sequence[Any]]) -> None:
    """Draw losses over iterations: of what is trained with, and of what is not."""
    from karl.cli.figures_asked import plot_width, shows_braille  # noqa: PLC0415 - what draws loads late
    from karl.figures.plot import losses  # noqa: PLC0415

    if len(curve) > 1:
        click.echo()
        for line in losses(curve, width=plot_width(), braille=shows_braille()):
            click.echo(line)


def print_runs(rows: Sequence[TrainingRow], here: frozenset[str]) -> None:
    """List trainings; `here` are the adapters that are on this machine."""
    columns = (
        "run",
        "ended",
        "when",
        "model",
        "label",
        "iters",
        "best",
        "loss",
        "resumed",
        "took",
        "node",
        "adapter",
    )
    print_table(
        columns,
        [
            (
                row.id[:12],
                row.ended,
                moment(row.time_ms),
                row.model,
                row.label,
                row.iters,
                row.best,
                row.best_loss,
                row.resumed,
                span(row.seconds),
                row.node,
                f"{row.adapter[:12]}{' (here)' if row.adapter in here else ''}" or "-",
            )
            for row in rows
        ],
        whole=("run", "adapter"),
    )


def print_job(told: JobFacts) -> None:
    """Show a training that waits, runs or has failed in a line or two."""
    far = how_far(told)
    said = one_line(far[2], 160) if far else one_line(told.description, 160)
    of = " iterations" if told.name == "train" else ""
    counted = f"{far[0]:,} of {far[1]:,}{of}; " if far and told.status == "started" else ""
    state = _STATES.get(told.status) or plain(told.status)
    click.echo(f"{told.id}  {plain(told.name)} {state}: {counted}{said}")
    if told.worker and told.status == "started":
        click.echo(f"  on {one_line(told.worker, 80)}")


def print_findings(found: Sequence[Finding]) -> None:
    """Print what was looked at before a training, and below it what to do."""
    print_table(("", "what", "found"), [(one.level, one.what, one.found) for one in found])
    for one in found:
        if one.todo:
            click.echo(f"{plain(one.what)}: {plain(one.todo)}")


def print_body(body: TrainingBody) -> None:
    """Show what the ledger says of one training."""
    best = next((one.valid_loss for one in body.curve if one.iteration == body.best), None)
    recipe = ", ".join(f"{name} {getattr(body.recipe, name):g}" for name in body.recipe.__struct_fields__)
    for label, value in (
        ("run", body.id),
        ("ended", f"{body.ended}{f': {body.reason}' if body.reason else ''}, {moment(body.time_ms)}"),
        ("export", body.export),
        ("model", f"{body.model} ({body.model_digest[:12]})"),
        ("recipe", recipe.replace("_", " ")),
        ("adapter", f"{body.adapter} ({body.bytes:,} bytes)" if body.adapter else "none"),
        ("best", f"iteration {body.best}, validation loss {best:.4f}" if best is not None else ""),
        (
            "trained",
            f"{body.rows:,} rows; {body.tokens:,} tokens of answers, {body.tokens_per_s:,.0f} a second",
        ),
        (
            "took",
            f"{span(body.seconds)} on {body.node} ({body.device or '?'}), {body.peak_mb:,.0f} MB at most",
        ),
        ("resumed", f"{body.resumed} times, from a checkpoint" if body.resumed else ""),
        ("versions", ", ".join(f"{name} {number}" for name, number in body.versions.items())),
        ("label", body.label),
        ("asked by", body.person),
        ("job", body.job),
    ):
        if value:
            click.echo(f"{label:<10} {one_line(value, 400)}")
    print_curve([[one.iteration, one.train_loss, one.valid_loss] for one in body.curve])


def _is_point(one: object) -> bool:
    return (
        isinstance(one, list)
        and len(one) == 3
        and isinstance(one[0], int)
        and all(value is None or isinstance(value, int | float) for value in one[1:])
    )
