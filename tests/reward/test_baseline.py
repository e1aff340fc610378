"""Baselines: one mean, one spread and one advantage, from sums that a view can keep."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.reward.baseline import Sums, advantage, baseline

rewards = st.lists(st.floats(0, 1).map(lambda value: round(value, 4)), max_size=60)


def sums(*values: float) -> Sums:
    total = Sums()
    for value in values:
        total = total.add(value)
    return total


def test_a_small_domain_leans_on_everybody() -> None:
    found = baseline(sums(0.9, 0.9), sums(0.9, 0.9, 0.5, 0.5))
    assert found.mean == pytest.approx((2 * 0.9 + 10 * 0.7) / 12)
    assert found.spread == pytest.approx(0.2)


def test_a_domain_has_its_own_spread_from_five_trajectories_on() -> None:
    four, five = sums(0.1, 0.9, 0.1, 0.9), sums(0.1, 0.9, 0.1, 0.9, 0.5)
    everyone = sums(0.5, 0.6)
    assert baseline(four, everyone).spread == pytest.approx(0.05)
    assert baseline(five, everyone).spread == pytest.approx(statistics.pstdev([0.1, 0.9, 0.1, 0.9, 0.5]))


def test_equal_rewards_do_not_blow_the_advantage_up() -> None:
    equal = sums(*[0.6] * 50)
    assert baseline(equal, equal).spread == 0.02
    assert advantage(0.62, baseline(equal, equal)) == pytest.approx(1.0)


def test_without_any_trajectory_the_middle_of_the_scale_is_expected() -> None:
    assert baseline(Sums(), Sums()) == (0.5, 0.02)


def test_a_domain_without_trajectories_expects_what_everybody_gets() -> None:
    everyone = sums(0.2, 0.4)
    assert baseline(Sums(), everyone) == (pytest.approx(0.3), pytest.approx(0.1))


@given(rewards)
def test_sums_give_the_mean_and_the_population_spread(values: list[float]) -> None:
    found = sums(*values)
    assert found.mean == pytest.approx(statistics.fmean(values) if values else 0.5, abs=1e-12)
    assert found.spread == pytest.approx(statistics.pstdev(values) if values else 0.0, abs=1e-9)


@given(rewards, st.randoms(use_true_random=False))
def test_sums_forget_what_was_removed_and_the_order_of_adding(values: list[float], random: object) -> None:
    shuffled = values.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sums(*values) == sums(*shuffled)
    emptied = sums(*values)
    for value in shuffled:
        emptied = emptied.remove(value)
    assert emptied == Sums()


@given(rewards, rewards)
def test_every_advantage_is_finite(domain: list[float], others: list[float]) -> None:
    found = baseline(sums(*domain), sums(*domain, *others))
    assert 0 <= found.mean <= 1
    assert math.isfinite(advantage(1.0, found))


def test_a_million_rewards_lose_no_digit() -> None:
    many = Sums(1_000_000, 1_000_000 * 6632, 1_000_000 * 6632**2)
    assert many.add(0.6632).remove(0.6632) == many
    assert many.mean == 0.6632
    assert many.spread == 0.0


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_refused(reward: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Sums().add(reward)
