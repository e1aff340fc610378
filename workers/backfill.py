"""Score anew what is in the ledger: as new records, through the line, the old ones staying as they are.

Invariants:
- The records go the way of all others: through Redis to the one writer.
- A trajectory whose score is of the wanted version and weights gets no other unless forced, so a
  backfill that was broken off goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from karl.errors import LedgerDamaged, LineDown, Refused
from karl.ledger.reader import head
from karl.schema.record import ScoreBody
from karl.stream import keys
from karl.stream.facts import facts
from karl.views.detail import detail
from karl.views.queries import Filter, TrajectoryRow, Views
from karl.views.whole import scored, weights_of

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Records that go out in one pipeline.
BATCH = 256
#: Records waiting for the ledger above which no more are sent.
WAITING_MAX = 5000
#: Seconds between two looks at what waits, and to wait for a line that does not move.
LOOK_S, PATIENCE_S = 0.1, 30.0
#: Rewards have four decimals.
_ROUNDING = 1e-4

#: Told the trajectories looked at, those that there are, and the session that is looked at now.
Progress = Callable[[int, int, object], None]


class BackfillReport(msgspec.Struct):
    """Trajectories looked at, scored anew, of these with another reward, and left as they are.

    `damaged` counts those whose records can not be read: they keep the scores they have.
    `change` is the mean change of the reward of what was scored anew, 0 without any.
    """

    looked_at: int = 0
    scored: int = 0
    changed: int = 0
    current: int = 0
    damaged: int = 0
    change: float = 0.0


def backfill(
    redis: Redis,
    settings: Settings,
    which: Filter,
    progress: Progress | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    wait: Callable[[float], None] = time.sleep,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> BackfillReport:
    """Score the trajectories that fit by the version and weights of the settings.

    With `force` also those that have such a score. Raises Refused when the views do not follow the ledger,
    LineDown, and KarlError for a version that there is not.
    """
    if not dry_run:
        _settled(redis, settings, wait)
    report = BackfillReport()
    waiting: list[tuple[int, bytes]] = []
    with Views(settings.views) as views:
        total = views.fitting(which)
        for row in views.walk(which):
            report.looked_at += 1
            try:
                if not force and _is_scored(views, settings, row):
                    report.current += 1
                else:
                    body = _rescored(views, settings, row, now_ms())
                    _count(report, row, body.score.reward)
                    waiting.append((keys.partition_of(row.session), msgspec.json.encode(body)))
            except LedgerDamaged:
                report.damaged += 1  # one bad record must not keep the others from their scores
            if len(waiting) >= BATCH:
                _send(redis, waiting, wait, dry_run=dry_run)
            if progress:
                progress(report.looked_at, total, row.session)
        _send(redis, waiting, wait, dry_run=dry_run)
    if report.scored:
        report.change = round(report.change / report.scored, 6)
    return report


def is_current(row: TrajectoryRow, version: str, weights: Mapping[str, float]) -> bool:
    """Say whether a trajectory's score is the one that this version and these weights give."""
    reward = sum(weights.get(name, 0.0) * (value or 0.0) for name, value in row.signals.items())
    return row.reward_version == version and abs(reward - row.reward) <= _ROUNDING


def _is_scored(views: Views, settings: Settings, row: TrajectoryRow) -> bool:
    """Say whether a score is of the settings' version and weights; other weights may give the same reward."""
    weights = settings.reward_weights
    return is_current(row, settings.reward_version, weights) and weights_of(
        settings.ledger, views.parts(row.id)
    ) == dict(weights)


def _rescored(views: Views, settings: Settings, row: TrajectoryRow, now_ms: int) -> ScoreBody:
    trajectory = detail(views, settings.ledger, row.id).body.trajectory
    made = scored(trajectory, row.flags, settings.reward_version, settings.reward_weights)
    return ScoreBody(row.id, row.session, made, now_ms)


def _count(report: BackfillReport, row: TrajectoryRow, reward: float) -> None:
    report.scored += 1
    report.changed += reward != row.reward
    report.change += reward - row.reward


def _send(
    redis: Redis, records: list[tuple[int, bytes]], wait: Callable[[float], None], *, dry_run: bool
) -> None:
    """Hand records to the line, once it has room; empties the list."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    if records and not dry_run:
        try:
            while _records_waiting(redis) > WAITING_MAX:
                wait(LOOK_S)
            pipe = redis.pipeline(transaction=False)
            for partition, body in records:
                pipe.xadd(keys.records_key(partition), {"k": "score", "b": body})
            pipe.execute()
        except RedisError as error:
            raise LineDown(
                f"Redis does not answer: {error}; a repeated backfill goes on from here"
            ) from error
    records.clear()


def _records_waiting(redis: Redis) -> int:
    pipe = redis.pipeline(transaction=False)
    for partition in range(keys.PARTITIONS):
        pipe.xlen(keys.records_key(partition))
    return sum(pipe.execute())


def _settled(redis: Redis, settings: Settings, wait: Callable[[float], None]) -> None:
    """Wait until the views hold everything: what they do not show yet would be scored twice."""
    left = PATIENCE_S
    while True:
        waiting = facts(redis).records_waiting
        last = head(settings.ledger)
        with Views(settings.views) as views:
            behind = (last.seq if last else 0) - views.position().seq
        if not waiting and behind <= 0:
            return
        if left <= 0:
            raise Refused(
                f"{waiting} records wait for the ledger and the views are {behind} behind it; "
                "`karl doctor` says why the line does not move"
            )
        wait(LOOK_S)
        left -= LOOK_S
