"""`karl erase`: take content out of the ledger for good."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from karl.cli.main import pass_settings
from karl.cli.moments import moment, when
from karl.cli.people import user_at
from karl.cli.render import measuring, plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.ledger.erase import Wanted
    from workers.learned_from import LearnedFrom

_SHOWN = 10


@click.command()
@click.option("--session", "sessions", multiple=True, help="The agent's id of a session; may be repeated.")
@click.option("--before", "before_ms", type=when, help="All that happened before: 90d, or a date.")
@click.option("--reason", default="", help="Why, in your words: it is kept in the ledger.")
@click.option("--resume", is_flag=True, help="End an erasure that was broken off.")
@click.option("--apply", "really", is_flag=True, help="Erase. Without it, only say what would be erased.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@pass_settings
def erase(
    settings: Settings,
    *,
    sessions: Sequence[str],
    before_ms: int | None,
    reason: str,
    resume: bool,
    really: bool,
    as_json: bool,
) -> None:
    """Make the content of sessions, or of all that is older than a time, unrecoverable.

    The records' bodies are taken out of the ledger, also out of compressed segments, torn copies and bytes
    that count for nothing. The chain still verifies; a record says what was erased, when, by whom and why.
    What Redis holds of the sessions goes too, the views are made anew, and followers do the same.

    What stays is the kind, size and time of each record, and the ids that you name here. Not reached are
    exports, backups of the folder, spools of machines that are away, and the agents' own transcripts
    (importing them again adds nothing while the session is remembered, KARL_SESSION_TTL_DAYS).

    Run it where the ledger is, while the line runs. Without --apply nothing is changed.
    """
    if resume == bool(sessions or before_ms is not None):
        raise click.UsageError("say what to erase: --session, or --before, or --resume alone")
    from karl.ledger.erase import Wanted  # noqa: PLC0415 - the ledger and Redis load when needed

    wanted = Wanted(frozenset(sessions), before_ms)
    if not really:
        _say_what_would_go(settings, wanted, resume=resume, as_json=as_json)
        return
    from workers.erasure import Eraser  # noqa: PLC0415
    from workers.learned_from import learned_from  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415

    with on_line(settings, "karl-erase") as redis, measuring("erasing") as progress:
        eraser = Eraser(
            redis,
            settings,
            wanted,
            by=user_at(settings),
            reason=reason,
            progress=without_place(progress),
        )
        report = eraser.resume() if resume else eraser.run()
    made = learned_from(settings, report.sessions)
    left = left_behind(views=report.views, append_only_file=report.append_only_file)
    if as_json:
        print_json({**msgspec.to_builtins(report), **msgspec.to_builtins(made)})
    else:
        click.echo(f"erased {_amount(report.records, report.bytes, len(report.sessions))}")
        for name in report.erasures:
            click.echo(f"  as {name}, in the ledger")
        if report.dead_letters:
            click.echo(f"  and {report.dead_letters:,} dead letters")
        for text in (*left, *_made_of_it(made)):
            click.echo(text, err=True)
    sys.exit(1 if left else 0)


def _made_of_it(made: LearnedFrom) -> Iterator[str]:
    """Say what was made of it for adapters, which an erasure does not reach."""
    for folder in made.folders:
        yield f"a data set has rows of it: {plain(folder)}; delete the folder, and export again"
    if made.adapters:
        names = ", ".join(name[:_SHOWN] for name in made.adapters)
        yield f"adapters learned from it: {names}; `karl adapters promote` refuses them from now on"


def _say_what_would_go(settings: Settings, wanted: Wanted, *, resume: bool, as_json: bool) -> None:
    from karl.ledger.erase import find, unfinished  # noqa: PLC0415

    with measuring("looking") as progress:
        told = without_place(progress)
        if resume:
            begun = unfinished(settings.ledger, told)
        else:
            found = find(settings.ledger, wanted, told)
    if resume:
        if as_json:
            print_json([msgspec.to_builtins(one.body) for one in begun])
            return
        for one in begun:
            click.echo(f"{one.body.id} of {moment(one.body.time_ms)}: {one.body.records:,} records")
        click.echo(f"{len(begun)} erasures were broken off" + ("; --apply ends them" if begun else ""))
        return
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    click.echo(f"{_amount(found.records, found.bytes, len(found.sessions))} would be erased")
    for name in found.sessions[:_SHOWN]:
        click.echo(f"  {plain(name)}{'  (partly: it has later records)' if name in found.partly else ''}")
    if len(found.sessions) > _SHOWN:
        click.echo(f"  and {len(found.sessions) - _SHOWN:,} more (--json lists them)")
    if found.records:
        click.echo("nothing was changed; --apply erases them for good")


def _amount(records: int, size: int, sessions: int) -> str:
    return f"{records:,} records ({size:,} bytes) of {sessions:,} sessions"


def left_behind(*, views: bool, append_only_file: bool) -> list[str]:
    """Say what holds it still, and what to do about that."""
    left = []
    if not views:
        left.append("the views hold it still: no views worker made them anew; run `karl rebuild`")
    if not append_only_file:
        left.append(
            "Redis' append-only file may hold it still, and this user may not rewrite it: BGREWRITEAOF"
        )
    return left


def without_place(
    progress: Callable[[int, int, object], None] | None,
) -> Callable[[int, int], object] | None:
    """Fit a bar that shows places to work that tells none."""
    return (lambda done, total: progress(done, total, "")) if progress else None
