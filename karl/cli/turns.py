"""One trajectory on a terminal: what was asked, what was done and changed, and what it was worth."""

from __future__ import annotations

from collections.abc import Sequence

import click

from karl.cli import deeds as looks
from karl.cli.moments import moment
from karl.cli.render import plain, print_table
from karl.cli.shown import agent, flags
from karl.replay.story import Deed, Story, story
from karl.schema.record import Score
from karl.views.detail import Detail, call_tree
from karl.views.queries import TrajectoryRow


def print_trajectory(whole: Detail, *, full: bool, diffs: bool) -> None:
    """Print one trajectory; `full` cuts nothing and adds what each call was given and answered."""
    told = story(whole.body)
    lines = None if full else looks.TEXT_LINES
    _head(whole)
    reading = whole.body.trajectory
    if prompt := reading.context.prompt_text:
        looks.heading("prompt")
        click.echo("\n".join(looks.block(prompt, lines=lines)))
    _calls(whole, told, full=full)
    if diffs:
        _changes(told.deeds, most=None if full else looks.DIFF_LINES)
    if wrong := list(looks.errors(told.deeds, lines=lines)):
        looks.heading("went wrong")
        click.echo("\n".join(wrong))
    if response := reading.trajectory.response:
        looks.heading("response")
        click.echo("\n".join(looks.block(response, lines=lines)))
    _score(whole)


def _head(whole: Detail) -> None:
    row = whole.row
    click.echo(f"trajectory {plain(row.id)}, turn {row.turn} of session {plain(row.session)}")
    click.echo(plain(f"  {agent(row)} on {row.node}, fleet {row.fleet}, project {row.project or '-'}"))
    took = "" if row.duration_s is None else f" after {looks.took(int(row.duration_s * 1000))}"
    click.echo(f"  closed by {plain(row.closed_by)}{took} at {moment(row.time_ms)}; {row.events} events")
    if counted := looks.tokens(whole.body.trajectory.usage):
        click.echo(f"  tokens: {counted}")


def _calls(whole: Detail, told: Story, *, full: bool) -> None:
    tree = list(call_tree(whole.body.trajectory.trajectory.events))
    if not tree:
        click.echo("\nno calls")
        return
    click.echo()
    print_table(("#", "tool", "what", "status", "exit", "took"), looks.call_rows(tree))
    if full:
        by_number = {deed.number: deed for deed in told.deeds}
        for _, number, _ in tree:
            _whole_call(by_number[number])


def _whole_call(deed: Deed) -> None:
    looks.heading(f"#{deed.number} {plain(deed.call.tool_name)}: {looks.verdict(deed.call)}")
    for given in deed.given:
        click.echo(f"  {plain(given.name)}:")
        click.echo("\n".join(looks.block(given.text, indent="    ", lines=None)))
    if deed.answer:
        click.echo("  answer:")
        click.echo("\n".join(looks.block(deed.answer, indent="    ", lines=None)))


def _changes(deeds: Sequence[Deed], *, most: int | None) -> None:
    changed = [deed for deed in deeds if deed.diffs]
    if changed:
        looks.heading("changes")
    for deed in changed:
        click.echo(f"  #{deed.number} {plain(deed.call.tool_name)}: {looks.verdict(deed.call)}")
        for diff in deed.diffs:
            for line in looks.diff_lines(diff, indent="     ", most=most):
                click.echo(line)


def _score(whole: Detail) -> None:
    row, score = whole.row, whole.score
    click.echo()
    weights = score.weights
    print_table(("signal", "value", "weight"), [(n, v, weights.get(n)) for n, v in score.signals.items()])
    click.echo(
        f"\nreward {score.reward:.4f} (version {plain(score.version)}{_sure(score)}); `karl explain "
        f"{plain(row.id)}` says why\n"
        f"advantage {row.advantage:+.4f}: {row.expected:.4f} is expected of {plain(row.agent)} {_group(row)}"
    )
    click.echo(f"known of the outcome: {flags(row.flags, row.correction_classes) or 'nothing'}")
    for later in whole.later:
        by = f"by event {later.by} ({later.detector})" if later.by else "a new score"
        click.echo(plain(f"  {later.kind} in record {later.place.seq}: {by}, reward {later.reward:.4f}"))
    click.echo(f"record {row.place.seq} in {row.place.segment}, bytes {row.place.offset} to {row.place.end}")


def _sure(score: Score) -> str:
    """Say how much of what counts was observed, where the version says so."""
    return "" if score.confidence is None else f", confidence {score.confidence:.2f}"


def _group(row: TrajectoryRow) -> str:
    """Say what a reward is compared with: never another agent's."""
    return f"in domain {plain(row.domain)}" + (f", over {row.runs} runs of this task" if row.runs > 1 else "")
