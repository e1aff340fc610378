"""Each skill's accuracy, now and over time: `karl skill-breakdown`, `skill-evolution`."""

from __future__ import annotations

import sys
from typing import Any

import click

from karl.cli.figures_asked import PLOT, lately
from karl.cli.main import pass_settings
from karl.cli.render import plain, print_json
from karl.cli.routed_asked import LIMIT, head, predictions, routed
from karl.settings import Settings


@click.command("skill-breakdown")
@LIMIT
@routed
@pass_settings
def skill_breakdown(
    settings: Settings, *, limit: int, source: Any, router: str, as_json: bool, **filters: Any
) -> None:
    """Show each skill by itself: how often its prompts are routed rightly, and what its errors cost.

    Of prompts that asked for the skill: the vector router's first is right, the skill is among its first
    three, the rules are right. Precision is of prompts whose first it was. The drag is the share of all
    prompts that its errors are: how much higher the accuracy would be without them.

    Example: karl skill-breakdown --limit 30
    """
    from karl.figures.routing.skills import skills_of  # noqa: PLC0415 - `--help` needs no database

    found = predictions(settings, filters, source, router)
    skills = skills_of(found.asked)
    if as_json:
        print_json({**head(found), "skills": skills})
        return
    from karl.cli.skill_accuracy_shown import print_breakdown  # noqa: PLC0415

    if skills:
        print_breakdown(found, skills, limit)


@click.command("skill-evolution")
@click.option("--skill", help="Only this skill, with all its periods and a plot.")
@click.option("--every", default=7, show_default=True, type=click.IntRange(1, 366), help="Days of a period.")
@PLOT
@LIMIT
@routed
@pass_settings
def skill_evolution(
    settings: Settings,
    *,
    skill: str | None,
    every: int,
    plot: bool,
    limit: int,
    source: Any,
    router: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show how each skill's accuracy went, in periods of a few days, and whether it rises or falls.

    The trend is that of `karl accuracy-trend`, in points a week. It is made from the ledger: no snapshots
    need to be taken.

    Example: karl skill-evolution --skill pdf --every 14
    """
    from karl.figures.routing.skills import evolution_of  # noqa: PLC0415 - `--help` needs no database

    found = predictions(settings, filters, source, router)
    skills = evolution_of(found.asked, every, skill)
    unknown = skill is not None and not skills
    if unknown:
        click.echo(f"karl: no prediction of a prompt that asked for {plain(skill or '')}", err=True)
    if as_json:
        print_json({**head(found), "every_days": every, "skills": skills})
        sys.exit(1 if unknown else 0)
    from karl.cli.skill_accuracy_shown import print_evolution  # noqa: PLC0415

    if skills:
        print_evolution(found, skills, limit, whole=skill is not None, draw=plot)
    sys.exit(1 if unknown else 0)


@click.command("log-skill-evolution")
@LIMIT
@routed
@pass_settings
@click.pass_context
def log_skill_evolution(ctx: click.Context, /, settings: Settings, **options: Any) -> None:
    """Show each skill's accuracy today. Nothing has to be logged: `karl skill-evolution` makes every day's.

    An older name, kept for scripts that call it each day; it writes nothing.

    Example: karl log-skill-evolution --json
    """
    del settings
    click.echo("karl: nothing to log, `karl skill-evolution` is made from the ledger; today's", err=True)
    lately(options, 1)
    ctx.invoke(skill_evolution, skill=None, every=1, plot=False, **options)
