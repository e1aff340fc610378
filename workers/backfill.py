"""Score anew what is in the ledger: as new records, through the line, the old ones staying as they are.

Invariants:
- The records go the way of all others: through Redis to the one writer.
- A trajectory whose score is of the wanted version, weights and calibration gets no other unless forced, so
  a backfill that was broken off goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from karl.errors import LedgerDamaged, LineDown
from karl.reward.basis import NOTHING, Basis
from karl.schema.record import ScoreBody
from karl.stream.basis import publish_calibration, replace_usual
from karl.views.columns import made_by
from karl.views.queries import Filter, TrajectoryRow, Views
from karl.views.whole import assemble, calibration_at, scored
from workers.records import BATCH, Outgoing, send, settled

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Told the trajectories looked at, those that there are, and the session that is looked at now.
Progress = Callable[[int, int, object], None]
Bases = Mapping[str, Basis]


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
    """Score the trajectories that fit by the version and weights of the settings and what is known of agents.

    With `force` also those that have such a score. Raises Refused when the views do not follow the ledger,
    LineDown, and KarlError for a version that there is not.
    """
    if not dry_run:
        settled(redis, settings, wait)
    report = BackfillReport()
    waiting: list[Outgoing] = []
    with Views(settings.views) as views:
        bases = _known(settings, views)
        if not dry_run:
            _tell(redis, bases)
        total = views.fitting(which)
        for row in views.walk(which):
            report.looked_at += 1
            basis = bases.get(row.agent, NOTHING)
            try:
                if not force and row.made_by == _wanted(settings, basis):
                    report.current += 1
                else:
                    body = _rescored(views, settings, row, basis, now_ms())
                    _count(report, row, body.score.reward)
                    waiting.append(Outgoing("score", row.session, body))
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


def _known(settings: Settings, views: Views) -> Bases:
    """Give what the ledger knows of each agent. Raises LedgerDamaged when a calibration can not be read."""
    bases = {}
    for agent in views.agents():
        found = views.calibration(agent, settings.reward_version)
        applied = None
        if found and found.applied:
            at = found.place
            applied = calibration_at(settings.ledger, at.segment, at.offset, at.end)
        bases[agent] = Basis(views.usual(agent), applied)
    return bases


def _tell(redis: Redis, bases: Bases) -> None:
    """Tell the sessions workers what the ledger knows; a server that lost its data gets it back so."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    try:
        replace_usual(redis, {agent: basis.usual for agent, basis in bases.items() if basis.usual})
        for basis in bases.values():
            if basis.calibration:
                publish_calibration(redis, basis.calibration)
    except RedisError as error:
        raise LineDown(f"Redis does not answer: {error}") from error


def _wanted(settings: Settings, basis: Basis) -> str:
    """Name how a score of the settings is made (`karl.views.columns.made_by`)."""
    applied = basis.calibration.id if basis.calibration else None
    return made_by(settings.reward_version, settings.reward_weights, applied)


def _rescored(views: Views, settings: Settings, row: TrajectoryRow, basis: Basis, now_ms: int) -> ScoreBody:
    trajectory = assemble(settings.ledger, views.parts(row.id)).body.trajectory
    made = scored(trajectory, row.known, settings.reward_version, settings.reward_weights, basis)
    return ScoreBody(row.id, row.session, made, now_ms)


def _count(report: BackfillReport, row: TrajectoryRow, reward: float) -> None:
    report.scored += 1
    report.changed += reward != row.reward
    report.change += reward - row.reward


def _send(redis: Redis, records: list[Outgoing], wait: Callable[[float], None], *, dry_run: bool) -> None:
    """Hand records to the line; empties the list."""
    if not dry_run:
        send(redis, records, wait)
    records.clear()
