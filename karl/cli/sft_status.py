"""What trains, and what was trained: `karl sft-status`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from karl.cli.job_done import ENDED, figures_of
from karl.cli.main import pass_settings
from karl.cli.render import one_line, plain, print_json
from karl.cli.sft import how_to_start, nodes_of
from karl.cli.sft_shown import curve_of, print_body, print_curve, print_job, print_runs
from karl.errors import KarlError, NotFound
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.cli.sft import Nodes
    from karl.jobs.gate import JobFacts
    from karl.jobs.listing import Given
    from karl.schema.learning import TrainingBody
    from karl.views.lineage import TrainingRow


@click.command(name="sft-status")
@click.argument("run", required=False, default="")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1), help="Past runs at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def sft_status(settings: Settings, run: str, *, limit: int, as_json: bool) -> None:
    """Show what trains now with its losses so far, and the last trainings; or one RUN whole.

    RUN is a job, a run, an adapter or a label; the beginning of a run or an adapter will do.
    """
    if run:
        show_one(settings, run, as_json=as_json)
    else:
        show_all(settings, limit, as_json=as_json)


def show_all(settings: Settings, limit: int, *, as_json: bool = False) -> None:
    """Show all that trains, and the last trainings."""
    nodes, jobs = _jobs(settings)
    rows = _rows(settings, limit)
    here = frozenset(path.name for path in settings.adapters.glob("[!.]*") if not path.is_symlink())
    if as_json:
        told = [{**one._asdict(), "failure": given.failure} for one, given in jobs]
        print_json({"nodes": nodes.workers, "jobs": told, "trainings": rows, "adapters_here": sorted(here)})
        return
    for node in nodes.workers:
        click.echo(f"{plain(node.node)} trains: {plain(node.says)}; {plain(node.state)}")
    if nodes.called and not nodes.workers:
        click.echo("a worker is started when a training waits")
    if not nodes.served:
        click.echo(f"nobody trains now; {how_to_start(settings)}")
    for one, given in jobs:
        click.echo()
        print_job(one)
        if given.failure:
            click.echo(f"  {one_line(given.failure.strip().splitlines()[-1], 200)}")
        if one.status == "started":
            print_curve(curve_of(figures_of(one)))
    click.echo()
    if rows:
        print_runs(rows, here)
    else:
        click.echo("no training has ended yet that the ledger knows of; `karl train` makes one")


def show_one(settings: Settings, run: str, *, as_json: bool = False) -> None:
    """Show one training whole: the job as long as it has not ended well, else the record."""
    found = _job(settings, run)
    if found and found[0].status != "finished":
        told, given = found
        if as_json:
            print_json({**told._asdict(), "result": given.result, "failure": given.failure})
            sys.exit(0 if told.status not in ENDED else 1)
        print_job(told)
        if given.failure:
            click.echo(plain(given.failure))
        print_curve(curve_of(figures_of(told)))
        sys.exit(0 if told.status not in ENDED else 1)
    name = str(found[1].result["run"]) if found and isinstance(found[1].result, dict) else run
    body = _body(settings, name)
    if as_json:
        print_json(body)
    else:
        print_body(body)


def _jobs(settings: Settings) -> tuple[Nodes, list[tuple[JobFacts, Given]]]:
    from karl.jobs import listing  # noqa: PLC0415 - Redis loads when it is asked
    from workers.line import on_jobs  # noqa: PLC0415

    with on_jobs(settings, "karl-sft") as rq:
        nodes = nodes_of(rq)
        told = [
            one
            for state in (*listing.UNDER_WAY, "failed")
            for one in listing.listed(rq, "train", state, 20)
            if one.name in {"train", "lift"}
        ]
        return nodes, [(one, listing.last_given(rq, one.id)) for one in told]


def _job(settings: Settings, name: str) -> tuple[JobFacts, Given] | None:
    from karl.jobs import listing  # noqa: PLC0415
    from workers.line import on_jobs  # noqa: PLC0415

    with on_jobs(settings, "karl-sft") as rq:
        try:
            found = listing.one(rq, name)
        except NotFound:
            under_way = listing.under_way(rq, "train", "train", name)
            return (under_way, listing.last_given(rq, under_way.id)) if under_way else None
    if found[0].name != "train":
        raise KarlError(f"{name} is a job {plain(found[0].name)}, and no training; `karl jobs show` shows it")
    return found


def _rows(settings: Settings, limit: int) -> list[TrainingRow]:
    from karl.views.lineage import Lineage  # noqa: PLC0415 - SQLite loads when it is asked

    try:
        with Lineage(settings.views) as views:
            return views.trainings(limit)
    except NotFound:  # no views here: what trains is shown all the same
        return []


def _body(settings: Settings, name: str) -> Any:
    from karl.schema.learning import TrainingBody  # noqa: PLC0415
    from karl.views.lineage import Lineage  # noqa: PLC0415
    from karl.views.routing import body_at  # noqa: PLC0415

    with Lineage(settings.views) as views:
        body: TrainingBody = body_at(settings.ledger, views.training(name).place, TrainingBody)
    return body
