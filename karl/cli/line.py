"""The line's processes, one command each; `karl up` starts them on one machine."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import click

from karl.cli.main import pass_settings
from karl.jobs.table import QUEUES
from karl.settings import Settings

_QUEUE = click.Choice([queue.name for queue in QUEUES])


def _supervised(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--supervised", is_flag=True, hidden=True, help="End when stdin closes.")(function)


@click.command()
@_supervised
@pass_settings
def ship(settings: Settings, *, supervised: bool) -> None:
    """Send this machine's events to the stream: spool, redact, XADD.

    Runs until it is stopped. While Redis is away, or a stream is above its high-water mark, events
    stay in the spool. One shipper a spool.
    """
    from producers.start import run_shipper  # noqa: PLC0415 - Redis and the rules load with the process

    sys.exit(run_shipper(settings, supervised=supervised))


@click.command()
@_supervised
@pass_settings
def sessions(settings: Settings, *, supervised: bool) -> None:
    """Build sessions from events, score each closed turn, and hand the records on.

    Any number may run, on any machine that reaches Redis; they share the 64 partitions.
    """
    from workers.start import run_sessions  # noqa: PLC0415

    sys.exit(run_sessions(settings, supervised=supervised))


@click.command()
@_supervised
@pass_settings
def ledger(settings: Settings, *, supervised: bool) -> None:
    """Write the ledger in the data folder; a second one stands by for the lease."""
    from workers.start import run_ledger  # noqa: PLC0415

    sys.exit(run_ledger(settings, supervised=supervised))


@click.command()
@_supervised
@pass_settings
def views(settings: Settings, *, supervised: bool) -> None:
    """Keep the SQLite views up to date with the ledger; runs beside it."""
    from workers.start import run_views  # noqa: PLC0415

    sys.exit(run_views(settings, supervised=supervised))


@click.command()
@click.argument("queue", type=_QUEUE)
@click.option(
    "--also", multiple=True, type=_QUEUE, help="Start a worker of this queue too, when something waits there."
)
@click.option("--until-idle", type=click.FloatRange(min=1), metavar="SECONDS", help="End when nothing came.")
@_supervised
@pass_settings
def jobs(
    settings: Settings, queue: str, *, also: tuple[str, ...], until_idle: float | None, supervised: bool
) -> None:
    """Work on the jobs of one QUEUE.

    `default` and `centroids` belong beside the ledger, `train` on the nodes that KARL_GPU_NODE names, `embed`
    and `route` anywhere. Each job runs in a process of its own. Asked to end, it gives a job ten seconds, and
    then back to its queue. A worker of `default` also asks for what is due by the clock (`karl cron list`).
    """
    from workers.start import run_jobs  # noqa: PLC0415

    if queue in also:
        raise click.UsageError(f"--also {queue}: that is the worker's own queue")
    idle_s = math.inf if until_idle is None else until_idle
    sys.exit(run_jobs(settings, queue, also=also, until_idle_s=idle_s, supervised=supervised))


@click.command()
@_supervised
@pass_settings
def routing(settings: Settings, *, supervised: bool) -> None:
    """Answer agents' hooks on this machine with the skill that routing picks for a prompt.

    It listens at a socket in the data folder, which hooks of `karl hooks install --routing` ask. Before a
    promotion (`karl promote`) it answers nothing. `karl up` runs it where KARL_ROUTING_LIVE=1.
    """
    from karl.live.serve import run_routing  # noqa: PLC0415

    sys.exit(run_routing(settings, supervised=supervised))
