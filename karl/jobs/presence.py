"""A worker as `karl jobs` and rq-dashboard see it: a hash in Redis that expires with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from karl.jobs import keys

if TYPE_CHECKING:
    from redis import Redis


def beat(pipe: Redis, name: str, lease_s: int) -> None:
    """Say, in a pipeline, that a worker lives."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    pipe.hset(keys.worker_key(name), "last_heartbeat", at)
    pipe.expire(keys.worker_key(name), lease_s)


def say(redis: Redis, name: str, queue: str, about: Mapping[str, str], lease_s: int) -> None:
    """Say that a worker of a queue lives; `about` are fields as RQ's workers have them."""
    key = keys.worker_key(name)
    pipe = redis.pipeline()
    fields: dict[Any, Any] = {**about, "queues": queue}
    pipe.hset(key, mapping=fields)
    pipe.sadd(keys.WORKERS, key)
    pipe.sadd(keys.workers_key(queue), key)
    pipe.sadd(keys.QUEUES, keys.queue_key(queue))
    beat(pipe, name, lease_s)
    pipe.execute()


def leave(redis: Redis, name: str, queue: str) -> None:
    """Say that a worker is gone."""
    key = keys.worker_key(name)
    pipe = redis.pipeline()
    pipe.delete(key, f"{key}:executions")
    pipe.srem(keys.WORKERS, key)
    pipe.srem(keys.workers_key(queue), key)
    pipe.execute()
