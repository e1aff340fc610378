"""What `karl lift-analysis` and `karl lift-sim` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from karl.cli.deeds import heading
from karl.cli.figures_shown import table
from karl.cli.render import one_line
from karl.cli.routed_shown import NAME_WIDTH, say_which, share, skill
from karl.figures.routing.chosen import Chosen
from karl.figures.routing.lift import Difference, Lift, Simulated, Told, Within
from karl.intervals import Mean

#: Pairs that are named.
NAMED = 10


def print_told(told: Sequence[Told]) -> None:
    """Print what telling agents of skills did."""
    heading("sessions that were told of skills against those that were not, as they were drawn")
    table(
        (
            "agent",
            "reward told",
            "not told",
            "difference",
            "used, told",
            "not told",
            "corrected, told",
            "not told",
        ),
        [
            (
                one_line(one.agent, NAME_WIDTH),
                _mean(one.reward.one),
                _mean(one.reward.other),
                _between(one.reward),
                *(share(found, of=True) for found in (*one.used, *one.corrected)),
            )
            for one in told
        ],
        short=("agent",),
    )


def print_lift(found: Chosen, lift: Sequence[Lift], warning: str) -> None:
    """Print rewards of turns routed rightly against the others."""
    heading("turns whose skill the vector router would have picked against the others")
    say_which(found)
    table(
        ("agent", "reward right", "wrong", "difference", "within skills"),
        [
            (
                one_line(one.agent, NAME_WIDTH),
                _mean(one.difference.one),
                _mean(one.difference.other),
                _between(one.difference),
                _within(one.within),
            )
            for one in lift
        ],
        short=("agent",),
    )
    click.echo(warning)


def _mean(found: Mean) -> str:
    return "-" if found.mean is None else f"{found.mean:.2f} of {found.n:,} in {found.groups:,}"


def _between(found: Difference) -> str:
    return _interval(found.value, found.low, found.high)


def _within(found: Within) -> str:
    told = _interval(found.value, found.low, found.high)
    return f"{told} of {found.turns:,}" if found.value is not None else f"too few ({found.turns:,})"


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "too few"
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def print_simulated(found: Chosen, made: Simulated, warning: str) -> None:
    """Print what fixing pairs would come to."""
    say_which(found)
    rows: list[tuple[Any, ...]] = [
        ("first right now", share(made.now, of=True)),
        ("made right", share(made.fixed, of=True)),
        ("first right then", share(made.then, of=True)),
    ]
    table(("", "share"), rows)
    if made.pairs:
        named = ", ".join(f"{skill(a)} > {skill(b)} {count:,}" for a, b, count in made.pairs[:NAMED])
        click.echo(f"errors made right: {named}")
    for agent, one in made.reward.items():
        click.echo(
            f"{one_line(agent, NAME_WIDTH)}: mean reward, were the lift the routing's doing: {_within(one)}"
        )
    click.echo(warning)
