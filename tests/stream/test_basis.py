"""What is known of agents, kept in a real Redis: counted side by side, replaced whole, never in the way."""

from __future__ import annotations

from redis import Redis

from karl.reward.basis import Basis
from karl.reward.calibration import Calibration
from karl.reward.usual import Seen, Usual
from karl.stream import keys
from karl.stream.basis import (
    AGENTS_MAX,
    NAME_MAX,
    count_turns,
    publish_calibration,
    read_bases,
    replace_usual,
    withdraw_calibration,
)

LONG, SHORT = Seen(6, delivered=True), Seen(2, delivered=False)


def test_two_workers_count_into_one_sum(redis: Redis) -> None:
    count_turns(redis, {}, {("claude-code", LONG): 2, ("claude-code", SHORT): 1})
    count_turns(redis, {}, {("claude-code", LONG): 3, ("a|b", SHORT): 1})
    found = read_bases(redis)
    assert found["claude-code"].usual == Usual({6: 5, 2: 1}, delivered=5)
    assert found["a|b"] == Basis(Usual({2: 1}, delivered=0))


def test_nothing_seen_asks_nothing_of_the_server(redis: Redis) -> None:
    count_turns(redis, {}, {})
    assert not redis.exists(keys.USUAL)


def test_an_endless_name_and_one_agent_too_many_are_not_counted(redis: Redis) -> None:
    crowd = {str(number): Basis() for number in range(AGENTS_MAX)}
    count_turns(redis, crowd, {("x" * (NAME_MAX + 1), LONG): 1, ("new", LONG): 1, ("7", LONG): 1})
    assert list(read_bases(redis)) == ["7"]


def test_counts_that_replace_others_leave_nothing_of_them_and_the_rest_alone(redis: Redis) -> None:
    count_turns(redis, {}, {("one", LONG): 9, ("two", LONG): 1})
    replace_usual(redis, {"one": Usual({3: 4}, delivered=2)})
    found = read_bases(redis)
    assert found["one"].usual == Usual({3: 4}, delivered=2)
    assert found["two"].usual == Usual({6: 1}, delivered=1)


def test_a_calibration_is_known_until_it_is_withdrawn(redis: Redis) -> None:
    made = Calibration("c1", "claude-code", "2", 0.1, {"process": 1.0})
    publish_calibration(redis, made)
    assert read_bases(redis)["claude-code"].calibration == made
    assert withdraw_calibration(redis, "claude-code")
    assert not withdraw_calibration(redis, "claude-code")
    assert read_bases(redis) == {}


def test_what_another_version_left_there_counts_as_nothing(redis: Redis) -> None:
    redis.hset(keys.USUAL, mapping={"6|a": "many", "weight|a": 1, "-3|a": 2, "2|a": 5, b"4|\xff": 1})
    redis.hset(keys.CALIBRATIONS, mapping={"a": "{", "b": '{"id": 1}'})
    found = read_bases(redis)
    assert found["a"] == Basis(Usual({2: 5}, delivered=0))
    assert set(found) == {"a", "\ufffd"}
