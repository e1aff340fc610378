"""Trends: the slope and the test against cases worked by hand, and against what must not matter."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.figures.change import VALUES_MAX, VALUES_MIN, trend

TIMES = [float(at) for at in range(10)]


def test_a_line_is_its_own_slope_and_rises_surely() -> None:
    found = trend(TIMES, [0.1 + 0.02 * at for at in TIMES])
    assert found.direction == "rising"
    assert found.slope == pytest.approx(0.02)
    # S = 45, variance = 10 * 9 * 25 / 18 = 125: z = 44 / sqrt(125) = 3.935, p = 8.3e-5.
    assert found.p == pytest.approx(8.3e-5, rel=0.01)


def test_ties_lower_the_variance_as_kendall_says() -> None:
    # Values 1 1 1 1 1 2 2 2 2 2: S = 25, variance = 125 - 2 * 5 * 4 * 15 / 18 = 91.67, z = 24 / 9.574.
    found = trend(TIMES, [1.0] * 5 + [2.0] * 5)
    assert found.p == pytest.approx(0.01219, rel=0.01)


def test_one_outlier_does_not_make_a_trend() -> None:
    values = [0.5, 0.52, 0.49, 0.51, 0.5, 0.49, 0.52, 0.5, 0.51, 0.0]
    found = trend(TIMES, values)
    assert found.direction == "steady"
    assert abs(found.slope or 0) < 0.01


def test_the_same_value_all_the_time_is_steady() -> None:
    found = trend(TIMES, [0.7] * 10)
    assert (found.direction, found.slope, found.p) == ("steady", 0.0, 1.0)


def test_few_values_say_nothing() -> None:
    few = trend(TIMES[: VALUES_MIN - 1], TIMES[: VALUES_MIN - 1])
    assert (few.direction, few.slope, few.p) == ("too few", None, None)


def test_values_of_one_moment_say_nothing() -> None:
    assert trend([3.0] * 20, [at / 20 for at in range(20)]).direction == "too few"


def test_thousands_of_values_keep_their_trend() -> None:
    noise = random.Random(4)
    n = VALUES_MAX * 5 + 3
    times = [float(at) for at in range(n)]
    found = trend(times, [0.8 - 0.0001 * at + noise.gauss(0, 0.2) for at in times])
    assert (found.n, found.direction) == (n, "falling")
    assert found.slope == pytest.approx(-0.0001, rel=0.2)


def test_noise_is_taken_for_a_trend_about_one_time_in_twenty() -> None:
    noise = random.Random(5)
    told = sum(
        trend(TIMES * 2, [noise.random() for _ in range(20)]).direction != "steady" for _ in range(400)
    )
    assert 6 <= told <= 36


@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), min_size=VALUES_MIN, max_size=30), st.randoms()
)
def test_the_order_of_the_values_does_not_matter(
    points: list[tuple[int, float]], order: random.Random
) -> None:
    found = trend([float(at) for at, _ in points], [value for _, value in points])
    order.shuffle(points)
    assert trend([float(at) for at, _ in points], [value for _, value in points]) == found


@given(st.lists(st.floats(0, 1), min_size=VALUES_MIN, max_size=30))
def test_turned_round_in_time_a_trend_turns_round(values: list[float]) -> None:
    times = [float(at) for at in range(len(values))]
    there, back = trend(times, values), trend(times, values[::-1])
    assert there.p == pytest.approx(back.p)
    assert there.slope == pytest.approx(-(back.slope or 0.0), abs=1e-12)
