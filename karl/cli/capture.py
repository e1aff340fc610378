"""Bringing in what was recorded elsewhere."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from karl.cli.main import pass_settings
from karl.cli.render import counting, print_json
from karl.settings import Settings


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
    from karl.stream.connect import connect  # noqa: PLC0415 - Redis and the rules load when needed
    from karl.stream.server import line_url  # noqa: PLC0415
    from producers.hook_files import import_hooks as read_in  # noqa: PLC0415

    redis = connect(line_url(settings.redis_url, settings.data_dir), name="karl-import")
    with counting("importing") as progress:
        report = read_in(files, redis, settings, progress)
    redis.close()
    if as_json:
        print_json(msgspec.to_builtins(report))
        return
    click.echo(f"{report.events} events of {report.sessions} sessions from {report.files} files")
    if report.dead:
        click.echo(f"{report.dead} pieces could not be read and went to the dead letters:")
        for reason, count in report.by_reason.most_common(10):
            click.echo(f"  {count:6}  {reason}")
