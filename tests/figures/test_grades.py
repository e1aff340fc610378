"""Which turns are taken, how they are graded, what is known of them, how hard tasks are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.evaluation.known import known_of
from karl.figures.attention import findings_of, lately_of
from karl.figures.chosen import choose
from karl.figures.days import days_of
from karl.figures.difficulty import difficulty_of
from karl.figures.health import health_of
from karl.figures.quality import graded, listed, quality_of, reasons
from tests.figures.rows import DAY_MS, START_MS, row

HUNDRED = [row(number, number / 100) for number in range(100)]


def test_scores_of_another_version_or_other_weights_are_left_out_and_counted() -> None:
    rows = [
        row(0, 0.1, version="1"),
        row(1, 0.2, made_by="old"),
        row(2, 0.3),
        row(3, 0.4, agent="codex", made_by="old"),
        row(4, 0.5, signals={}),
    ]
    found = choose(rows, "2")
    assert {agent: [one.id for one in turns] for agent, turns in found.agents.items()} == {
        "claude-code": ["traj_0002"],
        "codex": ["traj_0003"],
    }
    assert (found.others, found.unobserved) == ({"1": 1, "2": 1}, 1)


def test_grades_are_by_place_among_the_agents_own_and_not_by_constants() -> None:
    low = {one.id: one.grade for one in graded(HUNDRED)}
    high = {
        one.id: one.grade for one in graded([one._replace(reward=0.9 + one.reward / 10) for one in HUNDRED])
    }
    assert low == high
    assert [low[f"traj_{at:04}"] for at in (0, 24, 25, 74, 75, 99)] == [
        "low",
        "low",
        "medium",
        "medium",
        "high",
        "high",
    ]


def test_a_turn_of_which_little_was_seen_is_neither_high_nor_low() -> None:
    rows = [one._replace(confidence=0.1 if one.id in {"traj_0000", "traj_0099"} else 0.8) for one in HUNDRED]
    grades = {one.id: one.grade for one in graded(rows)}
    assert (grades["traj_0000"], grades["traj_0099"]) == ("medium", "medium")
    assert (grades["traj_0001"], grades["traj_0098"]) == ("low", "high")


def test_what_speaks_against_a_turn_makes_it_low_whatever_its_reward() -> None:
    rows = [*HUNDRED[:-1], HUNDRED[-1]._replace(flags={"reverted": True})]
    last = next(one for one in graded(rows) if one.id == "traj_0099")
    assert (last.grade, last.against) == ("low", ["reverted"])


def test_few_turns_get_no_grades() -> None:
    one = quality_of(choose(HUNDRED[:19], "2"))[0]
    assert (one.grades, one.turns) == (None, [])
    assert one.reward.n == 19


def test_the_low_are_listed_from_below_and_the_high_from_above() -> None:
    one = quality_of(choose(HUNDRED, "2"))[0]
    assert [turn.id for turn in listed(one, "low", 2)] == ["traj_0000", "traj_0001"]
    assert [turn.id for turn in listed(one, "high", 2)] == ["traj_0099", "traj_0098"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(0, 39))
def test_a_higher_reward_never_has_a_lower_place(rewards: list[float], at: int) -> None:
    places = {one.id: one.place for one in graded([row(n, value) for n, value in enumerate(rewards)])}
    mine = places[f"traj_{at % len(rewards):04}"]
    assert all(
        places[f"traj_{n:04}"] >= mine
        for n, value in enumerate(rewards)
        if value >= rewards[at % len(rewards)]
    )


def test_a_persons_word_counts_before_what_was_detected() -> None:
    good = row(0, 0.5, flags={"label": True, "correction_detected": True, "reverted": True})
    assert known_of(good) is not None
    assert known_of(good).label is True  # type: ignore[union-attr]
    assert reasons(good) == []


def test_of_a_turn_that_nobody_spoke_of_nothing_is_known() -> None:
    assert known_of(row(0, 0.5)) is None
    assert known_of(row(0, 0.5, flags={"session_continued": True})) is None


def test_a_correction_that_only_has_a_score_is_a_reason() -> None:
    assert reasons(row(0, 0.5, correction_score=0.9)) == ["correction"]
    assert reasons(row(0, 0.5, correction_score=0.1)) == []


def test_the_hardest_task_is_the_low_long_failing_and_corrected_one() -> None:
    easy = [row(number, 0.5 + number / 1000) for number in range(30)]
    hard = row(99, 0.1, calls=80, failures=40, flags={"correction_detected": True})
    others = [one._replace(flags={"correction_detected": False}) for one in easy[:10]] + easy[10:]
    tasks = difficulty_of(choose([*others, hard], "2"), None)[0].tasks
    assert tasks is not None
    assert tasks[0].first == "traj_0099"
    # Places among 31: reward 1 - 0.5/31, length and failures 30.5/31; corrected among 11: 10.5/11; redone unknown.
    expected = ((1 - 0.5 / 31) + 2 * 30.5 / 31 + 10.5 / 11 + 0.5) / 5
    assert tasks[0].difficulty.mean == pytest.approx(expected)
    assert "redone" not in tasks[0].parts


def test_runs_of_one_task_are_put_together() -> None:
    rows = [row(number, 0.5 + number / 100, task="t" if number < 4 else None) for number in range(25)]
    tasks = difficulty_of(choose(rows, "2"), None)[0].tasks
    assert tasks is not None
    assert sorted(task.difficulty.n for task in tasks) == [1] * 21 + [4]


def test_a_group_that_came_in_few_sessions_stands_behind_the_others() -> None:
    rows = [row(number, 0.5, skill="often") for number in range(29)] + [row(50, 0.0, skill="once")]
    tasks = difficulty_of(choose(rows, "2"), "skill")[0].tasks
    assert [task.name for task in tasks or []] == ["often", "once"]


def test_days_are_those_of_utc_and_sessions_are_what_a_trend_is_made_of() -> None:
    rows = [row(number, 0.9 - number / 50, session=f"s{number}") for number in range(20)]
    rows += [one._replace(id=one.id + "b") for one in rows]
    found = days_of(choose(rows, "2"))[0]
    assert [(day.day, day.reward.n, day.reward.groups) for day in found.days[:2]] == [
        ("2024-10-04", 2, 1),
        ("2024-10-05", 2, 1),
    ]
    assert (found.trend.n, found.trend.direction) == (20, "falling")
    assert found.trend.slope == pytest.approx(-7 / 50)


def test_a_skill_falls_only_if_it_does_for_all_the_trends_that_were_looked_at() -> None:
    steady = [row(number, 0.5 + (number % 5) / 100, skill=f"k{number % 12}") for number in range(240)]
    falling = [row(300 + number, 0.9 - number / 40, skill="worse") for number in range(20)]
    groups = {one.name: one for one in health_of(choose([*steady, *falling], "2"), "skill")}
    assert [name for name, one in groups.items() if one.falls] == ["worse"]
    assert groups["worse"].p > groups["worse"].trend.p  # type: ignore[operator]


def test_calls_that_fail_more_often_lately_are_a_finding_and_chance_is_none() -> None:
    old = [row(number, 0.5, failures=1) for number in range(40)]
    same = [row(50 + number, 0.5, failures=1) for number in range(5)]
    worse = [row(50 + number, 0.5, failures=6) for number in range(5)]
    now = START_MS + 55 * DAY_MS
    for new, told in ((same, []), (worse, ["more calls fail: 60 % of 50, 10 % before"])):
        found = choose([*old, *new], "2")
        lately = lately_of(found, 6, now)
        assert (lately[0].turns, lately[0].before_turns) == (5, 40)
        assert [one.what for one in findings_of(found, lately, [], "skill") if one.kind == "worse"] == told
