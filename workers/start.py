"""The one composition root: settings in, running processes out.

Each function builds one process of the line from plain values and runs it until it is told to stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from karl.errors import Refused
from karl.process import log_to_stderr, stop_on_signals, stop_without_parent, unique_name
from karl.session.emissions import Limits
from karl.settings import Settings
from karl.stream.connect import client_name, connect
from karl.stream.server import line_url
from workers.compose import Composer
from workers.ledger import LedgerWorker
from workers.loop import Worker, run
from workers.sessions import SessionsWorker
from workers.views import ViewsWorker

if TYPE_CHECKING:
    from redis import Redis

MIB = 1024 * 1024


def run_sessions(settings: Settings, *, supervised: bool = False) -> int:
    """Run a sessions worker; gives the exit code."""
    worker = SessionsWorker(
        _connect(settings, "karl-sessions"),
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
    return _run(worker, settings, supervised=supervised)


def run_ledger(settings: Settings, *, supervised: bool = False) -> int:
    """Run a ledger worker, or stand by for one; gives the exit code. Raises Refused where it may not."""
    if not settings.may_write:
        raise Refused(
            f"this node, {settings.node}, may not write the ledger: KARL_CANONICAL_WRITER names "
            f"{', '.join(settings.canonical_writer)}; run it there, or add this node in all places"
        )
    worker = LedgerWorker(
        _connect(settings, "karl-ledger"),
        settings.ledger,
        owner=unique_name(settings.node),
        lease_ttl_s=settings.lease_ttl_s,
        segment_max_bytes=settings.segment_max_mb * MIB,
        node=settings.node,
    )
    return _run(worker, settings, supervised=supervised)


def run_views(settings: Settings, *, supervised: bool = False) -> int:
    """Keep the views beside the ledger up to date; gives the exit code."""
    worker = ViewsWorker(settings.views, settings.ledger, settings.reward_version)
    return _run(worker, settings, supervised=supervised)


def _connect(settings: Settings, process: str) -> Redis:
    url = line_url(settings.redis_url, settings.data_dir)
    return connect(url, name=client_name(process, settings.node))


def _run(worker: Worker, settings: Settings, *, supervised: bool) -> int:
    log_to_stderr(settings.log_level)
    stop = stop_on_signals()
    if supervised:
        stop_without_parent(stop)
    return run(worker, stop)
