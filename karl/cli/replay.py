"""`karl replay`: a trajectory once more, in the terminal or as a page to keep; or prompts, routed anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karl.cli.main import pass_settings
from karl.cli.moments import when
from karl.cli.render import plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.views.detail import Detail
    from karl.views.queries import Views


def _speed(value: str) -> float:
    """Read how many times faster than it happened: `4`, `4x`, `0.5`, or `max` for no pauses at all."""
    if value == "max":
        return float("inf")
    try:
        speed = float(value.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e9:
        raise click.BadParameter(f"{value!r} is no speed; say 4 or 0.5, or max for no pauses")
    return speed


@click.command()
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--since", "since_ms", type=when, help="Without ID: route prompts since then anew.")
@click.option(
    "--router", default="", metavar="NAME", help="With --since: by another router, its id or label."
)
@click.option(
    "--speed",
    type=_speed,
    metavar="N",
    default="1",
    show_default=True,
    help="Times faster: 4, 0.5; max: no pauses.",
)
@click.option(
    "--max-pause",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds that a pause lasts at most.",
)
@click.option("--no-wait", is_flag=True, help="Print everything at once, as --speed max.")
@click.option(
    "--from", "first", default=1, show_default=True, type=click.IntRange(1), help="Begin at this moment."
)
@click.option("--to", "last", type=click.IntRange(1), help="Stop after this moment.")
@click.option("--full", is_flag=True, help="Cut nothing.")
@click.option("--html", "page", metavar="FILE", help="Write one self-contained page instead; - is stdout.")
@click.option("--force", is_flag=True, help="Replace FILE when it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print moments and calls as JSON, whole, at once.")
@pass_settings
def replay(
    settings: Settings,
    id_: str | None,
    *,
    since_ms: int | None,
    router: str,
    speed: float,
    max_pause: float,
    no_wait: bool,
    first: int,
    last: int | None,
    full: bool,
    page: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Step through what happened, with the pauses that there were.

    ID is a trajectory's id, a session's (its turns one after the other), or the beginning of one. Moments
    are numbered within each turn: prompt, responses, calls as they begin and end. On a terminal, space
    pauses and goes on, n goes to the next moment, q quits; so does Ctrl-C.

    --html writes a page that needs no network and no other file: timeline, subagents, diffs, the score
    with what is behind it; to be read without JavaScript, and stepped through with it. Texts above
    20,000 characters are cut in it, and pages above 32 MB are refused.

    Without ID, --since DATE routes the prompts that were predicted since anew, with the router and the rules
    of today, and holds the picks against those recorded then: how often each is right, how many changed, got
    better and worse, with intervals. Nothing is written.
    """
    if id_ is None:
        _route_anew(settings, since_ms, router, page, as_json=as_json)
        return
    from karl.cli.replay_shown import play  # noqa: PLC0415 - `--help` needs no database
    from karl.views.queries import Views  # noqa: PLC0415

    if since_ms is not None or router:
        raise click.UsageError("--since and --router route prompts anew, and go without an ID")
    if page is not None and as_json:
        raise click.UsageError("--html and --json exclude each other")
    if last is not None and last < first:
        raise click.UsageError(f"--to {last} comes before --from {first}")
    with Views(settings.views) as views:
        turns = _turns(views, settings.ledger, id_)
        if page is not None:
            _write_page(settings, turns, page, force=force)
            return
    if as_json:
        print_json([_document(turn, first, last) for turn in turns])
        return
    pace = float("inf") if no_wait else speed
    play(turns, (first, last), speed=pace, longest_s=max_pause, full=full)


def _route_anew(
    settings: Settings, since_ms: int | None, router: str, page: str | None, *, as_json: bool
) -> None:
    from karl.cli.reshadow import replay_routed  # noqa: PLC0415 - `--help` needs no database
    from karl.views.filter import Filter  # noqa: PLC0415

    if since_ms is None or page is not None:
        raise click.UsageError("say an ID, or --since DATE to route prompts anew")
    replay_routed(settings, Filter(since_ms=since_ms), router, as_json=as_json)


def _turns(views: Views, ledger: Path, id_: str) -> list[Detail]:
    from karl.views.detail import detail  # noqa: PLC0415

    found = views.find(id_)
    names = [turn.id for turn in views.turns(found.id)] if found.kind == "session" else [found.id]
    if not names:
        raise click.ClickException("this session has no turns, so there is nothing to replay")
    return [detail(views, ledger, name) for name in names]


def _document(turn: Detail, first: int, last: int | None) -> dict[str, Any]:
    from karl.replay.story import story  # noqa: PLC0415

    told = story(turn.body)
    return {
        "trajectory": turn.row.id,
        "session": turn.row.session,
        "turn": turn.row.turn,
        "moments": told.moments[first - 1 : last],
        "calls": told.deeds,
    }


def _write_page(settings: Settings, turns: list[Detail], where: str, *, force: bool) -> None:
    from karl.replay.explained import explain  # noqa: PLC0415 - templates load with the page only
    from karl.replay.page import page, put  # noqa: PLC0415

    data = page([(turn, explain(turn, settings.ledger)) for turn in turns])
    if where == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(where).expanduser().absolute()
    put(path, data, replace=force)
    click.echo(f"{len(data):,} bytes in {plain(path)}", err=True)
