"""What `karl confidence-analysis` and `karl difficulty --prompts` print."""

from __future__ import annotations

from collections.abc import Mapping

import click

from karl.cli.deeds import heading
from karl.cli.figures_asked import plot_width, shows_braille
from karl.cli.figures_shown import draw_plot, table
from karl.cli.render import one_line
from karl.cli.routed_shown import estimate, say_which, share, skill
from karl.evaluation.chances import Truth
from karl.figures import plot
from karl.figures.reliability import spans_of
from karl.figures.routing.chosen import PROMPTS_MIN, SESSIONS_MIN, Chosen
from karl.figures.routing.confidence import EITHER_MIN, KNOWN_MIN, Advice, Confidence
from karl.figures.routing.prompts import PARTS, Difficulty

_PROMPT_WIDTH = 60


def print_confidence(found: Chosen, made: Confidence, *, draw: bool) -> None:
    """Print the reliability, the curve, and the threshold."""
    say_which(found)
    if len(found.routers) > 1:
        click.echo(f"made by {len(found.routers)} routers, whose scales differ; --router ID looks at one")
    heading("is the chance of the first true?")
    if made.truth is None:
        click.echo(f"too few to say ({made.asked}; {KNOWN_MIN}, and {EITHER_MIN} of either kind)")
    else:
        _print_truth(made, made.truth, draw=draw)
    if made.curve:
        heading(f"answering only from some {made.by} on (in hindsight)")
        table(
            ("from", "answered", "right of these", "false takes"),
            [
                (
                    f"{one.threshold:.3f}",
                    share(one.taken, of=True),
                    share(one.right, of=True),
                    share(one.false, of=True),
                )
                for one in made.curve
            ],
        )
    heading(f"at most {100 * made.advice.error:g} % of the answers wrong, judged on other sessions")
    _print_advice(made.advice)


def _print_truth(made: Confidence, found: Truth, *, draw: bool) -> None:
    click.echo(f"{made.right:,} of {made.asked:,} right")
    click.echo(f"Brier {estimate(found.brier, 3)}; always saying the base rate {found.constant:.3f}")
    click.echo(f"ECE   {found.ece:.3f}; true chances come to {found.perfect:.3f} on so few")
    if made.auroc is not None:
        click.echo(f"AUROC {estimate(made.auroc, 3)} of the {made.by}, right against wrong")
    table(
        ("chance said", "prompts", "right"),
        [(f"{one.said:.2f}", f"{one.runs:.0f}", f"{100 * one.happened:.0f} %") for one in found.bins],
    )
    if draw:
        draw_plot(plot.reliability(spans_of(found), width=plot_width(), braille=shows_braille()))


def _print_advice(found: Advice) -> None:
    rows = [("the router's own", "-", found.own_taken, found.own_right, found.own_false)]
    if found.threshold is None:
        click.echo(
            "no threshold: each half of the sessions needs one that keeps to this share of errors, "
            f"and {PROMPTS_MIN} prompts in {SESSIONS_MIN} sessions"
        )
    else:
        rows.insert(0, ("this threshold", f"{found.threshold:.3f}", found.taken, found.right, found.false))
    table(
        ("decision", "from", "answered", "right of these", "false takes"),
        [
            (name, at, share(taken, of=True), share(right, of=True), share(false, of=True))
            for name, at, taken, right, false in rows
        ],
    )
    first, second = found.thresholds
    if found.threshold is not None and first is not None and second is not None:
        click.echo(f"the halves chose {first:.3f} and {second:.3f}; a new router needs a new threshold")


def print_prompts(found: Chosen, made: Difficulty, texts: Mapping[str, str | None], limit: int) -> None:
    """Print whether difficulty says anything, and the hardest prompts."""
    say_which(found)
    if made.thirds:
        table(
            ("prompts", "difficulty", "first right"),
            [(one.level, f"{one.low:.2f}-{one.high:.2f}", share(one.right, of=True)) for one in made.thirds],
        )
    if made.auroc is not None:
        click.echo(f"one routed wrongly is the harder one: AUROC {estimate(made.auroc)}")
    heading("the hardest")
    table(
        ("difficulty", *PARTS, "asked for", "first", "prompt"),
        [
            (
                f"{one.difficulty:.2f}",
                *(f"{one.parts[name]:.2f}" if name in one.parts else "-" for name in PARTS),
                skill(one.truth),
                skill(one.first),
                one_line(texts.get(one.event) or "-", _PROMPT_WIDTH),
            )
            for one in made.prompts[:limit]
        ],
        short=("asked for", "first", "prompt"),
    )
    if len(made.prompts) > limit:
        click.echo(f"… {len(made.prompts) - limit:,} more, less hard (--limit)")
