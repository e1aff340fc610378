"""The one composition root: settings in, running processes out.

Each function builds one process of the line from plain values and runs it until it is told to stop.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import karl
from karl.errors import Refused
from karl.metrics.asked import Watch
from karl.metrics.serve import Place, Who, telling
from karl.process import log_to_stderr, stop_on_signals, stop_without_parent, unique_name, wake_on
from karl.replica.serve import Served, Tls
from karl.session.emissions import Limits
from karl.settings import Settings
from karl.tokens import token_of
from workers import watch
from workers.compose import Composer
from workers.ledger import LedgerWorker
from workers.line import jobs_client, line_client
from workers.loop import Worker, run
from workers.sessions import SessionsWorker
from workers.views import ViewsWorker

if TYPE_CHECKING:
    from redis import Redis

    from workers.cron import Cron
    from workers.data_kept import DataKept
    from workers.others import Others
    from workers.prompted import Prompted

MIB = 1024 * 1024


def run_sessions(settings: Settings, *, supervised: bool = False) -> int:
    """Run a sessions worker; gives the exit code."""
    worker = SessionsWorker(
        line_client(settings, "karl-sessions"),
        Composer(settings.reward_version, settings.reward_weights),
        Limits(
            idle_ms=int(settings.idle_timeout_s * 1000),
            turn_max_events=settings.turn_max_events,
            turn_max_bytes=settings.turn_max_mb * MIB,
        ),
        owner=unique_name(settings.node),
        lease_ttl_s=settings.lease_ttl_s,
        carry_ttl_ms=settings.session_ttl_days * 86_400_000,
        open_max_events=settings.open_max_events,
        node=settings.node,
    )
    return _run(
        worker,
        settings,
        supervised=supervised,
        watchers=lambda: watch.of_sessions(worker, line_client(settings, "karl-metrics")),
    )


def run_ledger(settings: Settings, *, supervised: bool = False) -> int:
    """Run a ledger worker, or stand by for one; gives the exit code. Raises Refused where it may not."""
    if not settings.may_write:
        raise Refused(
            f"this node, {settings.node}, may not write the ledger: KARL_CANONICAL_WRITER names "
            f"{', '.join(settings.canonical_writer)}; run it there, or add this node in all places"
        )
    served = served_at(settings)
    if settings.ack == "replica" and served is None:
        raise Refused(
            "KARL_ACK=replica keeps in the streams what no follower has, and none could come: "
            "set KARL_LEDGER_PORT too, or KARL_ACK=disk"
        )
    worker = ledger_worker(settings, line_client(settings, "karl-ledger"), served)
    return _run(
        worker,
        settings,
        supervised=supervised,
        watchers=lambda: watch.of_ledger(worker, line_client(settings, "karl-metrics")),
        wake=worker.wake,
    )


def run_views(settings: Settings, *, supervised: bool = False) -> int:
    """Keep the views beside the ledger up to date; gives the exit code."""
    worker = ViewsWorker(settings.views, settings.ledger, settings.reward_version)
    return _run(
        worker, settings, supervised=supervised, watchers=lambda: watch.of_views(worker, settings.ledger)
    )


def run_follow(
    settings: Settings,
    source: str | None,
    *,
    rejoin: bool = False,
    set_aside: bool = False,
    supervised: bool = False,
) -> int:
    """Keep a copy of another machine's ledger; gives the exit code. Raises Refused and other KarlErrors.

    Without a `source` it is the one that the copy follows already.
    """
    from workers.follow import follow  # noqa: PLC0415 - its HTTP client is not for the others

    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request is no news
    worker = follow(
        settings.ledger,
        source,
        ledger_token(settings),
        node=settings.node,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        rejoin=rejoin,
        set_aside=set_aside,
    )
    return _run(worker, settings, supervised=supervised, watchers=lambda: watch.of_follow(worker))


def ledger_worker(settings: Settings, redis: Redis, served: Served | None = None) -> LedgerWorker:
    """Make a ledger worker that writes in the data folder, and serves it to followers where that is asked."""
    return LedgerWorker(
        redis,
        settings.ledger,
        owner=unique_name(settings.node),
        lease_ttl_s=settings.lease_ttl_s,
        segment_max_bytes=settings.segment_max_mb * MIB,
        node=settings.node,
        served=served,
        needs_follower=settings.ack == "replica",
    )


def served_at(settings: Settings) -> Served | None:
    """Say where the ledger is served to followers; null for nowhere. Raises Refused."""
    if not settings.ledger_port:
        return None
    cert, key = settings.ledger_tls_cert, settings.ledger_tls_key
    tls = Tls(cert, key or cert) if cert else None
    return Served(settings.ledger_host, settings.ledger_port, ledger_token(settings, make=True), tls)


def ledger_token(settings: Settings, *, make: bool = False) -> str:
    """Give what followers prove themselves with; it is the source that may `make` it. Raises Refused."""
    path = settings.data_dir / "ledger.token"
    return token_of(settings.ledger_token, "KARL_LEDGER_TOKEN", path, make=make)


def run_jobs(
    settings: Settings,
    queue: str,
    *,
    also: Sequence[str] = (),
    until_idle_s: float = math.inf,
    supervised: bool = False,
) -> int:
    """Work on the jobs of one queue; gives the exit code. Raises Refused where this node may not, or can not.

    With `also`, workers of these queues are started while something waits there; beside `default` one of
    `train` too, where KARL_GPU_NODE names this node.
    """
    from karl.jobs import table  # noqa: PLC0415 - RQ loads with the process that uses it
    from workers import capability  # noqa: PLC0415
    from workers.jobs import JobsWorker  # noqa: PLC0415

    if queue == "default" and also and settings.node in settings.gpu_node:
        also = (*also, *({"train"} - set(also)))  # this machine is the node that trains, too
    found, *others = (table.find_queue(name) for name in (queue, *also))
    for one in (found, *others):
        table.may_work(one, settings)
    about = capability.presence(capability.find(settings)) if found.where == table.AT_GPU else None
    redis = jobs_client(settings, "karl-jobs")
    owner = unique_name(settings.node)
    worker = JobsWorker(
        redis,
        found,
        settings,
        os.environ,
        owner=owner,
        chores=_chores(settings, redis, queue, also, owner),
        also=also,
        until_idle_s=until_idle_s,
        about=about,
    )

    def watchers() -> list[Watch]:
        sees_to_promotion = queue == "default"
        return watch.of_jobs(line_client(settings, "karl-metrics")) if sees_to_promotion else [watch.defects]

    return _run(worker, settings, supervised=supervised, watchers=watchers)


def _chores(
    settings: Settings, redis: Redis, queue: str, also: Sequence[str], owner: str
) -> list[Cron | DataKept | Others | Prompted]:
    """Give what a jobs worker sees to beside its queue."""
    from workers.cron import Cron  # noqa: PLC0415
    from workers.data_kept import DataKept  # noqa: PLC0415
    from workers.others import Others  # noqa: PLC0415
    from workers.prompted import Prompted  # noqa: PLC0415

    made: list[Cron | DataKept | Others | Prompted] = []
    if queue == "default":
        made.append(Cron(redis, line_client(settings, "karl-cron"), settings, owner))
        made.append(DataKept(redis, line_client(settings, "karl-kept")))
    if "route" in {queue, *also}:
        made.append(Prompted(redis, line_client(settings, "karl-prompted")))
    if also:
        made.append(Others(redis, also, os.environ))
    return made


def _run(
    worker: Worker,
    settings: Settings,
    *,
    supervised: bool,
    watchers: Callable[[], Sequence[Watch]] = lambda: [watch.defects],
    wake: Callable[[], None] | None = None,
) -> int:
    log_to_stderr(settings.log_level)
    stop = stop_on_signals()
    if supervised:
        stop_without_parent(stop)
    if wake:
        wake_on(stop, wake)
    place = Place(settings.metrics_host, settings.metrics_port)
    with telling(place, Who(worker.name, karl.__version__, settings.node), watchers):
        return run(worker, stop)
