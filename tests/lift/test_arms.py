"""Which rows each arm learns from, and which steps they are judged by."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import Refused
from karl.learning.arms import TRAINED, Arms, Options, items
from karl.learning.row import Row
from karl.learning.weights import awr, ess
from tests.lift.planted import row

CHOOSING = ("random", "reward", "advantage")


def many(turns: int = 20, steps: int = 5) -> list[Row]:
    return [
        row(
            f"t{turn:02}", step, target=f"{turn}.{step}", reward=turn / 20, advantage=(turn - 10) / 5,
            failed=step == 3 and turn % 2 == 0,
        )
        for turn in range(turns)
        for step in range(steps)
    ]  # fmt: skip


def turns_of(rows: list[Row], places: list[int]) -> Counter[str]:
    return Counter(rows[at].karl.trajectory for at in places)


@pytest.mark.parametrize("share", [0.1, 0.33, 0.5, 0.9, 1.0])
def test_arms_that_choose_have_the_same_number_of_rows(share: float) -> None:
    arms = Arms(many(), Options(share=share))
    assert {len(arms.choose(name, 0).places) for name in CHOOSING} == {arms.count}
    assert arms.count == min(round(share * 100), 90)


def test_all_has_every_row_once_of_weight_one() -> None:
    rows = many()
    chosen = Arms(rows, Options()).choose("all", 3)
    assert (chosen.places, chosen.weights) == (list(range(100)), [1.0] * 100)


def test_whole_turns_are_chosen_and_the_last_is_cut() -> None:
    rows = many()
    for name in ("random", "reward"):
        turns = turns_of(rows, Arms(rows, Options(share=0.52)).choose(name, 1).places)
        assert sorted(turns.values()) == [2, *[5] * 10]
        cut = next(turn for turn, count in turns.items() if count == 2)
        steps = [one.karl.step for one in rows if one.karl.trajectory == cut][:2]
        assert steps == [0, 1]


def test_random_draws_other_turns_for_another_seed_and_the_same_for_the_same() -> None:
    rows = many()
    drawn = [tuple(Arms(rows, Options()).choose("random", seed).places) for seed in range(5)]
    assert len(set(drawn)) == 5
    assert tuple(Arms(rows, Options()).choose("random", 0).places) == drawn[0]


def test_reward_takes_the_best_turns() -> None:
    rows = many()
    assert set(turns_of(rows, Arms(rows, Options()).choose("reward", 0).places)) == {
        f"t{at}" for at in range(10, 20)
    }


def test_advantage_leaves_out_failed_and_corrected_steps_and_weighs_the_rest() -> None:
    rows = many()
    rows[97] = row("t19", 2, corrected=True, advantage=1.8)
    arms = Arms(rows, Options(share=0.2, beta=0.5, w_max=3.0))
    chosen = arms.choose("advantage", 0)
    assert not any(rows[at].karl.failed or rows[at].karl.corrected for at in chosen.places)
    assert min(turns_of(rows, chosen.places)) == "t15"
    assert chosen.weights == awr([rows[at].karl.advantage for at in chosen.places], 0.5, 3.0)
    assert sum(chosen.weights) == pytest.approx(len(chosen.weights))
    assert chosen.ess == pytest.approx(ess(chosen.weights))
    assert arms.masked == 11


def test_among_equals_chance_decides_and_not_the_order_of_the_file() -> None:
    rows = [row(f"t{turn:02}", step) for turn in range(20) for step in range(5)]
    for name in ("reward", "advantage"):
        chosen = {
            frozenset(turns_of(rows, Arms(rows, Options()).choose(name, seed).places)) for seed in range(4)
        }
        assert len(chosen) == 4


def test_copies_count_once_but_where_the_export_is_taken_as_it_is() -> None:
    rows = [*many(), *many()]
    arms = Arms(rows, Options())
    assert arms.choose("all", 0).places == list(range(100))
    assert all(max(Counter(arms.choose(name, 0).places).values()) == 1 for name in CHOOSING)
    assert max(arms.choose("random", 0).places) < 100
    as_it_is = Arms(rows, Options(exported=True))
    assert as_it_is.choose("advantage", 0).places == list(range(200))
    assert as_it_is.choose("random", 0) == as_it_is.choose("all", 0)


def test_synthetic_rows_are_in_all_alone() -> None:
    rows = [*many(), row("made-up", 0, "", "", synthetic=True, reward=9.0, advantage=9.0)]
    arms = Arms(rows, Options(share=1.0))
    assert 100 in arms.choose("all", 0).places
    assert all(100 not in arms.choose(name, 0).places for name in CHOOSING)


def test_of_one_turn_there_is_nothing_to_choose() -> None:
    with pytest.raises(Refused, match="no choice"):
        Arms([row("only", step) for step in range(9)], Options())


def test_an_arm_of_another_name_is_refused() -> None:
    with pytest.raises(Refused):
        Arms(many(), Options()).choose("base", 0)


def test_the_order_of_the_file_stays() -> None:
    rows = many()
    arms = Arms(rows, Options())
    assert all(arms.choose(name, 2).places == sorted(arms.choose(name, 2).places) for name in TRAINED)


def test_of_long_sessions_as_many_items_are_kept_as_of_others() -> None:
    rows = [
        row(f"{session}", step) for session in "abc" for step in range({"a": 50, "b": 20, "c": 4}[session])
    ]
    kept = items(rows, 30, 0)
    assert turns_of(rows, kept) == {"a": 13, "b": 13, "c": 4}
    assert kept == items(rows, 30, 0) != items(rows, 30, 1)


def test_of_more_sessions_than_items_some_are_left_out() -> None:
    rows = [row(f"s{at}", step) for at in range(40) for step in range(3)]
    kept = items(rows, 10, 0)
    assert len(kept) == len(turns_of(rows, kept)) == 10


def test_what_failed_was_corrected_or_called_nothing_is_judged_by_nobody() -> None:
    rows = [
        row("a", 0), row("a", 1, failed=True), row("a", 2, corrected=True), row("a", 3, ""),
        row("a", 4, synthetic=True), row("a", 5),
    ]  # fmt: skip
    assert items(rows, 100, 0) == [0, 5]


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    most=st.integers(1, 200),
    seed=st.integers(0, 3),
)
def test_items_come_session_by_session_and_are_never_more_than_asked(
    counts: list[int], most: int, seed: int
) -> None:
    rows = [row(f"s{at}", step) for step in range(40) for at, count in enumerate(counts) if step < count]
    kept = items(rows, most, seed)
    assert len(kept) <= most
    assert len(kept) >= min(most - len(counts), len(rows))
    sessions = [rows[at].karl.session for at in kept]
    assert sum(one != other for one, other in itertools.pairwise(sessions)) == len(set(sessions)) - 1
