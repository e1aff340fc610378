"""Plots: text without escapes, the same everywhere, that shows what it was given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from karl.figures.plot import Span, histogram, over_days, reliability

DAYS = [Span(0, 0.6, 0.5, 0.7), Span(1, 0.62, None, None), Span(4, 0.7, 0.0, 1.0)]
LABELS = ["03-01", "03-02", "03-03", "03-04", "03-05"]


def test_days_stand_at_their_places_and_gaps_stay_gaps() -> None:
    lines = over_days(DAYS, LABELS, width=60, braille=False)
    shown = [line for line in lines if " o" in line]
    assert [line.index("o") for line in shown] == sorted((line.index("o") for line in shown), reverse=True)
    assert "03-01" in lines[-1]
    assert "03-05" in lines[-1]


def test_an_interval_that_says_nothing_is_not_drawn() -> None:
    lines = over_days([Span(0, 0.5, 0.0, 1.0), Span(1, 0.6, 0.55, 0.65)], LABELS[:2], width=60, braille=False)
    first = [line for line in lines if "|" in line[:12]]
    left = min(line.index("o") for line in first if "o" in line)
    assert not any(line[left : left + 1] == "*" for line in first)


def test_no_plot_has_an_escape_or_goes_beyond_its_width() -> None:
    spans = [Span(0.2, 0.1, 0.05, 0.3), Span(0.9, 0.8, 0.7, 0.85)]
    for lines in (
        over_days(DAYS, LABELS, width=70),
        reliability(spans, width=70),
        histogram([0.1, 0.5, 0.55], width=70),
    ):
        assert "\x1b" not in "".join(lines)
        assert max(map(len, lines)) <= 70
        assert lines


def test_without_braille_all_is_ascii() -> None:
    for lines in (
        over_days(DAYS, LABELS, width=70, braille=False),
        reliability([Span(0.5, 0.5, 0.4, 0.6)], width=70, braille=False),
        histogram([0.1, 0.5], width=70, braille=False),
    ):
        assert "".join(lines).isascii()


def test_a_histogram_counts_every_value_once() -> None:
    assert histogram([0.0, 0.05, 0.31, 1.0], width=40, braille=False) == [
        "    0.00 to 0.10 | ################# 2",
        "    0.10 to 0.20 |  0",
        "    0.20 to 0.30 |  0",
        "    0.30 to 0.40 | ######## 1",
        "    0.40 to 0.50 |  0",
        "    0.50 to 0.60 |  0",
        "    0.60 to 0.70 |  0",
        "    0.70 to 0.80 |  0",
        "    0.80 to 0.90 |  0",
        "    0.90 to 1.00 | ######## 1",
    ]


def test_of_nothing_there_is_no_plot() -> None:
    assert over_days([], [], width=80) == reliability([], width=80) == histogram([], width=80) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(20, 200))
def test_any_values_at_any_width_can_be_drawn(values: list[float], width: int) -> None:
    spans = [Span(float(at), value, None, None) for at, value in enumerate(values)]
    assert over_days(spans, [str(at) for at in range(len(values))], width=width)
    assert sum(int(line.rsplit(" ", 1)[1]) for line in histogram(values, width=width)) == len(values)
