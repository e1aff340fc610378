"""The right of one worker to use a machine's memory and processors for itself, as training does.

    (nobody) --- take ---> ours --- release / expired ---> (nobody)

Invariants:
- At most one worker of a node holds it, by the server's clock. It is trusted by our own clock until a margin
  before that, counted from before we asked: a slow answer shortens our turn, and never lengthens it.
- What is not ours is neither renewed nor released.

It is no fence: who loses it must end what runs. Commands alone, no scripts: a server of jobs allows no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from karl.jobs import keys
from karl.jobs.queues import changed

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

#: The part of its life that we do not use, for clocks that run at different speeds.
MARGIN = 0.1


class Alone:
    """The lease of one node; `owner` no other process is, `clock` gives seconds that only grow."""

    def __init__(self, redis: Redis, node: str, owner: str, ttl_s: int, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._key = keys.alone_key(node)
        self._owner = owner.encode()
        self._ttl_s = ttl_s
        self._clock = clock
        self._trusted_until = float("-inf")

    def take(self) -> str | None:
        """Try once to take or renew it; gives who has it where that is another. Raises the client's error."""
        started = self._clock()

        def put(pipe: Pipeline) -> bytes | None:
            holder: bytes | None = pipe.get(self._key)  # type: ignore[assignment]
            if holder not in {None, self._owner}:
                return holder
            pipe.multi()
            pipe.set(self._key, self._owner, ex=self._ttl_s)
            return None

        holder = changed(self._redis, self._key, put)
        self._trusted_until = float("-inf") if holder else started + self._ttl_s * (1 - MARGIN)
        return holder.decode("utf-8", "replace") if holder else None

    def trusted(self) -> bool:
        """Say whether nobody else can have it at this moment, by our own clock."""
        return self._clock() < self._trusted_until

    def release(self) -> None:
        """Give it back, if it is ours. Raises the client's error."""
        self._trusted_until = float("-inf")

        def drop(pipe: Pipeline) -> None:
            ours = pipe.get(self._key) == self._owner
            pipe.multi()
            if ours:
                pipe.delete(self._key)

        changed(self._redis, self._key, drop)
