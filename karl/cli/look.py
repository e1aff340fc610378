"""Looking at what was recorded: `karl status`, `karl sessions`, `karl show`."""

from __future__ import annotations

import time

import click

from karl.cli import shown
from karl.cli.main import pass_settings
from karl.cli.moments import when
from karl.cli.render import print_json, print_table
from karl.settings import Settings

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@JSON
@pass_settings
def status(settings: Settings, *, as_json: bool) -> None:
    """Show what the line holds and whether it moves.

    Works without Redis, without views and before anything was recorded; what can not be told is null
    in the JSON, and a hint on stderr says why. Costs the same however much was recorded.
    """
    from karl.cli.state import state  # noqa: PLC0415 - what it asks is loaded when it asks

    now = state(settings, time.time_ns())
    for note in now.notes:
        click.echo(f"karl: {note}", err=True)
    if as_json:
        print_json(shown.state_json(now))
    else:
        shown.print_state(now)


@click.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Rows at most.")
@click.option("--agent", help="Only sessions of this kind of agent.")
@click.option("--project", help="Only sessions in this project.")
@click.option("--node", help="Only sessions on this machine.")
@click.option("--fleet", help="Only sessions of this fleet.")
@click.option("--since", type=when, help="Only sessions active since: 90m, 12h, 7d, or a date.")
@JSON
@pass_settings
def sessions(
    settings: Settings,
    *,
    limit: int,
    agent: str | None,
    project: str | None,
    node: str | None,
    fleet: str | None,
    since: int | None,
    as_json: bool,
) -> None:
    """List sessions, the last active first."""
    from karl.views.queries import Filter, Views  # noqa: PLC0415 - `--help` needs no database

    with Views(settings.views) as views:
        rows = views.sessions(Filter(fleet, node, agent, project, since_ms=since), limit)
    if as_json:
        print_json(rows)
    elif rows:
        print_table(shown.SESSION_COLUMNS, shown.session_rows(rows, int(time.time() * 1000)))
    else:
        click.echo("no session fits")


@click.command()
@click.argument("id_", metavar="ID")
@JSON
@pass_settings
def show(settings: Settings, id_: str, *, as_json: bool) -> None:
    """Show one session or trajectory: turns, calls, signals.

    ID is a session's or a trajectory's id, or the beginning of one. With --json a trajectory comes
    with its record as it is in the ledger, its current score, and what was said about it later.
    """
    from karl.views.detail import detail  # noqa: PLC0415 - `--help` needs no database
    from karl.views.queries import Views  # noqa: PLC0415

    with Views(settings.views) as views:
        found = views.find(id_)
        if found.kind == "session":
            row, turns = views.session(found.id), views.turns(found.id)
            if as_json:
                print_json({"session": row, "turns": turns})
            else:
                shown.print_session(row, turns)
            return
        whole = detail(views, settings.ledger, found.id)
    if as_json:
        print_json(shown.detail_json(whole))
    else:
        shown.print_trajectory(whole)
