"""What people ask of jobs: to run one, to end one, to try one again.

(nothing) --- enqueue ---> queued        queued, scheduled --- cancel ---> canceled
started --- cancel ---> asked to stop    failed, stopped, canceled --- retry ---> queued
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from karl.errors import NotFound, Refused
from karl.jobs import gate, keys, queues
from karl.jobs.gate import Asked, Denied

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

_WAITING = {"queued", "scheduled", "deferred"}
_ENDED_BADLY = {"failed", "stopped", "canceled"}


class Enqueued(NamedTuple):
    """A job that waits. `new` is false where the same one waited already."""

    id: str
    new: bool


def enqueue(redis: Redis, asked: Asked, queue: str | None = None) -> Enqueued:
    """Put a job into its queue, unless the same one waits there.

    Raises Refused for a queue that it does not run in, and the client's error.
    """
    queue = queue or asked.job.queue
    if queue not in asked.job.queues:
        runs = ", ".join(asked.job.queues)
        raise Refused(f"the job {asked.job.name} does not run in the queue {queue!r}; it runs in {runs}")
    made = queues.make(redis, None, asked, queue)
    mark = queues.mark(asked, queue)

    def put(pipe: Pipeline) -> Enqueued:
        if waiting := _waiting(pipe, mark):
            return Enqueued(waiting, new=False)
        pipe.multi()
        queues.wait_again(pipe, made, mark)
        return Enqueued(made.id, new=True)

    return queues.changed(redis, mark, put)


def once(redis: Redis, asked: Asked, name: str, *, again: bool = True) -> Enqueued:
    """Put a job into its own queue under an id that its asker chose, unless it or one like it is there.

    With `again`, one of this id that has ended is put there anew; else it stays as it is while it is known.
    Raises Refused for an id that RQ does not take, and the client's error.
    """
    if not gate.ID.fullmatch(name):
        raise Refused(f"{name[:200]!r} can not be the id of a job: only letters, digits, - and _")
    key, queue = keys.job_key(name), asked.job.queue
    mark = queues.mark(asked, queue)
    there = {"started", *_WAITING}

    def put(pipe: Pipeline) -> Enqueued:
        status = queues.status(pipe, name)
        if status in there or (status and not again):
            return Enqueued(name, new=False)
        if waiting := _waiting(pipe, mark):
            return Enqueued(waiting, new=False)
        pipe.multi()
        _cleared(pipe, name, queue)
        queues.wait_again(pipe, queues.make(redis, name, asked, queue), mark)
        return Enqueued(name, new=True)

    return queues.changed(redis, key, put)


def cancel(redis: Redis, name: str) -> str:
    """Take a job out of its queue, or ask its worker to end it; gives `canceled` or `asked`.

    Raises NotFound, Refused for a job that has ended, and the client's error.
    """
    key = _existing(redis, name)

    def end(pipe: Pipeline) -> str:
        told = gate.told(name, queues.read(pipe, name))
        if told.status not in {"started", *_WAITING}:
            raise Refused(f"the job {name} can not be cancelled: it is {told.status[:20] or 'no job'}")
        pipe.multi()
        if told.status == "started":
            pipe.hset(key, keys.STOP, 1)
            return "asked"
        queues.canceled(pipe, told)
        return "canceled"

    return queues.changed(redis, key, end)


def retry(redis: Redis, name: str) -> Enqueued:
    """Put a job that ended without a result into its queue again, with all its attempts.

    Raises NotFound; Refused for another one, and for one that may not run at all; and the client's error.
    """
    key = _existing(redis, name)

    def again(pipe: Pipeline) -> Enqueued:
        raw = queues.read(pipe, name)
        told = gate.told(name, raw)
        if told.status not in _ENDED_BADLY:
            raise Refused(f"the job {name} can not be retried: it is {told.status[:20] or 'no job'}")
        try:
            asked = gate.asked(raw, told.queue)
        except Denied as error:
            raise Refused(f"the job {name} can not be retried: {error}") from None
        mark = queues.mark(asked, told.queue)
        if waiting := _waiting(pipe, mark):
            return Enqueued(waiting, new=False)
        pipe.multi()
        _cleared(pipe, name, told.queue)
        queues.wait_again(pipe, queues.make(redis, name, asked, told.queue), mark)
        return Enqueued(name, new=True)

    return queues.changed(redis, key, again)


def _cleared(pipe: Pipeline, name: str, queue: str) -> None:
    """Write, in a transaction, that a job which ended has not."""
    for state in (keys.FINISHED, keys.FAILED, keys.CANCELED):
        pipe.zrem(keys.state_key(state, queue), name)
    pipe.persist(keys.job_key(name))
    pipe.hdel(keys.job_key(name), keys.STOP, "meta")


def _waiting(redis: Redis, mark: str) -> str | None:
    """Give the job that a mark names, if it waits indeed."""
    found: bytes | None = redis.get(mark)  # type: ignore[assignment]
    name = found.decode("ascii", "replace") if found else ""
    return name if gate.ID.fullmatch(name) and queues.status(redis, name) in _WAITING else None


def _existing(redis: Redis, name: str) -> str:
    if not gate.ID.fullmatch(name) or not redis.exists(keys.job_key(name)):
        raise NotFound(f"there is no job {name[:200]!r}; `karl jobs list` shows those that there are")
    return keys.job_key(name)
