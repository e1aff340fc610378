"""RQ's forms: the one place that imports it. What a job, a run and a result look like in Redis.

Invariants:
- Nothing here unpickles: RQ's default serializer is replaced by JSON for this process.
- A job's function, callbacks and webhooks are never resolved: what waits is read by `karl.jobs.gate`, and
  RQ's own reading of a job (`Job.fetch`) is not used.
- Each change is one transaction that holds only while what it was decided by stays as it was.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
from redis.exceptions import ResponseError, WatchError
from rq.defaults import RQ_KEY_PREFIX
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.results import Result
from rq.serializers import DefaultSerializer, JSONSerializer
from rq.utils import now, utcformat

from karl.errors import SettingsError
from karl.jobs import gate, keys, table

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

if RQ_KEY_PREFIX != keys.PREFIX:
    raise SettingsError(f"RQ_KEY_PREFIX={RQ_KEY_PREFIX}: the keys of KARL's jobs begin with rq; unset it")

# Whatever in RQ is not told which serializer to use takes this class: it must not be able to unpickle.
DefaultSerializer.dumps = JSONSerializer.dumps
DefaultSerializer.loads = JSONSerializer.loads

for _name in ("rq.job", "rq.queue", "rq.registry"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # they log what stands in Redis as it stands

#: Seconds for which a mark says that a job waits; a forgotten one does no harm for longer.
_WAITING_TTL_S = 7 * 86_400
#: Seconds for which a job that was refused can be looked at.
DENIED_TTL_S = 7 * 86_400
#: Characters of the last failure that a job which waits for its next attempt shows.
_LAST_FAILURE_MAX = 2000

_LARGE = (b"data", b"meta")
_SMALL = tuple(
    field.encode()
    for field in (
        *gate.EXTRAS, "origin", "status", "description", "created_at", "enqueued_at", "started_at",
        "ended_at", "worker_name", "retries_left", keys.STOP,
    )
)  # fmt: skip

_T = TypeVar("_T")


class Claim(NamedTuple):
    """A job that a worker has begun: what it is, and RQ's forms of the job and of this run."""

    id: str
    asked: gate.Asked
    queue: str
    made: Job
    run: Execution


def begun(pipe: Pipeline, made: Job, asked: gate.Asked, worker: str, lease_s: int) -> Claim:
    """Write, in a transaction, that a job runs; the run lives for `lease_s`."""
    run = Execution.create(made, lease_s, pipeline=pipe, worker_name=worker)
    # Kept until its worker or the upkeep takes it out: RQ's own cleaning goes by the clock of who looks.
    pipe.zadd(keys.state_key(keys.WIP, made.origin), {run.composite_key: "+inf"})
    made.prepare_for_execution(worker, pipeline=pipe)
    pipe.persist(made.key)
    return Claim(made.id, asked, made.origin, made, run)


def wait_again(pipe: Pipeline, made: Job, mark: str, *, at_front: bool = False) -> None:
    """Write, in a transaction, that a job waits in its queue, and that one like it does."""
    made._status = JobStatus.QUEUED  # noqa: SLF001 - RQ sets it so, in a step that asks the server for its version
    made.enqueued_at = now()
    made.save(pipeline=pipe)
    pipe.sadd(keys.QUEUES, keys.queue_key(made.origin))
    (pipe.lpush if at_front else pipe.rpush)(keys.queue_key(made.origin), made.id)
    pipe.set(mark, made.id, ex=_WAITING_TTL_S)


def succeeded(pipe: Pipeline, claim: Claim, worker: str, result: Any) -> None:
    """Write, in a transaction, what a job found."""
    made, run, ttl_s = claim.made, claim.run, claim.asked.job.result_ttl_s
    made.ended_at = now()
    made._result = result  # noqa: SLF001 - as RQ's worker does
    made._handle_success(ttl_s, pipe, worker, run.id, run.created_at, made.ended_at)  # noqa: SLF001
    pipe.expire(made.key, ttl_s)


def failed(
    pipe: Pipeline,
    made: Job,
    reason: str,
    worker: str,
    *,
    run: Execution | None = None,
    again: gate.Asked | None = None,
    stopped: bool = False,
) -> None:
    """Write, in a transaction, why a run failed, and what follows: the end, or another attempt.

    `again` is what to try again, if it has attempts left. `stopped` says that somebody wanted it ended.
    """
    text = reason[: gate.LARGEST]
    ttl_s = made.failure_ttl or DENIED_TTL_S
    made.ended_at = now()
    about = (run.id, run.created_at, made.ended_at) if run else (None, None, None)
    Result.create_failure(made, ttl_s, text, worker, pipe, *about)
    if again and made.retries_left:
        wait_s = again.job.waits[max(0, len(again.job.waits) - made.retries_left)]
        made.retries_left -= 1
        made.meta = {**made.meta, "last_failure": text[-_LAST_FAILURE_MAX:]}
        made._status = JobStatus.SCHEDULED  # noqa: SLF001
        made.save(pipeline=pipe)
        at = now() + timedelta(seconds=wait_s)
        pipe.zadd(keys.state_key(keys.SCHEDULED, made.origin), {made.id: at.timestamp()})
        pipe.set(mark(again, made.origin), made.id, ex=_WAITING_TTL_S)
        return
    made._status = JobStatus.STOPPED if stopped else JobStatus.FAILED  # noqa: SLF001
    made.save(pipeline=pipe)
    pipe.zadd(keys.state_key(keys.FAILED, made.origin), {made.id: now().timestamp() + ttl_s})
    pipe.expire(made.key, ttl_s)


