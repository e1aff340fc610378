"""What runs by the clock: each row a job, when it is due, and how it is turned off.

Invariants:
- A row never seen before is due at its next time, not at once.
- Times that nobody saw pass are one: a machine that slept for a week runs a row once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from karl.settings import Settings

HOUR_S = 3600


class Schedule(NamedTuple):
    """A job that is asked for by the clock: every `every_s` seconds, or at the times that `cron` says.

    `cron` has five fields, in the local time of who asks for the jobs. `arguments` are the job's. A row with
    `routing` is passed over while nothing routes.
    """

    name: str
    job: str
    help: str
    every_s: int = 0
    cron: str = ""
    arguments: Mapping[str, Any] = {}
    routing: bool = False


class Last(msgspec.Struct, frozen=True):
    """When a row was due last (Unix time, ms), and the job that came of it; empty when it was seen first."""

    due_ms: int
    job: str = ""


def schedules(settings: Settings) -> list[Schedule]:
    """Give the rows that are not turned off."""
    off = set(settings.cron_off)
    return [] if "all" in off else [row for row in SCHEDULES if row.name not in off]


def next_ms(row: Schedule, after_ms: int) -> int:
    """Give the first time of a row after another one; Unix time (ms)."""
    if row.every_s:
        return after_ms + row.every_s * 1000
    from croniter import croniter  # noqa: PLC0415 - for who looks at the clock

    after = datetime.fromtimestamp(after_ms / 1000, UTC)
    times = croniter(row.cron, after.astimezone().replace(tzinfo=None))
    while True:
        local: datetime = times.get_next(datetime)
        # An hour that comes twice, when clocks go back, is its first: it may lie before where we began.
        found_ms = round(local.replace(fold=0).timestamp() * 1000)
        if found_ms > after_ms:
            return found_ms


def due_ms(row: Schedule, last_ms: int, now_ms: int) -> int | None:
    """Give the latest time of a row that has passed since `last_ms`; null when none has."""
    found, at = None, next_ms(row, last_ms)
    if row.every_s:  # counted from when it was due, so that it keeps its pace
        each = row.every_s * 1000
        return last_ms + (now_ms - last_ms) // each * each if at <= now_ms else None
    while at <= now_ms:
        found, at = at, next_ms(row, at)
    return found


SCHEDULES = (
    Schedule(
        "refresh",
        "centroids",
        "Train a new router where its exemplars have changed (KARL_ROUTING_REFRESH_H).",
        every_s=6 * HOUR_S,
        arguments={"why": "refresh"},
        routing=True,
    ),
    Schedule(
        "promotion",
        "promotion",
        "Look whether routing has earned its promotion, or lost it.",
        every_s=HOUR_S,
        routing=True,
    ),
    Schedule("integrity", "verify", "Check every byte of the ledger.", cron="30 4 * * 0"),
)
