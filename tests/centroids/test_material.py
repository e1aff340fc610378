"""What the ledger gives to train with."""

from __future__ import annotations

import pytest

from karl.routing.sources import of_turn
from karl.views.sources import Sources
from tests.centroids.conftest import OTHERS, PROMPTS, Scene
from workers.exemplars import add, find, name_of, remove, weights


def test_prompts_come_whole_with_the_skill_that_their_turn_called(scene: Scene) -> None:
    long = "roll the release out to production " + "and look whether it runs " * 60
    scene.past({"deploy": (long, "ship version two today")}, ())
    found = scene.material().found
    assert {one.text for one in found.by_skill["deploy"]} == {long.strip(), "ship version two today"}


def test_prompts_of_turns_that_used_no_skill_are_strangers(scene: Scene) -> None:
    scene.past()
    found = scene.material().found
    assert {one.text for one in found.strangers} == set(OTHERS)
    assert {skill: len(mine) for skill, mine in found.by_skill.items()} == {
        skill: len(texts) for skill, texts in PROMPTS.items()
    }


def test_a_typed_name_is_taken_off_its_prompt(scene: Scene) -> None:
    scene.skills()
    one = scene.session("s-typed")
    one.prompt("/deploy the shop to the new servers")
    one.stop()
    scene.settle()
    (piece,) = scene.material().found.by_skill["deploy"]
    assert (piece.text, piece.how) == ("the shop to the new servers", "typed")


def test_a_prompt_whose_agent_was_told_of_a_skill_teaches_nothing(scene: Scene) -> None:
    scene.skills()
    for session, informed in (("s-told", True), ("s-control", False)):
        one = scene.session(session)
        prompt = one.prompt(f"bring the {session} shop onto the servers")
        one.event(
            "SkillSuggested", skill="deploy", chance=0.9, policy="p", told=informed, prompt_event=prompt.id
        )  # fmt: skip
        one.call("Skill", skill="deploy")
        one.stop()
    scene.settle()
    found = scene.material().found
    assert [one.text for one in found.by_skill["deploy"]] == ["bring the s-control shop onto the servers"]
    assert found.left_out == {"told of a skill by a router": 1}


def test_an_exemplar_that_was_added_counts_until_it_is_removed(scene: Scene) -> None:
    scene.skills()
    body = add(
        scene.redis, "deploy", "take the shop live", person="ann", now_ms=scene.now_ms, wait=scene.move
    )
    scene.move()
    found = scene.material()
    pieces = [one for one in found.chosen().pieces if one.how == "manual"]
    assert [(one.skill, one.text, name_of(one)) for one in pieces] == [
        ("deploy", "take the shop live", body.id)
    ]
    with Sources(scene.settings.views) as views:
        piece = find(pieces, body.id[:6])
        remove(
            scene.redis, scene.settings.ledger, views, piece, person="ann", now_ms=scene.now_ms, wait=scene.move
        )  # fmt: skip
    scene.move()
    assert not [one for one in scene.material().chosen().pieces if one.how == "manual"]


def test_an_exemplar_that_was_removed_can_be_added_again(scene: Scene) -> None:
    for _ in range(2):
        add(scene.redis, "deploy", "take the shop live", person="a", now_ms=scene.now_ms, wait=scene.move)
        scene.move()
        with Sources(scene.settings.views) as views:
            (piece,) = scene.material().chosen().pieces
            remove(
                scene.redis, scene.settings.ledger, views, piece, person="a", now_ms=scene.now_ms, wait=scene.move
            )  # fmt: skip
        scene.move()
        assert not scene.material().chosen().pieces


def test_a_turns_prompt_that_was_taken_back_is_no_exemplar_and_stays_in_its_turn(scene: Scene) -> None:
    scene.past()
    pieces = [one for one in scene.material().chosen().pieces if one.skill == "deploy"]
    with Sources(scene.settings.views) as views:
        body = remove(
            scene.redis, scene.settings.ledger, views, pieces[0], person="a", now_ms=scene.now_ms, wait=scene.move
        )  # fmt: skip
    scene.move()
    assert body.text == ""
    assert pieces[0].source == of_turn(body.of, "deploy")
    left = [one.source for one in scene.material().chosen().pieces]
    assert pieces[0].source not in left
    assert scene.material().found.left_out["taken back by somebody"] == 1


def test_weights_say_who_says_what_a_skills_texts_ask_for(scene: Scene) -> None:
    scene.skills()
    scene.past()
    add(scene.redis, "deploy", "take the shop live", person="a", now_ms=scene.now_ms, wait=scene.move)
    scene.move()
    rows = {row.skill: row for row in weights(scene.material())}
    assert rows["deploy"].by == {"called": 8, "manual": 1}
    assert rows["invoice"].by == {"called": 8}
    assert sum(row.share for row in rows.values()) == pytest.approx(1.0)
    assert rows["deploy"].share > rows["invoice"].share
