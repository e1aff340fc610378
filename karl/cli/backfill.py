"""`karl backfill`: scores made anew, as new records."""

from __future__ import annotations

import sys

import click
import msgspec

from karl.cli.main import pass_settings
from karl.cli.moments import when
from karl.cli.render import measuring, print_json
from karl.settings import Settings


@click.command()
@click.option("--force", is_flag=True, help="Score also what has such a score already.")
@click.option("--since", "since_ms", type=when, help="Only turns closed since: 90m, 12h, 7d, or a date.")
@click.option("--agent", help="Only this kind of agent.")
@click.option("--project", "--repository", "--repo", help="Only this project.")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be scored.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@pass_settings
def backfill(
    settings: Settings,
    *,
    force: bool,
    since_ms: int | None,
    agent: str | None,
    project: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Score anew what is in the ledger, as new records.

    By the version and the weights of the settings (KARL_REWARD_VERSION, KARL_REWARD_W_*), with all that is
    known of each turn by now. Old scores stay in the ledger; the views show the newest. What has a
    score of that version and those weights gets no other, so a backfill may be broken off and repeated.

    Run it where the views are, while the line runs.
    """
    from karl.views.queries import Filter  # noqa: PLC0415 - Redis and SQLite load when needed
    from workers.backfill import backfill as run  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415

    which = Filter(agent=agent, project=project, since_ms=since_ms)
    with on_line(settings, "karl-backfill") as redis, measuring("scoring") as progress:
        report = run(redis, settings, which, progress, force=force, dry_run=dry_run)
    if as_json:
        print_json(msgspec.to_builtins(report))
        sys.exit(1 if report.damaged else 0)
    done = "would be scored" if dry_run else "scored"
    click.echo(f"{report.looked_at:,} trajectories looked at, {report.current:,} of them up to date")
    click.echo(
        f"{report.scored:,} {done} anew, {report.changed:,} of them with another reward "
        f"(mean change {report.change:+.4f})"
    )
    if report.damaged:
        click.echo(f"{report.damaged:,} left alone: their records are damaged (`karl verify`)", err=True)
        sys.exit(1)
