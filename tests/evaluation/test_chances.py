"""Chances: Brier scores and calibration errors against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.evaluation.chances import bins, ece, truth
from karl.evaluation.ranking import Draws


def test_the_brier_score_is_the_mean_squared_distance() -> None:
    found = truth(np.array([0.8, 0.3]), np.array([True, False]), Draws(["a", "b"], draws=50))
    assert found is not None
    assert found.brier.value == pytest.approx((0.04 + 0.09) / 2)


def test_the_calibration_error_is_what_is_counted_by_hand() -> None:
    chances = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
    happened = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    # Two bins of four: said 0.25 and 0.75, happened 0.25 and 0.75.
    assert ece(bins(chances, happened, 2)) == pytest.approx(0.0)
    # Four bins of two: 0.15 against 0.5, 0.35 against 0, 0.65 against 0.5, 0.85 against 1.
    assert ece(bins(chances, happened, 4)) == pytest.approx((0.35 + 0.35 + 0.15 + 0.15) / 4)


rows = st.lists(st.tuples(st.integers(0, 5).map(lambda n: n / 5), st.booleans()), min_size=1, max_size=60)


@given(rows, st.randoms())
def test_no_order_of_rows_changes_a_calibration_error(rows: list[tuple[float, bool]], chance: object) -> None:
    mixed = list(rows)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    found = [
        ece(bins(np.array([c for c, _ in some]), np.array([float(h) for _, h in some])))
        for some in (rows, mixed)
    ]
    assert found[0] == pytest.approx(found[1])


@given(rows)
def test_bins_have_equal_mass_and_hold_all_runs(rows: list[tuple[float, bool]]) -> None:
    found = bins(np.array([c for c, _ in rows]), np.array([float(h) for _, h in rows]))
    assert sum(one.runs for one in found) == pytest.approx(len(rows))
    assert max(one.runs for one in found) == pytest.approx(min(one.runs for one in found))


def test_always_saying_the_base_rate_has_no_calibration_error_and_the_brier_score_of_the_constant() -> None:
    labels = np.arange(50) % 5 == 0
    found = truth(np.full(50, 0.2), labels, Draws([str(n) for n in range(50)]))
    assert found is not None
    assert found.ece == pytest.approx(0.0, abs=1e-9)
    assert found.brier.value == pytest.approx(found.constant) == pytest.approx(0.16)


def test_the_error_of_a_perfect_forecast_is_smaller_on_more_runs() -> None:
    random = np.random.default_rng(1)
    sizes = {}
    for size in (50, 800):
        chances = random.uniform(0.2, 0.9, size)
        labels = random.random(size) < chances
        found = truth(chances, labels, Draws([str(n) for n in range(size)]))
        assert found is not None
        sizes[size] = found.perfect
    assert 0 < sizes[800] < sizes[50] / 2
