"""What runs by the clock: `karl cron` asks for what is due now, `karl cron list` shows all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.moments import age, now_ms
from karl.cli.render import print_json, print_table
from karl.settings import Settings

if TYPE_CHECKING:
    from workers.cron import Row


@click.group(invoke_without_command=True)
@click.option("--dry-run", is_flag=True, help="Only say what is due.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def cron(ctx: click.Context, *, dry_run: bool, as_json: bool) -> None:
    """Put the jobs that are due by the clock into their queues, now.

    The worker of the queue `default` does this by itself; where there is none, run it by hand or from a
    crontab. A time that somebody else has seen already is not due any more.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(_run, dry_run=dry_run, as_json=as_json)


@pass_settings
def _run(settings: Settings, *, dry_run: bool, as_json: bool) -> None:
    from karl.process import unique_name  # noqa: PLC0415 - Redis loads when it is asked
    from workers.cron import run_due  # noqa: PLC0415
    from workers.line import on_jobs, on_line  # noqa: PLC0415

    with on_line(settings, "karl-cron") as redis, on_jobs(settings, "karl-cron") as rq:
        found = run_due(rq, redis, settings, unique_name(settings.node), now_ms(), dry_run=dry_run)
    if as_json:
        print_json(found)
        return
    said = {
        "asked": "waits as",
        "there": "is there already:",
        "passed": "is passed over: nothing routes",
    }
    for one in found:
        click.echo(f"{one.name} {said.get(one.what, 'is due')} {one.job}".rstrip())
    if not found:
        click.echo("nothing is due; `karl cron list` says when something will be")


@cron.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def list_(settings: Settings, *, as_json: bool) -> None:
    """List what runs by the clock: when next, when last, and what became of it."""
    from workers.cron import listed  # noqa: PLC0415
    from workers.line import on_jobs  # noqa: PLC0415

    now = now_ms()
    with on_jobs(settings, "karl-cron") as redis:
        rows = listed(redis, settings, now)
    if as_json:
        print_json(rows)
        return
    columns = ("name", "job", "when", "next", "last", "became", "help")
    cells = [
        (row.name, row.job, row.every, _next(row, now), _last(row, now), row.status, row.help) for row in rows
    ]
    print_table(columns, cells)


def _next(row: Row, now: int) -> str:
    if row.next_ms is None:
        return "off"
    left_s = (row.next_ms - now) // 1000
    return "now" if left_s <= 0 else f"in {age(left_s)}"


def _last(row: Row, now: int) -> str:
    return "" if row.last_ms is None else f"{age((now - row.last_ms) / 1000)} ago"
