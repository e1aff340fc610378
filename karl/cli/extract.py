"""`karl extract`: the past sessions of Claude Code on this machine, as `karl import claude` reads them."""

from __future__ import annotations

import click

from karl.cli.imports import claude
from karl.cli.main import pass_settings
from karl.cli.render import plain, print_json
from karl.errors import Refused
from karl.settings import Settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be read, and read nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def extract(ctx: click.Context, *, dry_run: bool, as_json: bool) -> None:
    """Read Claude Code's past sessions on this machine: `karl import claude` over its own folder.

    Whole sessions, and not the first entry of each; read again, they change nothing.
    """
    if dry_run:
        ctx.invoke(_look, as_json=as_json)
    else:
        ctx.invoke(claude, paths=(), since=None, again=False, as_json=as_json)


@pass_settings
def _look(settings: Settings, *, as_json: bool) -> None:
    from producers.transcripts.claude import Claude  # noqa: PLC0415 - loads when needed
    from producers.transcripts.waiting import waiting  # noqa: PLC0415

    fmt = Claude()
    folder = fmt.default()
    if not folder.exists():
        raise Refused(f"{folder} does not exist; `karl import claude PATH` reads from elsewhere")
    try:
        found = waiting(fmt, folder, settings.data_dir)
    except Refused as error:
        raise Refused(f"{folder}: {error}") from error
    if as_json:
        print_json({"folder": str(folder), **found._asdict()})
    else:
        click.echo(plain(f"{found.files:,} files of {folder} would be read, {found.bytes:,} bytes"))
        if found.unchanged:
            click.echo(f"{found.unchanged:,} are as they were at their last import")
