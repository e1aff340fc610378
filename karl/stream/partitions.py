"""Partitions: which ones this worker reads, what waits in them, and how work leaves them.

    free --- acquired ---> ours --- released / expired / taken by another ---> free

Invariants:
- A partition is read by the holder of its lease only. Reading changes nothing in Redis, so a worker
  that was paused through the end of its lease can not take anything away from the new holder.
- What is in the stream is what is still needed: the stream is trimmed behind the oldest open turn, and
  a new holder reads it from its beginning. Events in between that were handed on before are known by
  their ids, which were stored in the same step as their record.
- Work leaves a partition in one step inside Redis (`hand_on`): the records go in, what the sessions
  carry is stored, the stream is trimmed and the consumer group moved - or, if the lease is not ours
  any more, nothing happens. A paused worker can not emit twice.
- Worker lifetimes are judged by the server's clock; the clocks of machines need not agree.

The consumer group is the committed position and the lag, for whoever looks at the stream. Its pending
entries list stays empty: reading through it cost the server more than all the rest together
(docs/decisions.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from redis.exceptions import NoScriptError

from karl.stream import keys
from karl.stream.connect import command
from karl.stream.lease import MARGIN, OLD_CLOCK, RELEASE, RENEW

if TYPE_CHECKING:
    from redis import Redis

# `allow-oom`: a server that is full takes no more events, but who empties it must be able to write.

#: Counts who is alive by the server's clock, and says that we are.
_ALIVE = """#!lua flags=allow-oom
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[3], '+inf') -- said before the clock was set back
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return redis.call('ZCARD', KEYS[1])
"""

#: Takes a partition's lease if it is free, and makes its stream and its group if there are none.
_TAKE = """#!lua flags=allow-oom
local taken = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
local made = redis.pcall('XGROUP', 'CREATE', KEYS[2], 'sessions', '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
return taken
"""

# KEYS: lease, events, records, dead, then a session and a seen key for each session.
# ARGV: token, life of what sessions carry (ms), trim id or '', last folded id or '', entries folded so
# far; number of records, then kind and body of each; number of dead letters, then entry, data, reason,
# where, node of each; number of sessions, then carry and newly seen ids of each.
_HAND_ON = """#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if holder ~= ARGV[1] then return redis.error_reply('LEASELOST ' .. (holder or 'nobody')) end
local at = 6
local records = tonumber(ARGV[at])
at = at + 1
for _ = 1, records do
  redis.call('XADD', KEYS[3], '*', 'k', ARGV[at], 'b', ARGV[at + 1])
  at = at + 2
end
local dead = tonumber(ARGV[at])
at = at + 1
for _ = 1, dead do
  redis.call('XADD', KEYS[4], '*', 'd', ARGV[at + 1], 'reason', ARGV[at + 2], 'where', ARGV[at + 3],
             'node', ARGV[at + 4])
  redis.call('XDEL', KEYS[2], ARGV[at])
  at = at + 5
end
local sessions = tonumber(ARGV[at])
at = at + 1
for i = 1, sessions do
  local carried, seen = KEYS[3 + 2 * i], KEYS[4 + 2 * i]
  redis.call('SET', carried, ARGV[at], 'PX', ARGV[2])
  if #ARGV[at + 1] > 0 then redis.call('APPEND', seen, ARGV[at + 1]) end
  redis.call('PEXPIRE', seen, ARGV[2])
  at = at + 2
end
if #ARGV[3] > 0 then redis.call('XTRIM', KEYS[2], 'MINID', '=', ARGV[3]) end
if #ARGV[4] > 0 then
  local moved = redis.pcall('XGROUP', 'SETID', KEYS[2], 'sessions', ARGV[4], 'ENTRIESREAD', ARGV[5])
  if moved.err then -- the server lost its data, the group included
    redis.call('XGROUP', 'CREATE', KEYS[2], 'sessions', ARGV[4], 'MKSTREAM', 'ENTRIESREAD', ARGV[5])
  end
end
return records
"""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of an events stream."""

    id: bytes
    data: bytes


def order_of(entry: str | bytes) -> tuple[int, int]:
    """Give an entry's id as numbers, which stand in the order of the stream."""
    ms, n = entry.split("-") if isinstance(entry, str) else entry.split(b"-")
    return int(ms), int(n)


def after(entry: tuple[int, int]) -> tuple[int, int]:
    """Give the first id behind one."""
    return entry[0], entry[1] + 1


#: An id that no entry has.
NO_ENTRY = b"0-0"


class DeadEntry(NamedTuple):
    """An entry that can not be folded: it leaves its stream for the dead letters."""

    id: str | bytes
    data: bytes
    reason: str
    where: str
    node: str


class Carried(NamedTuple):
    """What a session hands to its next turn: its carry (JSON) and the marks of what left."""

    session: str
    carry: bytes
    seen: bytes


@dataclass(slots=True)
class HandOn:
    """Everything that leaves one partition in one step."""

    records: list[tuple[str, bytes]] = field(default_factory=list)
    dead: list[DeadEntry] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)
    #: Entries before this id are needed by nobody any more.
    trim: bytes = b""
    #: The last entry that was folded, where the consumer group is moved to.
    folded: bytes = b""


