"""Training: from the ledger to the router in use, and back to any earlier one."""

from __future__ import annotations

import shutil

import pytest
from msgspec.structs import replace

from karl.errors import LineDown, NotFound, Refused
from karl.routing.exemplars import HELD_OUT_FROM
from karl.schema.routing import RouterBody
from karl.stream import keys, routing
from karl.views.routing import body_at
from karl.views.sources import Sources
from tests.centroids.conftest import ENTRIES, PROMPTS, Scene, files
from workers import routers
from workers.annotate import annotate
from workers.encoder import encoder_of
from workers.exemplars import add
from workers.policy import Decision, change
from workers.rollback import rollback, snapshot
from workers.versions import versions

DAYS = ("on monday", "at once")
FLOWERS = ("rose", "tulip", "lily", "fern", "oak", "elm")


def body_of(scene: Scene, router: str) -> RouterBody:
    with Sources(scene.settings.views) as views:
        return body_at(scene.settings.ledger, views.router(router).place, RouterBody)


def lose(scene: Scene) -> None:
    """Lose all files of routers, here and in Redis."""
    shutil.rmtree(scene.settings.routers)
    lose_parcels(scene)


def lose_parcels(scene: Scene) -> None:
    for key in scene.redis.keys(keys.parcel_key("*")):
        scene.redis.delete(key)


def test_the_first_router_is_kept_recorded_in_use_and_published(scene: Scene) -> None:
    scene.skills()
    scene.past()
    report = scene.train(why="bootstrap")
    assert report.used
    assert scene.in_use == report.router
    assert [path.name for path in files(scene.settings)] == [report.router]
    published = routing.read(scene.redis)
    assert published is not None
    assert (published.router, published.policy.router) == (report.router, report.router)
    assert routing.router_bytes(scene.redis, report.router) == files(scene.settings)[0].read_bytes()
    (record,) = scene.line.records("router")
    assert (record["id"], record["why"], record["node"]) == (report.router, "bootstrap", "n1")


def test_a_router_knows_what_its_exemplars_ask_for(trained: Scene) -> None:
    router = routers.load(trained.settings, None, trained.in_use)
    asked = ["deploy the new build to production servers", "an invoice for the client, please"]
    vectors = encoder_of(trained.settings, "static").encode(asked)
    assert [one.ranked[0].skill for one in router.route(asked, vectors)] == ["deploy", "invoice"]


def test_the_same_ledger_makes_the_same_router(trained: Scene) -> None:
    first = trained.in_use
    report = trained.train()
    assert (report.router, report.same, report.used) == (first, True, True)
    assert len(trained.line.records("routing")) == 1


def test_another_seed_and_other_prompts_make_another_router(trained: Scene) -> None:
    first = trained.in_use
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    report = trained.train()
    assert report.router != first
    assert body_of(trained, report.router).parent == first


def test_what_is_measured_was_held_out_and_says_how_sure_it_is(trained: Scene) -> None:
    body = body_of(trained, trained.in_use)
    told = body.measured
    assert told["held_out"] == 3  # of each skill's eight prompts the latest fifth
    assert told["accuracy_low"] <= told["accuracy"] <= told["accuracy_high"]
    assert told["strangers"] == 1
    assert "difference" not in told
    assert min(len(texts) for texts in PROMPTS.values()) >= HELD_OUT_FROM


def test_a_later_router_is_compared_with_the_one_in_use_over_the_same_prompts(trained: Scene) -> None:
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    told = body_of(trained, trained.train().router).measured
    assert told["compared"] == told["held_out"] == 3
    assert told["difference_low"] <= told["difference"] <= told["difference_high"]


def test_a_router_that_looks_worse_is_kept_but_not_used_unless_forced(trained: Scene) -> None:
    first = trained.in_use
    for at in range(40):  # for a while, what is for deploying was under another skill
        trained.turn(f"s-wrong-{at}", f"{PROMPTS['deploy'][at % 8]} with {FLOWERS[at // 8]}", "invoice")
    for skill in ("deploy", "invoice"):  # and then it was as before
        for at in range(16):
            trained.turn(f"s-{skill}-again-{at}", f"{PROMPTS[skill][at % 8]} {DAYS[at // 8]}", skill)
    trained.settle()
    report = trained.train()
    assert report.measured["difference"] < 0
    assert report.recorded
    assert not report.used
    assert trained.in_use == first
    assert trained.train(force=True).used
    assert trained.in_use == report.router
    assert trained.line.records("routing")[-1]["forced"] is True


