"""What commands print: one table, one JSON form, and text that can not drive the terminal.

Nothing recorded reaches the terminal unescaped: an agent's output may hold control sequences, and a
person who looks at it must not be attacked by it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from karl.replay.harmless import harmless, harmless_json

#: Columns of a table that is not printed on a terminal.
WIDTH_PIPED = 200


def plain(text: object) -> str:
    """Give text whose control and direction characters are shown as escapes."""
    return harmless(str(text))


def one_line(text: object, width: int) -> str:
    """Give text on one line of at most `width` characters."""
    flat = plain(" ".join(str(text).split()))
    return flat if len(flat) <= width else flat[: max(0, width - 1)] + "…"


def print_json(data: object) -> None:
    """Print one JSON document, indented; what could drive a terminal stands in it as an escape."""
    try:
        document = msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    except UnicodeEncodeError:  # a file's name that is no text
        document = json.dumps(msgspec.to_builtins(data), indent=2)
    click.echo(harmless_json(document))


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    title: str = "",
    whole: Sequence[str] = (),
    short: Sequence[str] = (),
) -> None:
    """Print rows under headings; numbers stand to the right.

    Where a terminal is too narrow for a row, what the columns in `short` say is cut first; numbers, and
    columns in `whole`, which somebody may want to copy, come last.
    """
    from rich.console import Console  # noqa: PLC0415 - 50 ms that --json must not pay
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(title=title or None, box=None, pad_edge=False, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        uncut = numeric or column in whole  # half a number would be another number
        table.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="ellipsis" if uncut else "fold",
            no_wrap=uncut,
        )
    for row in rows:
        table.add_row(
            *(
                Text(_cell(value), no_wrap=True, overflow="ellipsis")
                if column in short
                else Text(_cell(value))
                for column, value in zip(columns, row, strict=True)
            )
        )
    # A pipe has no width; 80 columns would fold ids that somebody wants to copy or cut out.
    width = None if sys.stdout.isatty() else WIDTH_PIPED
    console = Console(highlight=False, width=width)
    with console.capture() as printed:
        console.print(table)
    click.echo(printed.get(), nl=False)  # rich itself would end the process with 1 at a closed pipe


@contextmanager
def counting(what: str) -> Iterator[Callable[[object, int], None]]:
    """Show on stderr, on a terminal only, how far long work has come: (where, count so far)."""
    if not sys.stderr.isatty():
        yield lambda _where, _count: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what)
        yield lambda where, count: progress.update(
            task, description=f"{what} {one_line(where, 60)}: {count:,}"
        )


@contextmanager
def measuring(what: str, *, in_bytes: bool = False) -> Iterator[Callable[[int, int, object], None] | None]:
    """Show on a terminal's stderr how much is done and how long the rest takes: (done, total, where)."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total, where: progress.update(
            task, completed=done, total=total, description=one_line(f"{what} {where}", 50)
        )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return plain(value)
