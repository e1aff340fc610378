"""Keeps the data of jobs that wait: a training may wait for its node for longer than its bundle lasts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from karl.errors import KarlError
from karl.jobs import gate, keys, queues, table
from karl.stream import bundles
from workers.launching import TTL_S
from workers.loop import every

if TYPE_CHECKING:
    from redis import Redis

#: Seconds between two looks.
_EVERY_S = 3600.0
#: Jobs of a state that one look takes.
_MOST = 200

_log = logging.getLogger("karl")


class DataKept:
    """Looks which data the jobs of the queue `train` need: `line` is the line's server, `redis` the jobs'."""

    def __init__(self, redis: Redis, line: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._line = line
        self._due = every(_EVERY_S, clock)

    def look(self) -> None:
        """Have the data last, if it is time to. Raises the clients' errors."""
        if not self._due():
            return
        for name in sorted(self._needed()):
            try:
                there = bundles.refresh(self._line, name, TTL_S)
            except KarlError as error:
                _log.warning("jobs: data that a training waits with is no good: %s", error)
            else:
                if not there:
                    _log.warning("jobs: data that a training waits with is gone: %s", name[:12])

    def ask_to_end(self) -> None:
        """Nothing runs here."""

    def close(self) -> None:
        """Nothing is held here but the line's connection, which its owner closes."""
        self._line.close()

    def _needed(self) -> set[str]:
        queue = "train"
        waiting: Any = self._redis.lrange(keys.queue_key(queue), 0, _MOST - 1)
        for state in (keys.SCHEDULED, keys.WIP):
            more: Any = self._redis.zrange(keys.state_key(state, queue), 0, _MOST - 1)
            waiting = [*waiting, *more]
        found = set()
        for member in waiting:
            name = member.decode("ascii", "replace").partition(":")[0]
            if not gate.ID.fullmatch(name):
                continue
            try:
                asked = gate.asked(queues.read(self._redis, name), queue)
            except gate.Denied:
                continue  # who takes it says so
            if isinstance(asked.arguments, table.Train):
                found.add(asked.arguments.data)
        return found
