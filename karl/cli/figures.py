"""Figures over the views: `karl trend`, `quality`, `health`, `difficulty`, `reward-calibration`."""

from __future__ import annotations

import sys
from typing import Any

import click
from click.core import ParameterSource

from karl.cli.figures_asked import (
    BY,
    CHECK,
    PLOT,
    asked,
    chosen,
    end_of,
    lately,
    left_out,
    prompts_of,
    read_of,
)
from karl.cli.main import pass_settings
from karl.cli.moments import DAY_MS
from karl.cli.render import print_json
from karl.settings import Settings


@click.command()
@click.option("--days", type=click.IntRange(1, 3660), default=14, show_default=True, help="Days up to now.")
@PLOT
@asked
@pass_settings
def trend(
    settings: Settings, *, days: int, plot: bool, version: str | None, as_json: bool, **filters: Any
) -> None:
    """Show how rewards went, day by day (UTC), and whether they rise or fall.

    Means have 95 % intervals that take the turns of one session for alike. The trend is the median slope
    of all pairs of sessions (Theil and Sen), a week; p is the chance of as much order without a trend (Mann
    and Kendall). Each agent stands alone: rewards of different agents can not be compared. It is made from
    the ledger, so nothing needs to be logged each day.

    Example: karl trend --days 30 --agent claude-code
    """
    from karl.figures.days import days_of  # noqa: PLC0415 - `--help` needs no database
    from karl.views.figures import Figures  # noqa: PLC0415

    lately(filters, days)
    with Figures(settings.views) as views:
        found = chosen(views, settings, version, filters)
        last = None if found.turns else next(iter(views.sessions(limit=1)), None)
    agents = days_of(found)
    if last is not None:
        ago = end_of(filters) // DAY_MS - last.last_ms // DAY_MS + 1
        click.echo(f"karl: the last turn closed {ago - 1} days ago; --days {ago} goes back to it", err=True)
    if as_json:
        print_json({"version": found.version, **left_out(found), "agents": agents})
        return
    from karl.cli.figures_shown import print_days  # noqa: PLC0415

    print_days(agents, draw=plot)


@click.command("log-trend")
@asked
@pass_settings
@click.pass_context
def log_trend(ctx: click.Context, /, settings: Settings, **options: Any) -> None:
    """Show today's figures. Nothing has to be logged: `karl trend` makes every day's from the ledger.

    An older name, kept for scripts that call it each day; it writes nothing.

    Example: karl log-trend --json
    """
    del settings
    click.echo("karl: nothing to log, `karl trend` is made from the ledger; today's figures", err=True)
    ctx.invoke(trend, days=1, plot=False, **options)


