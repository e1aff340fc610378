"""What the commands about routers print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from karl.cli.moments import age, now_ms
from karl.cli.render import plain, print_table
from karl.figures.routing.chosen import PROMPTS_MIN

if TYPE_CHECKING:
    from workers.centroids import Report
    from workers.rollback import RolledBack
    from workers.versions import Version

#: Skills that are named, of those that moved.
_NAMED_MAX = 10
_WHY_LEFT = {
    "told of a skill by a router": "a router had told the agent of a skill",
    "not sure enough": "their skill is not sure enough",
    "taken back by somebody": "somebody took them back",
    "too short": "they are too short",
    "said before": "another one says the same",
}


def show_report(report: Report) -> None:
    """Print what a training made."""
    if not report.due:
        click.echo(f"nothing to do: {plain(report.reason)}")
        return
    click.echo(
        f"router {report.router[:12]}: {report.skills:,} skills, {report.exemplars:,} exemplars, "
        f"{report.encoder}, {report.head}, {report.bytes / 1e6:.1f} MB"
    )
    told = ", ".join(f"{count:,} {plain(how)}" for how, count in report.prompts.items())
    click.echo(f"exemplars: {told}; {report.strangers:,} prompts that asked for no skill")
    if report.left_out:
        click.echo("prompts left out: " + ", ".join(_left(report.left_out)))
    _show_measured(report.measured)
    for skill in report.drifted[:_NAMED_MAX]:
        click.echo(f"moved far: {plain(skill)} by {report.drift[skill]:.2f} (1 - cosine)")
    if not report.recorded:
        click.echo("nothing was kept")
    elif report.used:
        click.echo(f"in use: {plain(report.reason)}")
    else:
        click.echo(f"not in use: {plain(report.reason)}", err=True)
        click.echo(f"`karl centroid-rollback {report.router[:12]}` uses it all the same", err=True)


def show_versions(found: Sequence[Version]) -> None:
    """Print versions as a table."""
    if not found:
        click.echo("no router was trained yet: `karl bootstrap` trains the first")
        return
    now = now_ms()
    print_table(
        ("id", "age", "why", "label", "skills", "exemplars", "head", "held out", "accuracy", "state"),
        [
            (
                one.id[:12],
                age((now - one.time_ms) / 1000),
                one.why,
                one.label,
                one.skills,
                one.exemplars,
                f"{one.head} over {one.encoder}",
                round(one.measured.get("held_out", 0)),
                _share(one.measured),
                _state(one),
            )
            for one in found
        ],
        whole=("id", "label"),
        short=("head",),
    )


def show_rolled_back(done: RolledBack) -> None:
    """Print what a rollback did."""
    name = f"{done.router[:12]}" + (f" ({plain(done.label)})" if done.label else "")
    if not done.changed:
        click.echo(f"{name} is in use already")
    else:
        click.echo(f"{name} is in use, instead of {done.was[:12] or 'none'}")
    if done.remade:
        same = "the bytes are the same" if done.same else f"the bytes are not those of {done.wanted[:12]}"
        click.echo(f"its file was gone; it was trained again from the ledger, and {same}")
    if done.gone:
        click.echo(f"{done.gone:,} of its sources were erased since", err=True)


def _show_measured(measured: Mapping[str, float]) -> None:
    if not measured.get("held_out"):
        click.echo("not measured: no skill has three prompts, of which one could be held out")
        return
    n = f"{measured['held_out']:,.0f} held-out prompts"
    if measured["held_out"] < PROMPTS_MIN:
        click.echo(f"over {n}: too few to say how right it is")
    else:
        first, three = _percent(measured, "accuracy"), _percent(measured, "top3")
        click.echo(f"over {n}: accuracy {first}, top 3 {three}, MRR {measured['mrr']:.3f}")
        right = f", of these {_percent(measured, 'right')} right" if "right" in measured else ""
        click.echo(f"it would take a skill for {_percent(measured, 'taken')} of them{right}")
    if (strangers := measured.get("strangers", 0)) >= PROMPTS_MIN:
        taken = _percent(measured, "strangers_taken")
        click.echo(f"it would take a skill for {taken} of {strangers:,.0f} prompts that asked for none")


def _percent(measured: Mapping[str, float], name: str) -> str:
    share, low, high = (100 * measured[f"{name}{bound}"] for bound in ("", "_low", "_high"))
    return f"{share:.1f} % ({low:.0f} to {high:.0f})"


def _share(measured: Mapping[str, float]) -> str:
    if not measured.get("held_out"):
        return "-"
    if measured["held_out"] < PROMPTS_MIN:
        return "too few"
    return (
        f"{100 * measured['accuracy']:.1f} ({100 * measured['accuracy_low']:.0f} to "
        f"{100 * measured['accuracy_high']:.0f})"
    )


def _state(one: Version) -> str:
    told = ["in use"] if one.in_use else []
    if one.gone:
        told.append(f"{one.gone:,} sources erased")
    elif not one.kept:
        told.append("no file; can be made again")
    return ", ".join(told)


def _left(left_out: Mapping[str, int]) -> list[str]:
    return [f"{count:,} as {_WHY_LEFT.get(why, why)}" for why, count in left_out.items()]
