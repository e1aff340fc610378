"""What a training or an evaluation costs."""

from __future__ import annotations

from importlib.resources import files

import msgspec
import pytest

from karl.learning.cost import GUARD_ROWS, of_evaluation, of_judging, of_training
from karl.schema.learning import Recipe
from tests.lift.planted import evaluation


def test_a_training_costs_its_rows_and_a_third_of_each_validation() -> None:
    recipe = Recipe(iters=60, batch=4, every=25)
    assert of_training(recipe) == 240
    assert of_training(recipe, valid=9) == pytest.approx(240 + 4 * 3)  # at 0, 25, 50 and 60


def test_a_judgement_costs_a_third_of_its_steps_and_of_the_plain_instructions() -> None:
    assert of_judging(30) == pytest.approx((30 + GUARD_ROWS) / 3)
    assert len((files("karl.training") / "guard.jsonl").read_bytes().splitlines()) == GUARD_ROWS


def test_an_evaluation_costs_its_runs_and_the_judging_of_the_base() -> None:
    body = evaluation(0.1)
    assert of_evaluation(body) == pytest.approx(20 * of_training(body.recipe) + 21 * of_judging(body.items))


def test_an_adapter_that_was_given_was_not_trained() -> None:
    trained, recipe = evaluation(0.1), Recipe(seed=0)
    body = msgspec.structs.replace(trained, options={"exported": 1.0}, recipe=recipe)
    assert of_evaluation(body) == pytest.approx(of_evaluation(trained) - of_training(recipe))