@click.command()
@click.option(
    "--grade",
    type=click.Choice(("low", "medium", "high")),
    default="low",
    show_default=True,
    help="List turns of this grade, the lowest place first (of `high`, the highest).",
)
@click.option(
    "--limit", default=5, show_default=True, type=click.IntRange(0), help="Turns listed of an agent."
)
@PLOT
@asked
@pass_settings
def quality(
    settings: Settings,
    *,
    grade: str,
    limit: int,
    plot: bool,
    version: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Grade turns by where their rewards stand among their own agent's.

    The place is 0 for the lowest reward and 1 for the highest, drawn to the middle where the score's
    confidence is below the agent's usual one. Low: a place below 0.25, or something speaks against the turn
    (corrected, redone, reverted, a build or CI that failed, a person's word); high: above 0.75. Shares
    have 95 % intervals.

    Example: karl quality --project shop --grade low --limit 10
    """
    from karl.figures.quality import listed, quality_of  # noqa: PLC0415 - `--help` needs no database
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views:
        found = chosen(views, settings, version, filters)
        agents = quality_of(found)
        turns = [listed(one, grade, limit) for one in agents]
        asked_for = prompts_of(views, [turn.id for some in turns for turn in some])
    if as_json:
        shown = [
            {**_fields(one), "turns": [{**_fields(turn), "prompt": asked_for[turn.id]} for turn in some]}
            for one, some in zip(agents, turns, strict=True)
        ]
        print_json({"version": found.version, **left_out(found), "agents": shown})
        return
    from karl.cli.figures_shown import agent_heading, draw_rewards, print_quality  # noqa: PLC0415

    print_quality(agents, turns, asked_for)
    if plot:
        for agent, rows in found.agents.items():
            agent_heading(agent, len(rows))
            draw_rewards([row.reward for row in rows])


@click.command()
@BY
@click.option("--limit", default=12, show_default=True, type=click.IntRange(0), help="Groups of an agent.")
@CHECK
@asked
@pass_settings
def health(
    settings: Settings,
    *,
    by: Any,
    limit: int,
    check: bool,
    version: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show how agents do, and each of them with each skill: level, errors, and where it goes.

    The trend is that of the sessions' mean rewards (`karl trend --help`); its p is raised for the number of
    trends looked at (Holm), so that among many one does not fall by chance. --check exits 1 when one falls
    with p below 0.05.

    Example: karl health --by project --since 30d --check
    """
    from karl.figures.health import health_of  # noqa: PLC0415 - `--help` needs no database
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views:
        found = chosen(views, settings, version, filters)
    groups = health_of(found, by)
    if as_json:
        print_json({"version": found.version, **left_out(found), "by": by, "groups": groups})
    else:
        from karl.cli.figures_shown import print_health  # noqa: PLC0415

        print_health(groups, by, limit)
    if check and any(one.falls for one in groups):
        sys.exit(1)


@click.command()
@click.option(
    "--by",
    type=click.Choice(("task", "skill", "project", "domain")),
    default="task",
    show_default=True,
    help="What to say it of.",
)
@click.option(
    "--prompts", "of_prompts", is_flag=True, help="Of prompts instead: how hard to route they were."
)
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1), help="Shown of an agent.")
@asked
@pass_settings
def difficulty(
    settings: Settings,
    *,
    by: Any,
    of_prompts: bool,
    limit: int,
    version: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show which tasks are hard for an agent, the hardest first; or which prompts were hard to route.

    Difficulty is the mean of these, each from 0 to 1, 0.5 where not known, places being among the agent's own
    turns: 1 - the place of the reward; the place of the number of calls; the place of the share of calls
    that failed; the place of having been corrected; that of having been redone. Runs of one task
    (the same first prompt in one project) are put together.

    With --prompts, of prompts that asked for a skill, it is the mean of: 1 - how far the router's second is
    behind its first; 1 - the place of the prompt's fit; whether rules and router pick different skills.
    Beside it stands whether that tells right from wrong.

    Example: karl difficulty --by project
    """
    if of_prompts:
        given = click.get_current_context().get_parameter_source
        if ParameterSource.COMMANDLINE in (given("by"), given("version")):
            raise click.UsageError("--prompts has no --by and no --reward-version")
        from karl.cli.confidence import prompts  # noqa: PLC0415

        prompts(settings, limit, as_json=as_json, filters=filters)
        return
    from karl.figures.difficulty import difficulty_of  # noqa: PLC0415 - `--help` needs no database
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views:
        found = chosen(views, settings, version, filters)
        group = None if by == "task" else by
        agents = difficulty_of(found, group)
        asked_for = prompts_of(views, [task.first for one in agents for task in (one.tasks or [])[:limit]])
    if as_json:
        shown = [
            {
                **_fields(one),
                "tasks": one.tasks
                and [{**_fields(task), "prompt": asked_for[task.first]} for task in one.tasks[:limit]],
            }
            for one in agents
        ]
        print_json({"version": found.version, **left_out(found), "by": by, "agents": shown})
        return
    from karl.cli.figures_shown import print_difficulty  # noqa: PLC0415

    print_difficulty(agents, group, limit, asked_for)


@click.command("reward-calibration")
@BY
@PLOT
@asked
@pass_settings
def reward_calibration(
    settings: Settings, *, by: Any, plot: bool, version: str | None, as_json: bool, **filters: Any
) -> None:
    """Show whether rewards can be read as chances, and which skills' rewards stand out.

    Looks at turns of which it is known how they went (a person's word, a revert, CI, a commit that survived,
    a build, a correction or none in the next prompt), and holds the reward without its outcome signal
    against that: Brier score, expected calibration error (ECE) over ten bins of equal mass, AUROC. Beside the
    ECE stands what true chances would come to on so few turns. Below 30 known turns nothing is said. z is the
    distance of a skill's mean from the agent's other turns, in standard errors.

    Example: karl reward-calibration --agent codex --by project
    """
    from karl.figures.reliability import known_turns, reliability_of  # noqa: PLC0415 - `--help` needs no database
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views:
        found = chosen(views, settings, version, filters)
        agents = reliability_of(found, read_of(views, settings, known_turns(found)), by)
    if as_json:
        print_json({"version": found.version, **left_out(found), "by": by, "agents": agents})
        return
    from karl.cli.figures_held import print_reliability  # noqa: PLC0415

    print_reliability(agents, by, draw=plot)


def _fields(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}
