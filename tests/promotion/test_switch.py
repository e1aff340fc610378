"""Routing switched off and on, and published again after Redis has lost it."""

from __future__ import annotations

import pytest
from redis import Redis

from karl.errors import Refused
from karl.stream import routing
from karl.views.routing import Routed
from tests.promotion.conftest import ROUTER, Scene
from workers import promotion
from workers.switch import switch_off, switch_on


def test_routing_is_off_until_it_is_switched_on_and_nothing_turns_it_on_by_the_way(
    scene: Scene, redis: Redis
) -> None:
    scene.router()
    scene.use()
    assert routing.is_on(redis)
    done = switch_off(scene.doors, "ann", "a quiet week")
    scene.catch_up()
    assert (done.changed, done.policy.mode, done.policy.router) == (True, "off", ROUTER)
    assert (routing.is_on(redis), routing.read(redis), routing.waiting(redis)) == (False, None, 0)
    assert not switch_off(scene.doors, "ann", "").changed
    scene.use("b" * 64)  # a router that is trained meanwhile
    assert not routing.is_on(redis)
    assert promotion.promote(scene.doors, person="ann", apply=True).action == "none"
    assert promotion.automatic(scene.doors).action == "none"
    with pytest.raises(Refused, match="routing is off"):
        promotion.force(scene.doors, person="ann", reason="now")
    on = switch_on(scene.doors, "ann", "back")
    scene.catch_up()
    assert (on.changed, on.policy.mode, on.policy.router) == (True, "shadow", "b" * 64)
    assert routing.is_on(redis)


def test_what_came_while_it_was_live_is_no_evidence_once_it_was_switched_off(scene: Scene) -> None:
    scene.router()
    scene.use()
    assert promotion.force(scene.doors, person="ann", reason="now").decision is not None
    scene.catch_up()
    scene.turns(3, "review")
    switch_off(scene.doors, "ann", "")
    scene.catch_up()
    back = switch_on(scene.doors, "ann", "")
    scene.catch_up()
    with Routed(scene.settings.views) as views:
        report = promotion.report_on(views, scene.settings)
    assert 0 < report.since_ms <= back.policy.since_ms


def test_what_routes_is_published_again_after_redis_has_lost_it(scene: Scene, redis: Redis) -> None:
    scene.router()
    scene.use()
    before = routing.read(redis)
    assert before is not None
    redis.flushall()
    done = switch_on(scene.doors, "ann", "")
    after = routing.read(redis)
    assert not done.changed
    assert after is not None
    assert after.policy == before.policy
    assert "is not on this machine" in done.problem  # this test's router was never trained
