"""Rankings against counting by hand, closed forms, and what must and must not change them."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.evaluation.ranking import (
    Draws,
    auroc,
    auroc_difference,
    auroc_estimate,
    overlap,
    ranks,
    spearman,
    wins,
)

scored = st.lists(st.tuples(st.integers(-6, 6).map(float), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def columns(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in rows]), np.array([label for _, label in rows])


def counted(scores: np.ndarray, labels: np.ndarray) -> float:
    """The definition: the share of pairs that are ordered rightly, ties counting half."""
    good, bad = scores[labels], scores[~labels]
    return sum((a > b) + 0.5 * (a == b) for a, b in product(good, bad)) / (len(good) * len(bad))


@given(scored)
def test_the_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[float, bool]]) -> None:
    scores, labels = columns(rows)
    assert auroc(scores, labels) == pytest.approx(counted(scores, labels))


@given(scored)
def test_a_rising_map_changes_no_auroc_and_a_turned_label_takes_it_from_one(
    rows: list[tuple[float, bool]],
) -> None:
    scores, labels = columns(rows)
    value = auroc(scores, labels)
    assert auroc(np.exp(scores / 3) + 5, labels) == pytest.approx(value)
    assert auroc(-scores, labels) == pytest.approx(1 - value)
    assert auroc(scores, ~labels) == pytest.approx(1 - value)


def test_a_published_example_comes_out() -> None:
    # Four scores of the usual textbook example: three of four pairs are in order.
    assert auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75


def test_an_auroc_of_one_label_is_none() -> None:
    draws = Draws(["a", "b"])
    assert math.isnan(auroc(np.array([1.0, 2.0]), np.array([True, True])))
    assert auroc_estimate(np.array([1.0, 2.0]), np.array([True, True]), draws) is None


def test_weights_of_a_draw_count_a_run_as_often_as_it_was_drawn() -> None:
    random = np.random.default_rng(5)
    scores, labels = random.integers(0, 4, 12).astype(float), np.arange(12) % 3 == 0
    groups = [str(number // 2) for number in range(12)]
    draws = Draws(groups, draws=50, seed=2)
    found = auroc_estimate(scores, labels, draws)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    drawn = []
    for counts in draws.counts:
        times = counts[draws.of].astype(int)
        again, said = np.repeat(scores, times), np.repeat(labels, times)
        if said.any() and not said.all():
            drawn.append(counted(again, said))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))), abs=1e-6)


def test_the_bootstrap_agrees_with_the_closed_form_of_the_standard_error() -> None:
    random = np.random.default_rng(3)
    labels = np.arange(600) % 2 == 0
    scores = random.normal(size=600) + labels * 1.0
    found = auroc_estimate(scores, labels, Draws([str(n) for n in range(600)], seed=1))
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    area = found.value  # Hanley and McNeil 1982, equation 1
    q1, q2, n = area / (2 - area), 2 * area**2 / (1 + area), 300
    error = math.sqrt((area * (1 - area) + (n - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)) / n**2)
    assert (found.high - found.low) / 3.92 == pytest.approx(error, rel=0.15)


def test_runs_of_one_task_are_drawn_together() -> None:
    draws = Draws(["a", "a", "b", "b", "c"], draws=200)
    weights = draws.weights(np.ones(5, dtype=bool))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 3]).all()
    assert (draws.counts.sum(axis=1) == 3).all()


def test_a_difference_to_itself_is_nothing_and_of_a_reversal_is_sure() -> None:
    random = np.random.default_rng(4)
    labels = np.arange(100) % 2 == 0
    scores = random.normal(size=100) + labels
    draws = Draws([str(n) for n in range(100)])
    same = auroc_difference(scores, scores, labels, draws)
    turned = auroc_difference(scores, -scores, labels, draws)
    assert same is not None
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert turned is not None
    assert turned.low is not None
    assert turned.low > 0


def test_pairs_within_parts_alone_are_counted() -> None:
    # Within each part the order is perfect; between the parts it is turned round.
    scores, labels = np.array([1.0, 2.0, 11.0, 12.0]), np.array([False, True, False, True])
    parts = [np.array([True, True, False, False]), np.array([False, False, True, True])]
    draws = Draws(["a", "b", "c", "d"])
    whole, within = auroc_estimate(scores, labels, draws), auroc_estimate(scores, labels, draws, parts=parts)
    assert whole is not None
    assert within is not None
    assert (whole.value, within.value) == (0.75, 1.0)


def test_wins_are_pairs_of_one_task_with_ties_as_halves() -> None:
    scores = np.array([3.0, 1.0, 2.0, 2.0, 9.0])
    labels = np.array([True, False, True, False, False])
    found = wins(scores, labels, Draws(["a", "a", "b", "b", "c"]))
    assert found.pairs == 2
    assert found.rate is not None
    assert found.rate.value == 0.75


def test_no_task_with_both_outcomes_gives_no_wins() -> None:
    found = wins(np.array([1.0, 2.0]), np.array([True, False]), Draws(["a", "b"]))
    assert found == (0, None)


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


@given(st.lists(st.integers(-20, 20).map(float), min_size=2, max_size=30, unique=True))
def test_without_ties_the_rank_correlation_is_the_closed_form(values: list[float]) -> None:
    one, other = np.array(values), np.array(values[::-1])
    n = len(values)
    apart = ((ranks(one) - ranks(other)) ** 2).sum()
    assert spearman(one, other) == pytest.approx(1 - 6 * apart / (n * (n * n - 1)))


def test_a_constant_has_no_rank_correlation() -> None:
    assert spearman(np.array([1.0, 1.0]), np.array([1.0, 2.0])) is None


def test_the_overlap_of_the_highest_counts_ties_at_the_border_by_their_share() -> None:
    one, other = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 3.0, 3.0, 3.0])
    assert overlap(one, one, 2) == 1.0
    assert overlap(one, other, 1) == 0.0
    # Of two places among three that tie, each has two thirds.
    assert overlap(one, other, 2) == pytest.approx((2 / 3) / 2)
