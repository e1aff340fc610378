"""`karl tail`: the last records of the ledger, and those that come while one watches."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.render import counting
from karl.settings import Settings

if TYPE_CHECKING:
    import threading

    from karl.ledger.frame import Line
    from karl.ledger.reader import Position
    from karl.replay.news import News, Newsreader, Who

#: Seconds between looks at the ledger while one watches: from the first to the last while nothing comes.
_WAIT_S = (0.05, 0.5)
#: Records that are read in one go.
_BATCH = 200

Wanted = Callable[["News"], bool]


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on: print records as they come, until Ctrl-C.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(0), help="Records to begin with.")
@click.option("--session", metavar="ID", help="Only this session: its id, or the beginning of it.")
@click.option("--agent", help="Only this kind of agent.")
@click.option("--project", "--repository", "--repo", "project", help="Only this project.")
@click.option("--node", help="Only this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one record a line.")
@pass_settings
def tail(
    settings: Settings,
    *,
    follow: bool,
    limit: int,
    session: str | None,
    agent: str | None,
    project: str | None,
    node: str | None,
    as_json: bool,
) -> None:
    """Show the last records of the ledger, one line each; -f shows what comes.

    A record is a turn that closed (calls, failures, reward, prompt), an annotation, a new score, events that
    are in no turn's record, or what was told, made and decided of routing and adapters. They are read from
    the ledger itself, from its end: views are not needed. Where few records fit, all of the ledger may be
    read to find --limit of them.
    """
    from karl.cli.tail_shown import print_news  # noqa: PLC0415 - `--help` needs no ledger
    from karl.ledger.latest import latest, position_after  # noqa: PLC0415
    from karl.process import stop_on_signals  # noqa: PLC0415
    from karl.replay.news import Newsreader  # noqa: PLC0415

    wanted = _wanted(session, agent, project, node)
    reader = Newsreader(_who(settings))
    end = position_after(settings.ledger)
    with counting("looking back") as progress:
        lines = (line for line in latest(settings.ledger) if line.seq <= end.seq)
        told = (news for line in lines if (news := _seen(reader.read(line), progress)) and wanted(news))
        before = list(islice(told, limit))
    for news in reversed(before):
        print_news(news, as_json=as_json)
    if follow:
        _follow(settings, reader, end, wanted, stop_on_signals(), as_json=as_json)
    elif not before and not as_json:
        click.echo("no record fits" if end.seq else "nothing recorded yet")


def _seen(news: News | None, progress: Callable[[object, int], None]) -> News | None:
    if news is not None:
        progress("record", news.seq)
    return news


def _wanted(session: str | None, agent: str | None, project: str | None, node: str | None) -> Wanted:
    def fits(news: News) -> bool:
        return (
            (session is None or (news.session or "").startswith(session))
            and agent in {None, news.agent}
            and project in {None, news.project}
            and node in {None, news.node}
        )

    return fits


def _who(settings: Settings) -> Callable[[str], Who | None]:
    """Look a session up in the views, where there are any: an annotation names a session alone."""
    from karl.errors import KarlError  # noqa: PLC0415
    from karl.replay.news import Who  # noqa: PLC0415
    from karl.views.queries import Views  # noqa: PLC0415

    def ask(session: str) -> Who | None:
        with suppress(KarlError), Views(settings.views) as views:
            row = views.session(session)
            return Who(row.agent, row.project, row.node)
        return None

    return ask


def _follow(
    settings: Settings,
    reader: Newsreader,
    end: Position,
    wanted: Wanted,
    stop: threading.Event,
    *,
    as_json: bool,
) -> None:
    from karl.cli.tail_shown import print_news  # noqa: PLC0415
    from karl.errors import LedgerRewound  # noqa: PLC0415
    from karl.ledger.latest import position_after  # noqa: PLC0415
    from karl.ledger.reader import Reader  # noqa: PLC0415

    while not stop.is_set():
        with Reader(settings.ledger, end) as ledger:
            try:
                for news in _come(ledger.poll, reader, stop):
                    if wanted(news):
                        print_news(news, as_json=as_json)
            except LedgerRewound as error:
                click.echo(f"karl: {error}; going on from the ledger's end", err=True)
                end = position_after(settings.ledger)


def _come(poll: Callable[[int], list[Line]], reader: Newsreader, stop: threading.Event) -> Iterator[News]:
    wait = _WAIT_S[0]
    while not stop.is_set() and not _nobody_reads():
        lines = poll(_BATCH)
        yield from (news for line in lines if (news := reader.read(line)))
        wait = _WAIT_S[0] if lines else min(_WAIT_S[1], 1.5 * wait)
        if not lines:
            stop.wait(wait)
    stop.set()


def _nobody_reads() -> bool:
    """Say whether the pipe that we write into has lost its reader; without a write nobody would tell."""
    with suppress(OSError, ValueError):  # no descriptor below stdout: tests capture it
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    return False
