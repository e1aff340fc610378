"""What runs by the clock: each time is one job, whoever looks; times that nobody saw pass are one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from karl.jobs import gate, keys, schedule, table
from karl.jobs.schedule import HOUR_S, Schedule, due_ms, next_ms
from karl.settings import Settings, read_settings
from karl.stream.connect import connect
from karl.stream.keys import ROUTING
from tests.cli.running import karl
from tests.conftest import wait_until
from tests.jobs.conftest import Workers, state
from workers import cron
from workers.cron import Due, run_due

NOW_MS = 1_790_000_000_000
HOURLY = Schedule("hourly", "verify", "Check.", every_s=HOUR_S)
NIGHTLY = Schedule("nightly", "probe", "Probe.", cron="30 4 * * *", arguments={"note": "night"})
ROUTED = Schedule("routed", "probe", "Probe.", every_s=HOUR_S, arguments={"note": "routed"}, routing=True)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setattr(schedule, "SCHEDULES", (HOURLY, NIGHTLY, ROUTED))
    monkeypatch.setenv("TZ", "UTC")
    return read_settings({"KARL_DATA_DIR": str(tmp_path)})


def ran(redis: Redis, settings: Settings, now_ms: int, **more: Any) -> list[Due]:
    return run_due(redis, redis, settings, "me", now_ms, **more)


def waiting(redis: Redis) -> list[str]:
    names = [name.decode() for name in redis.lrange(keys.queue_key("default"), 0, -1)]
    return [gate.asked(redis.hgetall(keys.job_key(name)), "default").job.name for name in names]


def test_every_row_names_a_job_that_there_is_with_arguments_that_it_takes() -> None:
    assert len({row.name for row in schedule.SCHEDULES}) == len(schedule.SCHEDULES)
    for row in schedule.SCHEDULES:
        table.checked(table.find(row.job), row.arguments)
        assert bool(row.every_s) != bool(row.cron)
        assert gate.ID.fullmatch(f"cron-{row.name}")


def test_a_row_that_was_never_seen_is_due_at_its_next_time(redis: Redis, settings: Settings) -> None:
    redis.hset(ROUTING, "policy", "{}")
    assert ran(redis, settings, NOW_MS) == []
    assert ran(redis, settings, NOW_MS + 3_599_000) == []
    found = ran(redis, settings, NOW_MS + 3_600_000)
    assert [(one.name, one.what, one.due_ms) for one in found] == [
        ("hourly", "asked", NOW_MS + 3_600_000),
        ("routed", "asked", NOW_MS + 3_600_000),
    ]
    assert sorted(waiting(redis)) == ["probe", "verify"]
    assert ran(redis, settings, NOW_MS + 3_600_000) == []


def test_what_nobody_saw_for_a_week_runs_once(redis: Redis, settings: Settings) -> None:
    ran(redis, settings, NOW_MS)
    week_ms = 7 * 86_400_000
    found = {one.name: one for one in ran(redis, settings, NOW_MS + week_ms)}
    assert {name: one.what for name, one in found.items()} == {
        "hourly": "asked", "nightly": "asked", "routed": "passed",
    }  # fmt: skip
    night = datetime.fromtimestamp(found["nightly"].due_ms / 1000, UTC)
    assert ((night.hour, night.minute), NOW_MS + week_ms - found["nightly"].due_ms < 86_400_000) == (
        (4, 30),
        True,
    )
    assert ran(redis, settings, NOW_MS + week_ms + 1000) == []
    assert len(waiting(redis)) == 2


def test_what_routes_nothing_is_passed_over_and_its_time_with_it(redis: Redis, settings: Settings) -> None:
    ran(redis, settings, NOW_MS)
    redis.delete(keys.queue_key("default"))
    assert "passed" in {one.what for one in ran(redis, settings, NOW_MS + 3_600_000)}
    redis.hset(ROUTING, "policy", "{}")
    assert "routed" not in {one.name for one in ran(redis, settings, NOW_MS + 3_700_000)}


def test_a_clock_that_was_ahead_is_believed_no_more(redis: Redis, settings: Settings) -> None:
    ran(redis, settings, NOW_MS + 10 * 86_400_000)
    assert ran(redis, settings, NOW_MS) == []
    assert [one.name for one in ran(redis, settings, NOW_MS + 3_600_000)][:1] == ["hourly"]


def test_what_is_turned_off_does_not_run(redis: Redis, settings: Settings, tmp_path: Path) -> None:
    ran(redis, settings, NOW_MS)
    for off, left in (("hourly,routed", {"nightly"}), ("all", set())):
        given = read_settings({"KARL_DATA_DIR": str(tmp_path), "KARL_CRON_OFF": off})
        found = ran(redis, given, NOW_MS + 2 * 86_400_000, dry_run=True)
        assert {one.name for one in found} == left


def test_many_who_look_at_one_time_ask_once(redis: Redis, redis_url: str, settings: Settings) -> None:
    ran(redis, settings, NOW_MS)
    found: list[Due] = []
    ready = threading.Barrier(8)

    def look() -> None:
        client = connect(redis_url)
        ready.wait()
        for second in range(20):
            found.extend(run_due(client, client, settings, f"w{second}", NOW_MS + 3_600_000 + second))
        client.close()

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.name for one in found if one.what == "asked"] == ["hourly"]
    assert waiting(redis) == ["verify"]


def test_who_dies_between_asking_and_noting_it_has_asked_once(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(redis, settings, NOW_MS)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cron, "_note", die)
        with pytest.raises(KeyboardInterrupt):
            ran(redis, settings, NOW_MS + 3_600_000)
    assert waiting(redis) == ["verify"]
    (found,) = (one for one in ran(redis, settings, NOW_MS + 3_600_100) if one.name == "hourly")
    assert (found.what, waiting(redis)) == ("there", ["verify"])


def test_a_job_that_waits_already_is_not_asked_for_by_the_clock_too(
    redis: Redis, settings: Settings, ask: Callable[..., str]
) -> None:
    ran(redis, settings, NOW_MS)
    by_hand = ask("verify")
    (found,) = (one for one in ran(redis, settings, NOW_MS + 3_600_000) if one.name == "hourly")
    assert (found.what, found.job, waiting(redis)) == ("there", by_hand, ["verify"])


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"\xff", b'{"due_ms": "x"}'])
def test_what_makes_no_sense_in_redis_is_as_never_seen(redis: Redis, settings: Settings, junk: bytes) -> None:
    redis.hset(keys.CRON, "hourly", junk)
    assert ran(redis, settings, NOW_MS) == []
    assert [one.name for one in ran(redis, settings, NOW_MS + 3_600_000)][:1] == ["hourly"]


def test_a_real_worker_of_default_asks_and_the_list_shows_what_became_of_it(
    redis: Redis, redis_url: str, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.ledger.conftest import write_some

    write_some(workers.data_dir / "ledger")
    last = json.dumps({"due_ms": NOW_MS - 40 * 86_400_000})
    redis.hset(keys.CRON, mapping={row.name: last for row in schedule.SCHEDULES})
    before = karl(workers.data_dir, "cron", "--dry-run", "--json", KARL_REDIS_URL=redis_url)
    assert {one["name"] for one in json.loads(before.stdout)} == {row.name for row in schedule.SCHEDULES}
    workers.start("default")

    def listed() -> dict[str, Any]:
        shown = karl(workers.data_dir, "cron", "list", "--json", KARL_REDIS_URL=redis_url)
        return {one["name"]: one for one in json.loads(shown.stdout)}

    wait_until(lambda: listed()["integrity"]["status"] == "finished", "the ledger was checked")
    job = listed()["integrity"]["last_job"]
    assert (job.startswith("cron-integrity-"), state(redis, job)) == (True, "finished")
    shown = karl(workers.data_dir, "cron", "list", KARL_REDIS_URL=redis_url)
    assert all(word in shown.output for word in ("integrity", "30 4 * * 0", "finished", "refresh"))
    again = karl(workers.data_dir, "cron", KARL_REDIS_URL=redis_url)
    assert "nothing is due" in again.output


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local time of a place whose clocks change."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


def at(text: str) -> int:
    """Unix time (ms) of a moment in UTC."""
    return round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)


@pytest.mark.usefixtures("berlin")
def test_an_hour_that_comes_twice_runs_once_and_one_that_does_not_come_runs_in_the_next() -> None:
    night = Schedule("night", "verify", "Check.", cron="30 2 * * *")
    assert next_ms(night, at("2026-10-24T12:00")) == at("2026-10-25T00:30")  # 2:30 in summer time
    assert next_ms(night, at("2026-10-25T00:30")) == at(
        "2026-10-26T01:30"
    )  # not once more in the second 2:30
    assert due_ms(night, at("2026-10-25T00:30"), at("2026-10-25T01:45")) is None
    assert next_ms(night, at("2026-03-28T12:00")) == at("2026-03-29T01:30")  # there is no 2:30: 3:30 it is
    assert next_ms(night, at("2026-03-29T01:30")) == at("2026-03-30T00:30")


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 40 * 86_400_000), st.sampled_from([HOURLY, NIGHTLY]))
def test_the_time_that_is_due_is_the_last_one_that_has_passed(last: int, later: int, row: Schedule) -> None:
    now = last + later
    at = due_ms(row, last, now)
    if at is None:
        assert next_ms(row, last) > now
    else:
        assert last < at <= now < next_ms(row, at)
    assert due_ms(row, at if at is not None else last, now) is None
