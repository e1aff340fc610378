"""The shipper against a real server: nothing lost, nothing out of order, nothing removed too early."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from redis import Redis

from karl.errors import LineDown, Refused
from karl.schema.event import decode_event, encode_event
from karl.stream import dead_letters, keys
from karl.stream.connect import connect
from karl.stream.server import Server
from producers import ship as module
from producers.envelope import EnvelopeMaker
from producers.push import BATCH_MAX, Parcel, push
from producers.quiet import GRACE_S
from producers.redact import Redactor
from producers.ship import Shipper, only_one
from producers.spool import Spool
from tests.conftest import ROOT, wait_until

T = 1_700_000_000_000_000_000
REDACTOR = Redactor()


class Clock:
    """Time as the test says it is."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.prepare()
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shipper(spool: Spool, redis: Redis, clock: Clock) -> Shipper:
    return build(spool, redis, clock)


def build(spool: Spool, redis: Redis, clock: Clock, **more: int) -> Shipper:
    maker = EnvelopeMaker(node="n1", redactor=REDACTOR)
    return Shipper(
        spool, redis, maker, clock=clock, now_ns=lambda: T + int(clock.s * 1e9), jitter=lambda: 0.5, **more
    )


def put(spool: Spool, pid: int, data: bytes | None = None, *, session: str = "s1", at: int = 0) -> Path:
    path = spool.folder / f"claude-code.{pid}"
    path.write_bytes(data if data is not None else payload(session, n=pid))
    os.utime(path, ns=(T + at, T + at))
    return path


def payload(session: str, **more: object) -> bytes:
    return json.dumps({"hook_event_name": "Stop", "session_id": session, **more}).encode()


def entries(redis: Redis, session: str) -> list[dict]:
    rows = redis.execute_command("XRANGE", keys.events_key(keys.partition_of(session)), "-", "+")
    events = [decode_event(row[1][1]) for row in rows]
    return [
        json.loads(bytes(event.payload)) | {"id": event.id} for event in events if event.session == session
    ]


def numbers(redis: Redis, session: str = "s1") -> list[int]:
    return [entry["n"] for entry in entries(redis, session)]


def two_sessions() -> tuple[str, str]:
    """Two sessions of different partitions."""
    first = "s1"
    return first, next(f"t{i}" for i in range(99) if keys.partition_of(f"t{i}") != keys.partition_of(first))


def test_events_arrive_in_the_order_of_their_files_and_the_spool_is_empty(
    spool: Spool, shipper: Shipper, redis: Redis
) -> None:
    for n in range(10):
        put(spool, 100 - n, payload("s1", n=n), at=n)
    shipped = shipper.run_once()
    assert (shipped.count, shipped.dead, shipped.waiting) == (10, 0, 0)
    assert numbers(redis) == list(range(10))
    assert spool.depth().files == 0


