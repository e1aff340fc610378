"""What a training or an evaluation costs, in rows: what one took says what the next will take."""

from __future__ import annotations

from karl.schema.learning import EvaluationBody, Recipe

#: What a row costs that is judged or validated with, in rows that are trained with: there is no way back.
JUDGED = 1 / 3
#: Plain instructions that every adapter is judged by, beside the held-out steps.
GUARD_ROWS = 24


def of_training(recipe: Recipe, *, valid: int = 0) -> float:
    """Give the rows of a training that validates with `valid`.

    Validation is once at the beginning, and after every `recipe.every` iterations.
    """
    passes = 1 - (-recipe.iters // recipe.every) if valid else 0
    valid = min(valid, recipe.valid_rows or valid)
    return recipe.iters * recipe.batch + JUDGED * passes * valid


def of_judging(items: int) -> float:
    """Give the rows of judging one model by so many held-out steps."""
    return JUDGED * (items + GUARD_ROWS)


def of_runs(recipe: Recipe, runs: int, items: int, *, given: bool = False, valid: int = 0) -> float:
    """Give the rows of an evaluation: the base's judging, and so many runs; one is not trained if `given`."""
    return (runs - given) * of_training(recipe, valid=valid) + (1 + runs) * of_judging(items)


def of_evaluation(body: EvaluationBody, *, valid: int = 0) -> float:
    """Give the rows of an evaluation; `valid` are those that its arms were validated with."""
    runs = sum(len(arm.runs) for arm in body.arms if arm.name not in {"base", "bigram", "majority"})
    given = bool(body.options.get("exported")) and any(
        arm.name == "advantage" and any(run.seed == body.recipe.seed for run in arm.runs) for arm in body.arms
    )
    return of_runs(body.recipe, runs, body.items, given=given, valid=valid)
