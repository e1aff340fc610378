"""Records made beside the line, on their way into it: to the records streams, as the sessions workers' are.

So the one writer appends them, in order, after fsync, and whoever makes them needs neither lease nor ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from karl.errors import LineDown, Refused
from karl.ledger.reader import head
from karl.stream import keys
from karl.stream.depths import records_waiting
from karl.stream.facts import facts
from karl.views.queries import Views

if TYPE_CHECKING:
    from redis import Redis

    from karl.schema.record import RecordKind
    from karl.settings import Settings

#: Every record about routing goes through one partition, so that they keep their order.
ROUTING = "routing"
#: So does every record about what was learned: holdouts, exports, trainings, evaluations, decisions, claims.
LEARNING = "learning"
#: Records that go out in one pipeline.
BATCH = 256
#: Records waiting for the ledger above which no more are sent.
WAITING_MAX = 5000
#: Seconds between two looks at what waits.
LOOK_S = 0.1
#: Seconds to wait for a line that does not move.
PATIENCE_S = 30.0


class Outgoing(NamedTuple):
    """A record, and what its partition follows from: a session, an agent, or ROUTING."""

    kind: RecordKind
    of: str
    body: Any


def send(redis: Redis, records: Sequence[Outgoing], wait: Callable[[float], None]) -> None:
    """Hand records to the line, once it has room. Raises LineDown when Redis does not answer.

    What is sent twice becomes two records; the latest counts.
    """
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    try:
        for start in range(0, len(records), BATCH):
            while records_waiting(redis) > WAITING_MAX:
                wait(LOOK_S)
            pipe = redis.pipeline(transaction=False)
            for kind, of, body in records[start : start + BATCH]:
                stream = keys.records_key(keys.partition_of(of))
                pipe.xadd(stream, {"k": kind, "b": msgspec.json.encode(body)})
            pipe.execute()
    except RedisError as error:
        raise LineDown(f"Redis does not answer: {error}; said again, it goes on from here") from error


def settled(redis: Redis, settings: Settings, wait: Callable[[float], None]) -> None:
    """Wait until the views hold everything: what they do not show yet would be made twice.

    Raises Refused where the line does not move for PATIENCE_S.
    """
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
