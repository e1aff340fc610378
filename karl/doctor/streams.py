"""The streams: what waits in them and for how long, who folds it, and what could not be understood.

Costs one pipeline over the partitions, however much waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from karl.counted import many
from karl.doctor.check import HERE, Check, Machine, span
from karl.doctor.server import Asked
from karl.stream import keys
from karl.stream.connect import command

if TYPE_CHECKING:
    from redis import Redis

STREAM, SESSIONS = "stream", "sessions"

#: Seconds that an event may wait to be folded, or a record for the ledger, before it is worth a word.
LATE_S = 30.0
#: The newest dead letters whose reasons are shown.
REASONS = 3
_WORKER = "`karl up`, or `karl worker sessions`"


class Partition(NamedTuple):
    """One partition as it is: entries, when the oldest came (Unix ms), and its consumer group."""

    number: int
    events: int
    oldest_ms: int | None
    records: int
    oldest_record_ms: int | None
    dead: int
    group: dict[str, Any] | None


def partitions(redis: Redis) -> list[Partition]:
    """Ask for all partitions in one round trip. Raises RedisError."""
    pipe = redis.pipeline(transaction=False)
    for p in range(keys.PARTITIONS):
        pipe.xlen(keys.events_key(p))
        _first(pipe, keys.events_key(p))
        pipe.xlen(keys.records_key(p))
        _first(pipe, keys.records_key(p))
        pipe.xlen(keys.dead_key(p))
        pipe.xinfo_groups(keys.events_key(p))
    replies = pipe.execute(raise_on_error=False)
    return [_partition(p, replies[6 * p : 6 * p + 6]) for p in range(keys.PARTITIONS)]


def _first(pipe: Redis, stream: str, start: str = "-") -> None:
    """Ask, in a pipeline, for the first entry from `start` on, as the server sends it."""
    command(pipe, "XRANGE", stream, start, "+", "COUNT", 1)


def _partition(number: int, replies: Sequence[Any]) -> Partition:
    *others, groups = replies
    for reply in others:
        if isinstance(reply, Exception):
            raise reply
    events, first, records, first_record, dead = others
    known = [] if isinstance(groups, Exception) else groups  # an error: there is no such stream yet
    group = next((one for one in known if one["name"] == keys.GROUP.encode()), None)
    return Partition(number, events, _time_of(first), records, _time_of(first_record), dead, group)


def _time_of(rows: Sequence[Any]) -> int | None:
    return int(rows[0][0].split(b"-")[0]) if rows else None


def check(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look at the streams and at the sessions workers."""
    if line.redis is None or line.facts is None:
        why = line.facts_trouble or "Redis can not be asked"
        yield Check(STREAM, "events", "unknown", why)
        yield Check(SESSIONS, "workers", "unknown", why)
        return
    found = partitions(line.redis)
    now_ms = machine.now_ns() / 1e6 + line.ahead_s * 1000
    yield _length(machine, found)
    yield from _unread(line, found, now_ms)
    yield _open(found, line, now_ms)
    yield from _groups(line.redis, found)
    yield _records(found, now_ms)
    yield _dead(line.redis, found, now_ms)
    yield _workers(line)


def _length(machine: Machine, found: Sequence[Partition]) -> Check:
    bound = machine.settings.stream_max_entries
    longest = max(found, key=lambda one: one.events)
    text = f"{many(sum(one.events for one in found), 'entry').replace('entrys', 'entries')}"
    if longest.events:
        text += f", at most {longest.events:,} of {bound:,} in a partition"
    if longest.events > bound:
        seen = f"{text}: partition {longest.number} is over the bound, so its events stay in the spools"
        return Check(STREAM, "events", "fail", seen, f"start more workers: {_WORKER}")
    if longest.events > 0.8 * bound:
        return Check(STREAM, "events", "warn", text, f"start more workers: {_WORKER}")
    return Check(STREAM, "events", "ok", text)


def _unread(line: Asked, found: Sequence[Partition], now_ms: float) -> Iterator[Check]:
    """Look at how far the group `sessions` is behind, and how old the first event is that it lacks."""
    assert line.redis is not None
    assert line.facts is not None
    if line.facts.lag is None:
        yield Check(STREAM, "not read yet", "unknown", "the server can not say how far the workers are")
        return
    behind = [one for one in found if one.events and (one.group is None or one.group.get("lag") != 0)]
    pipe = line.redis.pipeline(transaction=False)
    for one in behind:
        last = one.group["last-delivered-id"].decode() if one.group else "0-0"
        _first(pipe, keys.events_key(one.number), f"({last}")
    oldest = min((time for rows in pipe.execute() if (time := _time_of(rows)) is not None), default=None)
    if oldest is None:
        yield Check(STREAM, "not read yet", "ok", "none")
        return
    age = max(0.0, (now_ms - oldest) / 1000)
    text = f"{many(line.facts.lag, 'event')}, the oldest for {span(age)}"
    if age > LATE_S:
        yield Check(STREAM, "not read yet", "warn", text, f"the workers are away or too slow: {_WORKER}")
    else:
        yield Check(STREAM, "not read yet", "ok", text)


