"""What a training or an evaluation costs."""

from __future__ import annotations

import pytest

from karl.learning.cost import of_evaluation, of_training
from karl.schema.learning import Recipe
from tests.lift.planted import evaluation


def test_a_training_costs_its_rows_a_third_of_those_judged_and_of_each_validation() -> None:
    recipe = Recipe(iters=60, batch=4, every=25)
    assert of_training(recipe) == 240
    assert of_training(recipe, judged=30) == 250
    assert of_training(recipe, judged=30, valid=9) == pytest.approx(250 + 4 * 3)  # at 0, 25, 50 and 60


def test_an_evaluation_costs_its_runs_and_the_judging_of_the_base() -> None:
    body = evaluation(0.1)
    each = of_training(body.recipe, judged=body.items)
    assert of_evaluation(body) == pytest.approx(20 * each + body.items / 3)
