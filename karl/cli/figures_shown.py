"""What the figures print: tables with their intervals, one agent at a time, and plots below them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from karl.cli.deeds import heading
from karl.cli.figures_asked import plot_width, shows_braille
from karl.cli.render import one_line, plain, print_table
from karl.figures import plot
from karl.figures.change import ALPHA, VALUES_MIN, Trend
from karl.figures.days import AgentDays, day_name
from karl.figures.difficulty import PARTS, AgentDifficulty, Task
from karl.figures.difficulty import TURNS_MIN as TASK_TURNS_MIN
from karl.figures.health import Health
from karl.figures.quality import TURNS_MIN, AgentQuality, Grade, Graded
from karl.intervals import Mean, Share

#: Columns that a name may take.
NAME_WIDTH = 32
#: What a column that gives way keeps at least.
SHORT_LEAST = 12


def mean(found: Mean, digits: int = 2) -> str:
    """Give a mean with its interval: `0.71 (0.69-0.73)`; `-` of none."""
    if found.mean is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.mean:.{digits}f} (1 session)"
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f}-{found.high:.{digits}f})"


def share(found: Share) -> str:
    """Give a share with its interval: `12 % (8-17)`; `-` of none."""
    if found.share is None or found.low is None or found.high is None:
        return "-"
    return f"{100 * found.share:.0f} % ({100 * found.low:.0f}-{100 * found.high:.0f})"


def trend(found: Trend, p: float | None = None) -> str:
    """Give a trend in words, by its own chance or, among many, by `p`: `falls 0.021/week (p 0.003)`."""
    if found.slope is None or found.p is None:
        return f"too few ({found.n} of {VALUES_MIN} sessions)"
    chance = found.p if p is None else p
    if found.direction == "steady" or chance >= ALPHA:
        return f"no trend (p {chance:.2f})"
    way = "rises" if found.direction == "rising" else "falls"
    said = f"p {chance:.3f}" if chance >= 0.0005 else "p < 0.001"
    return f"{way} {abs(found.slope):.3f}/week ({said})"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, short: Sequence[str] = ()) -> None:
    """Print a table in which only the columns in `short` give way: half a figure would be another one.

    Where a terminal is too narrow even so, each row becomes a list, a figure a line.
    """
    if sys.stdout.isatty() and _least(columns, rows, short) > shutil.get_terminal_size().columns:
        _print_lists(columns, rows)
        return
    print_table(columns, rows, whole=[column for column in columns if column not in short], short=short)


def _least(columns: Sequence[str], rows: Sequence[Sequence[Any]], short: Sequence[str]) -> int:
    """Give the columns of a terminal that a table needs with its `short` columns cut to SHORT_LEAST."""
    widths = [
        max(len(column), *(len(_cell(row[index])) for row in rows)) if rows else len(column)
        for index, column in enumerate(columns)
    ]
    needed = (
        min(width, SHORT_LEAST) if column in short else width
        for column, width in zip(columns, widths, strict=True)
    )
    return sum(needed) + 2 * (len(columns) - 1)


def _print_lists(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    left = max(len(column) for column in columns)
    for row in rows:
        for index, (column, value) in enumerate(zip(columns, row, strict=True)):
            click.echo(f"{'  ' if index else ''}{plain(column):<{left + 2 * (not index)}}  {_cell(value)}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else plain(value)


def agent_heading(agent: str, turns: int, sessions: int | None = None) -> None:
    """Print whose figures come next."""
    of = "" if sessions is None else f" in {sessions:,} session{'s' * (sessions != 1)}"
    heading(f"{one_line(agent, 40)}: {turns:,} turn{'s' * (turns != 1)}{of}")


def print_days(agents: Sequence[AgentDays], *, draw: bool) -> None:
    """Print each agent's days, and draw them."""
    for one in agents:
        agent_heading(one.agent, one.reward.n, one.reward.groups)
        table(
            ("day", "turns", "sessions", "reward"),
            [(day.day, day.reward.n, day.reward.groups, mean(day.reward, 3)) for day in one.days],
        )
        click.echo(f"all {mean(one.reward, 3)}; {trend(one.trend)}")
        if draw and len(one.days) > 1:
            draw_days(one)


def draw_days(one: AgentDays) -> None:
    """Draw an agent's days."""
    first = one.days[0].number
    labels = [day_name(day)[5:] for day in range(first, one.days[-1].number + 1)]
    spans = []
    for day in one.days:
        found = day.reward
        spans.append(plot.Span(float(day.number - first), found.mean or 0.0, found.low, found.high))
    draw_plot(plot.over_days(spans, labels, width=plot_width(), braille=shows_braille()))