def test_a_dry_run_keeps_and_records_nothing(trained: Scene) -> None:
    before, first = files(trained.settings), trained.in_use
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    report = trained.train(apply=False)
    assert report.router != first
    assert not report.recorded
    assert files(trained.settings) == before
    assert trained.in_use == first
    assert len(trained.line.records("router")) == 1


def test_one_skill_is_chosen_anew_and_the_others_stay(trained: Scene) -> None:
    trained.turn("s-new-1", "move the release candidate to the blue servers", "deploy")
    trained.turn("s-new-2", "write down what the school owes us", "invoice")
    trained.settle()
    before = body_of(trained, trained.in_use).counts
    after = trained.train(why="rebuild", skills=("deploy",), force=True).counts
    assert after["deploy"] == before["deploy"] + 1
    assert after["invoice"] == before["invoice"]


def test_a_skill_without_exemplars_can_not_be_rebuilt(trained: Scene) -> None:
    with pytest.raises(NotFound, match="nobody"):
        trained.train(why="rebuild", skills=("nobody",))


def test_skills_that_nobody_used_yet_are_routed_to_by_what_they_say(scene: Scene) -> None:
    scene.skills()
    report = scene.train(why="bootstrap")
    assert report.used
    assert report.skills == len(ENTRIES)
    assert report.measured == {"held_out": 0.0}


def test_an_empty_ledger_says_what_to_do(scene: Scene) -> None:
    scene.settle()
    with pytest.raises(Refused, match="karl skills scan"):
        scene.train(why="bootstrap")


def test_a_refresh_does_nothing_before_it_is_due(trained: Scene) -> None:
    report = trained.train(why="refresh")
    assert not report.due
    trained.now_ms += 25 * 3_600_000
    assert trained.train(why="refresh").due
    assert not trained.train(why="refresh").due
    assert trained.train(why="refresh", due=True).due


def test_a_refresh_that_is_not_due_hands_the_router_to_a_server_that_lost_it(trained: Scene) -> None:
    trained.redis.delete(keys.ROUTING)
    lose_parcels(trained)
    assert not trained.train(why="refresh").due
    published = routing.read(trained.redis)
    assert published is not None
    assert (published.router, published.policy.router) == (trained.in_use, trained.in_use)
    assert routing.router_bytes(trained.redis, trained.in_use)


def test_skills_that_moved_far_are_named(trained: Scene) -> None:
    for at in range(30):
        text = f"water the {FLOWERS[at % 6]} number {'abcdef'[at // 5]} in the garden"
        trained.turn(f"s-garden-{at}", text, "deploy")
    trained.settle()
    report = trained.train(force=True)
    assert report.drifted == ["deploy"]
    assert report.drift["deploy"] > report.drift["invoice"]


def test_a_file_that_is_gone_is_fetched_from_the_line(trained: Scene) -> None:
    shutil.rmtree(trained.settings.routers)
    router = routers.load(trained.settings, trained.redis, trained.in_use)
    assert set(router.skills) == set(PROMPTS)
    assert [path.name for path in files(trained.settings)] == [trained.in_use]


def test_a_damaged_file_is_not_read(trained: Scene) -> None:
    (path,) = files(trained.settings)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(NotFound):
        routers.load(trained.settings, None, trained.in_use)


def test_any_version_can_be_had_again_from_the_ledger_byte_for_byte(trained: Scene) -> None:
    first = trained.in_use
    add(trained.redis, "deploy", "take the shop live", person="a", now_ms=trained.now_ms, wait=trained.move)
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    trained.skills(ENTRIES[0], ENTRIES[1])  # what skills said then is told by an older record
    second = trained.train(force=True).router
    assert second != first
    for wanted in (first, second, first):
        lose(trained)
        done = rollback(trained.doors(), wanted[:10], person="a")
        trained.move()
        assert (done.remade, done.same, done.router) == (True, True, wanted)
        assert trained.in_use == wanted
        assert routing.router_bytes(trained.redis, wanted) == (trained.settings.routers / wanted).read_bytes()
    assert [one["action"] for one in trained.line.records("routing")][-3:] == ["rollback"] * 3


