"""How long a row takes, as the ledger knows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from karl.ledger.writer import Draft
from karl.schema.learning import Recipe
from karl.settings import Settings, read_settings
from karl.views.rebuild import rebuild
from tests.views import ledgers
from tests.views.learned import evaluation, export, training
from workers.speed import speed_of

#: 40 rows trained with, two validated with at three times: 42 rows.
RECIPE = Recipe(iters=10, batch=4, every=5)


def told(folder: Path, *drafts: Draft) -> Settings:
    settings = read_settings({"KARL_DATA_DIR": str(folder)})
    ledgers.write(settings.ledger, drafts)
    settings.views.parent.mkdir(parents=True)
    rebuild(settings.views, settings.ledger, "2")
    return settings


def test_a_speed_is_that_of_the_newest_training_of_the_model_that_was_done(tmp_path: Path) -> None:
    settings = told(
        tmp_path,
        export("ex1"),
        training("t1", "ex1", "ad1", recipe=RECIPE, seconds=84.0),
        training("t2", "ex1", ended="failed", recipe=RECIPE, seconds=1.0),
        training("t3", "ex1", "ad3", recipe=RECIPE, seconds=1.0, model="another"),
    )
    speed = speed_of(settings, "tiny")
    assert speed.row_s == pytest.approx(2.0)
    assert speed.seconds(100) == 200
    assert "t1" in speed.basis
    unknown = speed_of(settings, "nobody's")
    assert unknown.seconds(100) is None
    assert "karl sft-preflight" in unknown.basis


def test_an_evaluation_of_the_model_says_more_than_a_training(tmp_path: Path) -> None:
    judged = evaluation(
        "ev1", "ex1", {"advantage": ("ad1",), "random": ("ad2",), "base": ("",)},
        recipe=RECIPE, items=3, seconds=107.0 * 3,
    )  # fmt: skip
    settings = told(tmp_path, export("ex1"), training("t1", "ex1", "ad1", seconds=84.0), judged)
    speed = speed_of(settings, "tiny")
    # Two trainings of 40 rows, and three times a third of 3 steps and 24 plain instructions.
    assert speed.row_s == pytest.approx(3.0)
    assert "ev1" in speed.basis
