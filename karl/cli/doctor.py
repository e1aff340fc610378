"""`karl doctor`: looks at every link of the line, and sends one event through it."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from itertools import groupby, zip_longest
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from karl.cli.render import WIDTH_PIPED, counting, plain, print_json

if TYPE_CHECKING:
    from karl.doctor.check import Check
    from karl.doctor.examine import Report

_SIGNS = {
    "ok": ("ok", "green"),
    "warn": ("warn", "yellow"),
    "fail": ("FAIL", "red"),
    "unknown": ("?", "blue"),
}
#: Columns that the names of checks take at most.
NAME_MAX = 24


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--fix", is_flag=True, help="Mend what is safe to mend, and say what was done.")
@click.option("--no-probe", is_flag=True, help="Send no event through the line.")
@click.option(
    "--timeout",
    "timeout_s",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.1, 600),
    metavar="S",
    help="Seconds to wait for the event.",
)
@click.option("--agent", help="Look at the hook of this kind of agent only.")
@click.option("--only", multiple=True, metavar="LINK", help="Look at this link only; may be given again.")
@click.option("--here", is_flag=True, help="With --only: the workers must be of this node.")
def doctor(
    *,
    as_json: bool,
    fix: bool,
    no_probe: bool,
    timeout_s: float,
    agent: str | None,
    only: tuple[str, ...],
    here: bool,
) -> None:
    """Look at every link of the line, and send one event through it.

    Each check says ok, warn or fail, what was seen, and what to do. The event goes the way of an agent's:
    through the installed hook, the spool, Redis and the workers to the ledger and the views, which leave
    it out of what they show. Exit code 1 when something fails; warnings are allowed.

    --fix makes missing folders, takes rights away from others, brings an installed hook up to date, clears
    a flag that stayed behind, makes a lost consumer group, and makes unusable views anew. It installs
    no hook, and changes no server but the embedded one.

    --only is for healthchecks: links by their name, such as sessions, ledger or views, at once, with no
    event sent; what can not be told is a failure there. With --here it asks for the sessions or ledger worker
    of this node (KARL_NODE), rather than for any.
    """
    from karl.doctor.check import Machine  # noqa: PLC0415 - what it asks is loaded when it asks
    from karl.doctor.examine import ORDER, examine, examine_links  # noqa: PLC0415
    from karl.doctor.hooks import AGENTS  # noqa: PLC0415
    from karl.doctor.machine import readable  # noqa: PLC0415

    if agent is not None and agent not in AGENTS:
        raise click.BadParameter(f"{agent!r} is not one of {', '.join(AGENTS)}", param_hint="--agent")
    if unknown := set(only) - set(ORDER[:-1]):
        named = ", ".join(sorted(unknown))
        raise click.BadParameter(f"{named} is none of {', '.join(ORDER[:-1])}", param_hint="--only")
    if only and fix:
        raise click.UsageError("--only looks, and --fix mends: give one of them")
    if here and not only:
        raise click.UsageError("--here goes with --only")
    settings, checked = readable(os.environ)
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - `~` itself where there is none, and no error
    at = Machine(settings, os.environ, home, _here(home), secrets.token_hex(6), agent)
    if only:
        report = examine_links(at, only, here=here)
    else:
        with counting("looking at") as progress:
            report = examine(at, checked, fix=fix, probe=not no_probe, timeout_s=timeout_s, progress=progress)
    if as_json:
        print_json(report.told())
    else:
        _print(report)
    sys.exit(0 if report.ok else 1)


def _here(instead: Path) -> Path:
    try:
        return Path.cwd()
    except OSError:  # somebody has removed it
        return instead


def _print(report: Report) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH_PIPED
    column = min(NAME_MAX, max(len(check.name) for check in report.checks)) + 8
    for link, checks in groupby(report.checks, key=lambda check: check.link):
        click.secho(link, bold=True)
        for check in checks:
            sign, colour = _SIGNS[check.verdict]
            name, *more = _wrapped(check.name, column - 8)
            seen, *rest = _wrapped(check.seen, width - column)
            click.echo(f"{click.style(f'{sign:>6}', fg=colour)} {name:<{column - 8}} {seen}")
            for left, right in zip_longest(more, rest, fillvalue=""):
                click.echo(f"{'':7}{left:<{column - 8}} {right}".rstrip())
            for line in _advised(check, width - column):
                click.secho(" " * column + line, fg="cyan")
    counts = {sign: sum(check.verdict == sign for check in report.checks) for sign in _SIGNS}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    click.secho(f"\n{said}", fg="green" if report.ok else "red", bold=not report.ok)


def _advised(check: Check, width: int) -> Iterator[str]:
    """Give what was mended, and what there is to do."""
    if check.fixed:
        yield from _wrapped(f"mended: {check.fixed}", width)
    if check.hint and check.verdict != "ok":
        yield from _wrapped(f"-> {check.hint}", width)


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(plain(text), max(20, width)) or [""]
