"""What a training or an evaluation costs, in rows: what one took says what the next will take."""

from __future__ import annotations

from karl.schema.learning import EvaluationBody, Recipe

#: What a row costs that is judged or validated with, in rows that are trained with: there is no way back.
JUDGED = 1 / 3


def of_training(recipe: Recipe, *, judged: int = 0, valid: int = 0) -> float:
    """Give the rows of a training whose adapter is judged by `judged` rows and validated with `valid`.

    Validation is once at the beginning, and after every `recipe.every` iterations.
    """
    passes = 1 - (-recipe.iters // recipe.every) if valid else 0
    valid = min(valid, recipe.valid_rows or valid)
    return recipe.iters * recipe.batch + JUDGED * (judged + passes * valid)


def of_evaluation(body: EvaluationBody, *, valid: int = 0) -> float:
    """Give the rows of an evaluation; `valid` are those that its arms were validated with."""
    runs = sum(len(arm.runs) for arm in body.arms if arm.name not in {"base", "bigram", "majority"})
    return runs * of_training(body.recipe, judged=body.items, valid=valid) + JUDGED * body.items
