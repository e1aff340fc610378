"""Whether a router may take another's place, and how it is measured."""

from __future__ import annotations

import random

import numpy as np
import pytest

from karl.routing.exemplars import Piece
from karl.routing.router import Exemplar, Router, train
from karl.routing.versions import (
    ENOUGH,
    Seen,
    compared,
    drift,
    drifted,
    figures,
    louder,
    not_worse,
    seen,
    told,
)
from tests.routing.made import exemplars, text, texts, vectors


def trained(given: list[Exemplar], encoder_version: str = "1") -> Router:
    return train(given, vectors(texts(given)), encoder="made", encoder_version=encoder_version)


def verdicts(right: int, wrong: int, *, start: int = 0) -> list[Seen]:
    return [Seen(f"s{start + at}", 1 if at < right else 2, takes=True) for at in range(right + wrong)]


def test_without_a_comparison_a_router_may_be_used() -> None:
    assert not_worse({"held_out": 5, "accuracy": 0.1}).good


def test_the_same_over_few_prompts_is_good_enough_and_said_to_be_unsure() -> None:
    judged = not_worse(told(compared(verdicts(8, 2), verdicts(8, 2))))
    assert judged.good
    assert "too few to be sure" in judged.why


def test_one_prompt_less_of_few_is_not_good_enough() -> None:
    judged = not_worse(told(compared(verdicts(7, 3), verdicts(8, 2))))
    assert not judged.good
    assert "looks worse" in judged.why


def test_surely_not_worse_over_many_is_good_also_where_a_few_are_lost() -> None:
    many = 4 * ENOUGH
    judged = not_worse(told(compared(verdicts(many - 2, 2), verdicts(many, 0))))
    assert judged.good
    assert "not worse than" in judged.why


def test_over_many_a_loss_that_may_be_more_than_is_allowed_is_not_good_enough() -> None:
    judged = not_worse(told(compared(verdicts(ENOUGH - 12, 12), verdicts(ENOUGH, 0))))
    assert not judged.good
    assert "may be worse" in judged.why


def test_a_better_router_over_many_is_good() -> None:
    assert not_worse(told(compared(verdicts(ENOUGH, 0), verdicts(ENOUGH - 40, 40)))).good


def test_figures_can_be_worked_out_by_hand() -> None:
    inside = [Seen("a", 1, takes=True), Seen("b", 2, takes=True), Seen("c", 0, takes=False), Seen("d", 4, takes=False)]  # fmt: skip
    found = figures(inside, [Seen("x", 0, takes=True), Seen("y", 0, takes=False)])
    assert found["accuracy"] == 0.25
    assert found["top3"] == 0.5
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 4) / 4)
    assert (found["taken"], found["right"], found["strangers_taken"]) == (0.5, 0.5, 0.5)
    for name in ("accuracy", "top3", "taken", "right", "strangers_taken"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]


def test_figures_of_nothing_are_nothing() -> None:
    assert figures([]) == {"held_out": 0}


def test_a_skill_that_a_router_does_not_know_is_wrong() -> None:
    router = trained(exemplars(3, 6))
    asked = [text(skill, random.Random(skill)) for skill in (0, 1, 9)]
    pieces = [
        Piece(f"t{at}", f"skill_{at if at < 2 else 9}", one, "prompt", "", 0) for at, one in enumerate(asked)
    ]
    found = seen(router, pieces, vectors(asked))
    assert [one.rank for one in found] == [1, 1, 0]
    assert seen(router, [], np.zeros((0, 32), np.float32)) == []


def test_what_did_not_change_has_not_moved_and_what_did_has() -> None:
    given = exemplars(3, 6)
    moved = [one if one.skill != "skill_1" else one._replace(text=f"wholly other words {at}") for at, one in enumerate(given)]  # fmt: skip
    far = drift(trained(given), trained(moved))
    assert far["skill_0"] == far["skill_2"] == pytest.approx(0, abs=1e-5)
    assert drifted(far) == ["skill_1"]


def test_routers_of_two_encoders_have_no_distance() -> None:
    given = exemplars(3, 6)
    assert drift(trained(given), trained(given, "2")) == {}


def test_a_router_that_surely_takes_more_prompts_that_asked_for_none_is_not_used() -> None:
    better = told(compared(verdicts(9, 1), verdicts(8, 2)))
    quiet = [Seen(str(number), 0, takes=False) for number in range(60)]
    loud = [Seen(str(number), 0, takes=number < 12) for number in range(60)]
    assert not_worse({**better, **louder(quiet, quiet)}).good
    assert not_worse({**better, **louder(quiet, loud)}).good
    judged = not_worse({**better, **louder(loud, quiet)})
    assert not judged.good
    assert "asked for none" in judged.why
    unsure = [Seen(str(number), 0, takes=number < 2) for number in range(60)]
    assert not_worse({**better, **louder(unsure, quiet)}).good
