"""Looking at what was recorded: `karl status`, `karl sessions`, `karl show`."""

from __future__ import annotations

import time
from typing import Any

import click

from karl.cli.main import pass_settings
from karl.cli.moments import now_ms, when
from karl.cli.render import print_json
from karl.settings import Settings

_SHARE = click.FloatRange(0, 1)
_SORTS = ("active", "started", "reward", "turns", "calls", "failed", "tokens")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@JSON
@pass_settings
def status(settings: Settings, *, as_json: bool) -> None:
    """Show what the line holds and whether it moves.

    Works without Redis, without views and before anything was recorded; what can not be told is null
    in the JSON, and a hint on stderr says why. Costs the same however much was recorded.
    """
    from karl.cli import shown  # noqa: PLC0415 - what it asks is loaded when it asks
    from karl.cli.state import state  # noqa: PLC0415

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
@click.option("--project", "--repository", "--repo", "project", help="Only sessions in this project.")
@click.option("--node", help="Only sessions on this machine.")
@click.option("--fleet", help="Only sessions of this fleet.")
@click.option("--since", "since_ms", type=when, help="Only those active since: 90m, 12h, 7d, or a date.")
@click.option("--until", "until_ms", type=when, help="Only those whose last activity was before that.")
@click.option("--min-reward", type=_SHARE, help="Only mean rewards from this on.")
@click.option("--max-reward", type=_SHARE, help="Only mean rewards up to this.")
@click.option("--failed", is_flag=True, help="Only sessions in which a call failed.")
@click.option("--search", metavar="TEXT", help="Only sessions with a prompt that has all of these words.")
@click.option("--sort", default="active", show_default=True, type=click.Choice(_SORTS), help="Most first.")
@click.option("--reverse", is_flag=True, help="Turn the order round: least, or oldest, first.")
@JSON
@pass_settings
def sessions(
    settings: Settings,
    *,
    limit: int,
    sort: Any,
    reverse: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List sessions, the last active first.

    Conditions add up. --search finds words, and parts of words, in the first 4,000 characters of prompts,
    in any case; it reads every prompt there is: 0.4 s for 300,000 turns. --sort by anything but
    the last activity looks at every session that the conditions leave. Rewards compare within one agent only.
    """
    from karl.cli import shown  # noqa: PLC0415 - `--help` needs no database
    from karl.views.queries import Filter, Views  # noqa: PLC0415

    low, high = filters["min_reward"], filters["max_reward"]
    if low is not None and high is not None and low > high:
        raise click.UsageError(f"--min-reward {low:g} is above --max-reward {high:g}: nothing could fit")
    with Views(settings.views) as views:
        rows = views.sessions(Filter(**filters), limit, sort=sort, least=reverse)
    if as_json:
        print_json(rows)
    elif rows:
        shown.print_sessions(rows, now_ms())
        if sort == "reward" and len({row.agent for row in rows}) > 1:
            click.echo("karl: rewards of different agents do not compare; --agent keeps to one", err=True)
    else:
        click.echo("no session fits")


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--full", is_flag=True, help="Cut nothing, and show what each call was given and answered.")
@click.option("--diffs/--no-diffs", default=True, help="Show what edits changed.", show_default=True)
@JSON
@pass_settings
def show(settings: Settings, id_: str, *, full: bool, diffs: bool, as_json: bool) -> None:
    """Show one session or trajectory: turns, calls, signals.

    ID is a session's or a trajectory's id, or the beginning of one. Of a trajectory: the prompt, each call
    with its subagents' below it, what edits changed, what went wrong, the response and the score. With
    --json it comes with its record, its current score, what was said about it later, and the diffs.
    """
    from karl.cli import shown  # noqa: PLC0415 - `--help` needs no database
    from karl.views.detail import detail  # noqa: PLC0415
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
        from karl.cli.turns import print_trajectory  # noqa: PLC0415 - only a trajectory needs it

        print_trajectory(whole, full=full, diffs=diffs)
