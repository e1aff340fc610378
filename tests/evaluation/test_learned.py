"""What is learned: folds by group, honest figures, and when it may be used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.evaluation.learned import FOLDS, Table, enough, fitted, fold_of, from_elsewhere, judged, table
from karl.evaluation.ranking import Draws
from karl.evaluation.scoring import Sheet
from karl.reward.calibration import REWARD
from tests.evaluation.made import many, read_rows


def made(seed: int, runs: int = 300, *, truth: float = 2.0, features: int = 2, each: int = 1) -> Table:
    """A reward that says something of the outcome, in wrong units, and features that say nothing."""
    random = np.random.default_rng(seed)
    reward = random.uniform(0.4, 0.6, runs)
    noise = random.random((runs, features))
    labels = random.random(runs) < 1 / (1 + np.exp(-truth * (reward - 0.5) * 10))
    names = (REWARD, *(f"noise{n}" for n in range(features)))
    groups = [str(number // each) for number in range(runs)]
    return Table(names, np.column_stack([reward, noise]), labels, Draws(groups, draws=200))


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=120))
def test_all_runs_of_a_group_are_in_one_fold(rows: list[tuple[int, bool]]) -> None:
    groups, labels = np.array([g for g, _ in rows]), np.array([label for _, label in rows])
    folds = fold_of(groups, labels)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups.tolist()))
    assert ((folds >= 0) & (folds < FOLDS)).all()


def test_folds_share_both_outcomes_out() -> None:
    labels = np.arange(100) < 12
    folds = fold_of(np.arange(100), labels)
    assert [int(labels[folds == fold].sum()) for fold in range(FOLDS)] == pytest.approx(
        [12 / FOLDS] * FOLDS, abs=1
    )
    assert [int((folds == fold).sum()) for fold in range(FOLDS)] == pytest.approx([20] * FOLDS, abs=2)


def test_a_reward_in_wrong_units_is_scaled_and_ranks_as_before() -> None:
    learned = judged(made(1))
    assert learned.beats
    assert learned.auroc_gain is not None
    assert learned.auroc_gain.value >= 0
    assert learned.brier_gain.low is not None
    assert learned.brier_gain.low > 0
    assert learned.truth is not None
    assert learned.truth.ece < 0.1


def test_a_signal_that_tells_more_than_the_reward_gets_a_weight() -> None:
    data = made(4, 400, truth=0.3)
    telling = np.random.default_rng(40).random(400)
    labels = np.random.default_rng(41).random(400) < telling
    features = np.column_stack([data.fixed, telling, data.features[:, 2]])
    learned = judged(data._replace(features=features, labels=labels))
    assert learned.kind == "weights"
    assert learned.beats
    assert learned.auroc_gain is not None
    assert learned.auroc_gain.low is not None
    assert learned.auroc_gain.low > 0.1
    assert learned.weights["noise0"] > 1


def test_labels_that_nothing_tells_of_teach_nothing() -> None:
    data = made(8)
    learned = judged(data._replace(labels=np.random.default_rng(80).random(len(data.labels)) < 0.5))
    assert learned.auroc is not None
    assert learned.auroc.low is not None
    assert learned.auroc.low < 0.5


def test_a_reward_that_is_turned_round_is_not_made_a_constant() -> None:
    data = made(8)
    learned = judged(data._replace(labels=data.fixed < 0.5, features=data.features[:, :1], names=(REWARD,)))
    assert learned.weights == {}
    assert not learned.beats


def test_a_planted_group_name_is_not_learned() -> None:
    """Runs of a task share outcome and a feature of their own: in other folds it says nothing."""
    random = np.random.default_rng(3)
    tasks = np.repeat(np.arange(60), 5)
    outcome = random.random(60) < 0.5
    feature = random.random(60)
    reward = np.full(300, 0.5)
    features = np.column_stack([reward, feature[tasks]])
    data = Table((REWARD, "task"), features, outcome[tasks], Draws([str(t) for t in tasks], draws=200))
    learned = judged(data)
    assert learned.auroc is not None
    assert learned.auroc.value < 0.65


def test_what_ranks_worse_is_not_used() -> None:
    """The reward is the outcome's own chance; what could be learned beside it is noise."""
    data = made(5, 80, features=6)
    random = np.random.default_rng(5)
    chance = random.random(80)
    perfect = data._replace(
        features=np.column_stack([chance, data.features[:, 1:]]), labels=random.random(80) < chance
    )
    learned = judged(perfect)
    assert not learned.beats
    assert "Brier" in learned.why or "ranks worse" in learned.why


def test_weights_of_a_model_are_never_negative_and_a_sign_that_is_wrong_gets_none() -> None:
    data = made(6)
    turned = data._replace(features=np.column_stack([data.features[:, 0], -data.features[:, 0] + 1]))
    model = fitted(turned._replace(names=(REWARD, "wrong")), np.arange(300))
    assert (model.weights >= 0).all()
    assert model.weights[1] == 0


def test_too_few_of_either_outcome_teach_nothing() -> None:
    assert not enough(np.arange(39) % 2 == 0)
    assert not enough(np.arange(200) < 9)
    assert enough(np.arange(200) < 10)


def test_a_set_can_be_judged_by_what_others_teach() -> None:
    here, others = made(1, 100), [made(2, 200), made(3, 50, features=0)]
    found = from_elsewhere(here, others)
    assert found is not None
    assert found.sets == 2
    assert found.auroc is not None
    assert found.auroc.value > 0.6
    assert from_elsewhere(here, [made(2, 30)]) is None
    assert from_elsewhere(here, []) is None


def test_a_table_holds_no_signal_of_the_outcome() -> None:
    sheet = Sheet(read_rows(many(12)), draws=10, seed=0)
    for version in ("1", "2"):
        data = table(sheet.scores(version), sheet.labels, sheet.draws)
        assert data.names[0] == REWARD
        assert "outcome" not in data.names
        assert not any(
            "correction" in name or "build" in name for name in data.names if name != "r_has_build"
        )
