"""Dead letters become events again, or stay."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from redis import Redis

from karl.errors import LineDown
from karl.schema.event import Event, decode_event, encode_event
from karl.settings import Settings, read_settings
from karl.stream import dead_letters, keys
from producers.replay import ReplayReport, replay

PAYLOAD = {"hook_event_name": "Stop", "session_id": "s-1"}


@pytest.fixture
def config(tmp_path: Path, redis_url: str) -> Settings:
    return read_settings({"KARL_DATA_DIR": str(tmp_path), "KARL_REDIS_URL": redis_url, "KARL_NODE": "n1"})


def bury(redis: Redis, data: bytes, where: str, reason: str = "no reason", partition: int = 0) -> None:
    redis.xadd(keys.dead_key(partition), {"d": data, "reason": reason, "where": where, "node": "n0"})


def run(redis: Redis, config: Settings) -> ReplayReport:
    return replay(redis, config, list(dead_letters.read(redis)), wait=lambda _s: None)


def events(redis: Redis) -> list[Event]:
    return [
        decode_event(fields[1])
        for partition in range(keys.PARTITIONS)
        for _, fields in redis.xrange(keys.events_key(partition))
    ]


def test_a_payload_is_an_event_again_with_the_time_of_its_letter(redis: Redis, config: Settings) -> None:
    bury(redis, json.dumps(PAYLOAD).encode(), "ship")
    (letter,) = dead_letters.read(redis)
    assert run(redis, config).replayed == 1
    (event,) = events(redis)
    assert (event.kind, event.session, event.source) == ("Stop", "s-1", "replay")
    assert event.time_ms == letter.time_ms
    assert dead_letters.count(redis) == 0


def test_an_event_that_could_not_be_folded_goes_back_as_it_was(redis: Redis, config: Settings) -> None:
    event = Event(id="ev1", kind="Stop", session="s-1", payload=msgspec.Raw(b"{}"), node="n7", time_ms=5)
    bury(redis, encode_event(event), "sessions", partition=9)
    assert run(redis, config).replayed == 1
    assert events(redis) == [event]
    assert redis.xlen(keys.events_key(keys.partition_of("s-1"))) == 1


def test_what_still_can_not_be_read_stays_with_its_reason(redis: Redis, config: Settings) -> None:
    bury(redis, b"{", "import")
    bury(redis, b"no event", "sessions")
    bury(redis, b"{}", "ledger")
    report = run(redis, config)
    assert (report.replayed, report.stay, report.by_reason.total()) == (0, 3, 3)
    assert dead_letters.count(redis) == 3
    assert events(redis) == []


def test_a_letter_replayed_twice_has_one_name(redis: Redis, config: Settings) -> None:
    bury(redis, json.dumps(PAYLOAD).encode(), "ship")
    letters = list(dead_letters.read(redis))
    replay(redis, config, letters)
    replay(redis, config, letters)
    one, two = events(redis)
    assert one == two


def test_what_was_not_answered_stays_a_dead_letter(redis: Redis, config: Settings) -> None:
    bury(redis, json.dumps(PAYLOAD).encode(), "ship")
    redis.set(keys.events_key(keys.partition_of("s-1")), "in the way")
    with pytest.raises(LineDown):
        run(redis, config)
    assert dead_letters.count(redis) == 1


def test_more_than_a_batch_is_replayed_whole(redis: Redis, config: Settings) -> None:
    for number in range(600):
        payload = {**PAYLOAD, "session_id": f"s-{number}"}
        bury(redis, json.dumps(payload).encode(), "ship", partition=number % 3)
    assert run(redis, config).replayed == 600
    assert len({event.session for event in events(redis)}) == 600
    assert dead_letters.count(redis) == 0
