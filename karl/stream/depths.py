"""How much waits in the streams of some partitions: one round trip, whatever lies in them.

`karl.stream.facts` asks the same of the whole line; this needs no more rights than the workers have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from karl.stream import keys

if TYPE_CHECKING:
    from redis import Redis


class Depth(NamedTuple):
    """Entries in a partition's events stream, those of them not folded yet, and its dead letters.

    `lag` is null where the server can not say; it is all of a stream that nobody has read yet.
    """

    entries: int
    lag: int | None
    dead: int


def depths(redis: Redis, partitions: Sequence[int]) -> dict[int, Depth]:
    """Ask about events. Raises the client's error."""
    pipe = redis.pipeline(transaction=False)
    for partition in partitions:
        pipe.xlen(keys.events_key(partition))
        pipe.xinfo_groups(keys.events_key(partition))
        pipe.xlen(keys.dead_key(partition))
    replies = pipe.execute(raise_on_error=False)
    return {p: _depth(*replies[3 * at : 3 * at + 3]) for at, p in enumerate(partitions)}


def records_waiting(redis: Redis) -> int:
    """Count the records that no ledger has confirmed, in all partitions. Raises the client's error."""
    pipe = redis.pipeline(transaction=False)
    for partition in range(keys.PARTITIONS):
        pipe.xlen(keys.records_key(partition))
    return sum(pipe.execute())


def _depth(entries: Any, groups: Any, dead: Any) -> Depth:
    for reply in (entries, groups, dead):
        if isinstance(reply, Exception) and "no such key" not in str(reply):
            raise reply
    if isinstance(groups, Exception):
        groups = ()  # the stream does not exist yet
    lag = next((group["lag"] for group in groups if group["name"] == keys.GROUP.encode()), entries)
    return Depth(entries, lag, dead)
