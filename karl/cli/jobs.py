"""Jobs: what waits and runs, why something failed; running one, ending one, trying one again."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from karl.cli.job_done import ENDED, awaited, figures_of, how_far, in_figures
from karl.cli.main import pass_settings
from karl.cli.moments import when
from karl.cli.render import one_line, plain, print_json, print_table
from karl.errors import Refused
from karl.jobs import table
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.jobs.gate import JobFacts
    from karl.jobs.listing import Given

_STATES = ("waiting", "running", "scheduled", "failed", "canceled", "finished")
#: What is listed when no state is named: what somebody may want to do something about.
_OPEN = ("running", "waiting", "scheduled", "failed")


@click.command(name="list")
@click.option("--queue", type=click.Choice([queue.name for queue in table.QUEUES]), help="Only this queue.")
@click.option("--state", type=click.Choice(_STATES), help="Only jobs in this state.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="Jobs of a state at most."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def list_(settings: Settings, *, queue: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List the queues, and the jobs that run, wait or have failed."""
    from karl.jobs import listing  # noqa: PLC0415 - Redis loads when it is asked

    names = [queue] if queue else [one.name for one in table.QUEUES]
    with _connected(settings) as redis:
        able = [one for one in listing.workers(redis, "train") if one.capability] if "train" in names else []
        facts = [one for one in listing.facts(redis) if one.queue in names]
        jobs = [
            (one, told, listing.last_given(redis, told.id))
            for name in names
            for one in ((state,) if state else _OPEN)
            for told in listing.listed(redis, name, one, limit)
        ]
    if as_json:
        print_json(
            {"queues": facts, "nodes": able, "jobs": [_as_json(told, given) for _, told, given in jobs]}
        )
        return
    columns = ("queue", "workers", "running", "waiting", "scheduled", "failed", "finished")
    rows_of = [[getattr(one, column) for column in columns] for one in facts]
    for row, one in zip(rows_of, facts, strict=True):
        if one.called and not one.workers:
            row[1] = "when needed"
    print_table(columns, rows_of)
    for node in able:
        click.echo(f"train on {plain(node.node)}: {plain(node.says)}; {plain(node.state)}")
    if jobs:
        click.echo()
        rows = [
            (told.id, told.queue, one, told.description, _about(told, given)) for one, told, given in jobs
        ]
        cut = [(*row[:3], one_line(row[3], 60), one_line(row[4], 80)) for row in rows]
        print_table(("id", "queue", "state", "job", "about"), cut, whole=("id",), short=("about",))


@click.command()
@click.argument("name", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def show(settings: Settings, name: str, *, as_json: bool) -> None:
    """Show one job whole: what it is, how far, and what it gave or why it failed."""
    from karl.jobs import listing  # noqa: PLC0415

    with _connected(settings) as redis:
        told, given = listing.one(redis, name)
    _print_one(told, given, as_json=as_json)


@click.command()
@click.argument("name", metavar="NAME", type=click.Choice([job.name for job in table.JOBS]))
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--queue", type=click.Choice([queue.name for queue in table.QUEUES]), help="Another queue than its own."
)
@click.option("--wait", is_flag=True, help="Wait for the end; exit 1 if it fails.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def run(
    settings: Settings, name: str, arguments: tuple[str, ...], *, queue: str | None, wait: bool, as_json: bool
) -> None:
    """Put a job into its queue; with --wait, show how far it is and what it gives.

    A job that waits with the same arguments is not put there again. With --wait, Ctrl-C ends the waiting, not
    the job. Such are verify; backfill, with force=true, since=7d, agent=... and project=... as they are for
    `karl backfill`; probe, with seconds=... to hold a worker and note=... to tell probes apart. Most others
    have a command of their own: `karl routing embed`, `karl centroids`, `karl cron`.
    """
    from karl.jobs import asking, gate, listing  # noqa: PLC0415 - RQ loads when a job is asked for

    job = table.find(name)
    if queue and queue not in job.queues:
        raise click.UsageError(f"the job {name} runs in the queue {', '.join(job.queues)}")
    try:
        asked = gate.Asked(job, table.checked(job, _given(arguments), text=True))
    except Refused as error:
        raise click.UsageError(plain(error)) from None
    with _connected(settings) as redis:
        made = asking.enqueue(redis, asked, queue)
        where = queue or job.queue
        if not next(one.served for one in listing.facts(redis) if one.queue == where):
            click.echo(f"karl: nobody works on the queue {where} now: `karl worker jobs {where}`", err=True)
        if wait:
            told, given = awaited(redis, made.id, name)
    if wait:
        _print_one(told, given, as_json=as_json)
        sys.exit(0 if told.status == "finished" else 1)
    if as_json:
        print_json({"id": made.id, "queue": where, "new": made.new})
    else:
        click.echo(f"{made.id} waits in the queue {where}" + ("" if made.new else ", where it was already"))


