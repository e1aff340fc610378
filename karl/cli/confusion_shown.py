"""What the commands of confusion print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from karl.cli.deeds import heading
from karl.cli.figures_shown import table
from karl.cli.render import one_line
from karl.cli.routed_shown import estimate, say_which, share, skill
from karl.figures.routing.chosen import Chosen
from karl.figures.routing.confusion import Confusion, Pair
from karl.figures.routing.resolve import Resolution

#: Skills of which a matrix is shown, and columns that a prompt may take.
MATRIX_MAX = 12
_PROMPT_WIDTH = 90


def print_confusion(found: Chosen, made: Confusion, top: int) -> None:
    """Print the matrix where it is small, then pairs and each skill."""
    say_which(found)
    if len(made.skills) <= MATRIX_MAX:
        _print_matrix(made)
    if made.pairs:
        heading("taken for another, the most frequent first")
        table(
            ("asked for", "picked", "prompts", "of these", "chance given"),
            [
                (
                    skill(one.truth),
                    skill(one.picked),
                    one.errors.hits,
                    share(one.errors, of=True),
                    _chance(one),
                )
                for one in made.pairs[:top]
            ],
            short=("asked for", "picked"),
        )
        if len(made.pairs) > top:
            click.echo(f"… {len(made.pairs) - top:,} more pairs (--top)")
    else:
        click.echo("no prompt was taken for another")
    heading("each skill")
    table(
        ("skill", "precision", "recall", "F1"),
        [
            (
                skill(one.skill),
                share(one.precision, of=True),
                share(one.recall, of=True),
                "-" if one.f1 is None else estimate(one.f1),
            )
            for one in made.skills[:top]
        ],
        short=("skill",),
    )
    if len(made.skills) > top:
        click.echo(f"… {len(made.skills) - top:,} more skills with fewer prompts (--top)")


def _print_matrix(made: Confusion) -> None:
    heading("prompts by what they asked for (a row each) and what was picked")
    names = [one.skill for one in made.skills]
    letters = {name: chr(ord("a") + at) for at, name in enumerate(names)}
    table(
        ("", "asked for", *letters.values(), "none"),
        [
            (letters[name], skill(name), *(counts.get(other) for other in names), counts.get(""))
            for name, counts in made.counts.items()
        ],
        short=("asked for",),
    )
    silent = [name for name in names if name not in made.counts]
    if silent:
        click.echo("picked only: " + ", ".join(f"{letters[name]} {skill(name)}" for name in silent))


def _chance(one: Pair) -> str:
    return "-" if one.sure is None else f"{one.sure:.2f}"


def print_advice(found: Chosen, made: Sequence[Resolution]) -> None:
    """Print each pair with what to do."""
    say_which(found)
    if not made:
        click.echo("no prompt was taken for another")
        return
    table(
        ("asked for", "picked", "prompts", "told apart", "cosine", "exemplars", "do"),
        [
            (
                skill(one.pair.truth),
                skill(one.pair.picked),
                one.pair.errors.hits,
                share(one.apart, of=True),
                _cosine(one.cosine),
                " ".join("?" if count is None else f"{count}" for count in one.exemplars),
                one.strategy,
            )
            for one in made
        ],
        short=("asked for", "picked"),
    )
    for strategy in dict.fromkeys(one.strategy for one in made):
        one = next(one for one in made if one.strategy == strategy)
        click.echo(f"{strategy}: {one.why} (`{one.command}`)")


def print_hard(
    found: Chosen,
    pairs: Sequence[Pair],
    false: Sequence[Pair],
    cosines: Mapping[tuple[str, str], float],
    prompts: Mapping[str, str | None],
) -> None:
    """Print errors with their prompts, then false takes with theirs."""
    say_which(found)
    for one in pairs:
        names = sorted((one.truth or "", one.picked or ""))
        cosine = cosines.get((names[0], names[1]))
        heading(f"{skill(one.truth)} taken for {skill(one.picked)}")
        click.echo(
            f"{one.errors.hits:,} prompts: {share(one.errors, of=True)}; chance given {_chance(one)}, "
            f"cosine {_cosine(cosine)}, truths weigh {one.weight:.2f}"
        )
        _print_prompts(one, prompts)
    if not pairs:
        click.echo("no prompt was taken for another")
    if false:
        heading("asked for none, as far as anybody knows")
    for one in false:
        click.echo(f"{one.errors.hits:,} taken for {skill(one.picked)}, chance given {_chance(one)}")
        _print_prompts(one, prompts)


def _print_prompts(one: Pair, prompts: Mapping[str, str | None]) -> None:
    for event in one.events:
        if text := prompts.get(event):
            click.echo(f"  {one_line(text, _PROMPT_WIDTH)}")


def _cosine(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
