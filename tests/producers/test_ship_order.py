"""A session's events keep their order, also when one was seen before its hook had written it; and a spool that is shut."""

from __future__ import annotations

import json
import random
import shutil
import threading
from pathlib import Path

import pytest
from redis import Redis

from karl.errors import Refused
from karl.schema.event import decode_event
from karl.stream import keys
from karl.stream.connect import connect
from karl.stream.server import Server
from producers.envelope import EnvelopeMaker
from producers.ship import Shipper, only_one
from producers.spool import Spool


@pytest.fixture
def shipper(tmp_path: Path, redis: Redis) -> Shipper:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return Shipper(spool, redis, EnvelopeMaker(node="n1"), clock=lambda: 1000.0)


def event(n: int) -> bytes:
    return json.dumps({"hook_event_name": "Stop", "session_id": "s1", "n": n}).encode()


def shipped(redis: Redis) -> list[int]:
    rows = redis.execute_command("XRANGE", keys.events_key(keys.partition_of("s1")), "-", "+")
    return [json.loads(bytes(decode_event(row[1][1]).payload))["n"] for row in rows]


@pytest.mark.parametrize("seen", [0, 1, 20])
def test_an_event_whose_file_was_seen_unfinished_comes_before_the_next_one(
    shipper: Shipper, redis: Redis, seen: int
) -> None:
    first, second = (shipper.spool.folder / f"claude-code.{n}" for n in (1, 2))
    first.write_bytes(event(1)[:seen])
    assert shipper.run_once().waiting == 1
    first.write_bytes(event(1))
    second.write_bytes(event(2))
    shipper.run_once()
    assert shipped(redis) == [1, 2]


def test_whenever_the_shipper_looks_hooks_one_after_the_other_keep_their_order(
    shipper: Shipper, redis: Redis
) -> None:
    chance = random.Random(1)
    stop = threading.Event()
    ships = threading.Thread(target=lambda: [shipper.run_once() for _ in iter(stop.is_set, True)])
    ships.start()
    for n in range(300):
        data = event(n)
        with (shipper.spool.folder / f"claude-code.{n + 1}").open("wb", buffering=0) as file:
            if chance.random() < 0.5:
                file.write(data[:5])
                stop.wait(chance.choice([0, 0, 0.001]))
                data = data[5:]
            file.write(data)
    stop.set()
    ships.join()
    shipper.run_once()
    assert shipped(redis) == list(range(300))


def test_a_spool_that_can_not_be_written_to_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "spool" / ".ship.lock").mkdir(parents=True)
    with (
        pytest.raises(Refused, match=r"can not be written to: .*KARL_SPOOL_DIR"),
        only_one(Spool(tmp_path / "spool")),
    ):
        pass


def test_a_spool_whose_disk_has_no_room_for_anything_more_is_still_emptied(
    shipper: Shipper, redis: Redis
) -> None:
    for name in ("full", ".sent"):  # stand for names that can not be made
        (shipper.spool.folder / name).mkdir()
    (shipper.spool.folder / ".sent").rmdir()
    (shipper.spool.folder / ".sent").write_text("in the way")
    shipper.spool_max_bytes = 1
    (shipper.spool.folder / "claude-code.1").write_bytes(event(1))
    assert shipper._round().count == 1
    assert shipped(redis) == [1]


def test_a_server_that_forgot_in_silence_is_given_the_older_events_before_the_younger(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path / "data")
    server.start()
    redis = connect(server.url)
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    shipper = Shipper(spool, redis, EnvelopeMaker(node="n1"))
    for n in (1, 2):
        (spool.folder / f"claude-code.{n}").write_bytes(event(n))
        shipper.run_once()
    # Its machine loses power and comes back before the shipper has anything to say.
    server.stop()
    shutil.rmtree(tmp_path / "data" / "redis" / "appendonlydir")
    server.start()
    (spool.folder / "claude-code.3").write_bytes(event(3))
    shipper.run_once()
    assert shipped(redis) == [1, 2, 3]
    redis.close()
    server.stop()
