"""Partitions are shared fairly, survive their holder, and let work go only while it is theirs."""

from __future__ import annotations

import time

from redis import Redis

from karl.stream import dead_letters, keys
from karl.stream.partitions import Carried, DeadEntry, HandOn, Partitions
from tests.conftest import wait_until


def worker(redis: Redis, owner: str, ttl_s: float = 30.0) -> Partitions:
    return Partitions(redis, owner, ttl_s, time.monotonic, carry_ttl_ms=60_000)


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


def test_a_new_holder_reads_from_the_beginning_what_is_still_needed_in_order(redis: Redis) -> None:
    first, second = worker(redis, "a", ttl_s=0.5), worker(redis, "b")
    ids = [redis.xadd(keys.events_key(7), {"d": str(n)}) for n in range(2500)]
    first.balance()
    assert len(first.read(10_000, 100)[7]) == 2500
    first.hand_on({7: HandOn(trim=ids[500])})
    wait_until(lambda: not redis.exists(keys.lease_key(7)), "the lease expires")
    second.balance()
    read = []
    while found := second.read(1000, 0):
        read += [entry.id for entry in found[7]]
    assert read == ids[500:]


def test_reading_by_a_worker_that_lost_its_lease_takes_nothing_from_the_new_holder(redis: Redis) -> None:
    sleeper, other = worker(redis, "a", ttl_s=0.2), worker(redis, "b")
    sleeper.balance()
    sleeper._trusted_until = dict.fromkeys(
        sleeper._trusted_until, float("inf")
    )  # it was paused after its check
    wait_until(lambda: not redis.exists(keys.lease_key(5)), "the lease expires")
    other.balance()
    redis.xadd(keys.events_key(5), {"d": "x"})
    assert sleeper.read(10, 0)
    assert [entry.data for entry in other.read(10, 0)[5]] == [b"x"]


def test_work_leaves_in_one_step_records_carry_seen_dead_trim_and_position(redis: Redis) -> None:
    ours = worker(redis, "a")
    ours.balance()
    ids = [redis.xadd(keys.events_key(3), {"d": str(n)}) for n in range(5)]
    ours.read(100, 0)
    ours.folded(3, 5)
    leaving = HandOn(
        records=[("trajectory", b'{"id":"t1"}'), ("events", b"{}")],
        dead=[DeadEntry(ids[4], b"junk", "no reason", "sessions", "n1")],
        carried=[Carried("s1", b'{"turn":1}', b"12345678")],
        trim=ids[3],
        folded=ids[4],
    )
    assert ours.hand_on({3: leaving}) == []
    records = redis.xrange(keys.records_key(3))
    assert [dict(zip(flat[::2], flat[1::2], strict=True))[b"k"] for _, flat in records] == [
        b"trajectory",
        b"events",
    ]
    assert ours.carried([(3, "s1"), (3, "unknown")]) == [(b'{"turn":1}', b"12345678"), (None, b"")]
    assert [entry for entry, _ in redis.xrange(keys.events_key(3))] == [ids[3]]
    assert redis.pttl(keys.session_key(3, "s1")) > 0
    (letter,) = dead_letters.read(redis)
    assert (letter.data, letter.reason, letter.where, letter.node) == (b"junk", "no reason", "sessions", "n1")
    assert dead_letters.count(redis) == 1


def test_the_consumer_group_shows_how_many_events_were_not_folded_yet(redis: Redis) -> None:
    ours = worker(redis, "a")
    ours.balance()
    ids = [redis.xadd(keys.events_key(3), {"d": str(n)}) for n in range(10)]
    ours.read(4, 0)
    ours.folded(3, 4)
    ours.hand_on({3: HandOn(trim=ids[2], folded=ids[3])})
    (group,) = redis.xinfo_groups(keys.events_key(3))
    assert (group["lag"], group["last-delivered-id"], group["pending"]) == (6, ids[3], 0)
    heir = worker(redis, "b")
    ours.leave()
    heir.balance()
    heir.read(5, 0)
    heir.folded(3, 5)
    heir.hand_on({3: HandOn(trim=ids[6], folded=ids[6])})
    assert redis.xinfo_groups(keys.events_key(3))[0]["lag"] == 3


def test_seen_ids_are_added_to_those_of_earlier_turns(redis: Redis) -> None:
    ours = worker(redis, "a")
    ours.balance()
    for part in (b"aaaaaaaa", b"", b"bbbbbbbb"):
        ours.hand_on({0: HandOn(carried=[Carried("s", b"{}", part)])})
    assert ours.carried([(0, "s")]) == [(b"{}", b"aaaaaaaabbbbbbbb")]


def test_a_worker_paused_past_its_lease_can_not_hand_anything_on(redis: Redis) -> None:
    sleeper, other = worker(redis, "a", ttl_s=0.1), worker(redis, "b")
    sleeper.balance()
    redis.xadd(keys.events_key(5), {"d": "x"})
    sleeper.read(10, 0)
    wait_until(lambda: not redis.exists(keys.lease_key(5)), "the lease expires")
    other.balance()
    assert sleeper.hand_on({5: HandOn(records=[("events", b"{}")], trim=b"99999999999999-0")}) == [5]
    assert redis.xlen(keys.records_key(5)) == 0
    assert redis.xlen(keys.events_key(5)) == 1
    assert 5 not in sleeper.owned


def test_a_restarted_server_that_lost_the_script_gets_it_again(redis: Redis) -> None:
    ours = worker(redis, "a")
    ours.balance()
    ours.hand_on({1: HandOn(records=[("events", b"1")])})
    redis.script_flush()
    assert ours.hand_on({1: HandOn(records=[("events", b"2")]), 2: HandOn(records=[("events", b"3")])}) == []
    assert redis.xlen(keys.records_key(1)) == 2
    assert redis.xlen(keys.records_key(2)) == 1


def test_sessions_spread_over_all_partitions() -> None:
    assert {keys.partition_of(f"session-{n}") for n in range(5000)} == set(range(64))
    assert keys.partition_of("\ud800 lone") in range(64)
