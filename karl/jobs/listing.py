"""What people see of jobs: each queue's numbers, the jobs in it, and what one gave. It only reads."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from karl.errors import NotFound
from karl.jobs import gate, keys, table

if TYPE_CHECKING:
    from redis import Redis

#: Where a queue's jobs of a state are named, and the word for it.
_SETS = (
    ("running", keys.WIP),
    ("scheduled", keys.SCHEDULED),
    ("failed", keys.FAILED),
    ("canceled", keys.CANCELED),
    ("finished", keys.FINISHED),
)
STATES = ("waiting", *(word for word, _ in _SETS))
#: States of what has not ended, and of each so many among which one is looked for by its label.
UNDER_WAY, _LOOKED_AT = ("running", "waiting", "scheduled"), 20
_FIELDS = (
    "data", "origin", "status", "description", "created_at", "enqueued_at", "started_at", "ended_at",
    "worker_name", "retries_left", "meta", keys.STOP,
)  # fmt: skip


class QueueFacts(msgspec.Struct, frozen=True):
    """How many jobs of a queue are in each state, and how many workers it has.

    `called` are workers of other queues that start one here when something waits.
    """

    queue: str
    waiting: int
    running: int
    scheduled: int
    failed: int
    canceled: int
    finished: int
    workers: int
    called: int = 0

    @property
    def served(self) -> bool:
        """Say whether somebody works here, or will when something waits."""
        return bool(self.workers or self.called)


class WorkerFacts(msgspec.Struct, frozen=True):
    """One worker of a queue that lives: its node, what it does, and what it says that it can."""

    name: str
    node: str
    state: str
    says: str
    capability: dict[str, Any]


class Given(NamedTuple):
    """What the last run of a job gave: its result, or why it failed."""

    result: Any
    failure: str | None


def facts(redis: Redis) -> list[QueueFacts]:
    """Ask for all queues: one round trip, and one for the workers. Raises the client's error."""
    pipe = redis.pipeline(transaction=False)
    for queue in table.QUEUES:
        pipe.llen(keys.queue_key(queue.name))
        for _, state in _SETS:
            pipe.zcard(keys.state_key(state, queue.name))
        pipe.smembers(keys.workers_key(queue.name))
    replies = pipe.execute()
    each = len(STATES) + 1
    rows = [replies[at : at + each] for at in range(0, len(replies), each)]
    also = _alive(redis, [worker for row in rows for worker in row[-1]])
    return [
        QueueFacts(
            queue.name,
            workers=sum(one in also for one in row[-1]),
            called=sum(queue.name in queues for queues in also.values()),
            **dict(zip(STATES, row[:-1], strict=True)),
        )
        for queue, row in zip(table.QUEUES, rows, strict=True)
    ]


def workers(redis: Redis, queue: str) -> list[WorkerFacts]:
    """Give the workers of a queue that live, by name."""
    known: Any = redis.smembers(keys.workers_key(queue))
    names = sorted(known)
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.hmget(name, ["birth", "hostname", "state", "python_version", "capability"])
    found = []
    for key, told in zip(names, pipe.execute(raise_on_error=False), strict=True):
        if not isinstance(told, list) or told[0] is None:
            continue
        host, state, says = ((text or b"")[:500].decode("utf-8", "replace") for text in told[1:4])
        name = key.decode("utf-8", "replace").removeprefix(keys.worker_key(""))
        found.append(WorkerFacts(name, name.partition(":")[0] or host, state, says, _object(told[4] or b"")))
    return found


def _object(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data[: gate.LARGEST], type=dict[str, Any]) if data else {}
    except (msgspec.DecodeError, RecursionError):
        return {}


def listed(redis: Redis, queue: str, state: str, limit: int) -> list[gate.JobFacts]:
    """Give the jobs of a queue in one of STATES: those that come next, else the newest first."""
    names: Any
    if state == "waiting":
        names = redis.lrange(keys.queue_key(queue), 0, limit - 1)
    else:
        key = keys.state_key(dict(_SETS)[state], queue)
        names = redis.zrange(key, 0, limit - 1, desc=state not in {"running", "scheduled"})
    shown = [name.decode("utf-8", "replace").partition(":")[0] for name in names]
    return [told for name in shown if gate.ID.fullmatch(name) and (told := _told(redis, name))]


def one(redis: Redis, name: str) -> tuple[gate.JobFacts, Given]:
    """Give one job and what its last run gave. Raises NotFound."""
    told = _told(redis, name) if gate.ID.fullmatch(name) else None
    if not told:
        raise NotFound(f"there is no job {name[:200]!r}; `karl jobs list` shows those that there are")
    return told, last_given(redis, name)


def under_way(redis: Redis, queue: str, kind: str, name: str) -> gate.JobFacts | None:
    """Find a job of a kind that has not ended, by its label or the beginning of the run that it tells of."""
    for one in (told for state in UNDER_WAY for told in listed(redis, queue, state, _LOOKED_AT)):
        figures = one.meta.get("progress")
        run = figures.get("run") if isinstance(figures, dict) else None
        data: Any = redis.hget(keys.job_key(one.id), "data")
        is_named = gate.arguments(data or b"").get("label") == name
        if one.name == kind and (is_named or (isinstance(run, str) and run.startswith(name))):
            return one
    return None


def last_given(redis: Redis, name: str) -> Given:
    """Give what the last run of a job gave; nothing when none has ended, or it makes no sense."""
    replies: Any = redis.xrevrange(keys.results_key(name), count=1)
    fields = replies[0][1] if replies else {}
    result, failure = fields.get(b"return_value"), fields.get(b"exc_string")
    try:
        text = gate.unpacked(base64.b64decode(failure)).decode("utf-8", "replace") if failure else None
        found = msgspec.json.decode(base64.b64decode(result)) if result else None
    except (binascii.Error, msgspec.DecodeError, RecursionError, gate.Denied):
        return Given(None, "what it gave can not be read")
    return Given(found, text)


def _told(redis: Redis, name: str) -> gate.JobFacts | None:
    kind: Any = redis.type(keys.job_key(name))
    if kind != b"hash":
        return None
    values: Any = redis.hmget(keys.job_key(name), list(_FIELDS))
    raw = {field.encode(): value for field, value in zip(_FIELDS, values, strict=True) if value is not None}
    return gate.told(name, raw)


def _alive(redis: Redis, workers: list[bytes]) -> dict[bytes, list[str]]:
    """Give those workers that live, with the queues that they start others for."""
    pipe = redis.pipeline(transaction=False)
    for worker in workers:
        pipe.hmget(worker, ["birth", "also"])
    found: dict[bytes, list[str]] = {}
    for worker, told in zip(workers, pipe.execute(raise_on_error=False), strict=True):
        if isinstance(told, list) and told[0] is not None:  # else it is gone, or was never one of ours
            found[worker] = (told[1] or b"").decode("utf-8", "replace").split(",")
    return found
