"""What of promotion is told to Prometheus, and where it is left meanwhile."""

from __future__ import annotations

import pytest
from redis import Redis

from karl.errors import Unreadable
from karl.metrics import table
from karl.routing.policy import Policy
from karl.stream import keys
from karl.stream.judged import Judged, publish_judged, read_judged
from karl.stream.routing import is_on, publish_policy
from workers.watch import of_jobs


def told(redis: Redis) -> dict[str, float]:
    watches = of_jobs(redis)
    return {sample.metric.name: sample.value for watch in watches for sample in watch()}


def test_what_was_found_does_not_turn_routing_on(redis: Redis) -> None:
    publish_judged(redis, Judged(3, {"records": 12.0}, 1_790_000_000_000))
    assert not is_on(redis)
    assert read_judged(redis) is None
    assert told(redis) == {table.REDIS_UP.name: 1.0}


def test_mode_and_what_was_found_last_are_told(redis: Redis) -> None:
    publish_policy(redis, Policy(mode="active", ready=("a", "b"), overrides={"b": "regex", "c": "vector"}))
    assert told(redis)[table.ROUTING_MODE.name] == 1.0
    publish_judged(redis, Judged(1, {"records": 12.0, "vector": 0.5}, 1_790_000_000_000))
    found = told(redis)
    assert found[table.HYBRID_VECTOR.name] == 2
    assert found[table.HYBRID_REGEX.name] == 1
    assert found[table.PROMOTION_READY.name] == 0.0
    assert found[table.PROMOTION_MISSING.name] == 1
    assert found[table.ORGANIC.name] == 12.0
    assert found[table.VECTOR_ACCURACY.name] == 0.5
    assert table.REGEX_ACCURACY.name not in found
    assert found[table.PROMOTION_LOOK.name] == 1_790_000_000.0


def test_what_another_version_left_is_no_figure(redis: Redis) -> None:
    publish_policy(redis, Policy())
    redis.hset(keys.ROUTING, "judged", b"[1]")
    with pytest.raises(Unreadable):
        read_judged(redis)
    assert told(redis) == {table.REDIS_UP.name: 0.0}
