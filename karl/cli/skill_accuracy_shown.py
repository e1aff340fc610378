"""What the commands over single skills print."""

from __future__ import annotations

from collections.abc import Sequence

import click

from karl.cli.deeds import heading
from karl.cli.figures_asked import plot_width, shows_braille
from karl.cli.figures_shown import draw_plot, table
from karl.cli.routed_shown import say_which, share, skill, trend
from karl.figures import plot
from karl.figures.days import day_name
from karl.figures.routing.chosen import Chosen
from karl.figures.routing.skills import Evolution, SkillAccuracy
from karl.intervals import Share


def print_breakdown(found: Chosen, skills: Sequence[SkillAccuracy], limit: int) -> None:
    """Print a row for each skill."""
    say_which(found)
    table(
        ("skill", "prompts", "first", "among three", "regex", "precision", "errors", "drag"),
        [
            (
                skill(one.skill),
                one.prompts,
                share(one.first),
                share(one.top3),
                share(one.regex),
                share(one.precision, of=True),
                one.errors,
                _drag(one.drag),
            )
            for one in skills[:limit]
        ],
        short=("skill",),
    )
    if len(skills) > limit:
        click.echo(f"… {len(skills) - limit:,} more, which cost less (--limit)")


def _drag(found: Share) -> str:
    """Give a share that is mostly small, to a tenth of a point."""
    if found.share is None or found.low is None or found.high is None:
        return share(found)
    return f"{100 * found.share:.1f} % ({100 * found.low:.1f}-{100 * found.high:.1f})"


def print_evolution(
    found: Chosen, skills: Sequence[Evolution], limit: int, *, whole: bool, draw: bool
) -> None:
    """Print each skill's last period and trend, or all periods of one."""
    say_which(found)
    if whole:
        for one in skills:
            _print_periods(one, draw=draw)
        return
    table(
        ("skill", "periods", "first of them", "last of them", "trend"),
        [
            (
                skill(one.skill),
                len(one.periods),
                share(one.periods[0].first, of=True),
                share(one.periods[-1].first, of=True),
                trend(one.trend),
            )
            for one in skills[:limit]
        ],
        short=("skill",),
    )
    if len(skills) > limit:
        click.echo(f"… {len(skills) - limit:,} more with fewer prompts (--limit)")


def _print_periods(one: Evolution, *, draw: bool) -> None:
    heading(skill(one.skill))
    table(
        ("from", "first", "among three"),
        [(each.day, share(each.first, of=True), share(each.top3)) for each in one.periods],
    )
    click.echo(trend(one.trend))
    first = one.periods[0].number
    spans = [
        plot.Span(float(each.number - first), each.first.share, each.first.low, each.first.high)
        for each in one.periods
        if each.first.share is not None
    ]
    if draw and len(spans) > 1:
        labels = [day_name(day)[5:] for day in range(first, one.periods[-1].number + 1)]
        draw_plot(plot.over_days(spans, labels, width=plot_width(), braille=shows_braille()))
