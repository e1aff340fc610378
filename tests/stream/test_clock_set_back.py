"""A server whose clock was set back keeps what the dead had held; whoever finds it cuts that short."""

from __future__ import annotations

import time

from redis import Redis

from karl.stream import keys
from karl.stream.lease import OLD_CLOCK, Lease
from karl.stream.partitions import Partitions
from tests.conftest import wait_until

DAY_MS = 86_400_000


def lease(redis: Redis, ttl_s: float) -> Lease:
    return Lease(
        redis,
        key=keys.LEDGER_LEASE,
        term_key=keys.LEDGER_TERM,
        wake_key=keys.LEDGER_WAKE,
        owner="new",
        ttl_s=ttl_s,
        clock=time.monotonic,
    )


def test_a_dead_writers_lease_that_would_last_a_day_is_taken_over_soon(redis: Redis) -> None:
    redis.set(keys.LEDGER_LEASE, "dead#7", px=DAY_MS)
    redis.set(keys.LEDGER_TERM, 7)
    new = lease(redis, 0.03)
    assert new.acquire(0) == "dead#7"
    assert redis.pttl(keys.LEDGER_LEASE) <= OLD_CLOCK * 30
    wait_until(lambda: new.acquire(0) is None, "the lease has ended")
    assert new.term == 8


def test_a_living_writers_lease_is_not_cut(redis: Redis) -> None:
    holder, other = lease(redis, 30), lease(redis, 10)
    assert holder.acquire(0) is None
    before = redis.pexpiretime(keys.LEDGER_LEASE)
    assert other.acquire(0) == "new#1"
    assert redis.pexpiretime(keys.LEDGER_LEASE) == before


def test_partitions_and_the_share_of_a_dead_worker_are_taken_over_soon(redis: Redis) -> None:
    redis.zadd(keys.WORKERS, {"dead": (time.time() + 86_400) * 1000})
    for partition in range(64):
        redis.set(keys.lease_key(partition), f"dead#{partition}", px=DAY_MS)
    new = Partitions(redis, "new", 0.03, time.monotonic, carry_ttl_ms=60_000)
    new.balance()
    assert redis.zrange(keys.WORKERS, 0, -1) == [b"new"]
    assert all(redis.pttl(keys.lease_key(p)) <= OLD_CLOCK * 30 for p in range(64))
    wait_until(lambda: not redis.exists(keys.lease_key(63)), "the leases have ended")
    gained, _ = new.balance()
    assert len(gained) == 64
