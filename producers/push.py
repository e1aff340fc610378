"""Put events into the stream: many in one step, and nothing counts as sent until its reply is read.

Invariant: what is pushed together goes in together, or not at all. A server that refuses some events and
takes later ones (it is full for a moment, or can not write to its disk) would change their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from karl.errors import LineDown, ServerSilent
from karl.schema.event import Event, encode_event
from karl.stream import keys
from karl.stream.dead_letters import bury

if TYPE_CHECKING:
    from redis import Redis

#: Entries, and bytes of them, that go out in one pipeline.
BATCH_MAX = 256
BATCH_MAX_BYTES = 8 * 1024 * 1024
#: What the client puts before the server's words.
_PLACE = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)


class Parcel(NamedTuple):
    """An encoded event and its partition; with a `reason` it is a dead letter instead."""

    data: bytes
    partition: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What Redis answered: the errors by index of the parcel, and the lengths of streams by partition."""

    errors: dict[int, str]
    lengths: dict[int, int]


def parcel_of(event: Event) -> Parcel:
    """Pack an event for the partition that its session lives in."""
    return Parcel(encode_event(event), keys.partition_of(event.session))


def push(
    redis: Redis,
    parcels: Sequence[Parcel],
    *,
    where: str,
    node: str,
    watch: Iterable[int] = (),
    over: Any = None,
) -> Pushed:
    """Send parcels in order, and ask for the lengths of their streams and of those in `watch`.

    They go `over` a connection of the client's pool, which is given back to it, or over any.
    An error reply concerns its own parcel (its stream is no stream); the others are in. Raises LineDown
    when the server refused all of them or the connection failed: then nothing is known, and whoever
    sends again relies on the events' ids.
    """
    from redis.exceptions import RedisError, ResponseError  # noqa: PLC0415 - 0.1 s that an import need not cost

    pipe: Any = redis.pipeline(transaction=True)
    pipe.connection = over
    if not parcels and not watch:
        pipe.reset()
        return Pushed({}, {})
    for parcel in parcels:
        if parcel.reason:
            bury(pipe, parcel.data, parcel.reason, where, node)
        else:
            pipe.execute_command("XADD", keys.events_key(parcel.partition), "*", "d", parcel.data)
    asked = sorted({parcel.partition for parcel in parcels if not parcel.reason} | set(watch))
    for partition in asked:
        pipe.execute_command("XLEN", keys.events_key(partition))
    try:
        replies: list[Any] = pipe.execute(raise_on_error=False)
    except ResponseError as error:
        raise LineDown(f"Redis took nothing: {_PLACE.sub('', str(error))}") from error
    except (RedisError, OSError) as error:
        raise ServerSilent(f"Redis did not answer: {error}") from error
    sent = replies[: len(parcels)]
    lengths = zip(asked, replies[len(parcels) :], strict=True)
    return Pushed(
        errors={at: str(reply) for at, reply in enumerate(sent) if isinstance(reply, Exception)},
        lengths={partition: reply for partition, reply in lengths if isinstance(reply, int)},
    )


def tell(redis: Redis, node: str, report: bytes) -> None:
    """Leave a shipper's report where `karl status` finds it. Raises LineDown."""
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        redis.hset(keys.NODES, node, report)
    except (RedisError, OSError) as error:
        raise LineDown(f"Redis did not take the report: {error}") from error
