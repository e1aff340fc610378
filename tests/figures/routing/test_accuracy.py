"""Accuracy of routing: what is counted, what is left out, and how sure it is."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.figures.routing.accuracy import accuracy_of, days_of, place_of, ranking_of
from karl.figures.routing.chosen import GROUP_MIN, PROMPTS_MIN, choose, pick
from karl.figures.routing.forecast import forecast_of, worth_of
from karl.figures.routing.organic import organic_of
from karl.figures.routing.shares import part, weighed
from karl.figures.routing.skills import evolution_of, skills_of
from karl.intervals import Z95, Share, t95, wilson
from karl.routing.evidence import Evidence
from karl.views.routing_rows import ShadowRow
from tests.figures.routing.made import DAY_MS, START_MS, ranked, shadow, shadows


def evidence(number: int, **facts: Any) -> Evidence:
    known: dict[str, Any] = {
        "event": f"e{number}", "session": f"s{number}", "agent": "claude-code", "words": "w", "router": "r",
        "time_ms": START_MS + number * 3_600_000, "vector": "a", "regex": None, "truth": "a", "by": "called",
        "took_us": 900, **facts,
    }  # fmt: skip
    return Evidence(**known)


def mixed() -> list[ShadowRow]:
    """Thirty prompts for a: the vector router right of 24, which it takes of 20; the rules of 12."""
    rows = []
    for number in range(30):
        first = "a" if number < 24 else "b"
        rows.append(
            shadow(
                number,
                "a",
                ranked=ranked(first, "a" if number >= 27 else "c"),
                takes=number < 20 or number >= 27,
                regex="a" if 14 <= number < 26 else None,
                picked="a" if number < 10 else None,
            )
        )
    return rows


def test_accuracy_is_what_it_comes_to_by_hand() -> None:
    (whole,) = accuracy_of(choose(mixed()))
    assert (whole.asked, whole.none, whole.sessions) == (30, 0, 30)
    assert (whole.ranking.first.hits, whole.ranking.first.share) == (24, 0.8)
    worth = 29 * (Z95 / t95(29)) ** 2
    bounds = (whole.ranking.first.low, whole.ranking.first.high)
    assert bounds == pytest.approx(wilson(0.8 * worth, worth))
    assert whole.ranking.top3.hits == 27
    assert whole.ranking.mrr.mean == pytest.approx((24 + 3 / 2) / 30)
    vector, regex, picked = (whole.ways[name] for name in ("vector", "regex", "picked"))
    assert (vector.right.hits, vector.taken.hits, vector.right_taken.hits, vector.right_taken.n) == (
        20,
        23,
        20,
        23,
    )
    assert (regex.right.hits, regex.taken.hits) == (12, 12)
    assert (picked.right.hits, picked.taken.hits) == (10, 10)
    ahead = whole.over_regex
    assert (ahead.n, ahead.both, ahead.first, ahead.second) == (30, 6, 14, 6)
    assert ahead.difference == pytest.approx(8 / 30)
    assert (whole.agree.hits, whole.agree.n) == (6, 6)


def test_prompts_that_asked_for_none_are_in_no_accuracy_and_give_the_false_takes() -> None:
    none = [
        shadow(number, None, "b", truth_source="unused", takes=number % 2 == 0, regex=None)
        for number in range(100, 140)
    ]
    (whole,) = accuracy_of(choose([*mixed(), *none]))
    assert (whole.asked, whole.none, whole.ranking.first.n) == (30, 40, 30)
    assert (whole.ways["vector"].false.hits, whole.ways["vector"].false.n) == (20, 40)
    assert (whole.ways["regex"].false.hits, whole.ways["regex"].false.share) == (0, 0.0)


def test_only_clean_predictions_of_one_source_count_each_prompt_once() -> None:
    rows = [
        shadow(1, event="x", seq=9, first="b"),
        shadow(2, event="x", seq=3, first="a"),
        shadow(3, influenced=True),
        shadow(4, truth=None, truth_source=None, truth_weight=None),
        shadow(8, truth=None, truth_source=None, truth_weight=None, trajectory=None),
        shadow(5, source="synthetic"),
        shadow(6, event="y", source="replayed", seq=1, first="a"),
        shadow(7, event="y", source="replayed", seq=2, first="c"),
    ]
    live = choose(rows)
    assert [(row.event, row.vector) for row in live.asked] == [("x", "a")]
    assert (live.waiting, live.silent, live.influenced, live.again) == (1, 1, 1, 1)
    assert [row.vector for row in choose(rows, "replayed").asked] == ["c"]
    assert [row.event for row in choose(rows, "synthetic").asked] == ["e00005"]


def test_a_router_is_asked_for_by_the_beginning_of_its_id() -> None:
    rows = [shadow(1, router="abc"), shadow(2, router="abd"), shadow(3, router="")]
    assert len(choose(rows, router="ab").asked) == 2
    assert choose(rows).routers == ["abc", "abd"]


def test_prompts_before_there_was_a_router_are_the_rules_alone() -> None:
    rows = [*mixed(), *(shadow(number, router="", ranked=(), regex="a") for number in range(50, 60))]
    (whole,) = accuracy_of(choose(rows))
    assert (whole.ranking.first.n, whole.ways["regex"].right.n, whole.over_regex.n) == (30, 40, 30)


def test_too_few_prompts_or_sessions_give_counts_and_no_figure() -> None:
    for rows in (
        [shadow(number) for number in range(PROMPTS_MIN - 1)],
        [shadow(number, session=f"s{number % 2}") for number in range(50)],
    ):
        (whole,) = accuracy_of(choose(rows))
        first = whole.ranking.first
        assert (first.n, first.share, first.low, first.high) == (len(rows), None, None, None)
        assert whole.ranking.mrr.mean is None
        assert (whole.over_regex.difference, whole.over_regex.low) == (None, None)


def test_the_least_number_is_where_an_interval_is_at_worst_forty_points_wide() -> None:
    def width(n: int) -> float:
        low, high = wilson(n / 2, n)
        return high - low

    assert width(PROMPTS_MIN) == pytest.approx(0.4, abs=0.005)
    assert width(GROUP_MIN) == pytest.approx(0.53, abs=0.005)


def test_one_session_does_not_carry_a_figure() -> None:
    """A hundred prompts of one session that are all right weigh less than as many of many sessions."""
    alike = [shadow(number, session="long") for number in range(100)]
    others = [shadow(200 + number, first="a" if number < 5 else "b") for number in range(10)]
    many = [shadow(number) for number in range(100)]
    (carried,) = accuracy_of(choose([*alike, *others]))
    (spread,) = accuracy_of(choose([*many, *others]))
    assert carried.ranking.first.share == spread.ranking.first.share
    assert (carried.ranking.first.low or 0) < (spread.ranking.first.low or 0) - 0.1


def test_where_all_are_right_a_session_counts_as_one() -> None:
    """Three sessions of forty prompts each, all right: three sessions went well, not 120 prompts."""
    rows = [shadow(number, session=f"s{number % 3}") for number in range(120)]
    first = accuracy_of(choose(rows))[0].ranking.first
    assert (first.share, first.low) == (1.0, pytest.approx(wilson(3, 3)[0]))
    weighed_first = accuracy_of(choose(rows), how="truth")[0].ranking.first
    assert weighed_first.low == pytest.approx(first.low)


def test_groups_stand_beside_the_whole() -> None:
    rows = [*mixed(), *(shadow(number, agent="codex") for number in range(50, 80))]
    names = [(one.name, one.asked) for one in accuracy_of(choose(rows), "agent")]
    assert names == [(None, 60), ("claude-code", 30), ("codex", 30)]


def test_weighed_by_reward_agents_are_never_put_together() -> None:
    rows = [*mixed(), *(shadow(number, agent="codex", reward=0.9) for number in range(50, 80))]
    found = accuracy_of(choose(rows), "agent", "reward")
    assert [one.name for one in found] == ["claude-code", "codex"]
    assert accuracy_of(choose(mixed()), "agent", "reward")[0].name is None


def test_weights_change_the_share_as_they_should() -> None:
    rows = [
        shadow(number, first="a" if number < 20 else "b", reward=0.9 if number < 20 else 0.3)
        for number in range(40)
    ]
    found = part(((row, row.vector == row.truth) for row in rows), "reward")
    assert found.share == pytest.approx(20 * 0.9 / (20 * 0.9 + 20 * 0.3))
    unknown = [msgspec.structs.replace(row, reward=None) for row in rows]
    assert part(((row, row.vector == row.truth) for row in unknown), "reward").share == pytest.approx(0.5)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=60), st.floats(0.1, 1))
@settings(max_examples=50, deadline=None)
def test_equal_weights_weigh_nothing(values: list[tuple[str, bool]], weight: float) -> None:
    rows = [shadow(number, session=session) for number, (session, _) in enumerate(values)]
    even = part(zip(rows, (so for _, so in values), strict=True), least=0)
    found = weighed((session, so, weight) for session, so in values)
    assert (found.hits, found.n, found.groups) == (even.hits, even.n, even.groups)
    if even.n:
        assert (found.share, found.low, found.high) == pytest.approx((even.share, even.low, even.high))


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans(), st.floats(0, 1)), max_size=80))
@settings(max_examples=50, deadline=None)
def test_a_weighed_share_lies_in_its_interval(values: list[tuple[str, bool, float]]) -> None:
    found = weighed(values)
    if found.share is not None and found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.share + 1e-9
        assert found.share - 1e-9 <= found.high <= 1


def _shares(value: object) -> list[Share]:
    if isinstance(value, Share):
        return [value]
    if isinstance(value, msgspec.Struct):
        return [one for name in value.__struct_fields__ for one in _shares(getattr(value, name))]
    if isinstance(value, dict):
        return [one for each in value.values() for one in _shares(each)]
    if isinstance(value, list | tuple):
        return [one for each in value for one in _shares(each)]
    return []


@given(shadows(), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_order_does_not_matter_and_intervals_hold_their_shares(rows: list[ShadowRow], seed: int) -> None:
    other = rows[:]
    random.Random(seed).shuffle(other)
    one, two = choose(rows), choose(other)
    assert one == two
    made = (
        accuracy_of(one, "agent"),
        days_of(one),
        skills_of(one.asked),
        evolution_of(one.asked, 7),
        forecast_of(one.asked, 500),
    )
    again = (
        accuracy_of(two, "agent"),
        days_of(two),
        skills_of(two.asked),
        evolution_of(two.asked, 7),
        forecast_of(two.asked, 500),
    )
    assert made == again
    for share in _shares(list(made)):
        assert share.hits <= share.n
        if share.share is not None and share.low is not None and share.high is not None:
            assert 0 <= share.low <= share.share <= share.high <= 1


@given(shadows())
@settings(max_examples=50, deadline=None)
def test_sums_come_out(rows: list[ShadowRow]) -> None:
    found = choose(rows)
    left_out = found.waiting + found.silent + found.influenced
    assert len(found.asked) + len(found.none) + left_out == len(rows)
    whole = accuracy_of(found)[0]
    agents = accuracy_of(found, "agent")[1:]
    assert sum(one.asked for one in agents) == whole.asked
    assert sum(one.ranking.first.hits for one in agents) == whole.ranking.first.hits
    skills = skills_of(found.asked)
    assert sum(one.prompts for one in skills) == whole.ranking.first.n
    assert sum(one.errors for one in skills) == whole.ranking.first.n - whole.ranking.first.hits
    for way in whole.ways.values():
        assert way.right.hits == way.right_taken.hits <= way.taken.hits == way.right_taken.n
    days = days_of(found).days
    assert sum(day.first.hits for day in days) == whole.ranking.first.hits


def test_a_place_beyond_the_third_is_none() -> None:
    assert place_of(shadow(1, "c", ranked=ranked("a", "b", "c"))) == 3
    assert place_of(shadow(1, "d", ranked=ranked("a", "b", "c"))) is None
    assert pick(shadow(1, "a", "b", takes=False), "first") == "b"
    assert pick(shadow(1, "a", "b", takes=False), "vector") is None


def test_days_have_their_counts_however_few() -> None:
    made = days_of(choose([shadow(1, first="a"), shadow(2, first="b"), shadow(30, first="a")]))
    assert [(day.first.hits, day.first.n) for day in made.days] == [(1, 2), (1, 1)]
    assert made.days[0].first.share == 0.5
    assert made.trend.direction == "too few"


def test_a_rising_accuracy_is_seen() -> None:
    rows = [
        shadow(number, first="a" if number % 20 < number / 8 else "b", session=f"s{number // 10}")
        for number in range(160)
    ]
    found = days_of(choose(rows)).trend
    assert found.direction == "rising"
    assert found.low is not None
    assert 0 < found.low < (found.slope or 0) < (found.high or 0)


def test_a_slope_is_what_it_comes_to_by_hand_and_none_is_seen_where_there_is_none() -> None:
    """One prompt a session, a week apart: right only in the later half of sixteen."""
    rows = [shadow(n, first="a" if n >= 8 else "b", time_ms=START_MS + n * 7 * DAY_MS) for n in range(16)]
    found = days_of(choose(rows)).trend
    assert found.slope == pytest.approx(np.polyfit(range(16), [0] * 8 + [1] * 8, 1)[0])
    level = [shadow(n, first="ab"[n % 2], time_ms=START_MS + n * 7 * DAY_MS) for n in range(40)]
    assert days_of(choose(level)).trend.direction == "steady"
    same = days_of(choose([shadow(n) for n in range(40)])).trend
    assert (same.direction, same.slope, same.p) == ("steady", 0.0, 1.0)


def test_prompts_of_an_hour_make_no_trend_of_a_week() -> None:
    hour = [shadow(n, first="ab"[n % 2], time_ms=START_MS + n * 60_000, session=f"s{n}") for n in range(60)]
    assert days_of(choose(hour)).trend.direction == "too few"


def test_skills_that_cost_most_come_first() -> None:
    rows = [shadow(number, "a", "a") for number in range(20)]
    rows += [shadow(30 + number, "b", "a" if number < 8 else "b", regex="b") for number in range(12)]
    worst, best = skills_of(rows)
    assert (worst.skill, worst.errors, worst.prompts) == ("b", 8, 12)
    assert worst.drag.share == pytest.approx(8 / 32)
    assert (worst.first.hits, worst.regex.hits) == (4, 12)
    assert (best.precision.hits, best.precision.n) == (20, 28)


def test_periods_of_a_skill_begin_at_whole_ones() -> None:
    rows = [shadow(number, "a", time_ms=START_MS + number * DAY_MS) for number in range(15)]
    (found,) = evolution_of(rows, 7)
    assert [each.number % 7 for each in found.periods] == [0] * len(found.periods)
    assert sum(each.first.n for each in found.periods) == 15
    assert evolution_of(rows, 7, "nothing") == []


def test_a_forecast_narrows_and_keeps_the_share() -> None:
    made = forecast_of(mixed(), 2000)
    assert [one.n for one in made.expected] == [200, 500, 1000, 2000]
    widths = [one.high - one.low for one in made.expected]
    assert widths == sorted(widths, reverse=True)
    assert all(one.low < 0.8 < one.high for one in made.expected)
    assert made.worth == pytest.approx(29 * (Z95 / t95(29)) ** 2, abs=0.01)


def test_the_prompts_needed_are_where_the_difference_would_be_told() -> None:
    made = forecast_of(mixed(), 500)
    assert made.over_regex.low is not None
    assert made.over_regex.low < 0
    assert made.needed is not None
    assert 30 < made.needed < 100
    clear = [shadow(number, "a", "a", regex=None) for number in range(40)]
    found = forecast_of(clear, 500)
    assert found.needed is not None
    assert found.needed < 40
    assert forecast_of([shadow(number, "a", "a", regex="a") for number in range(40)], 500).needed is None


def test_worth_undoes_wilson() -> None:
    low, high = wilson(0.3 * 57, 57)
    assert worth_of(Share(60, 200, 10, 0.3, low, high)) == pytest.approx(57, abs=0.01)
    assert worth_of(Share(0, 0, 0, None, None, None)) is None


def test_evidence_is_counted_and_carried_on() -> None:
    rows = [evidence(number, time_ms=START_MS + number * DAY_MS // 2) for number in range(20)]
    rows += [evidence(90, truth=None, by="unused")]
    made = organic_of(rows, {"name typed": 3}, 200, START_MS + 10 * DAY_MS)
    assert (made.count, made.none, made.sessions, made.left_out) == (20, 1, 20, {"name typed": 3})
    assert (made.days, made.recent) == (10.0, 20)
    assert made.per_day is not None
    assert made.per_day[1] == 2.0
    assert made.per_day[0] == pytest.approx(1.22, abs=0.01)  # Poisson's bounds of 20: 12.2 and 30.9
    assert made.per_day[2] == pytest.approx(3.09, abs=0.01)
    assert made.days_left is not None
    assert made.days_left[1] == pytest.approx(90)
    assert made.days_left[0] < 90 < made.days_left[2]


def test_enough_evidence_needs_no_more_days_and_too_little_no_date() -> None:
    rows = [evidence(number) for number in range(30)]
    assert organic_of(rows, {}, 30, START_MS + 400 * DAY_MS).days_left == (0.0, 0.0, 0.0)
    late = organic_of(rows, {}, 200, START_MS + 400 * DAY_MS)
    assert (late.recent, late.per_day, late.days_left) == (0, None, None)
    assert organic_of([], {}, 200, START_MS).count == 0


def test_a_ranking_of_nothing_says_nothing() -> None:
    found = ranking_of([])
    assert (found.first.n, found.first.share, found.mrr.mean) == (0, None, None)


def _noise(draw: random.Random, *, sessions: int = 40) -> list[ShadowRow]:
    """Prompts of sessions that differ in how easy they are, over weeks in which nothing changes."""
    rows = []
    for session in range(sessions):
        easy, day = draw.betavariate(4, 2), draw.uniform(0, 60)
        for _ in range(draw.randrange(1, 6)):
            number = len(rows)
            rows.append(
                shadow(
                    number,
                    first="a" if draw.random() < easy else "b",
                    session=f"s{session}",
                    time_ms=START_MS + int((day + number / 1e4) * DAY_MS),
                    truth_weight=draw.choice((0.35, 0.7, 1.0)),
                )
            )
    return rows


def test_where_nothing_changes_a_trend_is_seen_by_chance_alone() -> None:
    draw = random.Random(11)
    seen = sum(days_of(choose(_noise(draw))).trend.direction != "steady" for _ in range(300))
    assert seen <= 27  # 15 are expected; 27 or more come once in three hundred times


def test_intervals_hold_the_truth_though_sessions_differ() -> None:
    """The share of right firsts is two thirds, whatever a prompt weighs: 95 of 100 intervals have it in them."""
    draw = random.Random(12)
    missed = {"even": 0, "truth": 0}
    for _ in range(300):
        rows = choose(_noise(draw)).asked
        for how in ("even", "truth"):
            found = part(((row, row.vector == row.truth) for row in rows), how)
            missed[how] += not (found.low or 0) <= 2 / 3 <= (found.high or 1)
    assert max(missed.values()) <= 27, missed
