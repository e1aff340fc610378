"""A lease has one holder at a time, its terms only grow, and it is trusted no longer than it lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from redis import Redis

from karl.errors import LeaseLost
from karl.stream import keys
from karl.stream.lease import Lease
from tests.conftest import wait_until


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(redis: Redis, clock: Clock) -> Callable[..., Lease]:
    def make(owner: str, ttl_s: float = 30.0) -> Lease:
        return Lease(
            redis,
            key=keys.LEDGER_LEASE,
            term_key=keys.LEDGER_TERM,
            wake_key=keys.LEDGER_WAKE,
            owner=owner,
            ttl_s=ttl_s,
            clock=clock,
        )

    return make


def test_the_second_to_ask_learns_who_holds_it(lease: Callable[..., Lease]) -> None:
    first, second = lease("a"), lease("b")
    assert first.acquire(0) is None
    assert second.acquire(0) == "a#1"
    assert not second.trusted()


def test_terms_grow_over_releases_and_above_the_floor(lease: Callable[..., Lease]) -> None:
    holder = lease("a")
    terms = []
    for floor in (0, 0, 41, 3):
        assert holder.acquire(floor) is None
        terms.append(holder.term)
        holder.release()
    assert terms == [1, 2, 42, 43]


def test_a_server_that_forgot_its_term_does_not_give_out_an_old_one(
    lease: Callable[..., Lease], redis: Redis
) -> None:
    holder = lease("a")
    holder.acquire(0)
    redis.flushall()
    again = lease("b")
    again.acquire(holder.term)
    assert again.term > holder.term


def test_trust_ends_before_the_lease_does_and_renewal_extends_it(
    lease: Callable[..., Lease], clock: Clock
) -> None:
    holder = lease("a", ttl_s=30.0)
    holder.acquire(0)
    clock.now += 26
    assert holder.trusted()
    holder.renew()
    clock.now += 26
    assert holder.trusted()
    clock.now += 2
    assert not holder.trusted()


def test_trust_is_counted_from_before_the_call(redis: Redis, clock: Clock) -> None:
    class Slow:
        """A client whose answers take nine tenths of the lease's life."""

        def eval(self, *args: object) -> object:
            reply = redis.eval(*args)  # type: ignore[arg-type]
            clock.now += 27
            return reply

    holder = Lease(
        Slow(),
        key=keys.LEDGER_LEASE,
        term_key=keys.LEDGER_TERM,
        wake_key=keys.LEDGER_WAKE,
        owner="a",
        ttl_s=30.0,
        clock=clock,  # type: ignore[arg-type]
    )
    assert holder.acquire(0) is None
    assert not holder.trusted()


def test_an_old_holder_can_neither_renew_nor_end_a_newer_turn(
    lease: Callable[..., Lease], redis: Redis
) -> None:
    old, new = lease("a", ttl_s=0.05), lease("b")
    old.acquire(0)
    wait_until(lambda: not redis.exists(keys.LEDGER_LEASE), "the lease expires")
    assert new.acquire(0) is None
    with pytest.raises(LeaseLost, match="b#2 holds it"):
        old.renew()
    assert not old.trusted()
    old.release()
    new.renew()


def test_one_who_waits_is_woken_when_the_lease_is_given_back(
    lease: Callable[..., Lease], redis: Redis
) -> None:
    first, second = lease("a"), lease("b")
    first.acquire(0)
    woken = threading.Event()

    def stand_by() -> None:
        second.wait(30)
        woken.set()

    waiter = threading.Thread(target=stand_by)
    waiter.start()
    wait_until(lambda: redis.info("clients")["blocked_clients"], "it waits")
    first.release()
    assert woken.wait(10)
    waiter.join()
    assert second.acquire(0) is None
    assert not redis.exists(keys.LEDGER_WAKE)


def test_a_release_that_nobody_waits_for_is_forgotten(lease: Callable[..., Lease], redis: Redis) -> None:
    holder = lease("a", ttl_s=0.05)
    holder.acquire(0)
    holder.release()
    wait_until(lambda: not redis.exists(keys.LEDGER_WAKE), "nothing is left of it")


def test_an_old_holder_wakes_nobody(lease: Callable[..., Lease], redis: Redis) -> None:
    old, new = lease("a", ttl_s=0.05), lease("b")
    old.acquire(0)
    wait_until(lambda: not redis.exists(keys.LEDGER_LEASE), "the lease expires")
    new.acquire(0)
    old.release()
    assert not redis.exists(keys.LEDGER_WAKE)
