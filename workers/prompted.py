"""Asks for the job `route` while prompts wait for a prediction, so that it is a job as all others are.

Invariants:
- One waits or runs at a time: it drains what there is, and stays while prompts keep coming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from karl.jobs import asking, gate, keys, table
from karl.stream.routing import waiting

if TYPE_CHECKING:
    from redis import Redis

JOB = "route"


class Prompted:
    """Looks whether prompts wait: `line` is the line's server, `redis` that of the jobs."""

    def __init__(self, redis: Redis, line: Redis) -> None:
        self._redis = redis
        self._line = line
        self._job = table.find(JOB)

    def look(self) -> None:
        """Ask for the job, if it is needed. Raises the clients' errors."""
        if not waiting(self._line) or self._redis.zcard(keys.state_key(keys.WIP, self._job.queue)):
            return
        asking.enqueue(self._redis, gate.Asked(self._job, self._job.arguments()))

    def ask_to_end(self) -> None:
        """Nothing runs here."""

    def close(self) -> None:
        """Nothing is held here but the line's connection, which its owner closes."""
        self._line.close()
