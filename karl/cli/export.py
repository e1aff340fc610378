"""`karl export`: what was recorded, for trainers, for other tools, for archives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from karl.cli.main import pass_settings
from karl.cli.moments import when
from karl.cli.render import measuring, plain
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.export.run import Report
    from karl.views.queries import Views

_FORMATS = ("jsonl", "chatml", "sharegpt", "atif")
_SHARE = click.FloatRange(0, 1)


@click.command()
@click.option("--format", "form", required=True, type=click.Choice(_FORMATS), help="What to write.")
@click.option("--output", required=True, help="File or folder to write; - is stdout.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@click.option("--session", "ids", multiple=True, metavar="ID", help="Only this session; may be given again.")
@click.option("--agent", help="Only this kind of agent.")
@click.option("--project", "--repository", "--repo", help="Only this project.")
@click.option("--node", help="Only this machine.")
@click.option("--fleet", help="Only this fleet.")
@click.option("--since", "since_ms", type=when, help="Only turns closed since: 90m, 12h, 7d, or a date.")
@click.option("--until", "until_ms", type=when, help="Only turns closed before that.")
@click.option("--min-reward", type=_SHARE, help="Only rewards from this on.")
@click.option("--max-reward", type=_SHARE, help="Only rewards up to this.")
@click.option("--human-only", is_flag=True, help="Only turns that a person asked for.")
@click.option("--completed", is_flag=True, help="Only turns that the agent brought to their end.")
@click.option("--limit", type=click.IntRange(1), help="Trajectories at most, the oldest sessions' first.")
@click.option("--whole-sessions", is_flag=True, help="One chat a session instead of one a turn.")
@click.option("--subagents", is_flag=True, help="Chats of subagents too, each on a line of its own.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@pass_settings
def export(
    settings: Settings,
    *,
    form: Any,
    output: str,
    force: bool,
    ids: tuple[str, ...],
    human_only: bool,
    completed: bool,
    limit: int | None,
    whole_sessions: bool,
    subagents: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Write what was recorded to a file, for trainers, for other tools, for archives.

    \b
    jsonl     schema v2, a trajectory a line, with reward, signals and advantage
    chatml    chats a turn a line: messages with tool_calls, tools (OpenAI, TRL)
    sharegpt  the same as conversations of human, gpt, function_call, observation
    atif      sessions in ATIF v1.8: a folder of files, one file for one session,
              or one *.jsonl file (or -) with a session a line

    Trajectories come in the order of their sessions' first activity; the same ledger gives the same
    bytes. Secrets are taken out once more, by today's rules. A file appears when all of it is written,
    and replaces what is there only with --force. docs/export.md shows each format.

    Exit code 1 when nothing fits or a record was damaged; what could be read is written all the same.
    """  # noqa: D301 - \b is click's sign for lines that are kept as they are
    from karl.export.run import Wanted  # noqa: PLC0415 - loads with the command only
    from karl.export.run import export as run  # noqa: PLC0415
    from karl.export.selection import Choice  # noqa: PLC0415
    from karl.process import leaving_in_order  # noqa: PLC0415
    from karl.views.queries import Filter, Views  # noqa: PLC0415

    low, high = filters["min_reward"], filters["max_reward"]
    if low is not None and high is not None and low > high:
        raise click.UsageError(f"--min-reward {low:g} is above --max-reward {high:g}: nothing could fit")
    if form not in ("chatml", "sharegpt") and (whole_sessions or subagents):
        raise click.UsageError("--whole-sessions and --subagents are for chats: chatml and sharegpt")
    which = Filter(**filters)
    wanted = Wanted(form, None if output == "-" else _path(output), force, whole_sessions, subagents)
    with leaving_in_order():
        with Views(settings.views) as views:
            sessions = tuple(_session(views, name) for name in ids)
            number = sum(views.fitting(which._replace(session=name)) for name in sessions or (None,))
        choice = Choice(which, sessions, human_only, completed, limit)
        stream = sys.stdout.buffer
        total = min(number, limit or number)
        with measuring("exporting") as show:
            progress = partial(_show, show, total)
            report = run(settings.views, settings.ledger, choice, wanted, stream=stream, progress=progress)
            stream.flush()  # here, where it is known what to say when that fails
    _print(report, as_json=as_json)
    sys.exit(0 if report.is_sound else 1)


def _show(show: Callable[[int, int, object], None] | None, total: int, session: str, number: int) -> None:
    if show:
        show(number, total, session)


def _path(output: str) -> Path:
    return Path(output).expanduser().absolute()


def _session(views: Views, name: str) -> str:
    """Give the whole id of a session, also by the id of one of its trajectories. Raises NotFound."""
    found = views.find(name)
    return found.id if found.kind == "session" else views.trajectory(found.id).session


def _print(report: Report, *, as_json: bool) -> None:
    """Print the report; on stderr where stdout has the export itself."""
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
