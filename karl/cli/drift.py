"""`karl drift`: whether to train anew, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.render import measuring, one_line, plain, print_json, print_table
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.learning.drift import Change, Side
    from workers.drift import Report

#: Tools and domains that a person is shown; --json has all.
_TOOLS, _DOMAINS = 8, 20


@click.command()
@click.option("--check", is_flag=True, help="Exit 1 when training anew is advised.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def drift(settings: Settings, *, check: bool, as_json: bool) -> None:
    """Say whether to train anew: what there is since the training in use, or else the last one.

    Rewards of the turns that it was trained with are held against those since: their distributions, by a
    permutation test over sessions within each agent and domain, corrected for several domains (Holm). Only
    scores of the export's version of the reward are compared, and held-out sessions are not looked at.
    Besides: domains that were never trained with, how much is new, and tools that the training never saw.
    docs/drift.md has the rules of the advice, and how often they are wrong.

    Example: karl drift --check || echo "train anew"
    """
    from workers.drift import look  # noqa: PLC0415 - SQLite loads when needed

    with measuring("looking") as progress:
        report = look(settings, progress)
    if as_json:
        print_json(report)
    else:
        _print(report)
    sys.exit(1 if check and report.advice.verdict == "retrain" else 0)


def _print(report: Report) -> None:
    if report.damaged:
        click.echo(
            f"karl: {report.damaged:,} turns can not be read, and are left out (`karl verify`)", err=True
        )
    if report.drift is None:
        click.echo(report.advice.verdict)
    else:
        _print_drift(report)
        click.echo()
        click.echo(f"advice: {report.advice.verdict}")
    for sign, said in (("+", report.advice.reasons), ("-", report.advice.waits)):
        for one in said:
            click.echo(plain(f"  {sign} {one}"))
    if report.drift is not None and report.drift.overall.has_changed:
        click.echo(
            "karl: a score is made with what was known of its agent by then; if that may be the change, "
            "`karl backfill --force` scores all turns alike",
            err=True,
        )


def _print_drift(report: Report) -> None:
    found = report.drift
    assert found is not None
    how = "in use" if report.is_current else "the last one; its adapter is not in use"
    label = f" ({report.label})" if report.label else ""
    click.echo(plain(f"training {report.training[:16]}{label}, {how}"))
    click.echo(plain(f"export {report.export[:16]}, up to line {report.to_seq:,} of the ledger"))
    if report.by_span:
        click.echo("  it chose among turns, so all turns of its span that are not held out stand for it")
    click.echo(
        f"since then {found.turns:,} turns in {found.sessions:,} new sessions, and {found.continued:,} turns "
        f"of the {found.trained_sessions:,} sessions that it had"
    )
    if report.other_versions:
        click.echo(
            f"{report.other_versions:,} turns are scored by another version than {report.reward_version}"
        )
    click.echo()
    went_on = sorted(
        (one for one in found.domains if one.since.sessions), key=lambda one: -one.since.sessions
    )
    rows = [
        ("all, within agent and domain", found.overall),
        *((one.domain, one) for one in went_on[:_DOMAINS]),
    ]
    print_table(
        ("rewards of", "before", "sessions", "since", "sessions", "difference", "p", "p (Holm)", ""),
        [_row(name, one) for name, one in rows],
        short=("rewards of",),
    )
    rest = len(found.domains) - len(went_on)
    click.echo(f"{rest:,} domains had nothing since" if rest else "", nl=bool(rest))
    for gap in found.untrained[:_DOMAINS]:
        name = one_line(gap.name or "(none)", 40)
        click.echo(f"never trained with: {gap.kind} {name}, {gap.sessions:,} sessions, {gap.turns:,} turns")
    if found.unseen_tools:
        tools = list(found.unseen_tools.items())
        told = ", ".join(f"{name} {count:,}" for name, count in tools[:_TOOLS])
        more = f", and {len(tools) - _TOOLS} more" if len(tools) > _TOOLS else ""
        click.echo(plain(f"tools that it never saw: {told}{more}"))


def _row(name: str, change: Change) -> tuple[object, ...]:
    within = "" if change.low is None else f" ({change.low:+.3f} to {change.high:+.3f})"
    return (
        one_line(name or "(none)", 40),
        _mean(change.before),
        change.before.sessions,
        _mean(change.since),
        change.since.sessions,
        "too few" if change.difference is None else f"{change.difference:+.3f}{within}",
        change.p,
        change.holm,
        "changed" if change.has_changed else "",
    )


def _mean(side: Side) -> str:
    if side.mean is None:
        return "-"
    within = "" if side.low is None else f" ({side.low:.3f} to {side.high:.3f})"
    return f"{side.mean:.3f}{within}"
