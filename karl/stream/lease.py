"""The right to do what only one may do: at most one holder at a time, for a bounded time.

    waiting --- acquired ---> holding --- released / expired / replaced ---> waiting

A lease is granted by Redis and trusted by the clock only until `trusted()` says no. That moment is
counted from before the attempt, not from its answer, and lies a margin before Redis would let
another in: a slow answer can shorten our turn, never lengthen it.

Invariants:
- Terms only grow: a new term is above the last one in Redis and above the floor that the caller
  knows (the newest term on the ledger's disk), so losing Redis does not bring an old term back.
- Release and renewal name their term: an old holder can never end a newer turn.

Not here: what the holder does, and the fence at the resource itself (`karl.ledger.writer` checks
the term at each append; the sessions worker's hand-on checks the token inside Redis).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from karl.errors import LeaseLost

if TYPE_CHECKING:
    from redis import Redis

#: The part of a lease's life that we do not use, for clocks that run at different speeds.
MARGIN = 0.1

#: How many of our own lives another's lease may last at most. The server keeps its end as a time of day:
#: were its clock set back, what a dead process left would last as much longer.
OLD_CLOCK = 10

# A server that is full must still let somebody write the ledger, which empties it.
_ACQUIRE = """#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if holder then
  redis.call('PEXPIRE', KEYS[1], ARGV[4], 'LT')
  return {0, holder}
end
local term = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[2], string.format('%d', term))
redis.call('SET', KEYS[1], ARGV[1] .. '#' .. string.format('%d', term), 'PX', ARGV[2])
return {term, ''}
"""

#: Extends a key's life if it still holds our token. Shared with the partition leases.
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

#: Deletes a key if it still holds our token. Shared with the partition leases.
RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

#: The same, and wakes one of those who wait: what is left for nobody is forgotten after ARGV[2] ms.
_HAND_OVER = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('RPUSH', KEYS[2], ARGV[1])
return redis.call('PEXPIRE', KEYS[2], ARGV[2])
"""


class Lease:
    """A named lease with a term. `clock` gives monotonic seconds; on `wake_key` its end is told."""

    def __init__(
        self,
        redis: Redis,
        *,
        key: str,
        term_key: str,
        wake_key: str,
        owner: str,
        ttl_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._redis = redis
        self._key = key
        self._term_key = term_key
        self._wake_key = wake_key
        self._owner = owner
        self._ttl_s = ttl_s
        self._clock = clock
        self._trusted_until = float("-inf")
        self.term = 0

    @property
    def token(self) -> str:
        """What the key holds while the lease is ours."""
        return f"{self._owner}#{self.term}"

    def trusted(self) -> bool:
        """Say whether nobody else can hold the lease at this moment, by our own clock."""
        return self._clock() < self._trusted_until

    def acquire(self, floor: int) -> str | None:
        """Try once to take the lease with a term above `floor`; give the present holder if it is taken."""
        started = self._clock()
        given = self._owner, str(self._ttl_ms), str(floor), str(OLD_CLOCK * self._ttl_ms)
        term, holder = self._redis.eval(_ACQUIRE, 2, self._key, self._term_key, *given)
        if not term:
            return str(holder.decode())
        self.term = int(term)
        self._trust_from(started)
        return None

    def wait(self, seconds: float) -> None:
        """Wait until the holder gives the lease back, or so long: one that died tells nobody."""
        self._redis.blpop([self._wake_key], timeout=seconds)

    def renew(self) -> None:
        """Extend the lease. Raises LeaseLost when it is not ours any more."""
        started = self._clock()
        if not self._redis.eval(RENEW, 1, self._key, self.token, str(self._ttl_ms)):
            self._trusted_until = float("-inf")
            holder = self._redis.get(self._key)
            raise LeaseLost(self._key, holder.decode() if isinstance(holder, bytes) else None)
        self._trust_from(started)

    def release(self) -> None:
        """Give the lease back and wake one who waits for it."""
        self._trusted_until = float("-inf")
        self._redis.eval(_HAND_OVER, 2, self._key, self._wake_key, self.token, str(self._ttl_ms))

    @property
    def _ttl_ms(self) -> int:
        return int(self._ttl_s * 1000)

    def _trust_from(self, started: float) -> None:
        self._trusted_until = started + self._ttl_s * (1 - MARGIN)