def _open(found: Sequence[Partition], line: Asked, now_ms: float) -> Check:
    """Look at events of turns that are open: they lie in the stream until their turn closes."""
    assert line.facts is not None
    pending = line.facts.pending
    if not pending:
        return Check(
            STREAM, "open turns", "ok", "none" if pending == 0 else "can not be told from unread events"
        )
    oldest = min(one.oldest_ms for one in found if one.oldest_ms is not None)
    age = max(0.0, (now_ms - oldest) / 1000)
    text = f"{many(pending, 'event')} of open turns, the oldest came {span(age)} ago"
    return Check(STREAM, "open turns", "ok", text)


def _groups(redis: Redis, found: Sequence[Partition]) -> Iterator[Check]:
    missing = [one.number for one in found if one.events and one.group is None]
    if not missing:
        return

    def make() -> str:
        for number in missing:
            command(redis, "XGROUP", "CREATE", keys.events_key(number), keys.GROUP, "0", "MKSTREAM")
        return f"made the consumer group of {many(len(missing), 'stream')}"

    seen = f"{many(len(missing), 'stream')} without the consumer group `{keys.GROUP}`: no worker has had them"
    yield Check(STREAM, "consumer group", "warn", seen, f"{_WORKER} makes it", mend=make)


def _records(found: Sequence[Partition], now_ms: float) -> Check:
    count = sum(one.records for one in found)
    oldest = min((one.oldest_record_ms for one in found if one.oldest_record_ms is not None), default=None)
    if oldest is None:
        return Check(STREAM, "records waiting", "ok", "none")
    age = max(0.0, (now_ms - oldest) / 1000)
    text = f"{many(count, 'record')} for the ledger, the oldest for {span(age)}"
    if age > LATE_S:
        hint = "nobody writes them: `karl up`, or `karl worker ledger`; its log says why it stands by"
        return Check(STREAM, "records waiting", "fail", text, hint)
    return Check(STREAM, "records waiting", "ok", text)


def _dead(redis: Redis, found: Sequence[Partition], now_ms: float) -> Check:
    count = sum(one.dead for one in found)
    if not count:
        return Check(STREAM, "dead letters", "ok", "none")
    newest: list[tuple[int, str]] = []
    for one in found:
        if one.dead:
            rows: Any = redis.xrevrange(keys.dead_key(one.number), count=REASONS)
            newest += [_reason(entry, letter) for entry, letter in rows]
    newest.sort(reverse=True)
    shown = "; ".join(
        f"{span(max(0.0, (now_ms - time) / 1000))} ago, {reason}" for time, reason in newest[:REASONS]
    )
    return Check(STREAM, "dead letters", "warn", f"{count:,}; newest: {shown}", "`karl dead-letters list`")


def _reason(entry: bytes, letter: Mapping[bytes, bytes]) -> tuple[int, str]:
    where = letter.get(b"where", b"?").decode("utf-8", "replace")
    reason = letter.get(b"reason", b"?").decode("utf-8", "replace")
    return int(entry.split(b"-")[0]), f"{where}: {reason[:200]}"


def _workers(line: Asked) -> Check:
    assert line.facts is not None
    workers, held = line.facts.workers, line.facts.partitions_held
    if not workers:
        seen = "no sessions worker lives: events are not built into turns"
        return Check(SESSIONS, "workers", "fail", seen, _WORKER)
    text = f"{many(workers, 'worker')} with {held} of {keys.PARTITIONS} partitions"
    if held < keys.PARTITIONS:
        hint = "right for a moment after a start; if it stays so, look at the workers' logs"
        return Check(SESSIONS, "workers", "warn", text, hint)
    return Check(SESSIONS, "workers", "ok", text)


def here(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look for a sessions worker of this node."""
    if line.redis is None:
        return  # said of the workers already
    node = machine.settings.node
    now_ms = machine.now_ns() / 1e6 + line.ahead_s * 1000
    alive: Any = line.redis.zrange(keys.WORKERS, f"({now_ms:.0f}", "+inf", byscore=True)
    ours = [owner for owner in alive if owner.decode("utf-8", "replace").rsplit(":", 2)[0] == node]
    if ours:
        yield Check(SESSIONS, HERE, "ok", f"{many(len(ours), 'worker')} of {node} at work")
    else:
        yield Check(SESSIONS, HERE, "fail", f"no sessions worker of {node} is at work", _WORKER)
