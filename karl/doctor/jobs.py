"""The jobs: whether somebody works on what waits, and what has failed.

Costs two round trips, however many jobs there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoPermissionError

from karl.counted import many
from karl.doctor.check import HERE, Check, Machine
from karl.doctor.server import Asked
from karl.jobs import keys, listing, table
from karl.stream.connect import asking

if TYPE_CHECKING:
    from redis import Redis

LINK = "jobs"

_LIST = "`karl jobs list`"


def check(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look at the queues. A line without jobs and without workers for them is well."""
    with ExitStack() as stack:
        redis = _redis(machine, line, stack)
        if redis is None:
            yield Check(LINK, "queues", "unknown", "Redis can not be asked")
            return
        try:
            found = listing.facts(redis)
        except NoPermissionError:
            seen = "this user of Redis may not look at jobs"
            yield Check(LINK, "queues", "unknown", seen, "put another into KARL_RQ_URL")
            return
    yield _queues(found)
    yield _failed(found)


def here(machine: Machine, line: Asked) -> Iterator[Check]:
    """Look for a jobs worker of this node."""
    with ExitStack() as stack:
        redis = _redis(machine, line, stack)
        if redis is None:
            return  # said of the queues already
        node = machine.settings.node
        names: list[Any] = [w for queue in table.QUEUES for w in redis.smembers(keys.workers_key(queue.name))]
        ours = [name for name in names if _node_of(name) == node and redis.exists(name)]
    if ours:
        yield Check(LINK, HERE, "ok", f"{many(len(ours), 'worker')} of {node} at work")
    else:
        yield Check(LINK, HERE, "fail", f"no jobs worker of {node} is at work", "`karl worker jobs QUEUE`")


def _redis(machine: Machine, line: Asked, stack: ExitStack) -> Redis | None:
    if machine.settings.rq_url:
        return stack.enter_context(asking(machine.settings.rq_url, "karl-doctor"))
    return line.redis


def _queues(found: list[listing.QueueFacts]) -> Check:
    there = {one.queue: one.waiting + one.scheduled + one.running for one in found}
    left = [one.queue for one in found if there[one.queue] and not one.served]
    if left:
        told = ", ".join(f"{many(there[queue], 'job')} in {queue}" for queue in left)
        hint = " and ".join(f"`karl worker jobs {queue}`" for queue in left)
        return Check(LINK, "queues", "warn", f"{told}, and nobody works there", hint)
    told = ", ".join(
        f"{one.queue}: {many(one.workers, 'worker')}, {one.running} running, {one.waiting} waiting"
        for one in found
        if one.workers
    )
    return Check(LINK, "queues", "ok", told or "no jobs, and no workers for them")


def _failed(found: list[listing.QueueFacts]) -> Check:
    failed = {one.queue: one.failed for one in found if one.failed}
    if not failed:
        return Check(LINK, "failed", "ok", "none")
    told = ", ".join(f"{many(count, 'job')} in {queue}" for queue, count in failed.items())
    return Check(LINK, "failed", "warn", told, f"{_LIST} says why; `karl jobs retry ID`")


def _node_of(worker: bytes) -> str:
    return worker.decode("utf-8", "replace").removeprefix(keys.worker_key("")).rsplit(":", 2)[0]
