"""Bringing in what agents keep of their own sessions: one command a format, one way to do it."""

from __future__ import annotations

import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from karl.cli.main import pass_settings
from karl.cli.moments import when
from karl.cli.render import measuring, one_line, plain, print_json
from karl.errors import Refused
from karl.settings import Settings

if TYPE_CHECKING:
    from producers.transcripts.importing import TranscriptReport

#: Rows of a count that are printed; `--json` has all.
_SHOWN = 10

_ABOUT = """Read {what} into the running line.

PATHS are files or folders; without any, {default}.

What comes in passes the same redaction as live events. Importing again changes nothing: a file
that did not change since is passed over, one that grew is read again and adds what is new. A
session that hooks recorded too stays one session; the transcript adds what hooks can not see.
History that a fork or a resumed session repeats counts once, for the session that had it first.

The line knows a fact again for KARL_SESSION_TTL_DAYS after its session's last turn. An import with
--again of what is older than that is recorded a second time; views count it once.

Exit code 1 when a file could not be read; the others are imported all the same.
"""


def _command(name: str, where: str, what: str, default: str) -> click.Command:
    """Make the command that imports one format."""

    @click.command(name, help=_ABOUT.format(what=what, default=default))
    @click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
    @click.option("--since", type=when, help="Only files changed since: 90m, 12h, 7d, or a date.")
    @click.option("--again", is_flag=True, help="Read files that did not change since their import, too.")
    @click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
    @pass_settings
    def run(
        settings: Settings, paths: tuple[Path, ...], *, since: int | None, again: bool, as_json: bool
    ) -> None:
        module, _, attribute = where.partition(":")
        report = _imported(getattr(import_module(module), attribute)(), paths, settings, since, again=again)
        if as_json:
            print_json(msgspec.to_builtins(report))
        else:
            _print(report)
        for path, reason in report.refused:
            click.echo(f"karl: {plain(path)}: {plain(reason)}", err=True)
        sys.exit(1 if report.refused else 0)

    return run


def _imported(
    fmt: Any, paths: tuple[Path, ...], settings: Settings, since: int | None, *, again: bool
) -> TranscriptReport:
    from producers.transcripts.importing import import_transcripts  # noqa: PLC0415 - loads when needed
    from workers.line import on_line  # noqa: PLC0415

    if not paths:
        paths = (fmt.default(),)
        if not paths[0].exists():
            raise Refused(f"{paths[0]} does not exist; name the files or folders to import")
    with on_line(settings, "karl-import") as redis, measuring("importing", in_bytes=True) as progress:
        return import_transcripts(fmt, paths, redis, settings, progress, since_ms=since, again=again)


def _print(report: TranscriptReport) -> None:
    click.echo(f"{report.events:,} events of {report.sessions:,} sessions from {report.files:,} files")
    if report.unchanged:
        click.echo(f"{report.unchanged:,} files are as they were at their last import; --again reads them")
    if report.older:
        click.echo(f"{report.older:,} files were last changed before --since")
    if report.repeated:
        click.echo(f"{report.repeated:,} facts were another session's history, and count there")
    if report.dead:
        click.echo(f"{report.dead:,} pieces could not be read and went to the dead letters:")
        _print_counts(report.by_reason)
    if report.skipped:
        click.echo(f"{report.skipped.total():,} lines hold no fact:")
        _print_counts(report.skipped)


def _print_counts(counts: Counter[str]) -> None:
    for name, count in counts.most_common(_SHOWN):
        click.echo(f"  {count:8,}  {one_line(name, 80)}")
    if len(counts) > _SHOWN:
        rest = counts.total() - sum(count for _, count in counts.most_common(_SHOWN))
        click.echo(f"  {rest:8,}  of {len(counts) - _SHOWN} other kinds (--json lists all)")


claude = _command(
    "claude",
    "producers.transcripts.claude:Claude",
    "Claude Code's transcripts",
    "~/.claude/projects (CLAUDE_CONFIG_DIR/projects where that is set)",
)
codex = _command(
    "codex",
    "producers.transcripts.codex:Codex",
    "Codex's session files",
    "~/.codex/sessions (CODEX_HOME/sessions where that is set)",
)
copilot = _command(
    "copilot",
    "producers.transcripts.copilot:Copilot",
    "Copilot CLI's session files",
    "~/.copilot/session-state (COPILOT_HOME/session-state where that is set)",
)
atif = _command(
    "atif",
    "producers.transcripts.atif:Atif",
    "trajectories in ATIF, the Agent Trajectory Interchange Format,",
    "the working folder",
)
