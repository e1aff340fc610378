"""What the commands of accuracy print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from karl.cli.deeds import heading
from karl.cli.figures_asked import plot_width, shows_braille
from karl.cli.figures_shown import draw_plot, table
from karl.cli.render import one_line
from karl.cli.routed_shown import (
    ID_WIDTH,
    NAME_WIDTH,
    WAYS,
    ahead,
    mean,
    of_way,
    say_which,
    share,
    skill,
    trend,
)
from karl.figures import plot
from karl.figures.days import day_name
from karl.figures.routing.accuracy import Accuracy, Days
from karl.figures.routing.chosen import Chosen
from karl.figures.routing.forecast import Forecast
from karl.schema.routing import ShadowSource

_WEIGHED = {
    "even": "each prompt counts the same, however sure its truth is",
    "truth": "each prompt counts as much as its truth is sure",
    "reward": "each prompt counts by its turn's reward, 0.5 where not known: an older figure",
}


def print_accuracy(found: Chosen, rows: Sequence[Accuracy], *, by: str, weigh: str, limit: int) -> None:
    """Print the ranking, then each way of picking."""
    say_which(found)
    click.echo(_WEIGHED[weigh])
    named = [one for one in rows if one.name is not None]
    whole = [one for one in rows if one.name is None]
    shown = whole + ([] if whole and len(named) == 1 else named[:limit])
    if len(found.routers) > 1 and by != "router":
        click.echo(f"made by {len(found.routers)} routers; --by router, or --router ID, keeps them apart")
    heading("the vector router's ranking")
    print_ranking(shown, by)
    heading("what each way of picking comes to")
    table(
        (by if by != "none" else "of", "way", "right", "takes one", "right of these", "false takes"),
        [row for one in shown for row in _way_rows(one, by)],
    )
    heading("the vector router, where it takes one, over the rules, on the same prompts")
    table(
        (by if by != "none" else "of", "difference", "same pick where both pick"),
        [(_name(one, by), ahead(one.over_regex), share(one.agree, of=True)) for one in shown],
    )
    if len(named) > max(1, limit):
        click.echo(f"… {len(named) - limit:,} more with fewer prompts (--limit)")


def print_ranking(rows: Sequence[Accuracy], by: str) -> None:
    """Print how well the right skill is ranked."""
    table(
        (
            by if by != "none" else "of",
            "prompts",
            "sessions",
            "first",
            "among three",
            "MRR",
            "asked for none",
        ),
        [
            (
                _name(one, by),
                one.asked,
                one.sessions,
                share(one.ranking.first, of=True),
                share(one.ranking.top3),
                mean(one.ranking.mrr),
                one.none,
            )
            for one in rows
        ],
        short=(by,),
    )


def _way_rows(one: Accuracy, by: str) -> list[tuple[Any, ...]]:
    return [(_name(one, by), WAYS[name], *of_way(way)) for name, way in one.ways.items()]


def _name(one: Accuracy, by: str) -> str:
    return "all" if one.name is None else one_line(one.name, ID_WIDTH if by == "router" else NAME_WIDTH)


def print_days(found: Chosen, made: Days, *, draw: bool) -> None:
    """Print each day, and draw the first's accuracy."""
    say_which(found)
    table(
        ("day", "first", "regex", "false takes"),
        [
            (day.day, share(day.first, of=True), share(day.regex, of=True), share(day.false, of=True))
            for day in made.days
        ],
    )
    whole = made.whole
    click.echo(
        f"all: first {share(whole.ranking.first, of=True)}, {trend(made.trend)}; "
        f"regex {share(whole.ways['regex'].right, of=True)}"
    )
    spans = [
        plot.Span(float(day.number - made.days[0].number), day.first.share, day.first.low, day.first.high)
        for day in made.days
        if day.first.share is not None
    ]
    if draw and len(spans) > 1:
        labels = [day_name(day)[5:] for day in range(made.days[0].number, made.days[-1].number + 1)]
        draw_plot(plot.over_days(spans, labels, width=plot_width(), braille=shows_braille()))


def print_sources(
    chosen: Mapping[ShadowSource, Chosen],
    whole: Mapping[ShadowSource, Accuracy],
    truths: Sequence[Accuracy],
    source: str,
) -> None:
    """Print each source by itself, then one source by who says what prompts were for."""
    table(
        (
            "source",
            "prompts",
            "sessions",
            "first",
            "among three",
            "MRR",
            "regex",
            "not known yet",
            "evidence",
        ),
        [
            (
                name,
                one.asked,
                one.sessions,
                share(one.ranking.first, of=True),
                share(one.ranking.top3),
                mean(one.ranking.mrr),
                share(one.ways["regex"].right, of=True),
                chosen[name].waiting,
                "yes" if name == "live" else "no",
            )
            for name, one in whole.items()
        ],
    )
    named = [one for one in truths if one.name is not None and one.asked]
    if named:
        heading(f"{source} ones, by who says what the prompt was for")
        print_ranking(named, "truth")


def print_forecast(found: Chosen, made: Forecast, limit: int) -> None:
    """Print how well accuracy is known now and would be at more prompts."""
    say_which(found)
    click.echo(f"the first is right: {share(made.first, of=True)}")
    if made.worth is not None:
        click.echo(f"as well known as from {made.worth:.0f} prompts that have nothing in common")
    if made.expected:
        click.echo("were accuracy and sessions to stay as they are:")
        table(
            ("prompts", "interval", "points wide"),
            [
                (one.n, f"{100 * one.low:.1f}-{100 * one.high:.1f} %", f"{100 * (one.high - one.low):.1f}")
                for one in made.expected
            ],
        )
    elif made.worth is not None:
        click.echo("there are more prompts than that already; --target looks further ahead")
    click.echo(f"over the rules: {ahead(made.over_regex)}")
    if made.needed is not None:
        click.echo(f"a difference of that size can be told from none from {made.needed:,} prompts on")
    if made.skills:
        heading("skills, those that cost most first")
        table(
            ("skill", "prompts", "first", "at least"),
            [
                (
                    skill(one.skill),
                    one.prompts,
                    share(one.first),
                    "-" if one.first.low is None else f"{100 * one.first.low:.0f} %",
                )
                for one in made.skills[:limit]
            ],
            short=("skill",),
        )
