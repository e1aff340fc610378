"""Predictions shown, and made afterwards: `karl shadow`, `analyze`, `reshadow`, `seed`, `replay --since`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.errors import Refused
from karl.reward.score import DEFAULT_VERSION
from karl.routing import model
from karl.schema.routing import RouterBody, RoutingBody, SkillEntry, SkillsBody
from karl.settings import Settings
from karl.stream import routing
from karl.views.rebuild import begin
from karl.views.routing import Routed
from tests.cli.running import karl
from tests.shadow.conftest import CATALOGUE, SKILLS
from tests.workers.conftest import Feed, Line
from workers import routers
from workers.records import Outgoing, send
from workers.sessions import SessionsWorker
from workers.shadow import Told

#: What people ask, by the skill that the agent then uses; some of it neither router gets right.
PROMPTS = (
    ("deploy", "deploy the new version"), ("deploy", "roll it out to the servers please"),
    ("invoice", "write the invoice for april"), ("invoice", "bill the customer for the hours"),
    ("translate", "put the manual into german"), ("translate", "what is that in spanish"),
    (None, "explain the difference between these two functions"), (None, "deploy nothing, only look at the log"),
)  # fmt: skip


class World:
    """A line whose prompts are routed, with its ledger and its views."""

    def __init__(self, redis: Redis, line: Line, settings: Settings, route: Callable[..., Told]) -> None:
        self.redis = redis
        self.line = line
        self.settings = settings
        self._route = route
        self._worker: SessionsWorker = line.sessions()
        begin(settings.views, DEFAULT_VERSION)
        self.tell("skills", SkillsBody("id", "~/skills", "user", CATALOGUE.skills, "n1", 1, CATALOGUE.rules))

    def tell(self, *records: Any) -> None:
        """Send records (kind, body, kind, body ...), and take them into the views."""
        pairs = zip(records[::2], records[1::2], strict=True)
        send(self.redis, [Outgoing(kind, "routing", body) for kind, body in pairs], lambda _: None)
        self.line.catch_up(self.settings.views)

    def use(self, data: bytes, *sources: str) -> str:
        """Put a router to use, as a training would."""
        made = model.loads(data)
        router = routers.keep(self.settings, data)
        body = RouterBody(
            router, "bootstrap", made.encoder, made.encoder_version, made.head.name, 0, made.skills,
            {}, sources, {}, {}, len(data), "n1", 2,
        )  # fmt: skip
        self.tell(
            "router", body, "routing", RoutingBody(f"r{router}", "use", "shadow", router, "me", "n1", 2)
        )
        routing.publish_router(self.redis, data)
        return router

    def work(self, rounds: int, feed: Callable[..., Feed], *, begin_at: int = 0) -> None:
        """Let people ask, agents work, and the job predict."""
        for number in range(begin_at, begin_at + rounds):
            one = feed(f"s-{number}")
            for skill, text in PROMPTS:
                one.prompt(f"{text} ({number})")
                if skill:
                    one.call("Skill", skill=skill)
                one.call()
                one.stop()
        self.line.drain(self._worker)
        self._worker.run_once(self.line.stop)
        self._route()
        self.line.catch_up(self.settings.views)

    def json(self, *words: str, **more: str) -> Any:
        url = self.settings.redis_url
        found = karl(self.settings.data_dir, *words, "--json", stdin=None, KARL_REDIS_URL=url, **more)
        assert found.exit_code == 0, (found.output, found.exception)
        return json.loads(found.stdout)

    def text(self, *words: str) -> str:
        found = karl(self.settings.data_dir, *words, KARL_REDIS_URL=self.settings.redis_url)
        assert found.exit_code == 0, (found.output, found.exception)
        return found.output


@pytest.fixture
def world(
    redis: Redis,
    line: Line,
    settings: Settings,
    route: Callable[..., Told],
    on: None,
) -> World:
    return World(redis, line, settings, route)


def test_what_was_predicted_is_shown_with_what_came_of_it(
    world: World, feed: Callable[..., Feed], router_data: bytes
) -> None:
    router = world.use(router_data)
    world.work(4, feed)
    found = world.json("shadow")
    made, ways = found["shadow"], found["accuracy"]["ways"]
    assert (made["prompts"], made["sessions"], made["known"]) == (32, 4, 32)
    assert made["routers"] == {router: 32}
    assert made["encoders"] == {"static": 32}
    # the rules: "deploy" twice and "invoice" once in a round, one of them of a prompt that asked for none
    assert (made["regex"]["hits"], made["regex"]["n"]) == (12, 32)
    assert (ways["regex"]["right"]["hits"], ways["regex"]["right"]["n"]) == (8, 24)
    assert (ways["regex"]["false"]["hits"], ways["regex"]["false"]["n"]) == (4, 8)
    assert ways["vector"]["right"]["hits"] > 8
    assert made["took"]["n"] == 32
    assert made["took"]["p50"] > 0
    by_name = {one["skill"]: one for one in made["skills"]}
    assert {name: one["asked"] for name, one in by_name.items()} == dict.fromkeys(SKILLS, 8)
    text = world.text("shadow")
    assert "32 prompts" in text
    assert "translate" in text


def test_without_predictions_it_says_what_to_do(world: World) -> None:
    found = karl(world.settings.data_dir, "shadow")
    assert found.exit_code == 0
    assert "karl bootstrap" in found.output
    assert world.json("shadow")["shadow"]["prompts"] == 0


def test_analyze_names_what_a_promotion_lacks(
    world: World, feed: Callable[..., Feed], router_data: bytes
) -> None:
    world.use(router_data)
    world.work(1, feed)
    checks = {one["name"]: one["passed"] for one in world.json("analyze")["promotion"]["checks"]}
    assert checks["records"] is False
    assert "records" in world.text("analyze")


def test_prompts_are_routed_anew_and_held_against_what_was_said_then(
    world: World, feed: Callable[..., Feed], router_data: bytes
) -> None:
    world.work(2, feed)  # by rules alone
    first = world.use(router_data)
    world.work(2, feed, begin_at=2)
    before = len(world.line.records())
    found = world.json("replay", "--since", "2020-01-01")
    ways = {one["who"]: one for one in found["ways"]}
    assert found["router"] == first
    assert found["prompts"] == 32
    assert found["trained_with"] == 0
    # the same rules, and the same router where there was one: nothing changes
    assert (ways["regex"]["n"], ways["regex"]["changed"]["hits"]) == (24, 0)
    assert (ways["first"]["n"], ways["first"]["changed"]["hits"]) == (12, 0)
    assert ways["regex"]["before"] == ways["regex"]["after"]
    assert len(world.line.records()) == before
    text = world.text("replay", "--since", "2020-01-01")
    assert "nothing is written" in text


def test_changed_rules_change_picks_for_better_and_worse(
    world: World, feed: Callable[..., Feed], router_data: bytes
) -> None:
    world.work(4, feed)
    rules = tuple(
        rule if rule.skill != "deploy" else type(rule)("deploy", r"\b(roll|bill)\b") for rule in CATALOGUE.rules
    )  # fmt: skip
    world.tell("skills", SkillsBody("id2", "~/skills", "user", CATALOGUE.skills, "n1", 2, rules))
    [regex] = [one for one in world.json("replay", "--since", "2020-01-01")["ways"] if one["who"] == "regex"]
    assert (regex["n"], regex["improved"], regex["regressed"]) == (24, 4, 4)
    assert regex["gain"]["difference"] == 0
    assert regex["gain"]["low"] < 0 < regex["gain"]["high"]
    assert (regex["changed"]["hits"], regex["changed"]["n"]) == (16, 32)
    assert (regex["false_before"]["hits"], regex["false_after"]["hits"]) == (4, 0)


def test_what_a_router_was_trained_with_is_not_held_against_it(
    world: World, feed: Callable[..., Feed], router_data: bytes
) -> None:
    world.work(3, feed)
    with Routed(world.settings.views) as views:
        known = [row.trajectory for row in views.truths()][:5]
    world.use(router_data, *(f"trajectory:{one}:deploy" for one in known), "skill:deploy:0", "exemplar:e")
    found = world.json("replay", "--since", "2020-01-01")
    assert (found["prompts"], found["trained_with"]) == (19, 5)
    dry = world.json("reshadow")
    assert (dry["predicted"], dry["trained_with"], dry["written"]) == (19, 5, 0)


def test_the_very_words_of_an_exemplar_are_not_held_against_a_router_either(
    world: World, feed: Callable[..., Feed], router_data: bytes
) -> None:
    one = feed("s-99")
    one.prompt(SKILLS["deploy"][0])
    one.call("Skill", skill="deploy")
    one.stop()
    one.prompt(SKILLS["deploy"][1])  # and here for another skill: what it has learned is no help
    one.call("Skill", skill="invoice")
    one.stop()
    world.work(0, feed)
    world.use(router_data)
    assert world.json("reshadow")["predicted"] == 1


def test_made_afterwards_a_prediction_says_so_and_is_written_on_demand_alone(
    world: World, feed: Callable[..., Feed], router_data: bytes
) -> None:
    world.work(2, feed)
    router = world.use(router_data)
    assert world.json("reshadow")["predicted"] == 16
    refused = karl(world.settings.data_dir, "reshadow", "--apply", KARL_REDIS_URL=world.settings.redis_url)
    assert isinstance(refused.exception, Refused)
    assert "KARL_ALLOW_SEEDING" in str(refused.exception)
    assert world.line.records("shadow") == [
        one for one in world.line.records("shadow") if one["source"] == "live"
    ]
    told = world.json("reshadow", "--apply", KARL_ALLOW_SEEDING="1")
    assert (told["predicted"], told["written"], told["router"]) == (16, 16, router)
    world.line.catch_up(world.settings.views)
    made = [one for one in world.line.records("shadow") if one["source"] == "replayed"]
    assert len(made) == 16
    assert all(one["trajectory"].startswith("traj_") and one["router"] == router for one in made)
    with Routed(world.settings.views) as views:
        rows = list(views.shadows(sources=("replayed",)))
        live = list(views.shadows())
    assert {row.event for row in rows} == {row.event for row in live}
    assert {row.event: row.truth for row in rows} == {row.event: row.truth for row in live}
    assert not any(row.organic for row in rows)
    assert world.json("reshadow")["predicted"] == 0  # there already
    assert world.json("shadow", "--source", "replayed")["shadow"]["delay"]["n"] == 0


def test_seeds_are_what_skills_say_and_are_never_anybodys_truth(world: World, router_data: bytes) -> None:
    skills = (
        SkillEntry("deploy", "Deploys the service", examples=("deploy the service", "/deploy ship it")),
        SkillEntry("invoice", "", when="when a bill is to be written"),
        SkillEntry("translate"),
    )
    world.tell("skills", SkillsBody("id2", "~/skills", "user", skills, "n1", 2, CATALOGUE.rules))
    world.use(router_data)
    assert world.json("seed")["predicted"] == 4
    refused = karl(world.settings.data_dir, "seed", "--apply", KARL_REDIS_URL=world.settings.redis_url)
    assert isinstance(refused.exception, Refused)
    assert world.json("seed", "--apply", KARL_ALLOW_SEEDING="1")["written"] == 4
    world.line.catch_up(world.settings.views)
    with Routed(world.settings.views) as views:
        rows = list(views.shadows(sources=("live", "replayed", "synthetic")))
    assert [row.source for row in rows] == ["synthetic"] * 4
    assert all(row.truth_source is None and not row.organic for row in rows)
    assert {row.session for row in rows} == {"seed-deploy", "seed-invoice"}
    assert world.json("seed")["predicted"] == 0
    assert world.json("shadow")["shadow"]["prompts"] == 0


def test_without_the_router_nothing_is_made_of_rules_instead(
    world: World, feed: Callable[..., Feed], router_data: bytes
) -> None:
    world.work(1, feed)
    router = world.use(router_data)
    (world.settings.routers / router).unlink()
    world.redis.delete(f"karl:parcel:{router}")
    found = karl(world.settings.data_dir, "replay", "--since", "1d", KARL_REDIS_URL=world.settings.redis_url)
    assert isinstance(found.exception, Refused)
    assert "can not be used here" in str(found.exception)


@pytest.mark.parametrize(
    "words",
    [("replay",), ("replay", "--router", "x"), ("replay", "x", "--since", "1d"), ("replay", "--since", "1d", "--html", "-")],
)  # fmt: skip
def test_replay_says_what_it_takes(tmp_path: Path, words: tuple[str, ...]) -> None:
    found = karl(tmp_path, *words)
    assert found.exit_code == 2
    assert "--since" in found.output
