"""What all figures ask alike: which turns, of which version of the reward, as a table or as JSON."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from karl.cli.moments import DAY_MS, now_ms, when
from karl.cli.render import measuring, plain
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.figures.chosen import Chosen
    from karl.views.figures import Figures, Measured, Reading

#: Columns of a plot that is not printed on a terminal, and the most of one that is.
WIDTH_PIPED, WIDTH_MAX = 80, 120

_One = TypeVar("_One")

BY = click.option(
    "--by",
    default="skill",
    show_default=True,
    type=click.Choice(("skill", "project", "domain")),
    help="Group an agent's turns by this.",
)
PLOT = click.option("--plot/--no-plot", default=True, show_default=True, help="Draw it, too.")
CHECK = click.option("--check", is_flag=True, help="Exit 1 if something falls.")

_OPTIONS = (
    click.option("--agent", help="Only turns of this kind of agent."),
    click.option("--project", "--repository", "--repo", "project", help="Only turns in this project."),
    click.option("--node", help="Only turns on this machine."),
    click.option("--fleet", help="Only turns of this fleet."),
    click.option("--since", "since_ms", type=when, help="Only turns closed since: 90m, 12h, 7d, or a date."),
    click.option("--until", "until_ms", type=when, help="Only turns closed before that."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)
_VERSION = click.option(
    "--reward-version", "version", help="Only scores of this version; that of the settings."
)


def filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of figures that do not look at rewards."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def asked(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of figures over rewards."""
    return filtered(_VERSION(command))


def end_of(filters: Mapping[str, Any]) -> int:
    """Give the moment (Unix time, ms) up to which a figure looks: what was asked for, else this one."""
    until: int | None = filters["until_ms"]
    return now_ms() if until is None else until


def lately(filters: dict[str, Any], days: int) -> None:
    """Put the beginning of the last days (UTC) into the filters, unless they have one."""
    if filters["since_ms"] is None:
        filters["since_ms"] = (end_of(filters) // DAY_MS - days + 1) * DAY_MS


def chosen(views: Figures, settings: Settings, version: str | None, filters: Mapping[str, Any]) -> Chosen:
    """Read the scored turns that fit; says on stderr which were left out, and why."""
    from karl.figures.chosen import choose  # noqa: PLC0415 - `--help` needs no figures

    found = choose(turns_of(views, filters), version or settings.reward_version)
    for other, count in found.others.items():
        how = "with other weights" if other == found.version else f"by version {plain(other)}"
        hint = "" if other == found.version else f"; --reward-version {plain(other)} shows them"
        click.echo(
            f"karl: {count:,} turns scored {how} are left out (`karl backfill` scores anew){hint}", err=True
        )
    if found.unobserved:
        click.echo(
            f"karl: {found.unobserved:,} turns in which nothing happened that is scored are left out",
            err=True,
        )
    if not found.turns:
        click.echo("karl: no turn fits", err=True)
    return found


def left_out(found: Chosen) -> dict[str, Any]:
    """Give what JSON says of the turns that are not in, those of other scores by their version."""
    return {"left_out": found.others, "unobserved": found.unobserved}


def turns_of(views: Figures, filters: Mapping[str, Any], *, words: bool = False) -> Iterator[Measured]:
    """Read the turns that fit, and show how many were read."""
    from karl.views.filter import Filter  # noqa: PLC0415

    which = Filter(**filters)
    return watched("looking", views.measured(which, words=words), views.fitting(which))


def prompts_of(views: Figures, trajectories: Iterable[str]) -> dict[str, str | None]:
    """Give the beginnings of the prompts of a few trajectories, by id."""
    return {one: views.trajectory(one).prompt for one in trajectories}


def read_of(views: Figures, settings: Settings, rows: Sequence[Measured]) -> Iterator[Reading]:
    """Read turns from the ledger, and show how many; if some can not be, the command will exit 1."""
    damaged: list[str] = []
    yield from watched("reading", views.readings(settings.ledger, rows, damaged), len(rows))
    if damaged:
        click.echo(
            f"karl: {len(damaged):,} turns can not be read, and are left out (`karl verify`)", err=True
        )
        click.get_current_context().call_on_close(lambda: sys.exit(1))


def watched(what: str, items: Iterable[_One], total: int) -> Iterator[_One]:
    """Pass items on, and show how many have passed."""
    with measuring(what) as progress:
        for count, item in enumerate(items, 1):
            yield item
            if progress:
                progress(count, total, "")


def plot_width() -> int:
    """Give the columns that a plot may take."""
    return min(WIDTH_MAX, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDTH_PIPED


def shows_braille() -> bool:
    """Say whether the output can show braille: in no encoding but Unicode's, and not on a dumb terminal."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return encoding.startswith("utf") and os.environ.get("TERM") not in {"dumb", "linux"}
