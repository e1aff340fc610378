"""An explained score on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from karl.cli.moments import moment
from karl.cli.render import one_line, plain, print_table
from karl.replay.explained import Explained, Explanation, Step
from karl.reward.evidence import Because, Part

#: Numbers of calls that one line names.
_CALLS_SHOWN = 30
_WHAT = {
    "record": "when the turn closed",
    "annotation": "said later",
    "score": "scored again",
    "late": "read with facts that came later",
}
#: What the words of FLAGS are for a person.
_SAID = {
    "correction_detected": ("not corrected", "corrected"),
    "redo_detected": ("not redone", "redone"),
    "build_success": ("build failed", "build passed"),
    "session_continued": ("nobody went on", "the user went on"),
}


def print_explanation(told: Explanation) -> None:
    """Print one trajectory's score, taken apart."""
    click.echo(f"trajectory {plain(told.trajectory)}, turn {told.turn} of session {plain(told.session)}")
    click.echo(
        f"reward {told.reward:.4f} (version {plain(told.version)}), advantage {told.advantage:+.4f} "
        f"in domain {plain(told.domain)}\n"
    )
    rows = [(one.signal, one.value, one.weight, one.contribution) for one in told.signals]
    total = sum(one.contribution for one in told.signals)
    print_table(("signal", "value", "weight", "adds"), [*rows, ("together", None, None, total)])
    if not told.agrees:
        click.echo("\nthe components of this score are not what today's reading of the facts gives:")
        click.echo("what follows is today's reading")
    for one in told.signals:
        click.echo("\n" + "\n".join(_signal(one)))
    click.echo("\nhow the score came to be")
    for before, step in zip([None, *told.history], told.history, strict=False):
        click.echo("  " + _step(step, before))


def _signal(one: Explained) -> Iterator[str]:
    yield f"{one.signal} {one.value:.4f}" + (f" = {one.formula}" if one.formula else "")
    if not one.parts:
        yield "  nothing is known of how this version made it"
    for part in one.parts:
        yield from _part(part)


def _part(part: Part) -> Iterator[str]:
    yield f"  {plain(part.component):<26} {part.value:>7.4f}  {one_line(part.means, 160)}"
    for each in part.because:
        yield f"{'':37}{_middle(each.what, 100)}: {_numbers(each)}"


def _middle(text: str, width: int) -> str:
    """Give a text on one line; a long one keeps its end, where a path has the file's name."""
    flat = one_line(text, 10 * width)
    return flat if len(flat) <= width else f"{flat[: width // 3]}…{flat[-width * 2 // 3 :]}"


def _numbers(because: Because) -> str:
    shown = " ".join(f"#{number}" for number in because.calls[:_CALLS_SHOWN])
    more = len(because.calls) - _CALLS_SHOWN
    return shown + (f" and {more:,} more" if more > 0 else "")


def _step(step: Step, before: Step | None) -> str:
    change = "" if before is None else f" ({step.reward - before.reward:+.4f})"
    said = said_words(step.said)
    by = f" by event {step.by} ({step.detector})" if step.by else ""
    text = f"{step.reward:.4f}{change:<10}  {moment(step.time_ms)}  {_WHAT[step.what]}"
    return plain(f"{text}{': ' + ', '.join(said) if said else ''}{by}, record {step.seq}")


def said_words(said: dict[str, bool]) -> Sequence[str]:
    """Give flags in words."""
    return [_SAID[name][value] for name, value in said.items()]
