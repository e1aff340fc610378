"""How often routing is right: `karl accuracy`, `accuracy-trend`, `accuracy-source`, `accuracy-forecast`."""

from __future__ import annotations

from typing import Any

import click

from karl.cli.figures_asked import PLOT, lately
from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.cli.routed_asked import LIMIT, SOURCES, head, predictions, routed, shadows
from karl.settings import Settings

_DAYS = click.option(
    "--days", type=click.IntRange(1, 3660), help="Only the last days up to now (or --until), in UTC."
)


@click.command()
@_DAYS
@click.option(
    "--by",
    type=click.Choice(("agent", "project", "truth", "router", "none")),
    default="agent",
    show_default=True,
    help="Also by this; `truth` is who says what a prompt was for.",
)
@click.option(
    "--weigh",
    type=click.Choice(("even", "truth", "reward")),
    default="even",
    show_default=True,
    help="Each prompt the same; as sure as its truth is; by its turn's reward, as older reports did.",
)
@LIMIT
@routed
@pass_settings
def accuracy(
    settings: Settings,
    *,
    days: int | None,
    by: Any,
    weigh: Any,
    limit: int,
    source: Any,
    router: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show how often the routers are right, over prompts of which it is known what they asked for.

    What a prompt asked for is the skill that was used, typed, corrected to or said by a person, never what a
    router picked. The first is right; it is among the first three; MRR is the mean of 1 / its place. For the
    vector router (what it takes), the rules (regex) and the policy's pick: right, of all; takes one (the
    coverage); right, of those. False takes are of prompts that asked for none, as far as anybody knows; these
    are in no accuracy. Intervals are of 95 %, a session's prompts being alike; below 20 prompts or 3 sessions
    they would be wider than 40 points, and there is no figure (below 10 of a group).

    Example: karl accuracy --days 30 --by project
    """
    from karl.figures.routing.accuracy import accuracy_of  # noqa: PLC0415 - `--help` needs no database

    if days:
        lately(filters, days)
    found = predictions(settings, filters, source, router)
    rows = accuracy_of(found, by, weigh)
    if as_json:
        print_json({**head(found), "weigh": weigh, "by": by, "groups": rows})
        return
    from karl.cli.accuracy_shown import print_accuracy  # noqa: PLC0415

    if found.asked or found.none:
        print_accuracy(found, rows, by=by, weigh=weigh, limit=limit)


@click.command("accuracy-trend")
@click.option("--days", type=click.IntRange(1, 3660), default=14, show_default=True, help="Days up to now.")
@PLOT
@routed
@pass_settings
def accuracy_trend(
    settings: Settings, *, days: int, plot: bool, source: Any, router: str, as_json: bool, **filters: Any
) -> None:
    """Show how accuracy went, day by day (UTC), and whether it rises or falls.

    A day's share has its counts and interval, however few prompts it had. The trend is the slope of a
    straight line through all prompts, in points a week, with an interval that takes a session's prompts for
    alike. It is made from the ledger: nothing needs to be logged each day.

    Example: karl accuracy-trend --days 30 --agent claude-code
    """
    from karl.figures.routing.accuracy import days_of  # noqa: PLC0415 - `--help` needs no database

    lately(filters, days)
    found = predictions(settings, filters, source, router)
    made = days_of(found)
    if as_json:
        print_json({**head(found), **{name: getattr(made, name) for name in made.__struct_fields__}})
        return
    from karl.cli.accuracy_shown import print_days  # noqa: PLC0415

    if made.days:
        print_days(found, made, draw=plot)


@click.command("log-accuracy")
@routed
@pass_settings
@click.pass_context
def log_accuracy(ctx: click.Context, /, settings: Settings, **options: Any) -> None:
    """Show today's accuracy. Nothing has to be logged: `karl accuracy-trend` makes every day's.

    An older name, kept for scripts that call it each day; it writes nothing.

    Example: karl log-accuracy --json
    """
    del settings
    click.echo(
        "karl: nothing to log, `karl accuracy-trend` is made from the ledger; today's figures", err=True
    )
    ctx.invoke(accuracy_trend, days=1, plot=False, **options)


@click.command("accuracy-source")
@routed
@pass_settings
def accuracy_source(settings: Settings, *, source: Any, router: str, as_json: bool, **filters: Any) -> None:
    """Show accuracy by where predictions come from, and by who says what their prompts were for.

    Live predictions were made before anybody knew; replayed ones afterwards, by a router that may have been
    trained on the same prompts; synthetic ones are of prompts that nobody asked. They are never put together,
    and only live ones are evidence. The second table is of --source.

    Example: karl accuracy-source
    """
    from karl.figures.routing.accuracy import accuracy_of  # noqa: PLC0415 - `--help` needs no database
    from karl.figures.routing.chosen import choose  # noqa: PLC0415

    every = shadows(settings, filters, SOURCES)
    chosen = {name: choose(every, name, router) for name in SOURCES}
    whole = {name: accuracy_of(found)[0] for name, found in chosen.items()}
    by_truth = accuracy_of(chosen[source], "truth")
    if as_json:
        sources = {name: {**head(chosen[name]), "accuracy": one} for name, one in whole.items()}
        print_json({"sources": sources, "source": source, "truths": by_truth})
        return
    from karl.cli.accuracy_shown import print_sources  # noqa: PLC0415

    print_sources(chosen, whole, by_truth, source)


@click.command("accuracy-forecast")
@click.option(
    "--target", default=500, show_default=True, type=click.IntRange(1), help="Prompts to look ahead to."
)
@LIMIT
@routed
@pass_settings
def accuracy_forecast(
    settings: Settings,
    *,
    target: int,
    limit: int,
    source: Any,
    router: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show how well accuracy is known, and how well it would be after more prompts.

    The interval is Wilson's for as many prompts as these are worth, a session's being alike. It assumes that
    accuracy and sessions stay as they are: it says what more prompts would narrow, not how accurate the
    router will be. With it, how many prompts would tell the vector router from the rules, were the difference
    what it is now; and each skill's lower bound.

    Example: karl accuracy-forecast --target 1000
    """
    from karl.figures.routing.forecast import forecast_of  # noqa: PLC0415 - `--help` needs no database

    found = predictions(settings, filters, source, router)
    made = forecast_of(found.asked, target)
    if as_json:
        print_json({**head(found), "target": target, "assumes": "the same accuracy", "forecast": made})
        return
    from karl.cli.accuracy_shown import print_forecast  # noqa: PLC0415

    if found.asked:
        print_forecast(found, made, limit)