class Partitions:
    """The partitions of one sessions worker. `clock` gives monotonic seconds.

    `ttl_s` is the life of a lease, `carry_ttl_ms` that of what sessions carry.
    """

    def __init__(
        self, redis: Redis, owner: str, ttl_s: float, clock: Callable[[], float], *, carry_ttl_ms: int
    ) -> None:
        self._redis = redis
        self._owner = owner
        self._ttl_ms = int(ttl_s * 1000)
        self._clock = clock
        self._carry_ttl_ms = carry_ttl_ms
        self._trusted_until: dict[int, float] = {}
        self._position: dict[int, bytes] = {}  # partition -> last entry read
        self._folded: dict[int, int] = {}  # partition -> entries folded since its stream began
        self._hand_on_sha = ""
        #: What the server said of commands that went out with the last read, where it did not take them.
        self.refused: list[Exception] = []

    @property
    def owned(self) -> list[int]:
        """The partitions whose lease is ours by our own clock, in order."""
        now = self._clock()
        return sorted(p for p, until in self._trusted_until.items() if now < until)

    def balance(self) -> tuple[list[int], list[int]]:
        """Renew what is ours, then take free partitions, or release some, up to a fair share.

        Gives the partitions gained and lost; one whose lease had ended meanwhile is both, because
        somebody else may have worked on it. Called every third of a lease's life.
        """
        before = set(self._trusted_until)
        given = self._owner, str(self._ttl_ms), str(OLD_CLOCK * self._ttl_ms)
        alive = int(self._redis.eval(_ALIVE, 1, keys.WORKERS, *given))
        self._renew()
        renewed = set(self._trusted_until)
        share = -(-keys.PARTITIONS // alive)
        held = sorted(self._trusted_until)
        if len(held) > share:
            self._release(held[share:])
        elif len(held) < share:
            self._acquire(share - len(held))
        after = set(self._trusted_until)
        return sorted(after - renewed), sorted(before - (renewed & after))

    def leave(self) -> None:
        """Release everything and sign off: the others need not wait for our leases to expire."""
        self._release(sorted(self._trusted_until))
        self._redis.zrem(keys.WORKERS, self._owner)

    def start_over(self, partitions: Sequence[int]) -> None:
        """Read partitions from the beginning of their streams again.

        In one round trip: one for each would outlast the leases where the server is far away.
        """
        pipe = self._redis.pipeline(transaction=False)
        for partition in partitions:
            pipe.xinfo_stream(keys.events_key(partition))
        for partition, stream in zip(partitions, pipe.execute(), strict=True):
            self._position[partition] = b"0"
            self._forget_count(partition, stream)

    def read(self, count: int, block_ms: int, first: Sequence[Sequence[Any]] = ()) -> dict[int, list[Entry]]:
        """Read on in all owned partitions; waits up to `block_ms` (0: not at all) for the first entry.

        Commands that are to go out `first` share the round trip; what became of them is in `refused`.
        """
        self.refused = []
        owned = self.owned
        if not owned:
            return {}
        names = {keys.events_key(p).encode(): p for p in owned}
        block = ["BLOCK", block_ms] if block_ms else []
        after = [self._position[p] for p in owned]
        words = ["XREAD", "COUNT", count, *block, "STREAMS", *names, *after]
        reply = self._after(first, words) if first else command(self._redis, *words)
        found = {
            names[stream]: [Entry(entry, flat[1]) for entry, flat in rows] for stream, rows in reply or ()
        }
        for partition, entries in found.items():
            self._position[partition] = entries[-1].id
        return found

    def _after(self, first: Sequence[Sequence[Any]], words: Sequence[Any]) -> Any:
        """Send commands, and then the one whose reply is wanted: one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for one in (*first, words):
            pipe.execute_command(*one)  # type: ignore[no-untyped-call]
        *replies, reply = pipe.execute(raise_on_error=False)
        self.refused = [one for one in replies if isinstance(one, Exception)]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def folded(self, partition: int, entries: int) -> None:
        """Count entries as folded, for the lag that the consumer group shows."""
        self._folded[partition] += entries

    def carried(self, sessions: Sequence[tuple[int, str]]) -> list[tuple[bytes | None, bytes]]:
        """Fetch what sessions carried from earlier turns, in one round trip: (carry, seen ids) each."""
        places: dict[int, list[int]] = {}
        for at, (partition, _) in enumerate(sessions):
            places.setdefault(partition, []).append(at)
        # One command a partition: its keys share a hash tag, and a command a session costs thrice as much.
        pipe = self._redis.pipeline(transaction=False)
        for partition, these in places.items():
            names = [sessions[at][1] for at in these]
            pipe.mget(
                [keys.session_key(partition, name) for name in names]
                + [keys.seen_key(partition, name) for name in names]
            )
        found: list[tuple[bytes | None, bytes]] = [(None, b"")] * len(sessions)
        for these, values in zip(places.values(), pipe.execute(), strict=True):
            for at, carry, seen in zip(these, values, values[len(these) :], strict=False):
                found[at] = carry, seen or b""
        return found

    def hand_on(self, work: dict[int, HandOn]) -> list[int]:
        """Let work leave its partitions, each in one step; gives the partitions that were lost.

        Raises the client's error when Redis refuses for another reason (out of memory, say).
        """
        if not self._hand_on_sha:
            self._hand_on_sha = self._redis.script_load(_HAND_ON)
        # Each step stands for itself. In one transaction they cost a server that syncs its file before it
        # answers one sync; else it would sync at each piece that it reads of them, eighty times.
        pipe = self._redis.pipeline(transaction=True)
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
            self._carry_ttl_ms,
            leaving.trim,
            leaving.folded,
            self._folded.get(partition, 0),
            len(leaving.records),
            *chain.from_iterable(leaving.records),
            len(leaving.dead),
            *chain.from_iterable(leaving.dead),
            len(leaving.carried),
            *chain.from_iterable((c.carry, c.seen) for c in leaving.carried),
        ]

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
        for partition, holder in zip(free, held, strict=True):
            if holder is not None:
                pipe.pexpire(keys.lease_key(partition), OLD_CLOCK * self._ttl_ms, lt=True)
        pipe.execute()
        for partition in candidates:
            names = keys.lease_key(partition), keys.events_key(partition)
            pipe.eval(_TAKE, 2, *names, self._token(partition), str(self._ttl_ms))
            pipe.xinfo_stream(keys.events_key(partition))
        replies = pipe.execute(raise_on_error=False)
        for number, partition in enumerate(candidates):
            granted, stream = replies[2 * number : 2 * number + 2]
            for reply in (granted, stream):
                if isinstance(reply, Exception):
                    raise reply
            if granted:
                self._position[partition] = b"0"
                self._forget_count(partition, stream)
                self._trust(partition, started)

    def _forget_count(self, partition: int, stream: dict[str, int]) -> None:
        # What was trimmed was folded; a stream is only ever trimmed at its beginning.
        self._folded[partition] = stream["entries-added"] - stream["length"]

    def _release(self, partitions: Sequence[int]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for partition in partitions:
            self._trusted_until.pop(partition, None)
            pipe.eval(RELEASE, 1, keys.lease_key(partition), self._token(partition))
        pipe.execute()