def test_a_truth_that_changed_later_does_not_change_an_earlier_version(trained: Scene) -> None:
    first = trained.in_use
    scene = trained
    with Sources(scene.settings.views) as views:
        (turn,) = views.turns("s-deploy-0")
    annotate(
        scene.redis,
        scene.settings,
        turn.id,
        None,
        note="",
        person="a",
        now_ms=scene.now_ms,
        wait=scene.move,
        skill="invoice",
    )
    scene.move()
    assert len(scene.material().found.by_skill["invoice"]) == len(PROMPTS["invoice"]) + 1
    lose(scene)
    assert rollback(scene.doors(), first, person="a").same


def test_a_snapshot_gives_a_name_to_have_it_again_by(trained: Scene) -> None:
    first = trained.in_use
    snapshot(trained.doors(), "before", person="a")
    trained.move()
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    trained.train(force=True)
    done = rollback(trained.doors(), "before", person="a")
    trained.move()
    assert (done.router, done.remade, trained.in_use) == (first, False, first)
    with pytest.raises(NotFound):
        rollback(trained.doors(), "never", person="a")


def test_a_name_stands_for_one_router(trained: Scene) -> None:
    snapshot(trained.doors(), "before", person="a")
    trained.move()
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    trained.train(force=True)
    with pytest.raises(Refused, match="another label"):
        snapshot(trained.doors(), "before", person="a")


def test_a_rollback_keeps_everything_else_of_the_policy(trained: Scene) -> None:
    first = trained.in_use
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    trained.train(force=True)
    rollback(trained.doors(), first, person="ann", reason="the new one is odd")
    trained.move()
    *_, last = trained.line.records("routing")
    assert (last["action"], last["router"], last["reason"], last["person"]) == (
        "rollback",
        first,
        "the new one is odd",
        "ann",
    )
    assert last["mode"] == "shadow"


def test_training_that_was_broken_off_before_it_was_put_to_use_is_made_good_by_the_next(
    trained: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained.in_use
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    with monkeypatch.context() as patched:
        patched.setattr("workers.centroids.change", _broken)
        with pytest.raises(LineDown):
            trained.train(force=True)
    trained.move()
    assert trained.in_use == first
    report = trained.train(force=True)
    assert trained.in_use == report.router != first


def test_a_decision_of_somebody_else_during_the_training_stays(
    trained: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained.in_use
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()

    def meanwhile(*_: object) -> None:
        with Sources(trained.settings.views) as views:
            policy = views.policy()
        decided = Decision(action="override", policy=replace(policy, overrides={"deploy": "vector"}))
        change(
            trained.redis, trained.settings, decision=decided, upon=policy.id, now_ms=trained.now_ms + 1,
            wait=trained.move,
        )  # fmt: skip
        trained.move()

    with monkeypatch.context() as patched:
        patched.setattr("workers.centroids.collect", meanwhile)
        report = trained.train(force=True)
    assert report.used
    with Sources(trained.settings.views) as views:
        policy = views.policy()
    assert (policy.router, policy.overrides) == (report.router, {"deploy": "vector"})
    assert policy.router != first


def test_another_router_that_was_put_to_use_during_the_training_stays(
    trained: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained.in_use
    trained.turn("s-new", "move the release candidate to the blue servers", "deploy")
    trained.settle()
    second = trained.train(force=True).router
    trained.turn("s-newer", "take the beta to the green servers", "deploy")
    trained.settle()

    def meanwhile(*_: object) -> None:
        rollback(trained.doors(), first, person="a")
        trained.move()

    with monkeypatch.context() as patched:
        patched.setattr("workers.centroids.collect", meanwhile)
        with pytest.raises(Refused, match="meanwhile"):
            trained.train(force=True)
    trained.move()
    assert trained.in_use == first != second


def test_versions_say_what_is_in_use_and_what_can_be_had(trained: Scene) -> None:
    (only,) = versions(trained.settings)
    assert (only.in_use, only.kept, only.gone) == (True, True, 0)
    shutil.rmtree(trained.settings.routers)
    assert not versions(trained.settings)[0].kept


def _broken(*_: object, **__: object) -> None:
    raise LineDown("the server is gone")
