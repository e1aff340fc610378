"""Promotion through a real line: from predictions and turns to decisions in the ledger and in Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import msgspec
import pytest

from karl.errors import NotFound, Refused
from karl.routing.experiment import told
from karl.routing.policy import Policy
from karl.schema.event import SKILL_SUGGESTED
from karl.stream import keys
from karl.stream.routing import publish_policy, read
from karl.views.routing import Routed
from tests.cli.running import karl
from tests.promotion.conftest import ROUTER, Scene
from tests.workers.conftest import Feed
from workers import promotion
from workers.policy import Decision, change, heal


def policy_of(scene: Scene) -> Policy:
    with Routed(scene.settings.views) as views:
        return views.policy()


def earned(scene: Scene) -> None:
    """Everything that a promotion needs."""
    scene.router()
    scene.use()
    scene.turns(25, "review")
    scene.turns(60, None)


def test_it_goes_live_when_it_has_earned_it_and_back_again(scene: Scene) -> None:
    earned(scene)
    done = promotion.promote(scene.doors, person="ann", apply=False)
    assert done.report.judgement.passed, [check for check in done.report.judgement.checks if not check.passed]
    assert done.decision is None
    assert policy_of(scene).mode == "shadow"

    done = promotion.promote(scene.doors, person="ann", apply=True)
    scene.catch_up()
    live = policy_of(scene)
    assert (done.action, live.mode, live.ready, live.router) == ("promote", "active", ("review",), ROUTER)
    assert live.share == scene.settings.routing_share
    published = read(scene.redis)
    assert published is not None
    assert published.policy == live
    record = scene.line.records("routing")[-1]
    assert record["measured"]["records"] == 25
    assert all(record["checks"].values())
    assert not record.get("forced")

    with pytest.raises(Refused, match="live already"):
        promotion.force(scene.doors, person="ann", reason="again")
    promotion.take_back(scene.doors, person="ann", reason="it tells nonsense")
    scene.catch_up()
    back = policy_of(scene)
    assert (back.mode, back.ready, back.router) == ("shadow", (), ROUTER)
    published = read(scene.redis)
    assert published is not None
    assert published.policy == back
    # What it had earned before does not count again, and what a person took back stays with people.
    done = promotion.automatic(scene.doors)
    assert done.action == "none"
    assert "ann took it back" in done.says
    assert not promotion.promote(scene.doors, person="ann", apply=True).report.judgement.passed
    assert redis_claim(scene) is None


def redis_claim(scene: Scene) -> object:
    return scene.redis.get(keys.ROUTING_CLAIM)


def test_what_was_made_afterwards_is_counted_as_no_evidence(scene: Scene) -> None:
    scene.router()
    scene.use()
    scene.turns(22, "review", source="replayed", trajectory="t")
    scene.turns(22, "review", source="synthetic")
    scene.turns(3, "review")
    report = promotion.promote(scene.doors, person="ann", apply=True).report
    assert report.judgement.measured["records"] == 3
    assert not report.judgement.passed
    assert policy_of(scene).mode == "shadow"


def test_a_router_that_was_trained_after_the_prompt_proves_nothing(scene: Scene) -> None:
    scene.router(time_ms=1_760_000_000_000 + 86_400_000)
    scene.use()
    scene.turns(22, "review")
    report = promotion.promote(scene.doors, person="ann", apply=False).report
    assert report.left_out == {"router trained later": 22}


def test_a_successor_goes_on_with_what_was_shown_but_must_show_some_itself(scene: Scene) -> None:
    earned(scene)
    scene.router("b" * 64, why="refresh", parent=ROUTER, sources=("exemplar:x", "exemplar:y"))
    scene.use("b" * 64)
    report = promotion.promote(scene.doors, person="ann", apply=False).report
    assert [check.name for check in report.judgement.checks if not check.passed] == ["own"]
    scene.turns(20, "review", router="b" * 64)
    report = promotion.promote(scene.doors, person="ann", apply=False).report
    assert report.judgement.passed
    assert report.judgement.measured["records"] == 45

    scene.router("c" * 64, why="refine", parent="b" * 64)
    scene.use("c" * 64)
    report = promotion.promote(scene.doors, person="ann", apply=False).report
    assert report.judgement.measured["records"] == 0
    assert report.left_out["another router"] > 0


def test_of_two_who_decide_upon_the_same_policy_one_is_refused(scene: Scene) -> None:
    scene.router()
    scene.use()
    upon = policy_of(scene)
    doors = scene.doors
    one = Decision(action="override", policy=msgspec.structs.replace(upon, overrides={"a": "vector"}))
    change(doors.redis, doors.settings, one, upon=upon.id, now_ms=1, wait=doors.wait)
    other = Decision(action="override", policy=msgspec.structs.replace(upon, overrides={"b": "regex"}))
    with pytest.raises(Refused, match="changed meanwhile"):
        change(doors.redis, doors.settings, other, upon=upon.id, now_ms=2, wait=doors.wait)
    assert policy_of(scene).overrides == {"a": "vector"}
    assert redis_claim(scene) is None
    scene.redis.set(keys.ROUTING_CLAIM, "somebody", px=60_000)
    with pytest.raises(Refused, match="somebody else"):
        promotion.override(doors, "review", "regex", person="ann")
    assert redis_claim(scene) == b"somebody"


def test_a_decision_that_was_not_published_is_published_by_the_next_one(scene: Scene) -> None:
    earned(scene)
    before = policy_of(scene)
    promotion.promote(scene.doors, person="ann", apply=True)
    scene.catch_up()
    publish_policy(scene.redis, before)  # as if killed between the record and this
    assert heal(scene.redis, scene.settings, scene.doors.wait).mode == "active"
    published = read(scene.redis)
    assert published is not None
    assert published.policy == policy_of(scene)
    scene.redis.delete(keys.ROUTING)
    assert promotion.automatic(scene.doors).action == "none"
    published = read(scene.redis)
    assert published is not None
    assert published.policy.mode == "active"


_KILLED = """
import os, signal, sys, time
from karl.settings import read_settings
from karl.stream.connect import connect
from workers import policy, promotion

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(policy, sys.argv[1], killed)
settings = read_settings(os.environ)
redis = connect(settings.redis_url)
promotion.promote(promotion.Doors(settings, redis, now_ms=lambda: 1_795_000_000_000), person="ann", apply=True)
"""


@pytest.mark.parametrize(("where", "mode"), [("send", "shadow"), ("publish_policy", "active")])
def test_killed_in_the_middle_it_is_either_not_decided_or_published_later(
    where: str, mode: str, scene: Scene
) -> None:
    earned(scene)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    ours = {
        "KARL_REDIS_URL": scene.settings.redis_url,
        "KARL_DATA_DIR": str(scene.settings.data_dir),
        "KARL_NODE": "n1",
        "KARL_ROUTING_MIN_RECORDS": "20",
    }
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, where], env={**variables, **ours}, check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL
    scene.catch_up()
    assert policy_of(scene).mode == mode
    published = read(scene.redis)
    assert published is not None
    assert published.policy.mode == "shadow"
    assert redis_claim(scene) is not None  # it expires by itself
    scene.redis.delete(keys.ROUTING_CLAIM)
    promotion.automatic(scene.doors)
    scene.catch_up()
    published = read(scene.redis)
    assert published is not None
    assert published.policy.mode == "active"
    assert len([one for one in scene.line.records("routing") if one["action"] == "promote"]) == 1


def test_what_another_kind_of_router_has_not_earned_is_not_routed_by_it(scene: Scene) -> None:
    earned(scene)
    promotion.automatic(scene.doors)
    scene.catch_up()
    assert policy_of(scene).ready == ("review",)
    scene.router("c" * 64, why="refine", parent=ROUTER)
    scene.use("c" * 64)
    assert policy_of(scene).ready == ("review",)
    done = promotion.automatic(scene.doors)
    scene.catch_up()
    assert (done.action, done.says) == ("hybrid", "not any more: review")
    assert (policy_of(scene).mode, policy_of(scene).ready) == ("active", ())


def test_what_does_harm_is_taken_back_by_itself(scene: Scene) -> None:
    scene.router()
    scene.use()
    promotion.force(scene.doors, person="ann", reason="a trial")
    scene.catch_up()
    policy = policy_of(scene)
    for number in range(56):
        name = f"live-{number}"
        fed = Feed(scene.redis, name, policy.since_ms + number * 1000)
        fed.prompt()
        side = told(name, policy)
        fed.event(SKILL_SUGGESTED, skill="review", chance=0.9, policy=policy.id, told=side)
        fed.call()
        fed.stop()
        fed.turn(1, "no, that is wrong, I meant the other one" if side else "thank you, and now the next one")
    scene.settle()
    done = promotion.automatic(scene.doors)
    assert done.report.experiment is not None
    assert done.report.experiment.finding == "worse"
    assert done.action == "demote"
    scene.catch_up()
    assert policy_of(scene).mode == "shadow"
    published = read(scene.redis)
    assert published is not None
    assert published.policy.mode == "shadow"
    record = scene.line.records("routing")[-1]
    assert record["person"] == promotion.AUTOMATIC
    assert record["measured"]["told_corrected"] > 0.5
    assert promotion.automatic(scene.doors).action == "none"


def test_what_is_forced_is_recorded_as_forced_and_routes_all_skills(scene: Scene) -> None:
    with pytest.raises(Refused, match="no router"):
        promotion.force(scene.doors, person="ann", reason="now")
    scene.router()
    scene.use()
    promotion.force(scene.doors, person="ann", reason="a demonstration")
    scene.catch_up()
    record = scene.line.records("routing")[-1]
    assert (record["action"], record["forced"], record["reason"]) == (
        "force-promote",
        True,
        "a demonstration",
    )
    assert not all(record["checks"].values())
    assert set(policy_of(scene).ready) == {"deploy", "review"}
    assert promotion.automatic(scene.doors).action == "none"  # what a person forced is a person's


def test_overrides_are_for_skills_that_there_are(scene: Scene) -> None:
    scene.router()
    scene.use()
    with pytest.raises(NotFound, match="did you mean review"):
        promotion.override(scene.doors, "reviw", "vector", person="ann")
    assert promotion.override(scene.doors, "review", "vector", person="ann") is not None
    scene.catch_up()
    assert policy_of(scene).way("review") == "vector"
    assert promotion.override(scene.doors, "review", "vector", person="ann") is None
    promotion.override(scene.doors, "review", None, person="ann")
    scene.catch_up()
    assert policy_of(scene).overrides == {}


@pytest.mark.parametrize(
    "command",
    [
        ("promote", "--apply"),
        ("auto-promote",),
        ("force-promote", "--reason", "x"),
        ("promotion", "rollback", "--reason", "x"),
        ("routing-override", "review", "vector"),
    ],
)
def test_an_agent_can_not_promote_from_its_own_shell(
    command: tuple[str, ...], scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    result = karl(scene.settings.data_dir, *command, KARL_REDIS_URL=scene.settings.redis_url)
    assert isinstance(result.exception, Refused)
    assert "agent's shell" in str(result.exception)


def test_commands_say_what_is_and_what_is_missing(scene: Scene) -> None:
    earned(scene)
    scene.turns(4, "review", source="replayed", trajectory="t")

    def run(*words: str) -> tuple[int, str]:
        result = karl(
            scene.settings.data_dir,
            *words,
            KARL_REDIS_URL=scene.settings.redis_url,
            KARL_ROUTING_MIN_RECORDS="20",
            KARL_NODE="n1",
        )
        return result.exit_code, result.stdout

    code, text = run("promote", "--json")
    said = json.loads(text)
    assert code == 0
    assert said["passed"]
    assert said["measured"]["vector"] == 1.0
    code, text = run("promote")
    assert code == 0
    assert "--apply" in text
    code, text = run("hybrid", "--json")
    assert json.loads(text)["ways"] == {"review": "regex"}
    code, text = run("promote-sim")
    assert code == 0
    assert "mixture" in text
    assert "everything is reached" in text
    code, text = run("ab-monitor")
    assert code == 0
    assert "not live" in text
    code, text = run("promotion", "log")
    assert code == 0
    assert "use" in text
    assert "ann" in text
    assert run("force-promote", "--reason", " ")[0] == 2
