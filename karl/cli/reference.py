"""Writes docs/commands.md, settings.md and metrics.md from the code, so that they can not fall behind it.

`python -m karl.cli.reference` writes them; with `--check` it changes nothing and exits 1 if they are old.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import click

from karl.cli.main import load
from karl.cli.superseded import PROGRAM, SCRIPT, Name
from karl.cli.table import COMMANDS, GROUPS, Row
from karl.metrics.page import page as metrics_page
from karl.retired import RENAMED, RETIRED
from karl.settings import Settings, variable

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
_MADE = "<!-- Made by `make docs` from the code; edit that instead. -->\n"

_ABOUT_COMMANDS = """\
`karl help` lists them, `karl COMMAND --help` explains one.
Exit codes: 0 done; 1 failed, or a check found something; 2 misused or misconfigured.
What is asked for goes to stdout, hints and errors to stderr. Commands marked “Reads” change nothing.
"""
_ABOUT_SETTINGS = """\
Every setting is an environment variable, read once when a command starts.
An unknown `KARL_*` variable, or a value that does not fit, is an error (exit code 2).
`karl config` shows the values in use; passwords are hidden.
"""

_ABOUT_SUPERSEDED = """\
## Names of the superseded command lines

All names of the two command lines that KARL supersedes are commands here. What of their arguments is gone is
an error, and never passed over.
"""

_ABOUT_RETIRED = """
## Settings of earlier systems

Where each setting of the systems that KARL supersedes is now, or why it is gone. Who sets a `KARL_*` variable
that is gone is told the same.

| setting | now |
|---|---|
"""

#: Defaults that depend on the machine, in words.
_OF_THE_MACHINE = {"data_dir": "`~/.karl`", "node": "the host's name"}


def commands_page() -> str:
    """Give docs/commands.md."""
    parts = [
        "# Commands\n",
        _MADE,
        _ABOUT_COMMANDS,
    ]
    for group, heading in GROUPS.items():
        parts.append(f"## {heading}\n")
        parts += [_command(row) for row in COMMANDS if row.group == group]
    parts.append(_ABOUT_SUPERSEDED)
    for title, names in (("The script of 67 commands", SCRIPT), ("The installed program of ten", PROGRAM)):
        parts += [f"### {title}\n", *_superseded(names)]
    return "\n".join(parts)


def _superseded(names: Iterable[Name]) -> Iterator[str]:
    yield "| name | now | what changed, and why |"
    yield "|---|---|---|"
    for one in names:
        yield f"| `{one.name}` | `{one.now}` | {one.change} |"
    yield ""


def settings_page() -> str:
    """Give docs/settings.md."""
    rows = [
        f"| `{variable(item.name)}` | {_default(item)} | {item.metadata['meaning']} |"
        for item in fields(Settings)
    ]
    return (
        "\n".join(
            [
                "# Settings\n",
                _MADE,
                _ABOUT_SETTINGS,
                "| variable | default | meaning |",
                "|---|---|---|",
                *rows,
                "",
            ]
        )
        + _retired()
    )


def _retired() -> str:
    rows = [f"| {_quoted(name)} | {now} |" for name, now in (*RENAMED.items(), *RETIRED.items())]
    return "\n".join([_ABOUT_RETIRED.rstrip("\n"), *rows, ""])


def _quoted(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def pages() -> dict[Path, str]:
    """Give every generated page by its path."""
    return {
        DOCS / "commands.md": commands_page(),
        DOCS / "settings.md": settings_page(),
        DOCS / "metrics.md": metrics_page(),
    }


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; gives the exit code."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            click.echo(f"{path.name} is not what the code says; run `make docs`", err=True)
        return 1 if stale else 0
    DOCS.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, "utf-8")
    return 0


def _command(row: Row) -> str:
    command = load(row)
    lines = [f"### karl {row.name}\n", f"{row.help}{' Reads.' if row.reads else ''}\n"]
    usage = " ".join([f"karl {row.name}", *_usage(command)])
    lines.append(f"```sh\n{usage}\n```\n")
    text = inspect.cleandoc(command.help or "").partition("\n\n")[2]
    lines += [f"{text}\n"] if text else []
    options = list(_options(command))
    if options:
        lines += ["| option | meaning |", "|---|---|", *options, ""]
    return "\n".join(lines)


def _usage(command: click.Command) -> Iterator[str]:
    if any(_shown(item) for item in command.params):
        yield "[OPTIONS]"
    for item in command.params:
        if isinstance(item, click.Argument):
            yield item.make_metavar(click.Context(command))


def _options(command: click.Command) -> Iterator[str]:
    for item in command.params:
        if not (isinstance(item, click.Option) and _shown(item)):
            continue
        name = ", ".join(f"`{part}`" for part in item.opts + item.secondary_opts)
        value = "" if item.is_flag else f" {_value(item.type)}"
        default = (
            f" Default: {item.default}." if item.show_default is True and item.default is not None else ""
        )
        yield f"| {name}{value} | {(item.help or '').rstrip('.')}.{default} |"


def _shown(item: click.Parameter) -> bool:
    return isinstance(item, click.Option) and not item.hidden


def _value(kind: Any) -> str:
    if isinstance(kind, click.Choice):
        return " or ".join(f"`{choice}`" for choice in kind.choices)
    names = {"integer range": "NUMBER", "integer": "NUMBER", "float": "NUMBER", "float range": "NUMBER"}
    return names.get(kind.name, str(kind.name).upper())


def _default(item: Field[object]) -> str:
    if item.name in _OF_THE_MACHINE:
        return _OF_THE_MACHINE[item.name]
    if item.default is MISSING or item.default in (None, "", ()):
        return "not set"
    if isinstance(item.default, bool):
        return f"`{int(item.default)}`"
    return f"`{item.default:g}`" if isinstance(item.default, float) else f"`{item.default}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
