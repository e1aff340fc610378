"""A line with turns whose skills are known, and predictions that were made of their prompts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from karl.schema.routing import RankedSkill, RouterBody, ShadowBody
from karl.settings import Settings, read_settings
from karl.views.rebuild import begin
from tests.workers.conftest import Feed, Line, feed, line
from workers.doors import Doors
from workers.policy import Decision, change
from workers.records import Outgoing, send

__all__ = ["feed", "line"]

ROUTER = "a" * 64
#: When the events of Feed begin, less a day: the router was trained before.
TRAINED_MS = 1_760_000_000_000 - 86_400_000


class Scene:
    """Turns go through the real workers; predictions, routers and decisions through the line, as always."""

    def __init__(self, line: Line, redis: Redis, settings: Settings) -> None:
        self.line = line
        self.redis = redis
        self.settings = settings
        self._worker = line.sessions(version="2")
        self._sessions = itertools.count(1)
        self._clock = itertools.count(1_790_000_000_000, 1000)
        settings.views.parent.mkdir(parents=True)
        begin(settings.views, "2")

    @property
    def doors(self) -> Doors:
        """Doors whose waiting lets the line move."""
        return Doors(
            self.settings, self.redis, now_ms=lambda: next(self._clock), wait=lambda _s: self.catch_up()
        )

    def catch_up(self) -> None:
        self.line.catch_up(self.settings.views)

    def send(self, kind: Any, *bodies: Any) -> None:
        send(self.redis, [Outgoing(kind, "routing", body) for body in bodies], lambda _s: self.catch_up())
        self.catch_up()

    def router(self, id_: str = ROUTER, **more: Any) -> RouterBody:
        body = RouterBody(
            id=id_, why="bootstrap", encoder="static", encoder_version="v", head="logistic", seed=0,
            skills=("deploy", "review"), counts={}, sources=("exemplar:x",), measured={}, drift={}, bytes=1,
            node="n1", time_ms=TRAINED_MS,
        )  # fmt: skip
        body = msgspec.structs.replace(body, **more)
        self.send("router", body)
        return body

    def use(self, router: str = ROUTER) -> None:
        from karl.views.routing import Routed

        with Routed(self.settings.views) as views:
            policy = views.policy()
        decision = Decision(action="use", policy=msgspec.structs.replace(policy, router=router), person="ann")
        doors = self.doors
        change(doors.redis, doors.settings, decision, upon=policy.id, now_ms=doors.now_ms(), wait=doors.wait)
        self.catch_up()

    def turns(self, count: int, skill: str | None, *, start_ms: int = 1_760_000_000_000, **said: Any) -> None:
        """Close turns, one a session, that used a skill or none, each with a prediction of its prompt.

        `said` are fields of the prediction; without them the vector router is right and the rules say nothing.
        """
        shadows = []
        for number in (next(self._sessions) for _ in range(count)):
            fed = Feed(self.redis, f"s-{number}", start_ms + number * 60_000)
            prompt = fed.prompt(f"please do number {number}")
            if skill is None:
                fed.call()
            else:
                fed.call("Skill", skill=skill)
            fed.stop()
            ranked = (RankedSkill(skill or "review", 0.9), RankedSkill("triage", 0.05))
            fields: dict[str, Any] = {
                "ranked": ranked, "takes": skill is not None, "took_us": 5000, "router": ROUTER, "source": "live",
            }  # fmt: skip
            shadows.append(
                ShadowBody(
                    event=prompt.id,
                    session=prompt.session,
                    fleet="",
                    node="n1",
                    agent="claude-code",
                    project="p",
                    time_ms=prompt.time_ms,
                    made_ms=prompt.time_ms + 50,
                    **{**fields, **said},
                )
            )
        self.line.drain(self._worker)
        self.send("shadow", *shadows)

    def settle(self) -> None:
        """Have all that was said reach the views."""
        self.line.drain(self._worker)
        self.catch_up()

    def close(self) -> None:
        self._worker.close()


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return read_settings(
        {
            "KARL_REDIS_URL": redis_url,
            "KARL_DATA_DIR": str(tmp_path),
            "KARL_NODE": "n1",
            "KARL_ROUTING_MIN_RECORDS": "20",
            "KARL_ROUTING_SHARE": "0.5",
        }
    )


@pytest.fixture
def scene(line: Line, redis: Redis, settings: Settings) -> Iterator[Scene]:
    made = Scene(line, redis, settings)
    yield made
    made.close()
