"""Files of older records in, files of schema v2 out, line by line, with a report of what happened."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from karl.cli.render import plain
from karl.errors import Unreadable
from karl.session.older import normalize_lines

#: Unreadable lines that a report names; all are counted.
REASONS_MAX = 100


class Reason(msgspec.Struct, frozen=True):
    """Why a line, counted from 1, is no record."""

    line: int
    reason: str


class Report(msgspec.Struct):
    """Records read, those whose JSON is another one now, and lines that could not be read."""

    read: int = 0
    changed: int = 0
    unreadable: int = 0
    reasons: list[Reason] = []


def normalize_file(file: Path, output: Path | None, *, dry_run: bool = False) -> Report:
    """Normalise the records of a file (`-`: stdin) into another, or to stdout."""
    report = Report()
    with _source(file) as source:
        if dry_run:
            for _ in _normalized(source, report):
                pass
        elif output:
            with _replacing(output) as sink:
                sink.writelines(_normalized(source, report))
        else:
            sys.stdout.flush()
            sys.stdout.buffer.writelines(_normalized(source, report))
            sys.stdout.buffer.flush()
    return report


def print_report(report: Report, *, as_json: bool, to_stderr: bool) -> None:
    """Print what happened."""
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
        click.echo(text, err=to_stderr)
        return
    click.echo(
        f"{report.read} records read, {report.changed} changed; {report.unreadable} lines unreadable",
        err=to_stderr,
    )
    for item in report.reasons:
        click.echo(plain(f"line {item.line}: {item.reason}"), err=to_stderr)


def _normalized(source: Iterable[bytes], report: Report) -> Iterator[bytes]:
    """Give each record as a line, and keep the report."""
    present = b""

    def noting() -> Iterator[bytes]:
        nonlocal present
        for line in source:
            present = line
            yield line

    for place, result in normalize_lines(noting()):
        if isinstance(result, Unreadable):
            report.unreadable += 1
            if len(report.reasons) < REASONS_MAX:
                report.reasons.append(Reason(place, result.reason))
            continue
        report.read += 1
        written = msgspec.json.encode(result)
        report.changed += _parsed(written) != _parsed(present)
        yield written + b"\n"


def _parsed(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # readable for the normaliser, but no strict JSON: what is written differs


@contextlib.contextmanager
def _source(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    with file.open("rb") as opened:
        yield opened


@contextlib.contextmanager
def _replacing(output: Path) -> Iterator[IO[bytes]]:
    """Write a file beside and put it in place at the end, whole and synced, or not at all."""
    with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as sink:
        try:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
            Path(sink.name).replace(output)
        except BaseException:
            Path(sink.name).unlink(missing_ok=True)
            raise
