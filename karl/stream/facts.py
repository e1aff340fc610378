"""What waits in Redis, and who is alive: the whole line in two round trips, however much waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from karl.errors import LineDown
from karl.stream import keys

if TYPE_CHECKING:
    from redis import Redis

#: Questions about each partition, in the order in which they are asked.
_PER_PARTITION = 5


class Facts(msgspec.Struct, frozen=True):
    """The streams of all partitions together, and the leases.

    `entries` lie in the events streams; of these `lag` are not folded yet (null when the server can not
    say) and `pending` are, but their turn is open. `workers` are the sessions workers alive.
    `partitions_held` counts partition leases; `ledger_lease` is owner#term of who writes the ledger.
    """

    entries: int
    pending: int | None
    lag: int | None
    records_waiting: int
    dead_letters: int
    workers: int
    partitions_held: int
    ledger_lease: str | None
    ledger_term: int
    nodes: dict[str, Any]


def facts(redis: Redis) -> Facts:
    """Ask Redis. Raises LineDown when it can not be reached or refuses."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    try:
        return _facts(redis)
    except RedisError as error:
        raise LineDown(f"Redis does not answer: {error}; `karl up` starts the line") from error


def _facts(redis: Redis) -> Facts:
    pipe = redis.pipeline(transaction=False)
    for partition in range(keys.PARTITIONS):
        events = keys.events_key(partition)
        pipe.xlen(events)
        pipe.xinfo_groups(events)
        pipe.xlen(keys.records_key(partition))
        pipe.xlen(keys.dead_key(partition))
        pipe.exists(keys.lease_key(partition))
    pipe.get(keys.LEDGER_LEASE)
    pipe.get(keys.LEDGER_TERM)
    pipe.hgetall(keys.NODES)
    pipe.time()
    *replies, lease, term, nodes, now = (_answer(reply) for reply in pipe.execute(raise_on_error=False))
    entries, groups, records, dead, held = (replies[at::_PER_PARTITION] for at in range(_PER_PARTITION))
    lag = _lag(entries, groups)
    # Lifetimes are the server's, so its clock says who is alive.
    now_ms = now[0] * 1000 + now[1] // 1000
    workers = redis.zcount(keys.WORKERS, f"({now_ms}", "+inf")
    return Facts(
        entries=sum(entries),
        pending=max(0, sum(entries) - lag) if lag is not None else None,
        lag=lag,
        records_waiting=sum(records),
        dead_letters=sum(dead),
        workers=int(workers),
        partitions_held=sum(held),
        ledger_lease=lease.decode("utf-8", "replace") if lease else None,
        ledger_term=int(term or 0),
        nodes={name.decode("utf-8", "replace"): _report(text) for name, text in (nodes or {}).items()},
    )


def _answer(reply: Any) -> Any:
    """Give a reply; null for a stream or a group that does not exist yet. Raises what else went wrong."""
    if not isinstance(reply, Exception):
        return reply
    if "NOGROUP" in str(reply) or "no such key" in str(reply):
        return None
    raise reply


def _lag(entries: list[int], groups: list[list[dict[str, Any]] | None]) -> int | None:
    """Add up what was not folded yet. All of a stream that nobody reads yet."""
    lags = [
        next((group["lag"] for group in found or () if group["name"] == keys.GROUP.encode()), length)
        for length, found in zip(entries, groups, strict=True)
    ]
    return None if None in lags else sum(lags)


def _report(text: bytes) -> Any:
    """Read what a shipper said of itself; as text when it is not JSON."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text.decode("utf-8", "replace")
