"""What a job takes for granted is what the rooms below it take for granted: said twice, it must be the same."""

from __future__ import annotations

import re

from karl.cli.main import load
from karl.cli.table import COMMANDS
from karl.jobs.table import Lift, Train
from karl.learning.arms import TRAINED, Options
from karl.schema.learning import Recipe


def test_a_training_that_says_nothing_has_the_recipe_that_says_nothing() -> None:
    assert Train().recipe == Recipe()


def test_an_evaluation_that_says_nothing_has_all_arms_chosen_as_ever() -> None:
    asked = Lift()
    assert Options(asked.share, asked.beta, asked.w_max) == Options()
    assert asked.arms == TRAINED


def test_the_help_of_a_recipes_options_says_what_the_recipe_has() -> None:
    command = load(next(row for row in COMMANDS if row.name == "sft-launch"))
    said = {}
    for option in command.params:
        found = re.search(r" \[([\d.]+)\]$", getattr(option, "help", None) or "")
        if found:
            said[option.name] = float(found[1])
    assert said == {name: float(getattr(Recipe(), name)) for name in said}
    assert {"iters", "batch", "layers", "rank", "learning_rate", "max_tokens", "seed", "every"} <= set(said)
