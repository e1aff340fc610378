"""What a worker does with a job: take it, say that it runs, end it one way or another.

    queued --- claim ---> started --- succeed ---> finished
    started --- fail ---> scheduled, while it has attempts; else failed
    started --- stop ---> stopped        started --- give_back ---> queued, at the front

Invariants:
- A run is ours until another worker takes it up, which it may when its execution has expired by the server's
  clock. What is not ours is not changed.
- A job runs only if it says that it waits, and the gate lets it through; else it is failed, with the reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from karl.jobs import gate, keys, presence, queues
from karl.jobs.gate import Denied
from karl.jobs.queues import Claim

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

#: Bytes of a failed job's report above which it is left out: what is too large could not be tried again.
_REPORT_MAX = gate.LARGEST // 2

_log = logging.getLogger("karl")


def claim(redis: Redis, queue: str, worker: str, *, lease_s: int, wait_s: float) -> Claim | None:
    """Take the next job of a queue and begin it; null when none came in time, or it may not run.

    The run lives for `lease_s` after each `beat`. Raises the client's error.
    """
    moved: bytes | None = redis.blmove(keys.queue_key(queue), keys.moved_key(queue), wait_s)  # type: ignore[arg-type,assignment]
    if moved is None:
        return None
    name = moved.decode("ascii", "replace")
    if not gate.ID.fullmatch(name):
        redis.lrem(keys.moved_key(queue), 0, moved)  # type: ignore[arg-type]
        _log.warning("jobs: %a in the queue %s is no id of a job; dropped", name[:100], queue)
        return None
    return queues.changed(redis, keys.job_key(name), _Beginning(redis, queue, name, worker, lease_s))


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The change from waiting to running, or to being refused."""

    redis: Redis
    queue: str
    name: str
    worker: str
    lease_s: int

    def __call__(self, pipe: Pipeline) -> Claim | None:
        """Begin the job, if it may run."""
        raw = queues.read(pipe, self.name)
        told = gate.told(self.name, raw)
        asked = reason = None
        if told.status == "queued":
            try:
                asked = gate.asked(raw, self.queue)
            except Denied as error:
                reason = str(error)
                _log.error("jobs: %s in the queue %s was refused: %a", self.name, self.queue, reason)
        else:
            _log.warning("jobs: %s was in the queue, but is %a; dropped", self.name, told.status[:20])
        pipe.multi()
        pipe.lrem(keys.moved_key(self.queue), 0, self.name)
        if reason:
            queues.denied(self.redis, pipe, self.queue, told, reason)
        if not asked:
            return None
        pipe.delete(queues.mark(asked, self.queue))
        made = queues.make(self.redis, self.name, asked, self.queue, told)
        return queues.begun(pipe, made, asked, self.worker, self.lease_s)


def beat(claim: Claim, worker: str, lease_s: int, progress: dict[str, Any] | None = None) -> bool | None:
    """Say that a run lives, and how far it is; true when it shall end, null when it is not ours."""
    pipe = claim.made.connection.pipeline(transaction=False)
    pipe.zscore(_running(claim), claim.run.composite_key)
    pipe.expire(claim.run.key, lease_s)
    pipe.hget(claim.made.key, keys.STOP)
    presence.beat(pipe, worker, lease_s)
    if progress is not None:
        claim.made.meta = progress
        pipe.hset(claim.made.key, "meta", msgspec.json.encode(progress))
    ours, lives, stop, *_ = pipe.execute()
    if ours is None:
        return None
    if not lives:
        claim.run.save(lease_s)  # the server was away for longer than the lease, and nobody took the job
    return bool(stop == b"1")


def succeed(claim: Claim, worker: str, result: Any) -> bool:
    """Keep what a job found; false when the run is ours no more."""
    return _ended(claim, lambda pipe: queues.succeeded(pipe, claim, worker, result))


def fail(claim: Claim, worker: str, reason: str, *, again: bool, report: Any = None) -> bool:
    """Keep why a job failed; with `again` it waits for its next attempt, while it has one.

    `report` is what it found all the same, and stands in its meta. False when the run is ours no more.
    """
    if report is not None:
        size = len(msgspec.json.encode(report))
        kept = report if size <= _REPORT_MAX else f"left out: {size:,} bytes"
        claim.made.meta = {**claim.made.meta, "report": kept}
    return _failed(claim, worker, reason, again=claim.asked if again else None)


def stop(claim: Claim, worker: str) -> bool:
    """Keep that a job was ended because somebody wanted it; false when the run is ours no more."""
    return _failed(claim, worker, "cancelled while it ran", stopped=True)


def _failed(
    claim: Claim, worker: str, reason: str, *, again: gate.Asked | None = None, stopped: bool = False
) -> bool:
    return _ended(
        claim,
        lambda pipe: queues.failed(
            pipe, claim.made, reason, worker, run=claim.run, again=again, stopped=stopped
        ),
    )


def give_back(claim: Claim) -> bool:
    """Put a job back to the front of its queue, as if it had never begun; false when it is ours no more."""
    mark = queues.mark(claim.asked, claim.queue)
    return _ended(claim, lambda pipe: queues.wait_again(pipe, claim.made, mark, at_front=True))


def _ended(claim: Claim, change: Callable[[Pipeline], None]) -> bool:
    def end(pipe: Pipeline) -> bool:
        if pipe.zscore(_running(claim), claim.run.composite_key) is None:
            return False  # who takes a job up takes it out there, and writes the job that is watched here
        pipe.multi()
        change(pipe)
        claim.run.delete(claim.made, pipe)
        return True

    return queues.changed(claim.made.connection, claim.made.key, end)


def _running(claim: Claim) -> str:
    return keys.state_key(keys.WIP, claim.queue)
