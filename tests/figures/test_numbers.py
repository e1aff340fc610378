"""Means, shares, ranks and entropies, against cases worked by hand and against what must always hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.figures.numbers import divergence, effective_number, entropy, holm, quantile, standing
from karl.intervals import mean_of, share_of, spread_of, t95, wilson

counts = st.lists(st.integers(0, 50), min_size=1, max_size=8)
shares = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 20)).map(
        lambda one: (one[0], min(one[1], one[2]), one[2])
    ),
    max_size=30,
)


def test_wilsons_interval_is_the_published_one() -> None:
    # 81 of 263: Newcombe 1998, table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)


def test_independent_turns_give_the_plain_share_and_interval() -> None:
    found = share_of((number, int(number < 3), 1) for number in range(10))
    assert (found.hits, found.n, found.groups, found.share) == (3, 10, 10, 0.3)
    # Singles differ by n/(n-1) from the binomial variance, and ten of them have Student's t of 9 degrees.
    worth = 9 * (1.959964 / 2.262) ** 2
    assert (found.low, found.high) == pytest.approx(wilson(0.3 * worth, worth), abs=1e-6)


def test_turns_that_come_in_like_sessions_are_worth_fewer() -> None:
    alone = share_of((number, int(number % 2), 1) for number in range(40))
    together = share_of((number // 10, int(number < 20), 1) for number in range(40))
    assert alone.share == together.share == 0.5
    assert together.high - together.low > 2 * (alone.high - alone.low)  # type: ignore[operator]


def test_of_nothing_nothing_is_said() -> None:
    assert share_of([]).share is None
    assert share_of([("s", 0, 0)]).share is None
    assert mean_of([]).mean is None
    assert spread_of([1.0]) is None
    assert effective_number([]) == entropy([0, 0]) == 0.0


def test_a_mean_over_single_turns_has_students_interval() -> None:
    values = [0.2, 0.4, 0.6, 0.8]
    found = mean_of(enumerate(values))
    error = math.sqrt(sum((value - 0.5) ** 2 for value in values) / 3 / 4)
    assert found.mean == 0.5
    assert found.error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx((0.5 - 3.182 * error, 0.5 + 3.182 * error))


def test_a_mean_of_one_session_has_no_interval() -> None:
    found = mean_of([("s", 0.2), ("s", 0.4)])
    assert (found.n, found.groups, found.low, found.high) == (2, 1, None, None)
    assert found.mean == pytest.approx(0.3)


def test_the_interval_of_a_mean_stays_in_its_bounds() -> None:
    found = mean_of([("a", 0.0), ("b", 1.0)], (0.0, 1.0))
    assert (found.low, found.high) == (0.0, 1.0)


def test_students_t_goes_over_into_the_normal() -> None:
    assert t95(1) == 12.706
    assert t95(30) == 2.042
    assert t95(31) == pytest.approx(2.0395, abs=1e-3)
    assert t95(100) == pytest.approx(1.9840, abs=1e-4)
    with pytest.raises(ValueError):
        t95(0)


def test_quantiles_and_places_are_those_of_the_books() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert quantile([1.0, 2.0, 3.0, 4.0], 1.0) == 4.0
    assert standing([1.0, 2.0, 2.0, 3.0], 2.0) == 0.5
    assert (standing([1.0, 2.0], 0.0), standing([1.0, 2.0], 9.0)) == (0.0, 1.0)


def test_as_many_equal_kinds_as_there_are_is_the_most_varied() -> None:
    assert effective_number([5, 5, 5, 5]) == pytest.approx(4.0)
    assert effective_number([100, 0, 0]) == pytest.approx(1.0)
    assert effective_number([3, 1]) == pytest.approx(math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4)))


def test_a_divergence_is_0_of_the_same_and_1_of_strangers() -> None:
    assert divergence({"a": 2, "b": 2}, {"a": 1, "b": 1}) == pytest.approx(0.0)
    assert divergence({"a": 1}, {"b": 3}) == pytest.approx(1.0)
    assert divergence({}, {"b": 3}) is None


def test_holm_raises_by_how_many_there_are() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])


@given(counts)
def test_an_effective_number_lies_between_1_and_the_kinds_seen(found: list[int]) -> None:
    kinds = sum(count > 0 for count in found)
    assert kinds == 0 or 1 - 1e-9 <= effective_number(found) <= kinds + 1e-9


@given(shares)
def test_a_share_lies_in_its_interval(found: list[tuple[int, int, int]]) -> None:
    share = share_of(found)
    if share.share is not None:
        assert 0 <= share.low <= share.share + 1e-9  # type: ignore[operator]
        assert share.share - 1e-9 <= share.high <= 1  # type: ignore[operator]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), min_size=1, max_size=40))
def test_a_mean_lies_in_its_interval_whatever_the_order(values: list[tuple[int, float]]) -> None:
    found, turned = mean_of(values, (0.0, 1.0)), mean_of(values[::-1], (0.0, 1.0))
    assert found.mean == pytest.approx(turned.mean)
    if found.low is not None:
        assert found.low - 1e-9 <= found.mean <= found.high + 1e-9  # type: ignore[operator]


@given(counts, counts)
def test_a_divergence_is_the_same_both_ways(one: list[int], other: list[int]) -> None:
    first = {str(at): float(count) for at, count in enumerate(one)}
    second = {str(at): float(count) for at, count in enumerate(other)}
    there, back = divergence(first, second), divergence(second, first)
    assert there == (None if back is None else pytest.approx(back, abs=1e-12))
