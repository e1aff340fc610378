"""What any worker of a queue does for all: what the dead left behind, what is due, what is too old.

Invariants:
- Two workers that do the same at one time do it once: each change is a transaction on what it was decided by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from karl.jobs import gate, keys, queues
from karl.jobs.gate import Denied

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

#: Jobs that one round takes of those that are due.
_DUE_MAX = 64


def due(redis: Redis, queue: str, now_s: float) -> int:
    """Put jobs whose pause is over by Unix time `now_s` into the queue; gives how many."""
    key = keys.state_key(keys.SCHEDULED, queue)
    if not redis.zrangebyscore(key, "-inf", now_s, start=0, num=1):
        return 0

    def put(pipe: Pipeline) -> int:
        names: Any = pipe.zrangebyscore(key, "-inf", now_s, start=0, num=_DUE_MAX)
        waiting = [name for name in names if _state(pipe, name) == "scheduled"]
        pipe.multi()
        if names:
            pipe.zrem(key, *names)
        for name in waiting:
            pipe.hset(keys.job_key(name.decode()), "status", "queued")
            pipe.rpush(keys.queue_key(queue), name)
        return len(waiting)

    return queues.changed(redis, key, put)


class Sweeper:
    """Finds, for one queue, the jobs of workers that are gone; remembers what it saw the last time."""

    def __init__(self, redis: Redis, queue: str, worker: str, lease_s: float) -> None:
        self._redis = redis
        self._queue = queue
        self._worker = worker
        self._lease_s = lease_s
        self._moved_since: dict[bytes, float] = {}

    def sweep(self, clock_s: float) -> int:
        """Take up what was left, at `clock_s` of a clock that only grows; gives how many jobs.

        A run whose execution has expired is tried again or failed. What lies between waiting and running for
        longer than the lease goes back to the front of the queue.
        """
        members: Any = self._redis.zrange(keys.state_key(keys.WIP, self._queue), 0, -1)
        count = sum(self._abandoned(member) for member in members if not self._lives(member))
        moved: Any = self._redis.lrange(keys.moved_key(self._queue), 0, -1)
        self._moved_since = {name: self._moved_since.get(name, clock_s) for name in moved}
        for name, since in self._moved_since.items():
            if clock_s - since > self._lease_s:
                count += self._put_back(name)
        return count

    def _lives(self, member: bytes) -> bool:
        return bool(self._redis.exists(keys.execution_key(member.decode("utf-8", "replace"))))

    def _abandoned(self, member: bytes) -> int:
        wip = keys.state_key(keys.WIP, self._queue)
        name = member.decode("utf-8", "replace").partition(":")[0]
        if not gate.ID.fullmatch(name):
            self._redis.zrem(wip, member)
            return 0

        def take(pipe: Pipeline) -> int:
            raw = queues.read(pipe, name)
            told = gate.told(name, raw)
            left = told.status == "started" and pipe.zscore(wip, member) is not None
            pipe.multi()
            pipe.zrem(wip, member)
            if left:
                self._taken(pipe, raw, told)
            return int(left)

        return queues.changed(self._redis, keys.job_key(name), take)

    def _taken(self, pipe: Pipeline, raw: dict[bytes, bytes], told: gate.JobFacts) -> None:
        reason = f"its worker, {told.worker or 'unknown'}, went away while it ran"
        try:
            asked = gate.asked(raw, self._queue)
        except Denied as error:
            queues.denied(self._redis, pipe, self._queue, told, f"{error}; {reason}")
            return
        made = queues.make(self._redis, told.id, asked, self._queue, told)
        again = None if told.stop else asked
        queues.failed(pipe, made, reason, self._worker, again=again, stopped=told.stop)

    def _put_back(self, name: bytes) -> int:
        moved = keys.moved_key(self._queue)

        def put(pipe: Pipeline) -> int:
            lying: Any = pipe.lrange(moved, 0, -1)
            pipe.multi()
            pipe.lrem(moved, 0, name)  # type: ignore[arg-type]
            if name in lying:
                pipe.lpush(keys.queue_key(self._queue), name)
            return int(name in lying)

        return queues.changed(self._redis, moved, put)


def tidy(redis: Redis, queue: str, now_s: float) -> None:
    """Forget ended jobs whose time is over by Unix time `now_s`, and workers that are gone."""
    pipe = redis.pipeline(transaction=False)
    for state in (keys.FINISHED, keys.FAILED, keys.CANCELED):
        pipe.zremrangebyscore(keys.state_key(state, queue), 0, now_s)
    pipe.execute()
    for worker in redis.smembers(keys.workers_key(queue)):
        if not redis.exists(worker):
            redis.srem(keys.workers_key(queue), worker)
            redis.srem(keys.WORKERS, worker)


def _state(redis: Redis, name: bytes) -> str:
    text = name.decode("ascii", "replace")
    return queues.status(redis, text) if gate.ID.fullmatch(text) else ""
