"""What `karl dashboard` shows: every part looked at by itself, so that one that is missing hides no other."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import click

from karl.cli.deeds import heading
from karl.cli.figures_asked import end_of
from karl.cli.figures_page import print_digest, print_routing
from karl.cli.render import one_line, plain, print_table
from karl.cli.routed_asked import digest
from karl.cli.shown import print_state, state_json
from karl.cli.state import State, state
from karl.errors import KarlError, NotFound
from karl.figures.attention import Finding, Lately, findings_of, lately_of
from karl.figures.chosen import choose
from karl.figures.health import health_of
from karl.figures.routing.digest import Digest
from karl.jobs.listing import QueueFacts, facts
from karl.settings import Settings
from karl.views.figures import Figures
from karl.views.filter import Filter
from karl.views.lineage import Lineage
from workers.line import on_jobs

#: Filters of no turn at all, as figures ask for them.
_ALL: dict[str, Any] = dict.fromkeys(Filter._fields[:7])


class Page(NamedTuple):
    """All parts; null for what can not be told. `agents` are compared, `findings` what got worse."""

    line: State
    jobs: list[QueueFacts] | None
    agents: list[Lately] | None = None
    findings: list[Finding] | None = None
    routing: Digest | None = None
    training: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Give it as JSON shows it."""
        return {**self._asdict(), "line": state_json(self.line)}


def page(settings: Settings, days: int) -> Page:
    """Look at everything; what is missing is null, and said on stderr."""
    line = state(settings, time.time_ns())
    for note in line.notes:
        click.echo(f"karl: {plain(note)}", err=True)
    made = Page(line, _queues(settings))
    try:
        with Figures(settings.views) as views:
            found = choose(views.measured(), settings.reward_version)
        lately = lately_of(found, days, end_of(_ALL))
        findings = findings_of(found, lately, health_of(found, "skill"), "skill")
        return made._replace(
            agents=lately,
            findings=findings,
            routing=digest(settings, _ALL),
            training=_training(settings),
        )
    except NotFound:
        return made  # there are no views yet, as the notes say


def _queues(settings: Settings) -> list[QueueFacts] | None:
    try:
        with on_jobs(settings, "karl-dashboard") as redis:
            return facts(redis)
    except KarlError:
        return None  # the line's part has said that Redis is away


def _training(settings: Settings) -> dict[str, Any]:
    with Lineage(settings.views) as views:
        trainings, evaluations, exports = views.trainings(1), views.evaluations(1), views.exports(1)
        return {
            "held_out_sessions": len(views.held_out()),
            "synthetic": len(views.synthetic()),
            "claims": len(views.claims()),
            "adapter": views.current(),
            "export": exports[0] if exports else None,
            "training": trainings[0] if trainings else None,
            "evaluation": evaluations[0] if evaluations else None,
        }


def print_page(made: Page, days: int) -> None:
    """Print the parts that there are, under a heading each."""
    print_state(made.line)
    if made.jobs:
        heading("jobs")
        rows = [(one.queue, one.waiting, one.running, one.failed, one.workers) for one in made.jobs]
        print_table(("queue", "waiting", "running", "failed", "workers"), rows, whole=("queue",))
    if made.agents:
        heading("agents")
        print_digest(made.agents, made.findings or [], days)
    print_routing(made.routing)
    if made.training:
        heading("training")
        _print_training(made.training)


def _print_training(known: dict[str, Any]) -> None:
    export, training, evaluation = known["export"], known["training"], known["evaluation"]
    adapter = known["adapter"]
    click.echo(f"adapter in use   {adapter[:16] if adapter else 'none'} (`karl adapters list`)")
    if export:
        click.echo(f"last export      {export.id[:16]}, {export.train_rows:,} rows to train with")
    if training:
        label = f" {one_line(training.label, 40)}" if training.label else ""
        click.echo(f"last training    {training.id[:16]}{label}, {training.ended} (`karl sft-status`)")
    if evaluation:
        click.echo(
            f"last evaluation  {evaluation.id[:16]}: {evaluation.verdict}, {evaluation.contrast} "
            f"{evaluation.difference:+.3f} ({evaluation.low:+.3f} to {evaluation.high:+.3f})"
        )
    click.echo(
        f"held out         {known['held_out_sessions']:,} sessions; {known['synthetic']:,} synthetic "
        f"questions, {known['claims']:,} claims (`karl drift` says whether to train anew)"
    )
