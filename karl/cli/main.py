"""The `karl` command: builds the command tree from the table, and turns errors into exit codes.

Exit codes: 0 done, 1 failed (or a check found something), 2 misused or misconfigured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from karl import __version__
from karl.cli.table import COMMANDS, GROUPS, Row
from karl.errors import KarlError, SettingsError
from karl.process import keep_private
from karl.replay.harmless import harmless
from karl.settings import Settings, read_settings


class Tree(click.Group):
    """A group whose commands come from the table and are imported when they run."""

    def __init__(self, name: str, prefix: str = "", **attrs: Any) -> None:
        super().__init__(name, **attrs)
        self._prefix = prefix

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Here, since click itself would end with 1 when nobody reads our output any more."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of our output went away (`karl sessions | head`): that is no failure of ours.
            _say_no_more()
            return 0

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names right below this group, in the table's order."""
        del ctx
        rest = (row.name.removeprefix(self._prefix) for row in COMMANDS if row.name.startswith(self._prefix))
        return list(dict.fromkeys(name.split(" ")[0] for name in rest))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command, or build the group of that name."""
        full = self._prefix + cmd_name
        for row in COMMANDS:
            if row.name == full:
                return load(row)
        if cmd_name in self.list_commands(ctx):
            shown = ", ".join(row.name for row in COMMANDS if row.name.startswith(full + " "))
            listing = next((row for row in COMMANDS if row.name == full + " list"), None)
            alone = f"One of: {shown}." + (f" Alone, it is `karl {full} list`." if listing else "")
            return Tree(
                cmd_name,
                full + " ",
                help=alone,
                invoke_without_command=listing is not None,
                callback=_alone(listing) if listing else None,
            )
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings, from the table alone."""
        del ctx
        for group, heading in GROUPS.items():
            rows = [(row.name, row.help) for row in COMMANDS if row.group == group]
            rows = [(n.removeprefix(self._prefix), h) for n, h in rows if n.startswith(self._prefix)]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def _alone(listing: Row) -> Callable[[], None]:
    """Give what a group does when none of its commands is named: it lists."""

    def run() -> None:
        ctx = click.get_current_context()
        if ctx.invoked_subcommand is None:
            ctx.invoke(load(listing))

    return run


def load(row: Row) -> click.Command:
    """Import the command of a row."""
    module, _, attribute = row.where.partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command


def pass_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the settings as its first argument; they are read when it runs."""

    @click.pass_context
    def with_settings(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        return ctx.invoke(function, settings(), *args, **kwargs)

    with_settings.__doc__ = function.__doc__
    return with_settings


def settings() -> Settings:
    """Read the settings from the environment."""
    return read_settings(os.environ)


@click.command(cls=Tree, name="karl", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="karl")
def cli() -> None:
    """Account for what coding agents did: record, score, keep, verify."""


def main() -> None:
    """Run the command line."""
    keep_private()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed (`karl sessions >&-`): who does that wants no output
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        # What an encoding does not have, or a path that is no text, must not end a command half-way.
        getattr(sys, name).reconfigure(errors="backslashreplace")
    try:
        code = cli(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SettingsError as error:
        click.echo(f"karl: {harmless(str(error))}", err=True)
        code = 2
    except KarlError as error:
        click.echo(f"karl: {harmless(str(error))}", err=True)
        code = 1
    except OSError as error:  # a full disk below our output, a folder that we may not read
        _say_no_more()
        click.echo(f"karl: {harmless(str(error))}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _say_no_more() -> None:
    """Let go of what stdout did not take, so that the interpreter's end does not try again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
