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
    "committed": ("not committed", "committed"),
    "survived": ("did not stay", "stayed"),
    "reverted": ("not reverted", "reverted"),
    "ci_passed": ("CI failed", "CI passed"),
    "label": ("judged bad", "judged good"),
}
_NOTE_WIDTH = 200
_ADDED = {"prior": "(unknown)", "chance": "(calibrated)"}
#: Below this a person should not rely on a score alone.
_UNSURE = 0.25


def print_explanation(told: Explanation) -> None:
    """Print one trajectory's score, taken apart."""
    click.echo(f"trajectory {plain(told.trajectory)}, turn {told.turn} of session {plain(told.session)}")
    click.echo(
        f"reward {told.reward:.4f} (version {plain(told.version)}), advantage {told.advantage:+.4f} "
        f"in domain {plain(told.domain)}\n"
    )
    print_table(("signal", "value", "weight", "observed", "adds"), list(_rows(told)))
    for line in _notes(told):
        click.echo(line)
    if not told.agrees:
        click.echo("\nthe components of this score are not what today's reading of the facts gives:")
        click.echo("what follows is today's reading")
    for one in told.signals:
        click.echo("\n" + "\n".join(_signal(one)))
    click.echo("\nhow the score came to be")
    for before, step in zip([None, *told.history], told.history, strict=False):
        click.echo("  " + _step(step, before))


def _rows(told: Explanation) -> Iterator[Sequence[str | float | None]]:
    """Give a row for each signal, and for what adds beside them."""
    for one in told.signals:
        adds = None if told.calibration and one.signal != "outcome" else one.contribution
        yield one.signal, one.value, one.weight, one.observed, adds
    for each in told.added:
        yield _ADDED[each.what], each.value, None, None, each.contribution
    yield "together", None, None, None, told.reward - told.gap


def _notes(told: Explanation) -> Iterator[str]:
    """Say how far the score is to be relied on."""
    if told.unobserved:
        yield "nothing was observed that counts, so the reward is 0.5 and says nothing"
    elif any(one.value is None for one in told.signals):
        yield "what was not observed is left out, and the weights of the rest are scaled up to 1"
    if told.confidence is not None:
        unsure = "; do not rely on this score alone" if told.confidence < _UNSURE else ""
        yield f"confidence {told.confidence:.2f}: the share of what counts that was observed{unsure}"
    if told.calibration:
        yield f"calibration {plain(told.calibration)} reads all signals but the outcome as the chance above"


def _signal(one: Explained) -> Iterator[str]:
    if one.value is None:
        yield f"{one.signal}: left out, {one_line('; '.join(one.left_out), 200)}"
        return
    yield f"{one.signal} {one.value:.4f}" + (f" = {one.formula}" if one.formula else "")
    if not one.parts:
        yield "  nothing is known of how this version made it"
    for part in one.parts:
        yield from _part(part)
    for why in one.left_out:
        yield f"  {one_line(why, 160)}"


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
    said = [*said_words(step.said), *_correction(step)]
    said += [f"the prompt was for {one_line(step.skill, 60) or 'no skill'}"] if step.skill is not None else []
    by = f" by {step.person or f'event {step.by} ({step.detector})'}" if step.by else ""
    by += f' ("{one_line(step.note, _NOTE_WIDTH)}")' if step.note else ""
    anew = f" by version {step.version}" if before is not None and before.version != step.version else ""
    text = f"{step.reward:.4f}{change:<10}  {moment(step.time_ms)}  {_WHAT[step.what]}{anew}"
    return plain(f"{text}{': ' + ', '.join(said) if said else ''}{by}, record {step.seq}")


def _correction(step: Step) -> Iterator[str]:
    if step.sure is not None and step.said.get("correction_detected"):
        yield f"the correction is sure to {step.sure:.0%}"
    if step.classes:
        yield " and ".join(name.replace("_", " ") for name in step.classes)


def said_words(said: dict[str, bool]) -> Sequence[str]:
    """Give flags in words."""
    return [_SAID[name][value] if name in _SAID else f"{name}: {value}" for name, value in said.items()]
