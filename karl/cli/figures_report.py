"""What to look at: `karl report`, all figures on a page, and `karl health-digest`, what got worse."""

from __future__ import annotations

import sys
from typing import Any

import click

from karl.cli.figures_asked import BY, CHECK, PLOT, asked, chosen, end_of, left_out
from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.cli.routed_asked import digest
from karl.settings import Settings

_DAYS = click.option(
    "--days", type=click.IntRange(1, 3660), default=7, show_default=True, help="Days that count as lately."
)


@click.command("health-digest")
@_DAYS
@BY
@CHECK
@asked
@pass_settings
def health_digest(
    settings: Settings, *, days: int, by: Any, check: bool, version: str | None, as_json: bool, **filters: Any
) -> None:
    """Say in a few lines how agents did lately, and what should be looked at.

    Something got worse where rewards fall (`karl health --help`), or where calls fail, or turns are
    corrected, more often in the last days than before, with intervals that do not meet. --check exits 1 then.

    Example: karl health-digest --days 1 --check
    """
    from karl.figures.attention import findings_of, lately_of  # noqa: PLC0415 - `--help` needs no database
    from karl.figures.health import health_of  # noqa: PLC0415
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views:
        found = chosen(views, settings, version, filters)
    lately = lately_of(found, days, end_of(filters))
    findings = findings_of(found, lately, health_of(found, by), by)
    routing = digest(settings, filters)
    if as_json:
        shown = {"version": found.version, **left_out(found), "agents": lately, "findings": findings}
        print_json({**shown, "routing": routing})
    else:
        from karl.cli.figures_page import print_digest, print_routing  # noqa: PLC0415

        print_digest(lately, findings, days)
        print_routing(routing)
    if check and any(one.kind == "worse" for one in findings):
        sys.exit(1)


@click.command()
@_DAYS
@BY
@PLOT
@CHECK
@asked
@pass_settings
def report(
    settings: Settings,
    *,
    days: int,
    by: Any,
    plot: bool,
    check: bool,
    version: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show all figures of the turns that fit on one page: what to look at, grades, days, what is hard.

    Each part is made as its own command makes it: `karl health-digest`, `quality`, `trend`, `health`,
    `difficulty`, and of routing, where there is any, `accuracy`. --check exits 1 when something got worse.

    Example: karl report --since 30d --project shop > report.txt
    """
    from msgspec.structs import replace  # noqa: PLC0415

    from karl.figures.report import report_of  # noqa: PLC0415 - `--help` needs no database
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views:
        found = chosen(views, settings, version, filters)
    made = report_of(found, days=days, by=by, now_ms=end_of(filters))
    made = replace(made, routing=digest(settings, filters))
    if as_json:
        print_json(made)
    else:
        from karl.cli.figures_page import print_report, print_routing  # noqa: PLC0415

        print_report(made, draw=plot)
        print_routing(made.routing)
    if check and any(one.kind == "worse" for one in made.findings):
        sys.exit(1)