def denied(redis: Redis, pipe: Pipeline, queue: str, told: gate.JobFacts, reason: str) -> None:
    """Write, in a transaction, that a job was refused; of what it would call, only the name is left."""
    made = Job(told.id, connection=redis, serializer=JSONSerializer)
    made.origin = queue
    made.func_name, made.instance, made.args, made.kwargs = "refused", None, [], {"called": told.name}
    made.description = f"refused: {gate.harmless(told.name)}"
    made.failure_ttl = DENIED_TTL_S
    pipe.hdel(made.key, *gate.EXTRAS, "meta", "result")
    failed(pipe, made, f"refused: {reason}", "")


def canceled(pipe: Pipeline, told: gate.JobFacts) -> None:
    """Write, in a transaction, that a job which waited shall not run."""
    key = keys.job_key(told.id)
    pipe.lrem(keys.queue_key(told.queue), 0, told.id)
    pipe.zrem(keys.state_key(keys.SCHEDULED, told.queue), told.id)
    pipe.hset(key, mapping={"status": JobStatus.CANCELED.value, "ended_at": utcformat(now())})
    pipe.zadd(keys.state_key(keys.CANCELED, told.queue), {told.id: now().timestamp() + DENIED_TTL_S})
    pipe.expire(key, DENIED_TTL_S)


def make(
    redis: Redis, name: str | None, asked: gate.Asked, queue: str, told: gate.JobFacts | None = None
) -> Job:
    """Make RQ's form of a job from the table; of what it said of itself, dates, attempts and meta stay."""
    job = asked.job
    made = Job(name, connection=redis, serializer=JSONSerializer)
    made.func_name, made.instance, made.args, made.kwargs = job.name, None, [], given(asked.arguments)
    made.origin = queue
    words = (f"{key}={json.dumps(value)}" for key, value in made.kwargs.items())
    made.description = f"{job.name}({', '.join(words)})"
    made.timeout = job.timeout_s
    made.result_ttl, made.failure_ttl = job.result_ttl_s, job.failure_ttl_s
    made.retry_intervals = list(job.waits) or None
    made.retries_left = min(told.retries_left, len(job.waits)) if told else len(job.waits)
    if told:
        made.created_at = _date(told.created_at) or made.created_at
        made.enqueued_at, made.started_at = _date(told.enqueued_at), _date(told.started_at)
        made.meta = told.meta
    return made


def given(arguments: table.Arguments) -> dict[str, Any]:
    """Give the arguments that are not at their defaults."""
    usual = msgspec.to_builtins(type(arguments)())
    return {key: value for key, value in msgspec.to_builtins(arguments).items() if value != usual[key]}


def mark(asked: gate.Asked, queue: str) -> str:
    """Name the mark that says that such a job waits."""
    return keys.waiting_key(queue, asked.job.name, msgspec.json.encode(asked.arguments))


def changed(redis: Redis, watched: str, change: Callable[[Pipeline], _T]) -> _T:
    """Do one transaction that holds only while a key stays as it was read.

    `change` reads first, calls `multi` and writes; one that does not call it changes nothing.
    """
    while True:
        with redis.pipeline() as pipe:
            try:
                pipe.watch(watched)  # type: ignore[no-untyped-call]
                made = change(pipe)
                if pipe.explicit_transaction:
                    pipe.execute()
            except WatchError:
                continue
            return made


def read(redis: Redis, name: str) -> dict[bytes, bytes]:
    """Read what the gate looks at of a job: only its state of one that is too large."""
    key = keys.job_key(name)
    try:
        size = sum(redis.hstrlen(key, field.decode()) for field in (*_LARGE, *_SMALL))
        fields = (*_SMALL, *_LARGE) if size <= 2 * gate.LARGEST else (b"status", b"origin")
        values: list[Any] = redis.hmget(key, [field.decode() for field in fields])
    except ResponseError as error:
        if "WRONGTYPE" in str(error):
            return {}
        raise
    return {field: value for field, value in zip(fields, values, strict=True) if value is not None}


def status(redis: Redis, name: str) -> str:
    """Give the state of a job; empty when there is none."""
    return gate.told(name, read(redis, name)).status


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
