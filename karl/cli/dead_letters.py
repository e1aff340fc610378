"""Dead letters: what could not be understood, and why; looking at it, trying it again, dropping it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
import msgspec

from karl.cli.main import pass_settings
from karl.cli.moments import moment, when
from karl.cli.render import counting, one_line, plain, print_json, print_table
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.stream.dead_letters import DeadLetter

_STOPS = ("ship", "import", "sessions", "ledger")


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options by which dead letters are chosen."""
    reason = click.option("--reason", metavar="TEXT", help="Only those whose reason has these words.")
    where = click.option("--where", type=click.Choice(_STOPS), help="Only those of one stop of the line.")
    before = click.option(
        "--older-than", type=when, help="Only those buried before: 90m, 12h, 7d, or a date."
    )
    return reason(where(before(command)))


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ids, or --all and the filters."""
    ids = click.argument("ids", nargs=-1, metavar="[ID...]")
    every = click.option("--all", "every", is_flag=True, help="All of them, or all that the filters leave.")
    return ids(every(_filters(command)))


@click.command(name="list")
@_filters
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="Dead letters at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the data whole.")
@pass_settings
def list_(settings: Settings, *, limit: int, as_json: bool, **chosen: Any) -> None:
    """List what could not be understood, oldest first in each partition, with the reason.

    Secrets were taken out before it came here. Bytes that are no text are shown as escapes.
    """
    with _connected(settings) as redis:
        letters = list(islice(_matching(redis, **chosen), limit))
    if as_json:
        print_json([_told(letter) for letter in letters])
    elif letters:
        rows = [(x.id, x.where, one_line(x.reason, 60), one_line(_text(x), 60)) for x in letters]
        print_table(("id", "refused by", "reason", "data"), rows)
    else:
        click.echo("There are no dead letters.")


@click.command()
@click.argument("name", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def show(settings: Settings, name: str, *, as_json: bool) -> None:
    """Show one dead letter whole: what it holds, and why and where it was refused."""
    from karl.stream import dead_letters  # noqa: PLC0415

    with _connected(settings) as redis:
        (letter,) = dead_letters.find(redis, [name])
    if as_json:
        print_json(_told(letter))
        return
    for label, value in (
        ("id", letter.id),
        ("buried", moment(letter.time_ms)),
        ("refused by", letter.where),
        ("came from", letter.node or "-"),
        ("reason", letter.reason),
        ("bytes", f"{len(letter.data):,}"),
    ):
        click.echo(f"{label:<11} {plain(value)}")
    click.echo()
    click.echo(plain(_text(letter)))


@click.command()
@_choosing
@click.option("--agent", default="claude-code", show_default=True, help="Whose hooks wrote raw payloads.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@pass_settings
def replay(
    settings: Settings, ids: tuple[str, ...], *, every: bool, agent: str, as_json: bool, **chosen: Any
) -> None:
    """Send dead letters on their way again.

    Of use after KARL was mended, or has learned to read what it could not. What becomes an event is taken
    out of the dead letters; what still can not be read stays there, and the exit code is 1. A replay that
    was broken off may be repeated: nothing comes into the ledger twice.
    """
    from producers.replay import replay as send  # noqa: PLC0415

    with _connected(settings) as redis, counting("replaying") as progress:
        report = send(redis, settings, _chosen(redis, ids, every=every, **chosen), progress, agent=agent)
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        click.echo(f"{report.replayed:,} replayed, {report.stay:,} stay")
        for reason, count in report.by_reason.most_common():
            click.echo(f"  {count:8,}  {one_line(reason, 100)}")
    sys.exit(1 if report.stay else 0)


@click.command()
@_choosing
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@pass_settings
def drop(
    settings: Settings, ids: tuple[str, ...], *, every: bool, yes: bool, as_json: bool, **chosen: Any
) -> None:
    """Delete dead letters for good: this is the last copy of what they hold."""
    from karl.stream import dead_letters  # noqa: PLC0415

    with _connected(settings) as redis:
        names = [letter.id for letter in _chosen(redis, ids, every=every, **chosen)]
        if names and not yes:
            if not sys.stdin.isatty():
                raise click.UsageError(f"{len(names):,} dead letters would be deleted for good; say --yes")
            click.confirm(f"Delete {len(names):,} dead letters for good?", abort=True, err=True)
        count = dead_letters.drop(redis, names)
    if as_json:
        print_json({"dropped": count})
    else:
        click.echo(f"{count:,} dropped")


def _chosen(redis: Any, ids: tuple[str, ...], *, every: bool, **chosen: Any) -> list[DeadLetter]:
    """Give the letters that a person means. They are read before any is sent or deleted."""
    from karl.stream import dead_letters  # noqa: PLC0415

    if bool(ids) == (every or any(value is not None for value in chosen.values())):
        raise click.UsageError("name dead letters by id, or say --all, --reason, --where or --older-than")
    return dead_letters.find(redis, list(dict.fromkeys(ids))) if ids else list(_matching(redis, **chosen))


def _matching(
    redis: Any, *, reason: str | None, where: str | None, older_than: int | None
) -> Iterator[DeadLetter]:
    from karl.stream import dead_letters  # noqa: PLC0415

    for letter in dead_letters.read(redis):
        if (
            (reason is None or reason.lower() in letter.reason.lower())
            and where in {None, letter.where}
            and (older_than is None or letter.time_ms < older_than)
        ):
            yield letter


def _connected(settings: Settings) -> AbstractContextManager[Any]:
    from workers.line import on_line  # noqa: PLC0415 - Redis loads when it is asked

    return on_line(settings, "karl-dead-letters")


def _told(letter: DeadLetter) -> dict[str, Any]:
    return {**letter._asdict(), "data": _text(letter), "time_ms": letter.time_ms}


def _text(letter: DeadLetter) -> str:
    return letter.data.decode("utf-8", "backslashreplace")
