"""What can be set, and what commands there are: `karl config`, `karl help`."""

from __future__ import annotations

import os

import click

from karl.cli.main import Tree, pass_settings
from karl.cli.render import print_json, print_table
from karl.settings import Settings, describe


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def config(settings: Settings, *, as_json: bool) -> None:
    """List every setting with its value and meaning.

    A `*` marks what the environment sets; everything else has its default. Passwords are hidden.
    """
    rows = describe(settings, os.environ)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("", "variable", "value", "meaning"),
        [("*" if row["set"] else " ", row["variable"], _shown(row["value"]), row["meaning"]) for row in rows],
    )


@click.command()
@click.argument("command", nargs=-1)
@click.pass_context
def help_(ctx: click.Context, command: tuple[str, ...]) -> None:
    """List all commands in groups, or explain one.

    COMMAND may have two words: `karl help hooks install`.
    """
    ctx = ctx.find_root()
    for word in command:
        inner = ctx.command.get_command(ctx, word) if isinstance(ctx.command, Tree) else None
        if inner is None:
            ctx.fail(f"there is no command {' '.join(command)!r}; `karl help` lists all")
        ctx = click.Context(inner, info_name=word, parent=ctx)
    click.echo(ctx.get_help())


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "-" if value in {None, ""} else str(value)