def test_an_event_has_the_time_and_the_agent_of_its_file(
    spool: Spool, shipper: Shipper, redis: Redis
) -> None:
    path = spool.folder / "codex.7"
    path.write_bytes(payload("s1"))
    os.utime(path, ns=(T, T))
    shipper.run_once()
    row = redis.execute_command("XRANGE", keys.events_key(keys.partition_of("s1")), "-", "+")[0]
    event = decode_event(row[1][1])
    assert (event.agent, event.time_ms, event.node) == ("codex", T // 1_000_000, "n1")
    assert encode_event(event) == row[1][1]


def test_no_more_than_a_batch_goes_at_once_and_the_oldest_go_first(
    spool: Spool, shipper: Shipper, redis: Redis
) -> None:
    for n in range(BATCH_MAX + 10):
        put(spool, n + 1, payload("s1", n=n), at=n)
    assert shipper.run_once().count == BATCH_MAX
    assert shipper.run_once().count == 10
    assert numbers(redis) == list(range(BATCH_MAX + 10))


def test_large_files_make_smaller_batches(spool: Spool, shipper: Shipper) -> None:
    for n in range(3):
        put(spool, n + 1, payload("s1", text="x" * 3_500_000), at=n)
    assert shipper.run_once().count == 2
    assert shipper.run_once().count == 1


def test_a_secret_in_a_spool_file_is_not_in_redis(spool: Spool, shipper: Shipper, redis: Redis) -> None:
    put(spool, 1, payload("s1", prompt="export API_TOKEN=hunter2hunter2"))
    put(spool, 2, b'{"prompt": "API_TOKEN=hunter2hunter2')
    shipper.run_once()
    for key in redis.keys("*"):
        if redis.type(key) == b"stream":
            assert b"hunter2" not in repr(redis.execute_command("XRANGE", key, "-", "+")).encode()
    assert (
        b"REDACTED"
        in repr(redis.execute_command("XRANGE", keys.events_key(keys.partition_of("s1")), "-", "+")).encode()
    )


def test_an_unfinished_file_waits_and_holds_up_nobody(
    spool: Spool, shipper: Shipper, redis: Redis, clock: Clock
) -> None:
    started = int(clock.s * 1e9)
    half = put(spool, 1, payload("s1", n=1)[:-3], at=started)
    put(spool, 2, payload("s1", n=2), at=started)
    shipped = shipper.run_once()
    assert (shipped.count, shipped.waiting) == (1, 1)
    half.write_bytes(payload("s1", n=1))
    os.utime(half, ns=(T + started + 1, T + started + 1))
    clock.s += 2
    assert shipper.run_once().count == 1
    assert sorted(numbers(redis)) == [1, 2]


def test_a_file_that_stays_half_written_becomes_a_dead_letter_with_its_reason(
    spool: Spool, shipper: Shipper, redis: Redis, clock: Clock
) -> None:
    put(spool, 1, b'{"hook_event_name": "St', at=int(clock.s * 1e9))
    assert shipper.run_once().dead == 0
    clock.s += GRACE_S
    assert shipper.run_once().dead == 1
    letter = next(iter(dead_letters.read(redis)))
    assert letter.data == b'{"hook_event_name": "St'
    assert "not JSON" in letter.reason
    assert (letter.where, letter.node) == ("ship", "n1")
    assert spool.depth().files == 0


def test_an_empty_file_is_removed_and_counted_when_its_writer_must_be_gone(
    spool: Spool, shipper: Shipper, redis: Redis, clock: Clock
) -> None:
    put(spool, 1, b"", at=int(clock.s * 1e9))
    assert shipper.run_once().empty == 0
    clock.s += GRACE_S
    assert shipper.run_once().empty == 1
    assert spool.depth().files == 0
    assert dead_letters.count(redis) == 0


def test_a_partition_over_its_bound_keeps_its_events_in_the_spool_while_others_go_on(
    spool: Spool, redis: Redis, clock: Clock
) -> None:
    full, free = two_sessions()
    shipper = build(spool, redis, clock, stream_max=5)
    for n in range(10):
        put(spool, n + 1, payload(full, n=n), at=n)
    shipper.run_once()
    for n in range(10, 310):
        put(spool, n + 1, payload(full, n=n), at=n)
    put(spool, 999, payload(free, n=999), at=999)
    for _ in range(4):
        shipped = shipper.run_once()
    assert numbers(redis, free) == [999]
    assert numbers(redis, full) == list(range(10))
    assert shipped.waiting == 300
    redis.execute_command("XTRIM", keys.events_key(keys.partition_of(full)), "MAXLEN", 0)
    shipper.run_once()
    assert numbers(redis, full) == []  # this round has learnt that there is room
    shipper.run_once()
    assert numbers(redis, full) == list(range(10, 10 + BATCH_MAX))


def test_an_event_that_redis_refuses_stays_with_all_younger_ones_of_its_partition(
    spool: Spool, shipper: Shipper, redis: Redis, clock: Clock
) -> None:
    bad, good = two_sessions()
    redis.set(keys.events_key(keys.partition_of(bad)), "in the way")
    put(spool, 1, payload(bad, n=1), at=1)
    put(spool, 2, payload(good, n=2), at=2)
    shipped = shipper.run_once()
    assert (shipped.count, shipped.waiting) == (1, 1)
    assert "WRONGTYPE" in shipped.refused
    put(spool, 3, payload(bad, n=3), at=3)
    put(spool, 4, payload(good, n=4), at=4)
    assert shipper.run_once().count == 1
    redis.delete(keys.events_key(keys.partition_of(bad)))
    clock.s += 2
    assert shipper.run_once().count == 2
    assert numbers(redis, bad) == [1, 3]
    assert numbers(redis, good) == [2, 4]


def test_when_the_reply_is_lost_the_same_event_is_sent_again_under_the_same_id(
    spool: Spool, shipper: Shipper, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool, 1)

    def lose(*args: object, **more: object) -> None:
        push(*args, **more)
        raise LineDown("the connection was lost after the write")

    with monkeypatch.context() as patch:
        patch.setattr(module, "push", lose)
        with pytest.raises(LineDown):
            shipper.run_once()
    assert spool.depth().files == 1
    shipper.run_once()
    first, second = entries(redis, "s1")
    assert first == second


def test_a_server_out_of_memory_keeps_everything_in_the_spool(
    spool: Spool, shipper: Shipper, redis: Redis
) -> None:
    put(spool, 1, payload("s1", n=1))
    redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(LineDown, match=r"took nothing: command not allowed .* 'maxmemory'"):
            shipper.run_once()
    finally:
        redis.config_set("maxmemory", "0")
    assert spool.depth().files == 1


def test_a_dead_server_is_named_and_everything_kept(spool: Spool, clock: Clock, tmp_path: Path) -> None:
    put(spool, 1)
    with connect(f"unix://{tmp_path}/none.sock") as nobody, pytest.raises(LineDown, match="did not answer"):
        build(spool, nobody, clock).run_once()
    assert spool.depth().files == 1


def test_a_spool_over_its_bound_tells_the_hook_and_takes_it_back_below_ninety_percent(
    spool: Spool, redis: Redis, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    shipper = build(spool, redis, clock, spool_max_bytes=1000)
    put(spool, 1, payload("s1", text="x" * 2000))
    for _ in range(5):
        clock.s += 6
        shipper.check_bound()
    assert spool.is_full()
    assert len([record for record in caplog.records if "LOST" in record.message]) == 1
    put(spool, 1, b"x" * 950)
    clock.s += 6
    shipper.check_bound()
    assert spool.is_full()
    put(spool, 1, b"x" * 800)
    clock.s += 6
    shipper.check_bound()
    assert not spool.is_full()


def test_a_node_reports_what_it_did_and_only_when_that_changed(
    spool: Spool, shipper: Shipper, redis: Redis, clock: Clock
) -> None:
    put(spool, 1, payload("s1", prompt="API_TOKEN=hunter2hunter2"))
    shipper.run_once()
    shipper.report()
    report = json.loads(redis.hget(keys.NODES, "n1"))
    assert (report["shipped"], report["dead"], report["spool_files"]) == (1, 0, 0)
    assert report["redactions"] == {"secret-env": 1}
    redis.delete(keys.NODES)
    clock.s += 6
    shipper.report()
    assert not redis.exists(keys.NODES)
    clock.s += 60
    shipper.report()
    assert redis.exists(keys.NODES)


def test_a_second_shipper_of_the_same_spool_is_refused(spool: Spool) -> None:
    with only_one(spool), pytest.raises(Refused, match="another `karl ship`"), only_one(spool):
        pass
    with only_one(spool):
        pass


def test_the_parcels_of_one_push_are_answered_one_by_one(redis: Redis) -> None:
    redis.set(keys.events_key(3), "in the way")
    pushed = push(
        redis, [Parcel(b"a", 1), Parcel(b"b", 3), Parcel(b"c", reason="bad")], where="t", node="n", watch=[9]
    )
    assert list(pushed.errors) == [1]
    assert pushed.lengths == {1: 1, 9: 0}
    assert dead_letters.count(redis) == 1


def running(shipper: Shipper) -> tuple[threading.Thread, threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=shipper.run, args=(stop,))
    thread.start()
    return thread, stop


def test_the_loop_ships_what_comes_while_it_runs_and_ends_when_told(spool: Spool, redis: Redis) -> None:
    shipper = Shipper(spool, redis, EnvelopeMaker(node="n1", redactor=REDACTOR))
    thread, stop = running(shipper)
    try:
        for n in range(3):
            put(spool, n + 1, payload("s1", n=n), at=n)
            wait_until(lambda n=n: len(numbers(redis)) == n + 1, "the event is in the stream")
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    assert numbers(redis) == [0, 1, 2]


def test_the_loop_outlives_a_server_that_goes_away_and_comes_back(
    spool: Spool, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server = Server(tmp_path_factory.mktemp("srv"))
    server.start()
    client = connect(server.url)
    shipper = Shipper(spool, client, EnvelopeMaker(node="n1", redactor=REDACTOR))
    thread, stop = running(shipper)
    try:
        put(spool, 1, payload("s1", n=1))
        wait_until(lambda: spool.depth().files == 0, "the first event has gone")
        server.stop()
        put(spool, 2, payload("s1", n=2))
        wait_until(lambda: "events stay in the spool" in caplog.text, "the trouble is logged")
        assert spool.depth().files == 1
        server.start()
        wait_until(lambda: spool.depth().files == 0, "the second event has gone")
        wait_until(lambda: "events go to Redis again" in caplog.text, "the recovery is logged")
        assert 2 in numbers(client)
    finally:
        stop.set()
        thread.join(10)
        client.close()
        server.stop()
    assert caplog.text.count("events stay in the spool") == 1


CHILD = """
import sys, threading
from pathlib import Path
from karl.stream.connect import connect
from producers.envelope import EnvelopeMaker
from producers.ship import Shipper
from producers.spool import Spool
Shipper(Spool(Path(sys.argv[1])), connect(sys.argv[2]), EnvelopeMaker(node="n1")).run(threading.Event())
"""


def test_nothing_is_lost_when_the_shipper_is_killed_again_and_again(
    spool: Spool, redis: Redis, redis_url: str
) -> None:
    total = 6000
    for n in range(total):
        put(spool, n + 1, payload(f"s{n % 7}", n=n), at=n)
    kills = 0
    while kills < 4:
        before = spool.depth().files
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(spool.folder), redis_url], cwd=ROOT)
        try:
            wait_until(lambda before=before: spool.depth().files < before - 200, "it has shipped some")
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        kills += 1
        if spool.depth().files < 600:
            break
    shipper = Shipper(Spool(spool.folder), redis, EnvelopeMaker(node="n1", redactor=REDACTOR))
    while spool.depth().files:
        shipper.run_once()
    for session in range(7):
        seen: dict[str, int] = {}
        for entry in entries(redis, f"s{session}"):
            seen.setdefault(entry["id"], entry["n"])
        assert list(seen.values()) == list(range(session, total, 7))


def test_the_loop_takes_next_to_no_processor_time_while_idle(spool: Spool, redis: Redis) -> None:
    shipper = Shipper(spool, redis, EnvelopeMaker(node="n1", redactor=REDACTOR))
    rounds = []
    original = shipper.run_once
    shipper.run_once = lambda: rounds.append(1) or original()  # type: ignore[method-assign]
    thread, stop = running(shipper)
    try:
        wait_until(lambda: len(rounds) >= 1, "the first round is over")
        end = time.monotonic() + 1.0
        wait_until(lambda: time.monotonic() > end, "a second has passed")
    finally:
        stop.set()
        thread.join(10)
    assert len(rounds) <= 4
