"""The logistic regression: against closed forms, its bounds, and the conditions of an optimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.evaluation.logistic import SPREAD_MIN, fit


def test_without_features_the_chance_is_the_base_rate() -> None:
    labels = np.array([True] * 30 + [False] * 70)
    made = fit(np.zeros((100, 1)), labels, np.array([1.0]))
    assert made.weights.tolist() == [0.0]
    assert made.chances(np.zeros((1, 1)))[0] == pytest.approx(0.3, abs=1e-3)


def test_one_flag_without_ridge_gives_the_log_odds_ratio() -> None:
    # 40 of 50 with the flag, 10 of 50 without: the odds are 4 and 1/4.
    flag = np.repeat([1.0, 0.0], 50)[:, None]
    labels = np.r_[np.arange(50) < 40, np.arange(50) < 10]
    made = fit(flag, labels, np.array([1e-9]))
    assert made.weights[0] == pytest.approx(np.log(16), rel=1e-3)
    assert made.chances(np.array([[1.0], [0.0]])) == pytest.approx([0.8, 0.2], abs=1e-3)


def test_a_feature_that_speaks_against_success_gets_no_weight() -> None:
    random = np.random.default_rng(2)
    labels = np.arange(300) % 2 == 0
    features = np.column_stack([labels + random.normal(size=300), random.normal(size=300) - labels])
    made = fit(features, labels, np.array([1.0, 1.0]))
    assert made.weights[0] > 0
    assert made.weights[1] == 0


def test_endless_strength_leaves_the_others_alone() -> None:
    random = np.random.default_rng(2)
    labels = np.arange(200) % 2 == 0
    features = np.column_stack([labels + random.normal(size=200), labels + random.normal(size=200)])
    both = fit(features, labels, np.array([1.0, np.inf]))
    alone = fit(features[:, :1], labels, np.array([1.0]))
    assert both.weights.tolist() == [pytest.approx(alone.weights[0]), 0.0]


def test_what_was_not_observed_counts_as_the_middle_of_what_was() -> None:
    features = np.array([[0.0], [1.0], [np.nan], [0.5]] * 20)
    labels = np.array([False, True, True, False] * 20)
    made = fit(features, labels, np.array([1.0]))
    assert made.middle[0] == pytest.approx(0.5)
    assert made.chances(np.array([[np.nan]])) == pytest.approx(made.chances(np.array([[0.5]])))


def test_data_that_can_be_split_keep_weights_finite() -> None:
    made = fit(np.repeat([0.0, 1.0], 50)[:, None], np.arange(100) >= 50, np.array([1.0]))
    assert 0 < made.weights[0] < 30


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 120), st.integers(1, 5))
def test_no_weight_can_be_moved_to_a_better_fit(seed: int, runs: int, width: int) -> None:
    """The conditions of Karush, Kuhn and Tucker, in units of each feature's spread."""
    random = np.random.default_rng(seed)
    features = random.random((runs, width))
    labels = random.random(runs) < features[:, 0]
    strengths = random.uniform(0.5, 20, width)
    made = fit(features, labels, strengths)
    spread = np.maximum(features.std(axis=0), SPREAD_MIN)
    off = made.chances(features) - labels
    slope = ((features - made.middle) / spread).T @ off + strengths * made.weights * spread
    assert (made.weights >= 0).all()
    assert slope[made.weights > 0] == pytest.approx(0, abs=1e-4)
    assert (slope[made.weights == 0] > -1e-4).all()
