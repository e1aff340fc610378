"""Vectors of the ledger's prompts, made by workers of the queue `embed`: `karl routing embed`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.moments import when
from karl.cli.render import measuring, plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from workers.embedding import Done


@click.command()
@click.option("--since", metavar="WHEN", help="Only prompts since then: a date, or a span such as 7d.")
@click.option("--encoder", metavar="NAME", default="", help="minilm or http. [that of the settings]")
@click.option("--wait", is_flag=True, help="Wait for the vectors and keep them here; exit 1 if some failed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def embed(settings: Settings, *, since: str | None, encoder: str, wait: bool, as_json: bool) -> None:
    """Have the ledger's prompts encoded by all machines that work on the queue `embed`.

    Prompts of people whose vectors this machine lacks are cut into batches of 512, each one job; the same
    batch is never there twice. Without --wait at most 64 of them are put into the queue, and the vectors are
    taken in by whoever trains next. Only what the ledger has is sent: it was redacted before.
    """
    from workers import embedding  # noqa: PLC0415 - Redis loads when it is asked
    from workers.encoder import opened_encoder  # noqa: PLC0415
    from workers.line import on_jobs, on_line  # noqa: PLC0415

    since_ms = when(since) if since else None
    parts = embedding.kept_parts(settings, encoder)
    reports = []
    with on_line(settings, "karl-embed") as redis, on_jobs(settings, "karl-embed") as rq:
        for part in parts:
            with opened_encoder(settings, part) as opened, measuring(part) as progress:
                made = embedding.embed_all(
                    settings,
                    redis,
                    rq,
                    opened,
                    since_ms,
                    wait=time.sleep if wait else None,
                    progress=progress,
                )
            reports.append(made)
    if as_json:
        print_json(reports)
    else:
        _say(reports)
    sys.exit(1 if any(report.failed for report in reports) else 0)


def _say(reports: list[Done]) -> None:
    if not reports:
        click.echo("vectors of this encoder are made sooner than they could be sent; there is nothing to do")
    for one in reports:
        jobs = f"{one.batches:,} jobs ({one.new:,} new)"
        left = f"; {one.left:,} prompts are left for the next time, or for --wait" if one.left else ""
        click.echo(f"{plain(one.encoder)}: {one.prompts:,} prompts without a vector, {jobs}{left}")
        if one.collected:
            click.echo(f"{one.collected:,} vectors are here")
        for name in one.failed:
            click.echo(f"karl: {name} failed; `karl jobs show {name}` says why", err=True)
