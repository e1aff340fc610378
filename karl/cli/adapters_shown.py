"""What the commands over adapters print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from karl.cli.moments import moment
from karl.cli.render import one_line, plain, print_json, print_table

if TYPE_CHECKING:
    from karl.learning.proof import Check
    from karl.views.lineage import EvaluationRow
    from workers.adapters import Decided, Examined, Listed

_ID = 12


def show_list(found: Sequence[Listed], current: str, link: str | None, *, as_json: bool) -> None:
    """Show every adapter on a line, then which one is in use."""
    if as_json:
        print_json({"adapters": found, "current": current, "link": link})
        return
    if not found:
        click.echo("no adapter was trained yet; `karl train` makes one")
        return
    print_table(
        ("adapter", "label", "export", "model", "when", "best valid loss", "evaluated", "in use", "here"),
        [
            (
                one.training.adapter[:_ID],
                one.training.label,
                one.training.export[:_ID],
                one.training.model,
                moment(one.training.time_ms),
                one.training.best_loss,
                _verdict(one.evaluation),
                "in use" if one.in_use else "",
                "yes" if one.here else "no",
            )
            for one in found
        ],
        whole=("adapter",),
        short=("label", "model"),
    )
    if not current:
        click.echo("no adapter is in use")
    if (link or "") != current:
        leads = f"leads to {plain(link[:_ID])}" if link else "is not there"
        click.echo(f"the link `current` of this machine {leads}; promoting the one in use again mends it")


def show_one(found: Examined, *, as_json: bool) -> None:
    """Show where an adapter comes from, and what holds of it."""
    if as_json:
        print_json({name: getattr(found, name) for name in found.__struct_fields__ if name != "known"})
        return
    for name, says in _lineage(found):
        click.echo(f"{name:<11} {says}")
    click.echo()
    show_checks(found.checks)
    for one in found.decisions:
        forced = ", forced" if one.forced else ""
        click.echo(
            f"{one.action}{forced} {moment(one.time_ms)} by {plain(one.person)}: {one_line(one.reason, 100)}"
        )


def show_decided(done: Decided, *, as_json: bool) -> None:
    """Show what was decided, and what it was decided upon."""
    if as_json:
        print_json(done)
        return
    if done.checks:
        show_checks(done.checks)
    now = f"adapter {done.adapter[:_ID]} is in use" if done.adapter else "no adapter is in use"
    if done.body is None:
        click.echo(f"{now} already")
    else:
        forced = " (forced)" if done.body.forced else ""
        was = f"; before it was {done.was[:_ID]}" if done.was else ""
        click.echo(f"{done.body.action}{forced}: {now}{was}")
    if done.link:
        click.echo(f"the link `current` of this machine leads to {plain(done.link[:_ID])}")


def show_checks(checks: Sequence[Check]) -> None:
    """Show checks with what they found."""
    print_table(("check", "holds", "found"), [(one.name, one.result, one.says) for one in checks])


def broken(found: Examined) -> bool:
    """Say whether something is not what it should be."""
    return any(check.result == "broken" for check in found.checks)


def _lineage(found: Examined) -> list[tuple[str, str]]:
    row, body = found.training, found.body
    made = found.known.export
    lines = [("adapter", f"{row.adapter}{', in use' if found.in_use else ''}")]
    if made is not None:
        span = made.manifest.ledger
        lines.append(("ledger", f"lines {span.from_seq:,} to {span.to_seq:,}, head {span.head[:_ID]}"))
    sessions = "" if found.sessions is None else f", {found.sessions:,} sessions"
    gone = f", {found.erased:,} of them erased since" if found.erased else ""
    lines.append(("export", f"{row.export[:_ID]}{sessions}{gone}"))
    loss = "" if row.best_loss is None else f", best loss in validation {row.best_loss:.4f}"
    trained = f"{row.id[:_ID]} of {plain(row.model)} on {plain(row.device)} at {plain(row.node)}"
    lines.append(
        ("training", f"{trained}, {moment(row.time_ms)}, iteration {row.best:,} of {row.iters:,}{loss}")
    )
    lines += [("file", f"{plain(name)} {digest}") for name, digest in sorted(body.files.items())]
    if found.evaluation is not None:
        one = found.evaluation
        lines.append(("evaluation", f"{one.id[:_ID]}, {moment(one.time_ms)}: recorded as {_verdict(one)}"))
    else:
        lines.append(("evaluation", "none"))
    return lines


def _verdict(one: EvaluationRow | None) -> str:
    if one is None:
        return "-"
    difference, low, high = (round(number, 3) + 0.0 for number in (one.difference, one.low, one.high))
    return f"{one.verdict} {difference:+.3f} [{low:+.3f}, {high:+.3f}]"
