"""Partitions are shared fairly, survive their holder, and let work go only while it is theirs."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from karl.errors import LineDown
from karl.stream import dead_letters, keys
from karl.stream.partitions import Carried, HandOn, Partitions
from tests.conftest import wait_until


def worker(redis: Redis, owner: str, ttl_s: float = 30.0) -> Partitions:
    return Partitions(redis, owner, ttl_s, time.monotonic)


def test_one_worker_takes_all_and_a_second_gets_half(redis: Redis) -> None:
    first, second = worker(redis, "a"), worker(redis, "b")
    gained, lost = first.balance()
    assert (len(gained), lost) == (64, [])
    second.balance()
    _, lost = first.balance()
    assert len(lost) == 32
    gained, _ = second.balance()
    assert sorted(gained) == sorted(lost)
    assert not set(first.owned) & set(second.owned)


def test_a_worker_that_leaves_makes_room_at_once(redis: Redis) -> None:
    first, second = worker(redis, "a"), worker(redis, "b")
    first.balance()
    first.leave()
    gained, _ = second.balance()
    assert len(gained) == 64


def test_a_silent_workers_partitions_go_to_the_others_with_its_backlog_in_order(redis: Redis) -> None:
    first, second = worker(redis, "a", ttl_s=0.5), worker(redis, "b")
    ids = [redis.xadd(keys.events_key(7), {"d": str(n)}) for n in range(2500)]
    first.balance()
    assert len(first.read(10_000, 100)[7]) == 2500
    wait_until(lambda: not redis.exists(keys.lease_key(7)), "the lease expires")
    second.balance()
    pages = list(second.backlog(7))
    assert [entry.id for page in pages for entry in page] == ids
    assert len(pages) > 1
    assert second.read(10, 1) == {}


def test_work_leaves_in_one_step_records_carry_seen_acks_and_trim(redis: Redis) -> None:
    ours = worker(redis, "a")
    ours.balance()
    ids = [redis.xadd(keys.events_key(3), {"d": str(n)}) for n in range(4)]
    ours.read(100, 1)
    leaving = HandOn(
        records=[("trajectory", b'{"id":"t1"}'), ("events", b"{}")],
        dead=[(b"junk", "no reason", "sessions", "n1")],
        carried=[Carried("s1", b'{"turn":1}', b"12345678")],
        done=list(ids[:3]),
        trim=ids[3],
    )
    assert ours.hand_on({3: leaving}) == []
    records = redis.execute_command("XRANGE", keys.records_key(3), "-", "+")
    assert [fields[b"k"] if isinstance(fields, dict) else fields[1] for _, fields in records] == [
        b"trajectory",
        b"events",
    ]
    assert ours.carried([(3, "s1"), (3, "unknown")]) == [(b'{"turn":1}', b"12345678"), (None, b"")]
    assert redis.xpending(keys.events_key(3), keys.GROUP)["pending"] == 1
    assert redis.xlen(keys.events_key(3)) == 1
    assert redis.pttl(keys.session_key(3, "s1")) > 0
    (letter,) = dead_letters.read(redis)
    assert (letter.data, letter.reason, letter.where, letter.node) == (b"junk", "no reason", "sessions", "n1")
    assert dead_letters.count(redis) == 1


def test_seen_ids_are_added_to_those_of_earlier_turns(redis: Redis) -> None:
    ours = worker(redis, "a")
    ours.balance()
    for part in (b"aaaaaaaa", b"", b"bbbbbbbb"):
        ours.hand_on({0: HandOn(carried=[Carried("s", b"{}", part)])})
    assert ours.carried([(0, "s")]) == [(b"{}", b"aaaaaaaabbbbbbbb")]


def test_a_worker_paused_past_its_lease_can_not_hand_anything_on(redis: Redis) -> None:
    sleeper, other = worker(redis, "a", ttl_s=0.1), worker(redis, "b")
    sleeper.balance()
    entry = redis.xadd(keys.events_key(5), {"d": "x"})
    sleeper.read(10, 1)
    wait_until(lambda: not redis.exists(keys.lease_key(5)), "the lease expires")
    other.balance()
    assert sleeper.hand_on({5: HandOn(records=[("events", b"{}")], done=[entry])}) == [5]
    assert redis.xlen(keys.records_key(5)) == 0
    assert redis.xpending(keys.events_key(5), keys.GROUP)["pending"] == 1
    assert 5 not in sleeper.owned


def test_a_large_turn_is_acknowledged_whole(redis: Redis) -> None:
    ours = worker(redis, "a")
    ours.balance()
    pipe = redis.pipeline()
    for n in range(20_000):
        pipe.xadd(keys.events_key(1), {"d": str(n)})
    ids = pipe.execute()
    while ours.read(5000, 1):
        pass
    ours.hand_on({1: HandOn(records=[("trajectory", b"{}")], done=ids)})
    assert redis.xpending(keys.events_key(1), keys.GROUP)["pending"] == 0


def test_a_restarted_server_that_lost_the_script_gets_it_again(redis: Redis) -> None:
    ours = worker(redis, "a")
    ours.balance()
    ours.hand_on({1: HandOn(records=[("events", b"1")])})
    redis.script_flush()
    assert ours.hand_on({1: HandOn(records=[("events", b"2")]), 2: HandOn(records=[("events", b"3")])}) == []
    assert redis.xlen(keys.records_key(1)) == 2
    assert redis.xlen(keys.records_key(2)) == 1


def test_lost_consumer_groups_are_made_anew_at_the_beginning_of_the_stream(redis: Redis) -> None:
    ours = worker(redis, "a")
    ours.balance()
    redis.delete(*(keys.events_key(p) for p in range(64)))
    redis.xadd(keys.events_key(9), {"d": "kept"})
    with pytest.raises(LineDown, match="made anew"):
        ours.read(10, 1)
    assert [entry.data for entry in ours.read(10, 1)[9]] == [b"kept"]


def test_sessions_spread_over_all_partitions() -> None:
    assert {keys.partition_of(f"session-{n}") for n in range(5000)} == set(range(64))
    assert keys.partition_of("\ud800 lone") in range(64)
