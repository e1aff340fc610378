"""A Redis that lost what routes has it again: by itself, and by the doctor's hand."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from karl.routing.policy import Catalogue, Policy
from karl.schema.routing import SkillEntry
from karl.settings import Settings
from karl.stream import keys, routing
from karl.stream.keys import ROUTING_CLAIM
from karl.views.rebuild import rebuild
from tests.cli.running import karl
from tests.views import routed
from tests.views.ledgers import write
from workers import routers
from workers.cron import Cron
from workers.put_back import put_back


@pytest.fixture
def known(settings: Settings) -> str:
    """A ledger that tells of skills, and of a router in use; gives the router's id."""
    router = routers.keep(settings, b"a router's bytes")
    told = [
        routed.place("~/skills", "deploy"),
        routed.router(router),
        routed.decision("d1", router=router),
    ]
    write(settings.ledger, told)
    rebuild(settings.views, settings.ledger, settings.reward_version)
    return router


def test_all_that_redis_lost_is_published_again_and_nothing_else(
    redis: Redis, settings: Settings, known: str
) -> None:
    assert put_back(redis, settings) == ["policy", "router", "catalogue"]
    published = routing.read(redis)
    assert published is not None
    assert (published.policy.id, published.router) == ("d1", known)
    assert [skill.name for skill in published.catalogue.skills] == ["deploy"]
    assert routing.router_bytes(redis, known) == b"a router's bytes"
    assert put_back(redis, settings) == routing.missing(redis) == []
    redis.hdel(keys.ROUTING, "catalogue", "rules")
    redis.hset(keys.ROUTING, "policy", "another's word")
    assert put_back(redis, settings) == ["catalogue"]
    assert redis.hget(keys.ROUTING, "policy") == b"another's word"


def test_the_router_of_a_decision_is_published_where_who_decided_was_killed_before(
    redis: Redis, settings: Settings, known: str
) -> None:
    put_back(redis, settings)
    routing.publish_router(redis, b"the one before")
    assert put_back(redis, settings) == ["router"]
    published = routing.read(redis)
    assert published is not None
    assert published.router == known
    routing.publish_policy(redis, Policy(router="x", id="later"))  # the views do not know of it yet
    routing.publish_router(redis, b"the one after")
    assert put_back(redis, settings) == []


def test_nothing_is_put_back_while_somebody_decides_nor_where_nothing_is_known(
    redis: Redis, settings: Settings
) -> None:
    assert put_back(redis, settings) == []
    write(settings.ledger, [routed.place("~/skills", "deploy")])
    rebuild(settings.views, settings.ledger, settings.reward_version)
    redis.set(ROUTING_CLAIM, "somebody")
    assert put_back(redis, settings) == []
    redis.delete(ROUTING_CLAIM)
    assert put_back(redis, settings) == ["catalogue"]
    assert routing.is_on(redis)


@pytest.mark.usefixtures("known")
def test_skills_that_a_machine_without_views_could_not_take_away_are_taken_away(
    redis: Redis, settings: Settings
) -> None:
    gone = Catalogue(skills=(SkillEntry("deploy"), SkillEntry("gone")))
    routing.publish_catalogue(redis, gone)
    assert "catalogue" in put_back(redis, settings)
    published = routing.read(redis)
    assert published is not None
    assert [skill.name for skill in published.catalogue.skills] == ["deploy"]
    assert put_back(redis, settings) == []


def test_what_is_off_stays_off(redis: Redis, settings: Settings) -> None:
    write(settings.ledger, [routed.place("~/skills", "deploy"), routed.decision("d1", "off", mode="off")])
    rebuild(settings.views, settings.ledger, settings.reward_version)
    assert "policy" in put_back(redis, settings)
    assert not routing.is_on(redis)


@pytest.mark.usefixtures("known")
def test_a_worker_of_default_puts_it_back_as_it_looks_at_the_clock(
    redis: Redis, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    Cron(redis, redis, settings, "me").look()
    assert routing.is_on(redis)
    assert "published anew: policy, router, catalogue" in caplog.text


@pytest.mark.usefixtures("known")
def test_damaged_views_end_no_worker_and_are_named_once(
    redis: Redis, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    real = settings.views.resolve()
    real.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8192)
    cron = Cron(redis, redis, settings, "me")
    for _ in range(2):
        cron._look_due = lambda: True
        cron.look()
    assert len([one for one in caplog.records if "can not be seen" in one.message]) == 1


def test_the_doctor_says_what_is_lost_and_mends_it(redis: Redis, settings: Settings, known: str) -> None:
    def visit(*words: str) -> dict[str, dict[str, str]]:
        url = settings.redis_url
        said = json.loads(karl(settings.data_dir, "doctor", "--json", *words, KARL_REDIS_URL=url).stdout)
        return {one["name"]: one for one in said["checks"] if one["link"] == "routing"}

    lost = visit("--only", "routing")
    assert lost["published"]["verdict"] == "fail"
    assert "the policy and the router and the catalogue" in lost["published"]["seen"]
    mended = visit("--fix", "--no-probe")
    assert mended["published"]["verdict"] == "ok"
    assert known[:12] in mended["published"]["seen"]
    assert visit("--only", "routing")["prompts waiting"]["verdict"] == "ok"
