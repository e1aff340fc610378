"""The state of the whole line in one value: ledger, views, Redis and spool, each where it is present."""

from __future__ import annotations

import msgspec

from karl.errors import LineDown
from karl.settings import Settings
from karl.stream.facts import Facts, facts
from karl.views.overview import Overview, overview
from producers.spool import Spool
from workers.line import on_line


class SpoolState(msgspec.Struct, frozen=True):
    """Events that wait on this machine. `off`: recording is disabled; `full`: the hook takes no more."""

    files: int
    bytes: int
    oldest_age_s: float
    off: bool
    full: bool


class State(msgspec.Struct, frozen=True):
    """What `karl status` shows; a part is null when it can not be told, and `notes` say why."""

    overview: Overview
    stream: Facts | None
    spool: SpoolState | None
    notes: list[str]


def state(settings: Settings, now_ns: int) -> State:
    """Look at everything. Raises nothing for what is merely absent."""
    seen = overview(settings.ledger, settings.views)
    notes = list(seen.notes)
    if not settings.may_write:
        may = ", ".join(settings.canonical_writer)
        notes.append(
            f"this node, {settings.node}, may not write the ledger; {may} may (KARL_CANONICAL_WRITER)"
        )
    stream = spool = None
    try:
        stream = _stream(settings)
    except LineDown as error:
        hint = "is KARL_REDIS_URL right?" if settings.redis_url else "`karl up` starts the line"
        notes.append(f"{error}; {hint}")
    try:
        spool = _spool(settings, now_ns)
    except OSError as error:
        notes.append(f"the spool can not be read: {error}")
    return State(seen, stream, spool, notes)


def _stream(settings: Settings) -> Facts:
    with on_line(settings, "karl-status") as redis:
        return facts(redis)


def _spool(settings: Settings, now_ns: int) -> SpoolState:
    spool = Spool(settings.spool)
    depth = spool.depth()
    return SpoolState(
        depth.files, depth.bytes, round(depth.oldest_age_s(now_ns), 3), spool.is_off(), spool.is_full()
    )
