"""`karl outcomes`: what became of turns, found in a repository and shown by who says it."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karl.cli.main import pass_settings
from karl.cli.moments import moment, when
from karl.cli.render import measuring, one_line, plain, print_json, print_table
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.views.known import Source
    from karl.views.queries import TrajectoryRow
    from workers.outcomes import ScanReport, Told

#: Turns of a scan that a person is shown; --json has all.
SHOWN = 30
_WORDS = {
    "committed": ("committed", "not committed"),
    "survived": ("survived", "did not survive"),
    "reverted": ("reverted", "not reverted"),
    "ci_passed": ("tests passed", "tests failed"),
}


def _ci(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> list[tuple[str | None, Path]]:
    """Read `FILE` or `COMMIT=FILE`."""
    found: list[tuple[str | None, Path]] = []
    for value in values:
        commit, sign, path = value.partition("=")
        is_commit = bool(sign) and 7 <= len(commit) <= 64 and not commit.strip("0123456789abcdef")
        found.append((commit, Path(path)) if is_commit else (None, Path(value)))
    return found


@click.command()
@click.argument("repo", type=click.Path(path_type=Path))
@click.option(
    "--days", default=14, show_default=True, type=click.IntRange(1, 3650), help="How long work has to last."
)
@click.option("--since", "since_ms", type=when, help="Only turns closed since: 90m, 12h, 7d, or a date.")
@click.option("--project", metavar="NAME", help="The project's name in the records, if not the repository's.")
@click.option(
    "--ci",
    multiple=True,
    callback=_ci,
    metavar="[COMMIT=]FILE",
    help="A test run's file, also outside of REPO.",
)
@click.option("--apply", is_flag=True, help="Write what is new to the ledger.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@pass_settings
def scan(
    settings: Settings,
    repo: Path,
    *,
    days: int,
    since_ms: int | None,
    project: str | None,
    ci: list[tuple[str | None, Path]],
    apply: bool,
    as_json: bool,
) -> None:
    """Find in a git repository what became of a project's turns.

    Which commits hold what a turn wrote, whether its lines are still there --days after, whether it was
    reverted, and what test runs say (JUnit XML, pytest's or jest's JSON: files in REPO that are called so,
    and those named by --ci). docs/reward.md defines each. Without --apply nothing is written; with it each
    finding that is new becomes an annotation, with a score that knows it. Repeated, it writes what is new.

    Nothing is written into REPO, and nothing in it is run. Run it where the views are; with --apply, while
    the line runs.
    """
    from producers.project import project_of  # noqa: PLC0415 - Redis and SQLite load when needed
    from workers.line import on_line  # noqa: PLC0415
    from workers.outcomes import Request  # noqa: PLC0415
    from workers.outcomes import scan as run  # noqa: PLC0415

    name = project or project_of(str(repo.resolve())).removesuffix(".git")
    asked = Request(repo, name, since_ms, days, ci)
    opened = on_line(settings, "karl-outcomes") if apply else nullcontext()
    with opened as redis, measuring("looking up") as progress:
        report = run(redis, settings, asked, progress)
    if as_json:
        print_json(report)
    else:
        _print(report, applied=apply)
    sys.exit(1 if report.damaged else 0)


@click.command(name="list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Turns at most.")
@click.option("--agent", help="Only turns of this kind of agent.")
@click.option("--project", "--repository", "--repo", "project", help="Only turns in this project.")
@click.option("--session", help="Only turns of this session; its whole id.")
@click.option("--since", "since_ms", type=when, help="Only turns closed since: 90m, 12h, 7d, or a date.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def list_(settings: Settings, *, limit: int, as_json: bool, **filters: Any) -> None:
    """List what is known of how turns went, and who said so.

    `turn` is what was known when it closed, by the agent's own calls or its caller; a detector of
    corrections reads the next prompt; `git-1` and `ci-1` looked into a repository. What an agent's own calls
    say is weaker than what was found apart from them.
    """
    from karl.views.known import Known  # noqa: PLC0415 - `--help` needs no database
    from karl.views.queries import Filter  # noqa: PLC0415

    which = Filter(**filters)
    with Known(settings.views) as views:
        sources, rows = views.sources(which), views.with_outcome(which, limit)
    if as_json:
        print_json({"sources": sources, "turns": [_turn(row) for row in rows]})
    elif sources:
        _print_known(sources, rows)
    else:
        click.echo(
            "nothing is known of how these turns went; `karl outcomes scan REPO` looks into a repository"
        )


def _turn(row: TrajectoryRow) -> dict[str, object]:
    return {
        "trajectory": row.id,
        "session": row.session,
        "turn": row.turn,
        "agent": row.agent,
        "project": row.project,
        "time_ms": row.time_ms,
        "reward": row.reward,
        "known": row.known,
    }


def _print_known(sources: list[Source], rows: list[TrajectoryRow]) -> None:
    print_table(
        ("source", "what", "yes", "no"),
        [(each.source, each.flag, each.true, each.false) for each in sources],
        title="known, in turns",
    )
    if not rows:
        return
    from karl.cli.shown import flags  # noqa: PLC0415 - it loads what the other tables need

    click.echo()
    print_table(
        ("trajectory", "agent", "project", "closed", "reward", "known", "prompt"),
        [
            (
                row.id,
                one_line(row.agent, 20),
                one_line(row.project or "-", 24),
                moment(row.time_ms),
                row.reward,
                flags({name: value for name, value in row.flags.items() if name != "session_continued"}),
                one_line(row.prompt or "", 32),
            )
            for row in rows
        ],
        whole=("trajectory",),
        short=("agent", "project", "prompt"),
    )


def _print(report: ScanReport, *, applied: bool) -> None:
    for note in report.notes:
        click.echo(plain(f"karl: {note}"), err=True)
    if report.turns:
        newest = sorted(report.turns, key=lambda each: each.time_ms)[-SHOWN:]
        print_table(
            ("trajectory", "closed", "lines", "held", "left", "commit", "found"),
            [_row(each) for each in newest],
            whole=("trajectory", "commit"),
        )
        if len(report.turns) > SHOWN:
            click.echo(f"… and {len(report.turns) - SHOWN:,} older ones (--json)")
        click.echo()
    click.echo(
        plain(
            f"{report.looked_at:,} turns of {report.project} looked at, {report.changed_files:,} changed "
            f"files of {report.repository}; {report.results:,} test runs"
        )
    )
    for name, (yes, no) in _WORDS.items():
        values = [flags[name] for each in report.turns for flags in each.said.values() if name in flags]
        if values:
            click.echo(f"  {values.count(True):,} {yes}, {values.count(False):,} {no}")
    if report.damaged:
        click.echo(f"{report.damaged:,} left alone: their records are damaged (`karl verify`)", err=True)
    if applied:
        click.echo(f"{report.annotations:,} annotations sent to the ledger")
    elif report.annotations:
        click.echo(f"{report.annotations:,} annotations would be new; --apply writes them")
    else:
        click.echo("nothing new to write")


def _row(each: Told) -> tuple[object, ...]:
    found = [_WORDS[name][not value] for flags in each.said.values() for name, value in flags.items()]
    return (
        each.trajectory,
        moment(each.time_ms),
        each.lines,
        each.held,
        each.left,
        each.commits[0][:10] if each.commits else None,
        ", ".join(found) or "not known yet",
    )
