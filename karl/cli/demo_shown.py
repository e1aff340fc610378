"""What `karl demo` prints of its report, as tables and as documented JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import click

from karl.cli.deeds import call_rows
from karl.cli.render import one_line, plain, print_json, print_table
from karl.cli.shown import print_verified
from karl.demo.report import DemoReport
from karl.reward.score import outcome_parts
from karl.reward.signal import SIGNALS
from karl.views.detail import Detail, call_tree


def show(report: DemoReport, *, as_json: bool) -> None:
    """Print a report; what was not as it had to be stands last, where it is seen."""
    if as_json:
        print_json(demo_json(report))
        return
    _print_turns(report)
    if report.corrected:
        _print_correction(report, report.corrected)
    if report.delegated:
        _print_tree(report.delegated)
    _print_line(report)
    if report.ok:
        _print_next(report)
    for problem in report.problems:
        click.echo(plain(f"! {problem}"))


def demo_json(report: DemoReport) -> dict[str, Any]:
    """Give the document of `karl demo --json`."""
    return {
        "ok": report.ok,
        "problems": report.problems,
        "seconds": report.seconds,
        "data_dir": str(report.data_dir) if report.data_dir else None,
        "sessions": report.sessions,
        "turns": [
            {
                **_row_json(turn),
                "signals": turn.score.signals,
                "weights": turn.score.weights,
                "confidence": turn.score.confidence,
            }
            for turn in report.turns
        ],
        "correction": _correction_json(report.corrected, report.correction) if report.corrected else None,
        "subagents": _tree_json(report.delegated) if report.delegated else None,
        "events": {"sent": report.sent, "recorded": report.recorded},
        "redactions": report.redactions,
        "verify": {"ok": report.verified.ok, **_verified_json(report)},
        "hook": report.hook,
    }


def _row_json(turn: Detail) -> dict[str, Any]:
    row = turn.row
    return {
        "id": row.id,
        "session": row.session,
        "turn": row.turn,
        "prompt": row.prompt,
        "closed_by": row.closed_by,
        "calls": row.calls,
        "failures": row.failures,
        "flags": row.flags,
        "reward": row.reward,
    }


def _correction_json(turn: Detail, prompt: str) -> dict[str, Any]:
    return {
        "trajectory": turn.row.id,
        "prompt": prompt,
        "reward_before": turn.body.score.reward,
        "reward": turn.score.reward,
    }


def _tree_json(turn: Detail) -> dict[str, Any]:
    calls = turn.body.trajectory.trajectory.events
    return {
        "trajectory": turn.row.id,
        "calls": [
            {"depth": depth, "tool": call.tool_name, "status": call.status, "agent_type": call.agent_type}
            for depth, _, call in call_tree(calls)
        ],
    }


def _verified_json(report: DemoReport) -> dict[str, Any]:
    found = report.verified
    names = ("segments", "records", "bytes", "events", "trajectories", "damages", "warnings", "head")
    return {name: getattr(found, name) for name in names}


def _print_turns(report: DemoReport) -> None:
    click.echo("What the ledger holds, a line for each turn from prompt to stop:\n")
    print_table(
        ("turn", "session", "prompt", "calls", "failed", "closed by", "reward"),
        [
            (
                number,
                turn.row.session[:8],
                one_line(turn.row.prompt or "-", 44),
                turn.row.calls,
                turn.row.failures,
                turn.row.closed_by,
                turn.row.reward,
            )
            for number, turn in enumerate(report.turns, 1)
        ],
    )
    if report.turns:
        click.echo("\nThe signals of each, from 0 to 1; what could not be observed is not counted:\n")
        columns = ("signal", "weight", *(f"turn {number}" for number in range(1, len(report.turns) + 1)))
        print_table(columns, _signal_rows(report.turns))


def _signal_rows(turns: Sequence[Detail]) -> list[tuple[Any, ...]]:
    weights = turns[0].score.weights
    rows: list[tuple[Any, ...]] = [
        (name, weights.get(name), *(turn.score.signals.get(name) for turn in turns))
        for name in SIGNALS
        if any(name in turn.score.signals for turn in turns)
    ]
    return [
        *rows,
        ("reward", None, *(turn.score.reward for turn in turns)),
        ("confidence", None, *(turn.score.confidence for turn in turns)),
    ]


def _print_correction(report: DemoReport, turn: Detail) -> None:
    number = next(at for at, one in enumerate(report.turns, 1) if one.row.id == turn.row.id)
    before, now = turn.body.score, turn.score
    known = ", ".join(f"{name} {value:g}" for name, value in outcome_parts(now).items())
    old = before.signals.get("outcome")
    was = "nothing known" if old is None else f"{old:.4f}"
    click.echo(f"\nAfter turn {number} the user said: {one_line(report.correction, 100)}")
    click.echo(
        "A new record says so of the old one, which stays as it is. What is known of the outcome now:\n"
        f"  {plain(known)}\n"
        f"  outcome: {was} -> {now.signals['outcome']:.4f}, "
        f"reward {before.reward:.4f} -> {now.reward:.4f} (version {plain(now.version)})"
    )


def _print_tree(turn: Detail) -> None:
    click.echo(f"\nThe calls of {plain(turn.row.id)}, a subagent's below the one that sent it out:\n")
    calls = turn.body.trajectory.trajectory.events
    print_table(("#", "tool", "what", "status", "exit", "took"), call_rows(list(call_tree(calls))))


def _print_line(report: DemoReport) -> None:
    hook = report.hook
    taken = ", ".join(f"[REDACTED:{rule}] {count}x" for rule, count in report.redactions.items())
    click.echo(f"\nevents     {report.sent} sent by the agent, {report.recorded} in the ledger")
    click.echo(f"redacted   {plain(taken) or 'nothing'}, before anything left the spool folder")
    click.echo(
        f"hook       {hook.runs} runs, median {hook.median_ms:g} ms, p95 {hook.p95_ms:g} ms, "
        f"longest {hook.max_ms:g} ms"
    )
    click.echo(f"took       {report.seconds:g} s")
    click.echo("verify     ", nl=False)
    print_verified(report.verified)


def _print_next(report: DemoReport) -> None:
    if report.data_dir:
        where = shlex.quote(str(report.data_dir))
        click.echo(f"\nThis demo's data is kept; look at it with\n  KARL_DATA_DIR={where} karl sessions")
    click.echo(
        "\nRecord your own sessions:\n"
        "  karl hooks install   add the hook to Claude Code's settings (--dry-run shows the change)\n"
        "  karl up              run the line\n"
        "  karl sessions        see what was recorded"
    )