def print_quality(
    agents: Sequence[AgentQuality], turns: Sequence[Sequence[Graded]], prompts: Mapping[str, str | None]
) -> None:
    """Print each agent's grades, and under them the turns chosen."""
    table(
        ("agent", "turns", "reward", "quartiles", "high", "medium", "low", "failed calls", "corrected"),
        [_quality_row(one) for one in agents],
        short=("agent",),
    )
    for one, some in zip(agents, turns, strict=True):
        if one.grades is None:
            click.echo(f"{one_line(one.agent, 40)}: too few turns for grades ({one.reward.n} of {TURNS_MIN})")
        if some:
            heading(one_line(one.agent, 40))
            table(
                ("trajectory", "grade", "place", "reward", "confidence", "against it", "prompt"),
                [(*_graded_row(turn), one_line(prompts[turn.id] or "-", NAME_WIDTH)) for turn in some],
                short=("against it", "prompt"),
            )


def _quality_row(one: AgentQuality) -> tuple[Any, ...]:
    grades: dict[Grade, int | None] = {"high": None, "medium": None, "low": None}
    grades.update(one.grades or {})
    return (
        one_line(one.agent, NAME_WIDTH),
        one.reward.n,
        mean(one.reward),
        " ".join(f"{value:.2f}" for value in one.quartiles),
        grades["high"],
        grades["medium"],
        grades["low"],
        share(one.failed),
        f"{share(one.corrected)} of {one.corrected.n}" if one.corrected.n else "-",
    )


def _graded_row(turn: Graded) -> tuple[Any, ...]:
    against = ", ".join(_AGAINST.get(name, name) for name in turn.against)
    return turn.id, turn.grade, f"{turn.place:.2f}", turn.reward, turn.confidence, against or "-"


_AGAINST = {
    "label": "judged bad",
    "correction_detected": "corrected",
    "redo_detected": "redone",
    "reverted": "reverted",
    "build_success": "build failed",
    "ci_passed": "CI failed",
    "survived": "did not survive",
}


def print_health(groups: Sequence[Health], by: str, limit: int) -> None:
    """Print agents, each with its largest groups below it."""
    shown, more = _largest(groups, limit)
    for agent in dict.fromkeys(one.agent for one in shown):
        own = [one for one in shown if one.agent == agent]
        agent_heading(agent, own[0].reward.n, own[0].reward.groups)
        table(
            (by, "turns", "reward", "process", "calls", "failed calls", "corrected", "trend"),
            [_health_row(one) for one in own],
            short=(by,),
        )
    if more:
        click.echo(f"\n… {more:,} more groups with fewer turns (`karl health --limit`, --json)")


def _health_row(one: Health) -> tuple[Any, ...]:
    return (
        "all" if one.name is None else one_line(one.name, NAME_WIDTH),
        one.reward.n,
        mean(one.reward),
        "-" if one.process.mean is None else f"{one.process.mean:.2f}",
        "-" if one.calls.mean is None else f"{one.calls.mean:.1f}",
        share(one.failed),
        f"{one.corrected.hits}/{one.corrected.n}",
        trend(one.trend, one.p),
    )


def _largest(groups: Sequence[Health], limit: int) -> tuple[list[Health], int]:
    """Take each agent's largest groups; says how many others there are."""
    shown: list[Health] = []
    taken = 0
    for one in groups:
        taken = 0 if one.name is None else taken + 1
        if taken <= limit:
            shown.append(one)
    return shown, len(groups) - len(shown)


def draw_rewards(rewards: Sequence[float]) -> None:
    """Draw how many turns have which reward."""
    draw_plot(plot.histogram(rewards, width=plot_width(), braille=shows_braille()))


def print_difficulty(
    agents: Sequence[AgentDifficulty], by: str | None, limit: int, prompts: Mapping[str, str | None]
) -> None:
    """Print each agent's tasks or groups, the hardest first."""
    for one in agents:
        agent_heading(one.agent, one.turns)
        if one.tasks is None:
            click.echo(f"too few turns to say what is usual ({one.turns} of {TASK_TURNS_MIN})")
            continue
        if not one.tasks:
            click.echo(f"none of them has a {by}")
            continue
        table(
            (by or "first turn", "turns", "difficulty", *PARTS, "calls", *(() if by else ("prompt",))),
            [
                (*_task_row(task), *(() if by else (one_line(prompts[task.first] or "-", NAME_WIDTH),)))
                for task in one.tasks[:limit]
            ],
            short=(by or "prompt",),
        )
        if len(one.tasks) > limit:
            click.echo(f"… {len(one.tasks) - limit:,} more, less hard (--limit)")


def _task_row(task: Task) -> tuple[Any, ...]:
    hard = task.difficulty
    return (
        task.first if task.name is None else one_line(task.name, NAME_WIDTH),
        hard.n,
        f"{hard.mean or 0:.2f}" if hard.groups == 1 else mean(hard),
        *(_part(task.parts, name) for name in PARTS),
        f"{task.calls:g}",
    )


def _part(parts: dict[str, float], name: str) -> str:
    return f"{parts[name]:.2f}" if name in parts else "-"


def draw_plot(lines: Sequence[str]) -> None:
    """Print a plot below what was printed before."""
    click.echo()
    for line in lines:
        click.echo(line)
