"""What `karl shadow`, `karl reshadow` and `karl replay --since` print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from karl.cli.deeds import heading
from karl.cli.figures_shown import table
from karl.cli.moments import moment
from karl.cli.render import one_line
from karl.cli.routed_shown import ID_WIDTH, WAYS, ahead, of_way, share, skill
from karl.figures.routing.accuracy import Accuracy
from karl.figures.routing.again import Again
from karl.figures.routing.chosen import Chosen
from karl.figures.routing.shadow import Shadowed, Spread
from karl.intervals import Paired


def print_shadow(found: Chosen, made: Shadowed, right: Accuracy, limit: int) -> None:
    """Print what was predicted, how soon, by skill, and how right it was."""
    sessions = f"{made.sessions:,} session{'s' * (made.sessions != 1)}"
    click.echo(f"{found.source} predictions of {made.prompts:,} prompts in {sessions}")
    if made.first_ms is not None and made.last_ms is not None:
        click.echo(f"from {moment(made.first_ms)} to {moment(made.last_ms)}")
    routers = {router[:ID_WIDTH]: count for router, count in made.routers.items()}
    for what, counts in (("router", routers), ("encoder", made.encoders), ("agent", made.agents)):
        if counts:
            click.echo(f"by {what}: {_counted(counts)}")
    if not made.routers:
        click.echo(
            "by rules alone: there was no router, or none that could be used (`karl jobs list` says why)"
        )
    table(
        ("takes a skill", "share"),
        [
            ("the vector router", share(made.vector, of=True)),
            ("the rules", share(made.regex, of=True)),
            ("the policy over both", share(made.picked, of=True)),
            ("both take one: the same", share(made.agree, of=True)),
        ],
    )
    table(
        ("milliseconds", "mean", "median", "95 %", "most"),
        [
            (what, *_spread(one))
            for what, one in (("prompt to prediction", made.delay), ("encoder and routers", made.took))
            if one.n
        ],
    )
    if made.ahead:
        click.echo(f"{made.ahead:,} predictions seem to be older than their prompts: machines' clocks differ")
    heading("by skill")
    table(
        ("skill", "first", "taken", "by rules", "by policy", "turned out to be"),
        [
            (skill(one.skill), one.first, one.taken, one.regex, one.picked, one.asked)
            for one in made.skills[:limit]
        ],
        short=("skill",),
    )
    if len(made.skills) > limit:
        click.echo(f"… {len(made.skills) - limit:,} more (--limit)")
    _print_right(found, right)


def _print_right(found: Chosen, right: Accuracy) -> None:
    heading("where it is known what the prompt was for")
    if not (found.asked or found.none):
        click.echo(f"of none yet: of {found.waiting:,} nobody knows, or their turns have not closed")
        return
    click.echo(
        f"{len(found.asked):,} prompts asked for a skill, {len(found.none):,} for none, as far as anybody "
        f"knows; {found.waiting:,} not known yet (`karl accuracy` says more)"
    )
    table(
        ("way", "right", "takes one", "right of these", "false takes"),
        [(WAYS[name], *of_way(way)) for name, way in right.ways.items()],
    )
    click.echo(f"vector over regex, on the same prompts: {ahead(right.over_regex)}")


def print_again(found: Sequence[Again], *, router: str, encoder: str, left_out: int) -> None:
    """Print the same prompts' picks as they were and as they would be."""
    by = f"the router {router[:ID_WIDTH]} ({one_line(encoder, 32)})" if router else "rules alone"
    click.echo(f"routed anew by {by}; nothing is written")
    if left_out:
        click.echo(f"{left_out:,} prompts that it was trained with, or their very words, are left out")
    table(
        ("way", "prompts", "right before", "after", "improved", "regressed", "gain", "changed", "false"),
        [
            (
                WAYS[one.who],
                one.n,
                share(one.before),
                share(one.after),
                one.improved,
                one.regressed,
                gain(one.gain),
                share(one.changed),
                f"{share(one.false_before)} -> {share(one.false_after)}",
            )
            for one in found
        ],
    )  # fmt: skip


def gain(found: Paired) -> str:
    """Give a difference of two shares of the same prompts, in points."""
    if found.difference is None or found.low is None or found.high is None:
        return "too few" if found.n else "-"
    return f"{100 * found.difference:+.0f} points ({100 * found.low:+.0f} to {100 * found.high:+.0f})"


def _spread(found: Spread) -> tuple[str, str, str, str]:
    one, two, three, four = (
        "-" if value is None else f"{value:,.2f}" for value in (found.mean, found.p50, found.p95, found.max)
    )
    return one, two, three, four


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{one_line(name, 32)} {count:,}" for name, count in counts.items())
