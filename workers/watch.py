"""What the workers' figures are asked of when somebody looks: the server, the ledger's end, and the workers.

Nothing here is done while nobody looks, and no question's cost grows with what is asked about.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from karl.errors import KarlError, LineDown
from karl.ledger.reader import head
from karl.metrics import table
from karl.metrics.asked import Asked, Watch
from karl.metrics.metric import Sample
from karl.schema.learning import Verdict
from karl.stream.depths import depths, records_waiting
from karl.stream.judged import Judged, read_judged
from karl.stream.routing import read
from karl.views.lineage import Lineage
from workers.loop import caught

if TYPE_CHECKING:
    from redis import Redis

    from workers.follow import FollowWorker
    from workers.ledger import LedgerWorker
    from workers.sessions import SessionsWorker
    from workers.views import ViewsWorker

#: Verdicts of evaluations as numbers.
_VERDICTS: dict[Verdict, float] = {"lift": 1.0, "no lift": 0.0, "harm": -1.0}

#: A follower counts so long after its last word, in ms.
HEARD_MS = 60_000

#: What asking the server may fail with; anything else is a defect.
_NO_ANSWER = (RedisError, OSError, LineDown)


def defects() -> list[Sample]:
    """Give what the loop caught."""
    return [Sample(table.DEFECTS, count, (doing,)) for doing, count in list(caught.items())]


def of_sessions(worker: SessionsWorker, redis: Redis) -> list[Watch]:
    """Give what to ask of a sessions worker. `redis` is a client of its own: its answers are waited for."""

    def streams() -> list[Sample]:
        asked = depths(redis, worker.held)
        lags = {partition: depth.lag for partition, depth in asked.items() if depth.lag is not None}
        return [
            *(Sample(table.LAG_ENTRIES, lag, (str(partition),)) for partition, lag in lags.items()),
            Sample(table.OPEN_ENTRIES, sum(asked[p].entries - lag for p, lag in lags.items())),
            Sample(table.DEAD_LETTERS, sum(depth.dead for depth in asked.values())),
        ]

    return [
        defects,
        lambda: [Sample(table.PARTITIONS_HELD, len(worker.held))],
        Asked(streams, table.REDIS_UP, _NO_ANSWER),
    ]


def of_ledger(worker: LedgerWorker, redis: Redis) -> list[Watch]:
    """Give what to ask of a ledger worker. `redis` is a client of its own."""

    def itself() -> list[Sample]:
        term, seq = worker.term, worker.seq
        return [
            Sample(table.LEASE_HELD, float(worker.holds)),
            Sample(table.LEDGERED, worker.records),
            *([Sample(table.LEASE_TERM, term)] if term else []),
            *([Sample(table.LEDGER_SEQ, seq)] if seq else []),
        ]

    def streams() -> list[Sample]:
        return [Sample(table.LAG_RECORDS, records_waiting(redis))]

    def followers() -> list[Sample]:
        seen = worker.replicas
        heard = [one for one in seen.followers if seen.time_ms - one.heard_ms < HEARD_MS]
        if not (worker.holds and (seen.followers or seen.needed)):
            return []
        return [
            Sample(table.FOLLOWERS, len(heard)),
            Sample(table.HELD_LINES, seen.held),
            Sample(table.HELD_AGE, seen.held_s),
        ]

    return [defects, itself, followers, Asked(streams, table.REDIS_UP, _NO_ANSWER)]


def of_follow(worker: FollowWorker) -> list[Watch]:
    """Give what to ask of a follower."""

    def itself() -> list[Sample]:
        behind = worker.behind
        told = [Sample(table.COPY_SEQ, worker.seq)]
        if behind is not None:
            told.append(Sample(table.COPY_BEHIND_LINES, behind.lines))
            told.append(Sample(table.COPY_BEHIND_BYTES, behind.bytes))
        return told

    return [defects, itself]


def of_views(worker: ViewsWorker, ledger: Path) -> list[Watch]:
    """Give what to ask of a views worker whose ledger is in a folder."""

    def behind() -> list[Sample]:
        seen = worker.seq
        return [
            Sample(table.VIEWS_SEQ, seen),
            Sample(table.VIEWS_BEHIND, max(0, head(ledger).seq - seen)),
        ]

    def learned() -> list[Sample]:
        with Lineage(worker.path) as views:
            held_out = sum(row.sessions for row in views.holdouts())
            told = [
                Sample(table.HELD_OUT, held_out),
                Sample(table.ADAPTER_IN_USE, float(bool(views.current()))),
            ]
            told += [Sample(table.LAST_TRAINING, row.time_ms / 1000) for row in views.adapters(1)]
            for row in views.evaluations(1):
                told.append(Sample(table.LAST_EVALUATION, row.time_ms / 1000))
                told.append(Sample(table.LAST_VERDICT, _VERDICTS[row.verdict]))
        return told

    return [
        defects,
        Asked(behind, table.LEDGER_READABLE, (KarlError, OSError)),
        Asked(learned, table.VIEWS_READABLE, (KarlError, OSError)),
    ]


def of_jobs(redis: Redis) -> list[Watch]:
    """Give what to ask of a worker that sees to promotion. `redis` is a client of its own of the line."""

    def routing() -> list[Sample]:
        published = read(redis)
        if published is None:
            return []
        policy = published.policy
        skills = {*policy.ready, *policy.overrides}
        ways = [policy.way(skill) for skill in skills]
        return [
            Sample(table.ROUTING_MODE, float(policy.mode == "active")),
            Sample(table.HYBRID_VECTOR, ways.count("vector")),
            Sample(table.HYBRID_REGEX, ways.count("regex")),
            *_promotion(read_judged(redis)),
        ]

    return [defects, Asked(routing, table.REDIS_UP, (*_NO_ANSWER, KarlError))]


def _promotion(found: Judged | None) -> list[Sample]:
    if found is None:
        return []
    figures = {"records": table.ORGANIC, "vector": table.VECTOR_ACCURACY, "regex": table.REGEX_ACCURACY}
    return [
        Sample(table.PROMOTION_READY, float(not found.missing)),
        Sample(table.PROMOTION_MISSING, found.missing),
        Sample(table.PROMOTION_LOOK, found.time_ms / 1000),
        *(Sample(row, found.measured[name]) for name, row in figures.items() if name in found.measured),
    ]
