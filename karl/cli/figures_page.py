"""What `karl report` and `karl health-digest` print."""

from __future__ import annotations

from collections.abc import Sequence

import click

from karl.cli.deeds import heading, style
from karl.cli.figures_shown import (
    draw_days,
    draw_rewards,
    mean,
    print_difficulty,
    print_health,
    print_quality,
    share,
    table,
    trend,
)
from karl.cli.render import one_line, plain
from karl.cli.routed_shown import ahead, skill
from karl.cli.routed_shown import share as of_prompts
from karl.figures.attention import Finding, Lately
from karl.figures.report import GROUPS_MAX, Report
from karl.figures.routing.digest import Digest

_AGENT_WIDTH = 40


def print_digest(lately: Sequence[Lately], findings: Sequence[Finding], days: int) -> None:
    """Print the last days of each agent, and what should be looked at."""
    if not lately:
        return
    rows = [
        row
        for one in lately
        for row in (
            (
                one_line(one.agent, _AGENT_WIDTH), f"last {days} days", one.turns, mean(one.reward),
                share(one.failed), share(one.corrected),
            ),
            (
                "", "before", one.before_turns, mean(one.before_reward),
                share(one.before_failed), share(one.before_corrected),
            ),
        )
    ]  # fmt: skip
    table(("agent", "when", "turns", "reward", "failed calls", "corrected"), rows, short=("agent",))
    click.echo()
    print_findings(findings)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print what should be looked at, one a line."""
    if not any(one.kind == "worse" for one in findings):
        click.echo("nothing got worse that can be told from chance")
    for one in findings:
        mark = style("worse", fg="red") if one.kind == "worse" else "hint "
        who = "" if one.agent is None else f"{one_line(one.agent, _AGENT_WIDTH)}: "
        click.echo(f"{mark}  {who}{plain(one.what)} (`{one.command}`)")


def print_routing(made: Digest | None) -> None:
    """Print how routing does, where there is any."""
    if made is None:
        return
    heading(f"routing ({made.mode})")
    click.echo(
        f"{made.asked:,} prompts that asked for a skill: first right {of_prompts(made.first)}, "
        f"vector, taken {of_prompts(made.vector)}, regex {of_prompts(made.regex)}; "
        f"false takes {of_prompts(made.false, of=True)} that asked for none"
    )
    click.echo(f"vector over regex: {ahead(made.over_regex)} (`karl accuracy`)")
    if made.pairs:
        named = ", ".join(
            f"{skill(one.truth)} for {skill(one.picked)} {one.errors.hits:,}" for one in made.pairs
        )
        click.echo(f"asked for, and picked: {named} (`karl confusion-resolve`)")


def print_report(made: Report, *, draw: bool) -> None:
    """Print the page."""
    if not made.lately:
        return
    heading("what to look at")
    print_digest(made.lately, made.findings, made.days_lately)
    heading("quality")
    print_quality(made.quality, [() for _ in made.quality], {})
    for one in made.days if draw else ():
        heading(f"{one_line(one.agent, _AGENT_WIDTH)}: how many turns have which reward")
        draw_rewards(made.rewards[one.agent])
        if len(one.days) > 1:
            heading(f"{one_line(one.agent, _AGENT_WIDTH)}: reward by day; {trend(one.trend)}")
            draw_days(one)
    heading(f"by {made.by}")
    print_health(made.health, made.by, GROUPS_MAX)
    heading(f"hard, by {made.by}")
    print_difficulty(made.difficulty, made.by, GROUPS_MAX, {})
