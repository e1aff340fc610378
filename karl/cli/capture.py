"""Bringing in what was recorded elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from karl.cli.main import pass_settings
from karl.cli.render import counting, measuring, one_line, plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from producers.gateway import GatewayReport


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@pass_settings
def import_hooks(settings: Settings, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Read FILES of raw hook payloads into the running line.

    JSON arrays, one object a line, or objects one after another. They pass the same redaction as live
    events. Importing a file again changes nothing. What can not be read goes to the dead letters.
    """
    from producers.hook_files import import_hooks as read_in  # noqa: PLC0415 - the rules load when needed
    from workers.line import on_line  # noqa: PLC0415

    with on_line(settings, "karl-import") as redis, counting("importing") as progress:
        report = read_in(files, redis, settings, progress)
    if as_json:
        print_json(msgspec.to_builtins(report))
        return
    click.echo(f"{report.events} events of {report.sessions} sessions from {report.files} files")
    if report.dead:
        click.echo(f"{report.dead} pieces could not be read and went to the dead letters:")
        for reason, count in report.by_reason.most_common(10):
            click.echo(f"  {count:6}  {reason}")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--follow", is_flag=True, help="Go on with what is written to the files, until stopped.")
@click.option(
    "--every",
    "every_s",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.05, 3600),
    metavar="S",
    help="Seconds between two looks, with --follow.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@pass_settings
def import_gateway(settings: Settings, folder: Path, *, follow: bool, every_s: float, as_json: bool) -> None:
    """Read a gateway's event files in FOLDER, events-YYYY-MM-DD.jsonl, into the running line.

    Each run of a flow becomes a session with one turn: its steps are the calls, its completion the end.
    Where the last import ended is noted in the data folder; reading a line again changes nothing. All
    files are looked at, so what is written late to an older day's file comes in too. The exit code is 1
    when one of them could not be read.
    """
    from karl.process import log_to_stderr, stop_on_signals  # noqa: PLC0415
    from producers.gateway import follow_gateway  # noqa: PLC0415
    from producers.gateway import import_gateway as read_in  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415

    with on_line(settings, "karl-gateway") as redis:
        if follow:
            log_to_stderr(settings.log_level)
            report = follow_gateway(folder, redis, settings, stop_on_signals(), every_s=every_s)
        else:
            with measuring("importing", in_bytes=True) as progress:
                report = read_in(folder, redis, settings, progress)
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        _print_gateway(report)
    for name, reason in report.unreadable.items():
        click.echo(f"karl: {plain(name)} can not be read: {plain(reason)}", err=True)
    sys.exit(1 if report.unreadable else 0)


def _print_gateway(report: GatewayReport) -> None:
    click.echo(
        f"{report.envelopes:,} envelopes of {report.files:,} files: {report.runs:,} runs begun, "
        f"{report.completed:,} completed, {report.events:,} events"
    )
    if report.waiting:
        click.echo(f"{report.waiting:,} envelopes wait for the start of their run, for a minute")
    if report.torn:
        click.echo(f"{report.torn:,} files end in the middle of a line, which is read when it is whole")
    for name in report.again:
        click.echo(f"{plain(name)} was replaced, and read from its beginning")
    if report.foreign:
        click.echo(f"left alone: {one_line(', '.join(report.foreign), 150)}")
    if report.dead:
        click.echo(f"{report.dead:,} lines could not be read and went to the dead letters:")
        for reason, count in report.by_reason.most_common(10):
            click.echo(f"{count:8,}  {one_line(reason, 80)}")
