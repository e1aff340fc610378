"""Jobs that are due by the clock are asked for: by the workers of the queue `default`, and by `karl cron`.

Invariants:
- Whoever looks, a time of a row is one job: one asks at a time, and the job's id is made of row and time.
- What was asked for, and when the next time is, is in Redis: who looks may die or be another the next time.
- It only asks. What is due waits in its queue like any other job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from karl.errors import KarlError
from karl.jobs import asking, gate, keys, table
from karl.jobs.schedule import Last, Schedule, due_ms, next_ms, schedules
from karl.stream.routing import is_on
from workers.loop import every
from workers.put_back import put_back

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Seconds between two looks at the clock, and for which one may be the one who asks.
LOOK_S, TURN_S = 15.0, 30
#: Milliseconds that a clock may be behind the one that a time was noted by.
_AHEAD_MS = 60_000

_log = logging.getLogger("karl")


class Due(msgspec.Struct, frozen=True):
    """What became of a row that was due at `due_ms` (Unix time, ms).

    `asked` for its job, `there` already, `passed` over since nothing routes, or it `would` be asked for.
    """

    name: str
    due_ms: int
    what: Literal["asked", "there", "passed", "would"]
    job: str = ""


class Row(msgspec.Struct, frozen=True):
    """A row as people see it: when it is due, when it was last, and what became of that job.

    Times are Unix time (ms); `last_ms` is null where it never was. `status` is the job's, empty where it is
    not known any more. A row that is turned `off` has no next time.
    """

    name: str
    job: str
    every: str
    help: str
    off: bool
    next_ms: int | None
    last_ms: int | None
    last_job: str
    status: str


class Cron:
    """Asks for what is due, every LOOK_S; `line` is the line's server, `redis` that of the jobs."""

    def __init__(
        self,
        redis: Redis,
        line: Redis,
        settings: Settings,
        owner: str,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._redis, self._line, self._settings = redis, line, settings
        self._owner, self._now_ms = owner, now_ms
        self._look_due = every(LOOK_S, time.monotonic)
        self._complaint = ""

    def look(self) -> None:
        """Look at the clock, if it is time. Raises the clients' errors."""
        if not self._look_due():
            return
        for done in run_due(self._redis, self._line, self._settings, self._owner, self._now_ms()):
            _log.info("jobs: %s was due: %s %s", done.name, done.what, done.job)
        self._put_back()

    def _put_back(self) -> None:
        """Have Redis tell what the ledger does: where it lost what routes, no row of routing is ever due."""
        try:
            if done := put_back(self._line, self._settings):
                _log.info("jobs: Redis did not tell what routes; published anew: %s", ", ".join(done))
        except KarlError as error:
            if str(error) != self._complaint:
                _log.warning("jobs: whether Redis tells what routes can not be seen: %s", error)
            self._complaint = str(error)

    def ask_to_end(self) -> None:
        """Nothing runs here."""

    def close(self) -> None:
        """Nothing is held here but the line's connection."""
        self._line.close()


def run_due(
    redis: Redis, line: Redis, settings: Settings, owner: str, now_ms: int, *, dry_run: bool = False
) -> list[Due]:
    """Ask for every job whose row is due; nothing where somebody else asks in this moment.

    Raises the clients' errors.
    """
    rows = schedules(settings)
    due = _due(redis, rows, now_ms)
    if dry_run:
        return [Due(row.name, at, "would") for row, at in due if at is not None]
    if not due or not redis.set(keys.CRON_TURN, owner, nx=True, ex=TURN_S):
        return []
    try:
        found = []
        for row, at in _due(redis, rows, now_ms):
            if at is None:  # seen for the first time, or by a clock that was ahead
                _note(redis, row, Last(now_ms))
            else:
                found.append(_asked(redis, line, row, at))
        return found
    finally:
        if redis.get(keys.CRON_TURN) == owner.encode():
            redis.delete(keys.CRON_TURN)


def listed(redis: Redis, settings: Settings, now_ms: int) -> list[Row]:
    """Give all rows as people see them. Raises the client's error."""
    from karl.jobs import queues  # noqa: PLC0415 - RQ loads where jobs are looked at
    from karl.jobs.schedule import SCHEDULES  # noqa: PLC0415

    on = {row.name for row in schedules(settings)}
    found = []
    for row, last in zip(SCHEDULES, _lasts(redis, SCHEDULES), strict=True):
        job = last.job if last else ""
        coming = next_ms(row, last.due_ms if last else now_ms)
        found.append(
            Row(
                row.name,
                row.job,
                row.cron or f"{row.every_s // 3600} h",
                row.help,
                row.name not in on,
                coming if row.name in on else None,
                last.due_ms if last and job else None,
                job,
                queues.status(redis, job) if gate.ID.fullmatch(job) else "",
            )
        )
    return found


def _due(redis: Redis, rows: list[Schedule], now_ms: int) -> list[tuple[Schedule, int | None]]:
    """Give rows with the time that they are due at; null for those that are to be noted only."""
    found: list[tuple[Schedule, int | None]] = []
    for row, last in zip(rows, _lasts(redis, rows), strict=True):
        if last is None or last.due_ms > now_ms + _AHEAD_MS:
            found.append((row, None))
        elif (at := due_ms(row, last.due_ms, now_ms)) is not None:
            found.append((row, at))
    return found


def _lasts(redis: Redis, rows: Any) -> list[Last | None]:
    if not rows:
        return []
    values: Any = redis.hmget(keys.CRON, [row.name for row in rows])
    found: list[Last | None] = []
    for value in values:
        try:
            found.append(msgspec.json.decode(value, type=Last) if value else None)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found.append(None)
    return found


def _asked(redis: Redis, line: Redis, row: Schedule, at: int) -> Due:
    if row.routing and not is_on(line):
        _note(redis, row, Last(at))
        return Due(row.name, at, "passed")
    job = table.find(row.job)
    asked = gate.Asked(job, table.checked(job, row.arguments))
    when = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    made = asking.once(redis, asked, f"cron-{row.name}-{when}", again=False)
    _note(redis, row, Last(at, made.id))
    return Due(row.name, at, "asked" if made.new else "there", made.id)


def _note(redis: Redis, row: Schedule, last: Last) -> None:
    redis.hset(keys.CRON, row.name, msgspec.json.encode(last))
