"""Intervals: the published figures, and how often they hold the truth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.intervals import Verdict, always, newcombe, paired_of, spread_of, t_of, wilson
from tests.promotion.made import stream

counts = st.integers(0, 60)


def test_newcombes_interval_of_a_paired_difference_is_the_published_one() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:2635), table II: 36, 12, 2 and 0 of 50, method 10.
    assert newcombe(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=1e-4)


def test_students_t_is_that_of_tables_at_any_level() -> None:
    # Upper points of 0.0005: 636.62, 8.610, 4.587, 3.460.
    assert [round(t_of(freedom, 0.0005), 3) for freedom in (1, 4, 10, 60)] == [636.619, 8.610, 4.587, 3.460]
    assert t_of(60, 0.001) - t_of(61, 0.001) == pytest.approx(t_of(61, 0.001) - t_of(62, 0.001), rel=0.05)
    with pytest.raises(ValueError):
        t_of(0, 0.025)


@given(counts, counts, counts, counts)
def test_an_interval_holds_the_difference_and_turns_round_with_the_sides(
    a: int, b: int, c: int, d: int
) -> None:
    n = a + b + c + d
    if not n:
        return
    low, high = newcombe(a, b, c, d)
    assert -1 <= low <= (b - c) / n <= high <= 1
    other = newcombe(a, c, b, d)
    assert other == pytest.approx((-high, -low))
    wide = newcombe(a, b, c, d, 0.001)
    assert wide[0] <= low + 1e-12
    assert wide[1] >= high - 1e-12


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), max_size=40))
def test_what_comes_in_groups_is_never_worth_more_than_its_number(
    found: list[tuple[int, bool, bool]],
) -> None:
    paired = paired_of(Verdict(*one) for one in found)
    assert paired.n == len(found)
    assert paired.worth <= paired.n + 1e-9
    if paired.difference is not None:
        assert paired.low is not None
        assert paired.high is not None
        assert paired.low - 1e-9 <= paired.difference <= paired.high + 1e-9


def test_one_group_says_nothing_and_groups_that_are_all_alike_count_once_each() -> None:
    assert paired_of([Verdict("s", True, False)] * 200).low == -1.0
    alike = paired_of(Verdict(number % 30, True, False) for number in range(3000))
    single = paired_of(Verdict(number, True, False) for number in range(30))
    assert alike.low == pytest.approx(single.low)


@pytest.mark.parametrize(
    ("asked", "alike", "vector", "regex"), [(60, 0.5, 0.7, 0.5), (200, 1.0, 0.6, 0.6), (150, 0.5, 0.9, 0.85)]
)
def test_the_interval_misses_the_difference_as_seldom_as_it_says(
    asked: int, alike: float, vector: float, regex: float
) -> None:
    runs = missed = above = 0
    for seed in range(100):
        rows = [row for row in stream(seed, asked, vector=vector, regex=regex, alike=alike) if row.truth]
        found = paired_of(
            Verdict(row.session, row.vector == row.truth, row.regex == row.truth) for row in rows
        )
        assert found.low is not None
        assert found.high is not None
        runs += 1
        above += found.low > vector - regex
        missed += found.low > vector - regex or found.high < vector - regex
    assert missed <= 0.1 * runs  # 5 % and what 100 draws may be off
    assert above <= 0.05 * runs


def test_an_interval_that_always_holds_is_wider_and_narrows_with_the_error() -> None:
    assert always(0.02, 0.02) > 1.96 * 0.02
    assert always(0.02, 0.02) < 3.2 * 0.02
    assert always(0.01, 0.02) < always(0.02, 0.02) < always(0.04, 0.02)
    assert always(0.0, 0.02) == 0.0
    assert wilson(0, 10)[0] == 0.0
    assert spread_of([1.0]) is None
