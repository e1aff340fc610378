"""The job `route`: what it says of prompts, whoever ends it and when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest
from redis import Redis

from karl.errors import EncoderSilent
from karl.jobs import table
from karl.reward.score import DEFAULT_VERSION
from karl.routing import model
from karl.routing.policy import Policy
from karl.settings import Settings
from karl.stream import keys, routing
from karl.views.rebuild import begin
from karl.views.routing import Routed
from tests.conftest import wait_until
from tests.shadow.conftest import CATALOGUE, put_up, said, waiting
from tests.workers.conftest import Feed, Line
from workers import shadow
from workers.one_job import Order
from workers.shadow import Shadow, Told

Route = Callable[..., Told]

pytestmark = pytest.mark.usefixtures("on")


def test_by_rules_alone_a_record_says_so(redis: Redis, route: Route) -> None:
    [event] = put_up(redis, 1)
    told = route(now_ms=lambda: 1_760_000_000_500)
    [one] = said(redis)
    took = one.pop("took_us", 0)
    assert one == {
        "event": event,
        "session": "s-0",
        "fleet": "default",
        "node": "n1",
        "agent": "",
        "project": "",
        "time_ms": 1_760_000_000_000,
        "made_ms": 1_760_000_000_500,
        "source": "live",
        "rules": CATALOGUE.digest,
        "regex": "deploy",
        "picked": "deploy",
    }
    assert took >= 0
    assert (told.prompts, told.rules_alone, told.warning) == (1, 1, "")
    assert redis.xlen(keys.PROMPTS) == 0
    assert redis.xpending(keys.PROMPTS, keys.PROMPTS_GROUP)["pending"] == 0
    assert routing.waiting(redis) == 0


def test_both_routers_speak_and_the_policy_picks(redis: Redis, route: Route, router_data: bytes) -> None:
    router = routing.publish_router(redis, router_data)
    routing.publish_policy(redis, Policy(ready=("translate",)))
    put_up(redis, 1, "translate the manual into french")
    assert route().rules_alone == 0
    [one] = said(redis)
    assert (one["router"], one["encoder"]) == (router, "static")
    assert one["ranked"][0][0] == "translate"
    assert [chance for _, chance in one["ranked"]] == sorted(
        (chance for _, chance in one["ranked"]), reverse=True
    )
    assert one["takes"] is True
    assert "regex" not in one
    assert one["picked"] == "translate"
    assert one["took_us"] > 0


def test_what_is_published_meanwhile_counts_from_the_next_batch_on(
    redis: Redis, route: Route, settings: Settings, router_data: bytes
) -> None:
    put_up(redis, 1)
    job = Shadow(redis, settings, linger_s=0.0)
    job.run(lambda *_: None)
    router = routing.publish_router(redis, router_data)
    put_up(redis, 1, "write the invoice")
    job.run(lambda *_: None)
    without = msgspec.structs.replace(CATALOGUE, rules=())
    routing.publish_catalogue(redis, without)
    put_up(redis, 1, "write the invoice")
    job.run(lambda *_: None)
    found = said(redis)
    assert [(one.get("router", ""), one["rules"], one.get("regex")) for one in found] == [
        ("", CATALOGUE.digest, "deploy"),
        (router, CATALOGUE.digest, "invoice"),
        (router, without.digest, None),
    ]


def of_another_version(data: bytes) -> bytes:
    router = model.loads(data)
    changed = {name: getattr(router, name) for name in router.__slots__}
    return model.dumps(type(router)(**{**changed, "encoder_version": "another"}))


@pytest.mark.parametrize("spoilt", ["another version", "no router"])
def test_where_the_router_can_not_be_used_the_rules_are_alone_and_the_job_says_so_once(
    redis: Redis,
    route: Route,
    router_data: bytes,
    caplog: pytest.LogCaptureFixture,
    spoilt: str,
) -> None:
    why = "no router" if spoilt == "no router" else "was trained with static another"
    routing.publish_router(redis, b"none" if spoilt == "no router" else of_another_version(router_data))
    put_up(redis, 600)
    told = route()
    assert (told.prompts, told.rules_alone) == (600, 600)
    assert why in told.warning
    assert len([record for record in caplog.records if why in record.getMessage()]) == 1
    assert all("ranked" not in one and "router" not in one for one in said(redis))
    assert {one["picked"] for one in said(redis)} == {"deploy"}


def test_a_router_that_is_nowhere_leaves_the_rules_alone_until_it_is_there(
    redis: Redis, route: Route, router_data: bytes, settings: Settings
) -> None:
    router = routing.publish_router(redis, router_data)
    redis.delete(keys.parcel_key(router))
    clock = iter(range(0, 10_000_000, 1000))
    job = Shadow(redis, settings, linger_s=0.0, clock=lambda: float(next(clock)))
    put_up(redis, 1)
    job.run(lambda *_: None)
    assert router[:12] in job.told.warning
    routing.publish_router(redis, router_data)
    put_up(redis, 1)
    job.run(lambda *_: None)
    assert [one.get("router", "") for one in said(redis)] == ["", router]


def test_an_encoder_that_falls_silent_leaves_the_rules_alone(
    redis: Redis, route: Route, router_data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from karl.encoders.static import Static

    def silent(self: Static, texts: object) -> None:
        raise EncoderSilent("the service said nothing")

    monkeypatch.setattr(Static, "encode", silent)
    routing.publish_router(redis, router_data)
    put_up(redis, 3)
    told = route()
    assert (told.prompts, told.rules_alone, told.warning) == (3, 3, "the service said nothing")


def test_turned_off_it_ends_and_touches_nothing(redis: Redis, settings: Settings) -> None:
    put_up(redis, 3)
    redis.delete(keys.ROUTING)
    assert Shadow(redis, settings).run(lambda *_: None).prompts == 0
    assert len(waiting(redis)) == 3
    assert routing.waiting(redis) == 0


def test_what_is_no_prompt_leaves_the_stream(redis: Redis, route: Route) -> None:
    redis.xadd(keys.PROMPTS, {"d": b"{}"})
    redis.xadd(keys.PROMPTS, {"d": b"\xff"})
    put_up(redis, 1)
    told = route()
    assert (told.prompts, told.unreadable) == (1, 2)
    assert redis.xlen(keys.PROMPTS) == 0


def test_a_prompt_that_waits_twice_is_said_once_in_a_batch(redis: Redis, route: Route) -> None:
    put_up(redis, 2)
    put_up(redis, 2)
    route()
    assert Counter(one["event"] for one in said(redis)) == Counter({f"ev{n:022d}": 1 for n in range(2)})
    assert redis.xlen(keys.PROMPTS) == 0


def test_order_within_a_session_is_that_of_the_prompts(redis: Redis, route: Route) -> None:
    put_up(redis, 700)
    route()
    by_session: dict[str, list[int]] = {}
    for one in said(redis):
        by_session.setdefault(one["session"], []).append(one["time_ms"])
    assert sum(map(len, by_session.values())) == 700
    assert all(times == sorted(times) for times in by_session.values())


def test_what_breaks_run_after_run_is_left_to_the_rules(
    redis: Redis, settings: Settings, router_data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from karl.encoders.static import Static

    def broken(self: Static, texts: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(Static, "encode", broken)
    routing.publish_router(redis, router_data)
    put_up(redis, 2)
    for _ in range(shadow.DELIVERIES_MAX):
        with pytest.raises(ValueError, match="a defect"):
            Shadow(redis, settings, silent_s=0.0).run(lambda *_: None)
    told = Shadow(redis, settings, linger_s=0.0, silent_s=0.0).run(lambda *_: None)
    assert (told.prompts, told.rules_alone) == (2, 2)
    assert redis.xlen(keys.PROMPTS) == 0


def job_process(settings: Settings) -> subprocess.Popen[bytes]:
    """The real process of the job, as its worker starts it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    environ |= {
        "KARL_REDIS_URL": settings.redis_url,
        "KARL_DATA_DIR": str(settings.data_dir),
        "KARL_NODE": settings.node,
    }
    process = subprocess.Popen(
        (sys.executable, "-P", "-m", "workers.one_job"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environ,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(Order("route", {})) + b"\n")
    process.stdin.flush()
    return process


def more_than(redis: Redis, count: int) -> bool:
    return len(said(redis)) > count


def test_killed_in_the_middle_of_a_batch_no_prompt_is_left_without_a_prediction(
    redis: Redis, settings: Settings, route: Route, router_data: bytes, line: Line
) -> None:
    routing.publish_router(redis, router_data)
    kills = 0
    ids = put_up(redis, 3000, "deploy the thing of number {}")
    while redis.xlen(keys.PROMPTS) and kills < 2:
        before = len(said(redis))
        process = job_process(settings)
        assert process.stdin is not None
        try:
            wait_until(partial(more_than, redis, before), "the job says something")
            os.killpg(process.pid, signal.SIGKILL)
        finally:
            process.wait()
            process.stdin.close()
        kills += 1
    assert kills > 1
    assert redis.xlen(keys.PROMPTS) > 0
    route()
    assert {one["event"] for one in said(redis)} == set(ids)
    assert redis.xlen(keys.PROMPTS) == 0
    begin(settings.views, DEFAULT_VERSION)
    line.catch_up(settings.views)
    with Routed(settings.views) as views:
        counted = [row.event for row in views.shadows()]
    assert sorted(counted) == sorted(ids)


def test_two_jobs_at_once_share_the_prompts(redis: Redis, settings: Settings) -> None:
    ids = put_up(redis, 3000)
    both = [Shadow(redis, replace(settings, node=name), linger_s=0.0) for name in ("n1", "n2")]
    while redis.xlen(keys.PROMPTS):
        for job in both:
            job.run(lambda *_: None)
    assert [one["event"] for one in sorted(said(redis), key=lambda one: one["time_ms"])] == ids


def test_a_prediction_is_joined_with_what_its_prompt_was_for(
    redis: Redis, line: Line, settings: Settings, route: Route, feed: Callable[..., Feed]
) -> None:
    one = feed("s-1")
    asked = one.prompt("please deploy it")
    worker = line.sessions()
    line.drain(worker)
    worker.run_once(line.stop)
    route()
    one.call("Skill", skill="deploy")
    one.stop()
    line.drain(worker)
    begin(settings.views, DEFAULT_VERSION)
    line.catch_up(settings.views)
    with Routed(settings.views) as views:
        [row] = views.shadows()
    assert (row.event, row.regex, row.truth, row.truth_source) == (asked.id, "deploy", "deploy", "called")
    assert row.organic


def test_the_job_is_in_the_table(settings: Settings) -> None:
    job = table.find("route")
    assert table.function(job) is shadow.route
    assert job.timeout_s > shadow.RUN_MAX_S
    unused: Any = table.checked(job, {})
    assert unused == table.Arguments()
