"""Partitions: which ones this worker reads, what waits in them, and how work leaves them.

    free --- acquired ---> ours --- released / expired / taken by another ---> free

Invariants:
- A partition is read by the holder of its lease only, under one consumer name, so a new holder
  finds everything unfinished in that consumer's pending entries list, in order.
- Work leaves a partition in one step inside Redis (`hand_on`): the records go in, their events are
  acknowledged and trimmed, and what the sessions carry is stored - or, if the lease is not ours any
  more, nothing happens. A worker that was paused through the end of its lease can not emit twice.
- Worker lifetimes are judged by the server's clock; the clocks of machines need not agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import NoScriptError, ResponseError

from karl.errors import LineDown
from karl.stream import keys
from karl.stream.connect import command
from karl.stream.lease import MARGIN, RELEASE, RENEW

if TYPE_CHECKING:
    from redis import Redis

#: Counts who is alive by the server's clock, and says that we are.
_ALIVE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return redis.call('ZCARD', KEYS[1])
"""

# KEYS: the leases of some partitions, then their events streams. ARGV: how many partitions, COUNT, then the
# token of each. Gives the positions of leases that are not ours any more, and the new entries of the rest: a
# worker that was paused past its lease can not take entries away from the new holder.
_READ = """
local n = tonumber(ARGV[1])
local lost, streams, ids = {}, {}, {}
for i = 1, n do
  if redis.call('GET', KEYS[i]) == ARGV[2 + i] then
    streams[#streams + 1] = KEYS[n + i]
    ids[#ids + 1] = '>'
  else
    lost[#lost + 1] = i
  end
end
if #streams == 0 then return {lost, false} end
for i = 1, #ids do streams[#streams + 1] = ids[i] end
return {lost, redis.call('XREADGROUP', 'GROUP', 'sessions', 'lease-holder', 'COUNT', ARGV[2],
                         'STREAMS', unpack(streams))}
"""

# KEYS: lease, events, records, dead, then a session and a seen key for each session.
# ARGV: token, trim id or '', life of what sessions carry (ms); number of records, then kind and body of
# each; number of dead letters, then data, reason, where, node of each; number of sessions, then carry
# and newly seen ids of each; then the entries to acknowledge.
_HAND_ON = """
local holder = redis.call('GET', KEYS[1])
if holder ~= ARGV[1] then return redis.error_reply('LEASELOST ' .. (holder or 'nobody')) end
local at = 4
local records = tonumber(ARGV[at])
at = at + 1
for _ = 1, records do
  redis.call('XADD', KEYS[3], '*', 'k', ARGV[at], 'b', ARGV[at + 1])
  at = at + 2
end
local dead = tonumber(ARGV[at])
at = at + 1
for _ = 1, dead do
  redis.call('XADD', KEYS[4], '*', 'd', ARGV[at], 'reason', ARGV[at + 1], 'where', ARGV[at + 2],
             'node', ARGV[at + 3])
  at = at + 4
end
local sessions = tonumber(ARGV[at])
at = at + 1
for i = 1, sessions do
  local carried, seen = KEYS[3 + 2 * i], KEYS[4 + 2 * i]
  redis.call('SET', carried, ARGV[at], 'PX', ARGV[3])
  if #ARGV[at + 1] > 0 then redis.call('APPEND', seen, ARGV[at + 1]) end
  redis.call('PEXPIRE', seen, ARGV[3])
  at = at + 2
end
while at <= #ARGV do
  local stop = math.min(at + 999, #ARGV)
  redis.call('XACK', KEYS[2], 'sessions', unpack(ARGV, at, stop))
  at = stop + 1
end
if #ARGV[2] > 0 then redis.call('XTRIM', KEYS[2], 'MINID', '=', ARGV[2]) end
return records
"""


class Entry(NamedTuple):
    """One entry of an events stream; `data` is null when the entry was trimmed while pending."""

    id: bytes
    data: bytes | None


class Carried(NamedTuple):
    """What a session hands to its next turn: its carry (JSON) and the ids newly seen (8 bytes each)."""

    session: str
    carry: bytes
    seen: bytes


@dataclass(slots=True)
class HandOn:
    """Everything that leaves one partition in one step."""

    records: list[tuple[str, bytes]] = field(default_factory=list)
    dead: list[tuple[bytes, str, str, str]] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)
    done: list[str | bytes] = field(default_factory=list)
    #: Entries before this id are needed by nobody any more.
    trim: bytes = b""


