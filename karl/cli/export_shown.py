"""How `karl export` tells what it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from karl.cli.render import plain, print_json

if TYPE_CHECKING:
    from karl.export.archive import Report
    from karl.export.dataset import Made

_DIGITS = 12


def show_report(report: Report, *, as_json: bool) -> None:
    """Print the report of an archive; on stderr where stdout has the export itself."""
    aside = report.output == "-"
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
        click.echo(text, err=aside)
        return
    where = "stdout" if aside else plain(report.output)
    click.echo(
        f"{report.trajectories:,} trajectories of {report.sessions:,} sessions, {report.calls:,} calls: "
        f"{report.bytes:,} bytes in {report.files:,} file{'s' * (report.files != 1)}, {where}",
        err=aside,
    )
    for what, counts in (("left out", report.left_out), ("redacted once more", report.redactions)):
        for reason, number in counts.items():
            click.echo(f"{what}: {number:,} {plain(reason)}", err=aside)


def show_made(made: Made, *, recorded: str, as_json: bool) -> None:
    """Print what a data set is; `recorded` is `yes`, `no: why`, or empty where nobody asked for it."""
    if as_json:
        print_json({**msgspec.to_builtins(made), "recorded": recorded})
        return
    manifest = made.manifest
    for name, file in manifest.files.items():
        click.echo(f"{name}: {file.rows:,} rows, {file.bytes:,} bytes")
    click.echo(_split(made))
    click.echo(_weights(made))
    for reason, number in sorted(manifest.left_out.items(), key=lambda one: -one[1]):
        click.echo(f"left out: {number:,} {plain(reason)}")
    for reason, number in manifest.redactions.items():
        click.echo(f"redacted once more: {number:,} {plain(reason)}")
    if made.long_rows:
        click.echo(
            f"{made.long_rows:,} rows are longer than 32,000 bytes: --model and --max-tokens cut history"
        )
    click.echo(_end(made, recorded))


def _split(made: Made) -> str:
    split = made.manifest.split
    sessions, groups = split["sessions"], split["groups"]
    told = ", ".join(
        f"{plain(side)} {sessions[side]:,} in {groups[side]:,} groups" for side in sessions if sessions[side]
    )
    held = len(made.manifest.held_out)
    return f"sessions: {told}; {held:,} holdout{'s' * (held != 1)} honoured; nothing on both sides"


def _weights(made: Made) -> str:
    weights = made.manifest.weights
    if weights.way == "none":
        return "weights: none"
    copies = ", ".join(f"{rows:,} {number} times" for number, rows in weights.copies.items())
    spread = "; ".join(f"{number:,} of {plain(name)}" for name, number in made.weights.items())
    return (
        f"weights: {weights.way}, effective sample size {weights.ess:,.1f} of {weights.rows:,} rows, "
        f"{made.kept_share:.0%} kept; {spread}" + (f"; copies: {copies}" if copies else "")
    )


def _end(made: Made, recorded: str) -> str:
    if not made.output:
        return f"it would be {made.id[:_DIGITS]}; nothing was written"
    there = "in" if made.is_new else "there already, the same bytes, in"
    said = f"{made.id[:_DIGITS]} is {there} {plain(made.output)}"
    if recorded.startswith("no:"):
        return f"{said}\nthe ledger does not know of it {plain(recorded[2:])}\nsaid again, it is recorded"
    return said