@click.command()
@click.argument("name", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def retry(settings: Settings, name: str, *, as_json: bool) -> None:
    """Put a job that failed, was stopped or cancelled into its queue again."""
    from karl.jobs import asking  # noqa: PLC0415

    with _connected(settings) as redis:
        made = asking.retry(redis, name)
    if as_json:
        print_json({"id": made.id, "new": made.new})
    else:
        click.echo(f"{made.id} waits" + ("" if made.new else " already, with the same arguments"))


@click.command()
@click.argument("name", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def cancel(settings: Settings, name: str, *, as_json: bool) -> None:
    """Take a job out of its queue, or have its worker end it."""
    from karl.jobs import asking  # noqa: PLC0415

    with _connected(settings) as redis:
        done = asking.cancel(redis, name)
    if as_json:
        print_json({"id": name, "cancelled": done == "canceled", "asked": done == "asked"})
    else:
        click.echo(
            f"{name} will not run" if done == "canceled" else f"{name} runs; its worker was asked to end it"
        )


def _given(arguments: tuple[str, ...]) -> dict[str, Any]:
    """Read key=value words; `since` is a span or a date. Raises UsageError."""
    given: dict[str, Any] = {}
    for word in arguments:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{plain(word)}: expected KEY=VALUE")
        if key == "since":
            key, value = "since_ms", str(when(value))
        given[key] = value
    return given


def _print_one(told: JobFacts, given: Given, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(told, given))
        return
    for label, value in (
        ("id", told.id),
        ("job", told.description),
        ("queue", told.queue),
        ("status", told.status),
        ("waits since", told.enqueued_at),
        ("began", told.started_at),
        ("ended", told.ended_at),
        ("worker", told.worker),
        ("attempts", f"{told.retries_left} left" if told.status not in ENDED else ""),
        ("far", _far(told)),
        ("figures", in_figures(figures_of(told))),
    ):
        if value:
            click.echo(f"{label:<12} {one_line(value, 200)}")
    if told.status == "finished":
        click.echo(plain(msgspec.json.format(msgspec.json.encode(given.result), indent=2).decode()))
    elif given.failure:
        click.echo(plain(given.failure))


def _far(told: JobFacts) -> str:
    far, total, where = (told.meta.get(name) for name in ("done", "total", "where"))
    counted = isinstance(far, int) and isinstance(total, int) and told.status not in {"queued", "finished"}
    return f"{far:,} of {total:,} {where or ''}".rstrip() if counted else ""


def _as_json(told: JobFacts, given: Given) -> dict[str, Any]:
    return {**told._asdict(), "result": given.result, "failure": given.failure}


def _about(told: JobFacts, given: Given) -> str:
    """Say what matters most of a job in its state."""
    if told.status == "started":
        far = how_far(told)
        done = f"{far[0]:,} of {far[1]:,} {far[2]}, " if far else ""
        return f"{done}on {told.worker}"
    return given.failure or told.enqueued_at


def _connected(settings: Settings) -> AbstractContextManager[Any]:
    from workers.line import on_jobs  # noqa: PLC0415 - Redis loads when it is asked

    return on_jobs(settings, "karl-ask-jobs")
