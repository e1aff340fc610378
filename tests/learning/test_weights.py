"""What rows weigh, and how many copies stand for that."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.learning.row import About, Row
from karl.learning.weights import awr, copies, ess, masked, positive, tiers, top

advantages = st.lists(st.floats(-3, 3), min_size=1, max_size=60)


@given(advantages, st.floats(0.01, 10), st.floats(0.1, 100))
def test_weights_have_mean_1_and_follow_the_advantage(given_, beta, w_max) -> None:
    found = awr(given_, beta, w_max)
    assert math.fsum(found) / len(found) == pytest.approx(1)
    pairs = sorted(zip(given_, found, strict=True))
    assert all(one[1] <= other[1] for one, other in pairwise(pairs))
    assert 1 - 1e-9 <= ess(found) <= len(found) + 1e-9


def test_weights_are_those_of_the_formula() -> None:
    raw = [math.exp(-0.2 / 0.1), math.exp(0.05 / 0.1), 4.0]
    mean = sum(raw) / 3
    assert awr([-0.2, 0.05, 0.9], beta=0.1, w_max=4) == pytest.approx([one / mean for one in raw])


@pytest.mark.parametrize("extreme", [[1e6, -1e6], [1e308, 0.0], [-1e308, -1e308], [-1e308, 1e308]])
def test_extreme_advantages_overflow_nothing(extreme) -> None:
    found = awr(extreme, beta=1e-3)
    assert sum(found) == pytest.approx(len(extreme))
    assert all(math.isfinite(one) for one in found)


def test_no_rows_weigh_nothing() -> None:
    assert awr([]) == []
    assert ess([]) == 0
    assert copies([], 1) == []


@pytest.mark.parametrize(("beta", "w_max"), [(0, 4), (-1, 4), (0.1, 0), (float("nan"), 4)])
def test_a_temperature_or_a_bound_that_is_none_is_an_error(beta, w_max) -> None:
    with pytest.raises(ValueError, match="above 0"):
        awr([0.1], beta, w_max)


def test_the_effective_sample_size_of_equal_weights_is_their_number_and_of_one_is_1() -> None:
    assert ess([0.3] * 7) == pytest.approx(7)
    assert ess([0, 0, 5]) == 1
    assert ess([1, 1, 2]) == pytest.approx(16 / 6)


def test_the_tiers_are_none_one_two_and_three() -> None:
    said = [-1, 0, 0.0001, 0.1, 0.1001, 0.3, 0.3001, 9]
    assert tiers(said) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_filter_keeps_what_is_better_than_expected_or_the_best_share() -> None:
    said = [0.2, -0.1, 0.0, 0.2, 0.5]
    assert positive(said) == [True, False, False, True, True]
    assert top(said, 0.4) == [True, False, False, False, True]
    assert sum(top(said, 0.01)) == 1
    assert all(top(said, 1))
    with pytest.raises(ValueError, match="share"):
        top(said, 0)


@given(advantages, st.integers(0, 5))
@settings(max_examples=50)
def test_copies_are_the_weight_rounded_down_or_up_and_the_same_each_time(given_, seed) -> None:
    found = awr(given_, 0.5)
    made = copies(found, seed)
    assert made == copies(found, seed)
    assert all(math.floor(one) <= many <= math.ceil(one) for one, many in zip(found, made, strict=True))


def test_copies_come_to_the_weight_on_average() -> None:
    weights = [0.2, 1.0, 1.7, 3.25]
    runs = 2000
    totals = [sum(made) for made in zip(*(copies(weights, seed) for seed in range(runs)), strict=True)]
    assert [total / runs for total in totals] == pytest.approx(weights, abs=0.05)


@pytest.mark.parametrize(("failed", "corrected", "is_masked"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)])
def test_a_step_that_failed_or_was_corrected_is_no_target(failed, corrected, is_masked) -> None:
    about = About("t", "s", failed=bool(failed), corrected=bool(corrected))
    assert masked(Row([], about)) is bool(is_masked)