class Partitions:
    """The partitions of one sessions worker. `clock` gives monotonic seconds."""

    def __init__(self, redis: Redis, owner: str, ttl_s: float, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._owner = owner
        self._ttl_ms = int(ttl_s * 1000)
        self._clock = clock
        self._trusted_until: dict[int, float] = {}
        self._delivered: dict[int, bytes] = {}  # partition -> last delivered id of its group
        self._hand_on_sha = ""

    @property
    def owned(self) -> list[int]:
        """The partitions whose lease is ours by our own clock, in order."""
        now = self._clock()
        return sorted(p for p, until in self._trusted_until.items() if now < until)

    def balance(self) -> tuple[list[int], list[int]]:
        """Renew what is ours, then take free partitions, or release some, up to a fair share.

        Gives the partitions gained and lost. Called every third of a lease's life.
        """
        before = set(self._trusted_until)
        alive = int(self._redis.eval(_ALIVE, 1, keys.WORKERS, self._owner, str(self._ttl_ms)))
        self._renew()
        share = -(-keys.PARTITIONS // alive)
        held = sorted(self._trusted_until)
        if len(held) > share:
            self._release(held[share:])
        elif len(held) < share:
            self._acquire(share - len(held))
        after = set(self._trusted_until)
        return sorted(after - before), sorted(before - after)

    def leave(self) -> None:
        """Release everything and sign off: the others need not wait for our leases to expire."""
        self._release(sorted(self._trusted_until))
        self._redis.zrem(keys.WORKERS, self._owner)

    def backlog(self, partition: int, *, page: int = 1000) -> Iterator[list[Entry]]:
        """Read the pending entries of a partition just gained, in order, page by page."""
        stream = keys.events_key(partition)
        after = b"0"
        while True:
            reply = command(
                self._redis, "XREADGROUP", "GROUP", keys.GROUP, keys.CONSUMER,
                "COUNT", page, "STREAMS", stream, after,
            )  # fmt: skip
            entries = _entries(reply[0][1]) if reply else []
            if not entries:
                return
            yield entries
            after = entries[-1].id

    def read(self, count: int, block_ms: int) -> dict[int, list[Entry]]:
        """Read new entries of all owned partitions; waits up to `block_ms` for the first one."""
        owned = self.owned
        if not owned:
            return {}
        found = self._read_new(owned, count)
        if found or not block_ms:
            return found
        # A plain XREAD takes nothing from anybody, so it needs no lease while it waits.
        names = [keys.events_key(p) for p in owned]
        after = [self._delivered[p] for p in owned]
        if not command(self._redis, "XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", *names, *after):
            return {}
        return self._read_new(owned, count)

    def pending(self) -> dict[int, int]:
        """Count the entries delivered and not acknowledged, for each owned partition, in one round trip."""
        owned = self.owned
        pipe = self._redis.pipeline(transaction=False)
        for partition in owned:
            pipe.xpending(keys.events_key(partition), keys.GROUP)
        return {p: reply["pending"] for p, reply in zip(owned, pipe.execute(), strict=True)}

    def carried(self, sessions: Sequence[tuple[int, str]]) -> list[tuple[bytes | None, bytes]]:
        """Fetch what sessions carried from earlier turns, in one round trip: (carry, seen ids) each."""
        pipe = self._redis.pipeline(transaction=False)
        for partition, session in sessions:
            pipe.mget(keys.session_key(partition, session), keys.seen_key(partition, session))
        return [(carry, seen or b"") for carry, seen in pipe.execute()]

    def hand_on(self, work: dict[int, HandOn]) -> list[int]:
        """Let work leave its partitions, each in one step; gives the partitions that were lost.

        Raises the client's error when Redis refuses for another reason (out of memory, say).
        """
        if not self._hand_on_sha:
            self._hand_on_sha = self._redis.script_load(_HAND_ON)
        pipe = self._redis.pipeline(transaction=False)
        for partition, leaving in work.items():
            pipe.evalsha(self._hand_on_sha, *self._arguments(partition, leaving))
        replies = dict(zip(work, pipe.execute(raise_on_error=False), strict=True))
        forgotten = {p: work[p] for p, reply in replies.items() if isinstance(reply, NoScriptError)}
        if forgotten:  # the server restarted and lost the script; it did not run
            self._hand_on_sha = ""
            return self.hand_on(forgotten) + self._lost(replies, set(forgotten))
        return self._lost(replies, set())

    def _lost(self, replies: dict[int, Any], handled: set[int]) -> list[int]:
        lost = []
        for partition, reply in replies.items():
            if partition in handled or not isinstance(reply, Exception):
                continue
            if "LEASELOST" not in str(reply):
                raise reply
            self._trusted_until.pop(partition, None)
            lost.append(partition)
        return lost

    def _token(self, partition: int) -> str:
        return f"{self._owner}#{partition}"

    def _arguments(self, partition: int, leaving: HandOn) -> list[Any]:
        carried_keys = chain.from_iterable(
            (keys.session_key(partition, c.session), keys.seen_key(partition, c.session))
            for c in leaving.carried
        )
        names = [
            keys.lease_key(partition),
            keys.events_key(partition),
            keys.records_key(partition),
            keys.dead_key(partition),
            *carried_keys,
        ]
        return [
            len(names),
            *names,
            self._token(partition),
            leaving.trim,
            self.carry_ttl_ms,
            len(leaving.records),
            *chain.from_iterable(leaving.records),
            len(leaving.dead),
            *chain.from_iterable(leaving.dead),
            len(leaving.carried),
            *chain.from_iterable((c.carry, c.seen) for c in leaving.carried),
            *leaving.done,
        ]

    #: Life of what sessions carry, in milliseconds; set by the worker from its settings.
    carry_ttl_ms: int = 35 * 86_400_000

    def _trust(self, partition: int, started: float) -> None:
        self._trusted_until[partition] = started + self._ttl_ms / 1000 * (1 - MARGIN)

    def _renew(self) -> None:
        held = sorted(self._trusted_until)
        started = self._clock()
        pipe = self._redis.pipeline(transaction=False)
        for partition in held:
            pipe.eval(RENEW, 1, keys.lease_key(partition), self._token(partition), str(self._ttl_ms))
        for partition, renewed in zip(held, pipe.execute(), strict=True):
            if renewed:
                self._trust(partition, started)
            else:
                del self._trusted_until[partition]

    def _acquire(self, wanted: int) -> None:
        started = self._clock()
        free = [p for p in range(keys.PARTITIONS) if p not in self._trusted_until]
        held = self._redis.mget([keys.lease_key(p) for p in free])
        candidates = [p for p, holder in zip(free, held, strict=True) if holder is None][:wanted]
        pipe = self._redis.pipeline(transaction=False)
        for partition in candidates:
            pipe.set(keys.lease_key(partition), self._token(partition), nx=True, px=self._ttl_ms)
            pipe.xgroup_create(keys.events_key(partition), keys.GROUP, id="0", mkstream=True)
            pipe.xinfo_groups(keys.events_key(partition))
        replies = pipe.execute(raise_on_error=False)
        for number, partition in enumerate(candidates):
            granted, made, groups = replies[3 * number : 3 * number + 3]
            for reply in (granted, made, groups):
                if isinstance(reply, Exception) and "BUSYGROUP" not in str(reply):
                    raise reply
            if granted:
                (group,) = (g for g in groups if g["name"] == keys.GROUP.encode())
                self._delivered[partition] = group["last-delivered-id"]
                self._trust(partition, started)

    def _release(self, partitions: Sequence[int]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for partition in partitions:
            self._trusted_until.pop(partition, None)
            pipe.eval(RELEASE, 1, keys.lease_key(partition), self._token(partition))
        pipe.execute()

    def _read_new(self, owned: list[int], count: int) -> dict[int, list[Entry]]:
        names = [keys.lease_key(p) for p in owned] + [keys.events_key(p) for p in owned]
        tokens = [self._token(p) for p in owned]
        try:
            lost, reply = self._redis.eval(_READ, len(names), *names, str(len(owned)), str(count), *tokens)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            # The server lost its data, groups included: what it has now was not delivered to anybody.
            self._recreate_groups(owned)
            raise LineDown("the server lost its consumer groups; they were made anew") from error
        for position in lost:
            self._trusted_until.pop(owned[position - 1], None)
        by_name = {keys.events_key(p).encode(): p for p in owned}
        found = {by_name[stream]: _entries(rows) for stream, rows in reply or ()}
        self._delivered.update((p, entries[-1].id) for p, entries in found.items())
        return found

    def _recreate_groups(self, partitions: list[int]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for partition in partitions:
            self._delivered[partition] = b"0"
            pipe.xgroup_create(keys.events_key(partition), keys.GROUP, id="0", mkstream=True)
        pipe.execute(raise_on_error=False)


def _entries(rows: list[Any]) -> list[Entry]:
    return [Entry(entry, flat[1] if flat else None) for entry, flat in rows]
