"""Confusion, centroids, thresholds, hard prompts and lift, against what they come to by hand."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.figures.routing.centroids import Near, _clusters, cosines, layout_of, merges_of
from karl.figures.routing.chosen import choose
from karl.figures.routing.confidence import confidence_of, halves, threshold_of
from karl.figures.routing.confusion import apart, confusion_of, pairs_of
from karl.figures.routing.lift import difference, lift_of, simulated, told_of, within
from karl.figures.routing.prompts import difficulty_of
from karl.figures.routing.resolve import advice_of
from karl.figures.routing.slope import Point, slope_of
from karl.views.routing_rows import ShadowRow
from tests.figures.routing.made import ranked, shadow, shadows, suggestion


def confused() -> list[ShadowRow]:
    """Twenty for a, four taken for b; twenty for b, all right; ten for c, taken for b twelve times never."""
    rows = [shadow(number, "a", "b" if number < 4 else "a") for number in range(20)]
    rows += [shadow(100 + number, "b", "b") for number in range(20)]
    return rows + [shadow(200 + number, "c", "a" if number < 1 else "c") for number in range(10)]


def test_confusion_is_what_it_comes_to_by_hand() -> None:
    made = confusion_of(confused(), draws=200)
    assert made.prompts == 50
    assert made.counts == {"a": {"a": 16, "b": 4}, "b": {"b": 20}, "c": {"a": 1, "c": 9}}
    skills = {one.skill: one for one in made.skills}
    assert list(skills) == ["a", "b", "c"]
    assert (skills["a"].precision.hits, skills["a"].precision.n) == (16, 17)
    assert (skills["a"].recall.hits, skills["a"].recall.n) == (16, 20)
    assert skills["a"].f1 is not None
    assert skills["a"].f1.value == pytest.approx(2 * 16 / 37)
    assert skills["a"].f1.low is not None
    assert skills["a"].f1.high is not None
    assert skills["a"].f1.low < skills["a"].f1.value < skills["a"].f1.high
    assert skills["c"].f1 is None  # nine picks are too few for a precision
    first, second = made.pairs
    assert (first.truth, first.picked, first.errors.hits, first.errors.share) == ("a", "b", 4, 0.2)
    assert (second.truth, second.picked, second.errors.hits) == ("c", "a", 1)


def test_none_is_a_pick_like_any_other_where_it_is_asked_what_was_taken() -> None:
    rows = [shadow(number, "a", "a", takes=number % 2 == 0) for number in range(20)]
    assert confusion_of(rows, "vector", draws=50).counts == {"a": {"": 10, "a": 10}}
    assert confusion_of(rows, "first", draws=50).counts == {"a": {"a": 20}}
    assert pairs_of(rows, "vector")[0].picked is None


def test_the_surest_error_is_named_first() -> None:
    rows = [
        shadow(1, "a", ranked=ranked("b", "a", chances=(0.5, 0.4)), truth_weight=0.35),
        shadow(2, "a", ranked=ranked("b", "a", chances=(0.9, 0.1)), truth_weight=0.7),
    ]
    (pair,) = pairs_of(rows)
    assert pair.events == ("e00002", "e00001")
    assert (pair.sure, pair.weight) == (pytest.approx(0.7), pytest.approx(0.525))


@given(shadows(), st.sampled_from(("first", "vector", "regex", "picked")), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_confusion_adds_up_in_any_order(rows: list[ShadowRow], who: str, seed: int) -> None:
    asked = choose(rows).asked
    made = confusion_of(asked, who, draws=50)  # type: ignore[arg-type]
    assert sum(sum(one.values()) for one in made.counts.values()) == made.prompts
    right = sum(made.counts.get(one.skill, {}).get(one.skill, 0) for one in made.skills)
    assert right + sum(one.errors.hits for one in made.pairs) == made.prompts
    other = asked[:]
    random.Random(seed).shuffle(other)
    assert confusion_of(choose(other).asked, who, draws=50) == made  # type: ignore[arg-type]


def test_two_skills_count_alike_where_it_is_asked_whether_they_are_told_apart() -> None:
    """Always naming the more frequent one tells nothing apart."""
    rows = [shadow(number, "a", "a") for number in range(90)]
    rows += [shadow(100 + number, "b", "a") for number in range(10)]
    found = apart(rows, "a", "b")
    assert (found.hits, found.n) == (90, 100)
    assert found.share == pytest.approx(0.5)
    assert apart(rows[:90], "a", "b").share is None


def _centroids(*columns: list[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    matrix = np.array(columns, dtype=np.float32).T
    return np.asarray(matrix / np.linalg.norm(matrix, axis=0), dtype=np.float32)


def seven() -> tuple[list[str], np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """Seven skills at right angles, but for the last two, which nearly point the same way."""
    rows = np.eye(7).tolist()
    rows[6] = [0, 0, 0, 0, 0, 1, 0.1]
    return list("abcdefg"), _centroids(*rows)


def test_a_near_pair_is_one_beyond_the_others() -> None:
    names, matrix = seven()
    layout = layout_of(names, cosines(matrix), {"f": 3})
    assert (layout.skills, layout.pairs) == (7, 21)
    assert [(one.one, one.other, one.exemplars) for one in layout.near] == [("f", "g", (3, None))]
    assert layout.near[0].cosine == pytest.approx(1 / np.hypot(1, 0.1))
    assert layout.clusters == [("f", "g")]
    assert layout.most == layout.near[0]
    assert layout.mean == pytest.approx(layout.near[0].cosine / 21)


def test_skills_are_put_together_where_each_is_near_every_other() -> None:
    """A chain of near pairs is no family: d is near c, but not near a and b."""
    near = [Near("a", "b", 0.9, (1, 1)), Near("b", "c", 0.8, (1, 1)), Near("a", "c", 0.7, (1, 1))]
    chain = [*near, Near("c", "d", 0.6, (1, 1)), Near("d", "e", 0.5, (1, 1))]
    assert _clusters(near) == [("a", "b", "c")]
    assert _clusters(chain) == [("a", "b", "c"), ("d", "e")]
    assert _clusters([]) == []


def test_of_many_pairs_more_is_asked_for() -> None:
    """Five hundred skills at random: hardly a pair stands out among 124,750, as chance has it."""
    random_ones = np.random.default_rng(3).standard_normal((64, 500)).astype(np.float32)
    matrix = random_ones / np.linalg.norm(random_ones, axis=0)
    assert len(layout_of([f"s{n:03}" for n in range(500)], cosines(matrix)).near) <= 5


def test_alike_skills_as_a_whole_have_no_near_pair() -> None:
    rows = [[1.0, *(0.3 if at == place else 0.0 for at in range(6))] for place in range(6)]
    layout = layout_of(list("abcdef"), cosines(_centroids(*rows)))
    assert layout.near == []
    assert layout.mean is not None
    assert layout.mean > 0.9
    assert layout_of(["a", "b"], cosines(_centroids([1.0, 0.0], [1.0, 0.01]))).fence is None
    assert layout_of(["a"], cosines(_centroids([1.0, 0.0]))).pairs == 0


def test_a_near_pair_is_merged_only_where_prompts_do_not_tell_it_apart() -> None:
    names, matrix = seven()
    layout = layout_of(names, cosines(matrix))

    def verdict(rows: list[ShadowRow]) -> str:
        return merges_of(layout, rows)[0].verdict

    coin = [shadow(n, "fg"[n % 2], "fg"[n // 2 % 2]) for n in range(120)]
    told = [shadow(n, "fg"[n % 2], "fg"[n % 2]) for n in range(30)]
    assert verdict(coin) == "merge"
    assert verdict(told) == "keep"
    assert verdict(told[:8]) == "unsure"
    assert verdict(coin[:12]) == "unsure"
    assert verdict([]) == "unsure"


def test_what_to_do_about_a_pair_follows_from_what_is_known_of_it() -> None:
    names, matrix = seven()
    found = cosines(matrix)
    layout = layout_of(names, found)
    pairs = {(a, b): float(found[i, j]) for i, a in enumerate(names) for j, b in enumerate(names) if a < b}

    def strategy(rows: list[ShadowRow], exemplars: dict[str, int]) -> str:
        return advice_of(rows, 1, layout=layout, cosines=pairs, exemplars=exemplars)[0].strategy

    many = dict.fromkeys(names, 20)
    weak = [shadow(n, "a", "b", truth_weight=0.35) for n in range(20)]
    assert strategy(weak, many) == "look_at_truth"
    assert strategy([shadow(n, "a", "b") for n in range(20)], {**many, "a": 2}) == "add_exemplars"
    coin = [shadow(n, "fg"[n % 2], "fg"[n // 2 % 2]) for n in range(120)]
    assert strategy(coin, many) == "merge_or_separate"
    partly = [shadow(n, "f", "g" if n < 10 else "f") for n in range(40)]
    partly += [shadow(50 + n, "g", "g") for n in range(40)]
    assert strategy(partly, many) == "refine_centroids"
    drawn = [shadow(n, "acd"[n % 3], "b") for n in range(30)]
    assert strategy(drawn, many) == "narrow"
    assert strategy([shadow(n, "a", "b" if n < 5 else "a") for n in range(30)], many) == "contrast"
    assert advice_of([shadow(n, "a", "b") for n in range(5)], 1)[0].cosine is None


def sure(number: int, chance: float, *, right: bool, **facts: object) -> ShadowRow:
    first = "a" if right else "b"
    known = {"truth": "a", **facts}
    return shadow(number, ranked=ranked(first, "c", chances=(chance, 1 - chance)), **known)


def test_a_threshold_is_the_lowest_that_keeps_to_its_errors() -> None:
    rows = [sure(n, 0.5 + n / 100, right=n >= 20) for n in range(40)]
    assert threshold_of(rows, "chance", 0.0) == pytest.approx(0.7)
    # Of those from 0.69 on, one of 21 is wrong: less than 5 %.
    assert threshold_of(rows, "chance", 0.05) == pytest.approx(0.69)
    assert threshold_of(rows, "chance", 1.0) == pytest.approx(0.5)
    assert threshold_of(rows[:20], "chance", 0.05) is None
    assert threshold_of(rows[:10], "chance", 1.0) is None


def test_equals_are_answered_together() -> None:
    rows = [sure(n, 0.8, right=n % 2 == 0) for n in range(40)]
    assert threshold_of(rows, "chance", 0.3) is None
    assert threshold_of(rows, "chance", 0.5) == pytest.approx(0.8)


def test_a_threshold_is_judged_on_sessions_that_it_was_not_chosen_by() -> None:
    """Noise: in hindsight some threshold always looks well, on other sessions it does not."""
    draw = random.Random(3)
    promised, kept = [], []
    for _ in range(30):
        rows = [sure(n, draw.random(), right=draw.random() < 0.9) for n in range(200)]
        made = confidence_of(rows, [], "chance", error=0.05, draws=50)
        if made.advice.threshold is not None and made.advice.right.share is not None:
            best = [one for one in rows if one.ranked[0].chance >= made.advice.threshold]
            promised.append(sum(one.vector == "a" for one in best) / len(best))
            kept.append(made.advice.right.share)
    assert len(kept) > 5
    assert min(promised) >= 0.95
    assert sum(kept) / len(kept) == pytest.approx(0.9, abs=0.02)


def test_halves_share_no_session_and_do_not_hang_on_order() -> None:
    names = [f"s{n % 17}" for n in range(50)]
    found = halves(names)
    assert sorted(found.values()).count(0) == 9
    assert halves(names[::-1]) == found


def test_reliability_is_told_of_enough_of_either_kind() -> None:
    rows = [sure(n, 0.9 if n % 10 else 0.2, right=n % 10 != 0) for n in range(100)]
    made = confidence_of(rows, [], "chance", error=0.05, draws=100)
    assert (made.asked, made.right) == (100, 90)
    assert made.truth is not None
    assert made.auroc is not None
    assert made.truth.brier.value == pytest.approx(0.9 * 0.01 + 0.1 * 0.04)
    assert made.truth.constant == pytest.approx(0.09)
    assert made.auroc.value == 1.0
    assert confidence_of(rows[1:10], [], "chance", error=0.05).truth is None


def test_the_curve_answers_less_and_better_and_counts_false_takes_apart() -> None:
    rows = [sure(n, 0.5 + n / 250, right=n >= 50) for n in range(100)]
    none = [sure(300 + n, 0.6, right=False, truth=None, truth_source="unused") for n in range(30)]
    made = confidence_of(rows, none, "chance", error=0.05, draws=50)
    assert made.curve[0].taken.hits == 100
    taken = [one.taken.hits for one in made.curve]
    assert taken == sorted(taken, reverse=True)
    assert next(one.false.hits for one in made.curve) == 30
    assert [one.false.hits for one in made.curve][-1] == 0
    assert made.curve[-1].right.hits == made.curve[-1].right.n


@given(shadows(), st.sampled_from(("chance", "fit", "margin")), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_confidence_does_not_hang_on_order(rows: list[ShadowRow], by: str, seed: int) -> None:
    other = rows[:]
    random.Random(seed).shuffle(other)
    one, two = choose(rows), choose(other)
    made = confidence_of(one.asked, one.none, by, error=0.1, draws=50)  # type: ignore[arg-type]
    assert confidence_of(two.asked, two.none, by, error=0.1, draws=50) == made  # type: ignore[arg-type]
    assert difficulty_of(one.asked, draws=50) == difficulty_of(two.asked, draws=50)


def test_a_hard_prompt_is_one_that_nobody_was_sure_of() -> None:
    easy = [
        shadow(n, "a", ranked=ranked("a", "b", chances=(0.95, 0.05)), fit=5.0 + n, regex="a")
        for n in range(30)
    ]
    hard = [
        shadow(50 + n, "a", ranked=ranked("b", "a", chances=(0.5, 0.49)), fit=-n, regex="c")
        for n in range(15)
    ]
    made = difficulty_of([*easy, *hard], draws=100)
    assert {one.event for one in made.prompts[:15]} == {row.event for row in hard}
    hardest = made.prompts[0]
    assert hardest.parts["dispute"] == 1.0
    assert hardest.parts["doubt"] == pytest.approx(0.99)
    assert hardest.difficulty == pytest.approx((0.99 + 1.0 + hardest.parts["strange"]) / 3)
    assert [one.level for one in made.thirds] == ["easy", "medium", "hard"]
    assert [one.right.hits for one in made.thirds] == [15, 15, 0]
    assert made.auroc is not None
    assert made.auroc.value == 1.0


def test_what_is_not_known_of_a_prompt_stands_in_the_middle() -> None:
    (one,) = difficulty_of([shadow(1, "a", "a", fit=None, regex=None)]).prompts
    assert (one.parts, one.difficulty) == ({}, 0.5)


def test_with_a_turn_a_session_the_difference_is_welchs() -> None:
    one, other = [0.9, 0.8, 0.7] * 5, [0.6, 0.5, 0.1] * 4
    values = [(f"a{n}", value, True) for n, value in enumerate(one)]
    values += [(f"b{n}", value, False) for n, value in enumerate(other)]
    found = difference(values)
    first, second = np.var(one, ddof=1) / 15, np.var(other, ddof=1) / 12
    assert found.value == pytest.approx(np.mean(one) - np.mean(other))
    error = np.sqrt(first + second)
    freedom = error**4 / (first**2 / 14 + second**2 / 11)
    assert 13 <= freedom < 14
    assert found.low is not None
    assert found.high is not None
    # Student's t of 13 degrees of freedom is 2.160; a jackknife divides by n - 1 where Welch divides by n.
    jackknife = np.sqrt((first * 15 / 14 + second * 12 / 11) * 26 / 27)
    assert (found.high - found.low) / 2 == pytest.approx(2.160 * jackknife, abs=0.001)
    assert (found.high - found.low) / 2 == pytest.approx(2.160 * error, rel=0.05)


def test_turns_of_one_session_do_not_narrow_a_difference() -> None:
    draw = random.Random(1)
    means = [(f"s{n}", draw.random(), n % 2 == 0) for n in range(20)]
    many = [one for one in means for _ in range(30)]
    few, found = difference(means), difference(many)
    assert found.value == pytest.approx(few.value)
    assert found.low == pytest.approx(few.low, abs=1e-9)


def test_a_difference_of_too_few_has_no_figure() -> None:
    found = difference([(f"s{n}", 0.5, n < 3) for n in range(50)])
    assert (found.value, found.low, found.one.n, found.other.n) == (None, None, 3, 47)
    assert difference([]).value is None


def test_within_skills_the_ease_of_a_skill_is_taken_out() -> None:
    """An easy skill is routed rightly and rewarded well, a hard one neither: no lift within either."""
    draw = random.Random(5)
    rows = []
    for number in range(400):
        easy = number % 2 == 0
        right = draw.random() < (0.9 if easy else 0.3)
        reward = (0.9 if easy else 0.3) + draw.uniform(-0.05, 0.05)
        rows.append(shadow(number, "a" if easy else "b", None, reward=reward))
        first = rows[-1].truth if right else "z"
        rows[-1] = msgspec.structs.replace(rows[-1], ranked=ranked(first or ""))
    (found,) = lift_of(rows)
    assert found.difference.low is not None
    assert found.difference.low > 0.2
    assert found.within.value == pytest.approx(0, abs=0.02)
    assert (found.within.turns, found.within.skills) == (400, 2)


def test_a_slope_within_skills_is_what_it_comes_to_by_hand() -> None:
    values = [(f"s{n}", "a", 0.5 + 0.2 * (n % 2), n % 2 == 1) for n in range(40)]
    found = within(values)
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2)
    assert within(values[:6]).value is None
    assert within([(f"s{n}", f"k{n}", 0.5, True) for n in range(40)]).skills == 0


def test_lift_keeps_agents_apart() -> None:
    rows = [shadow(n, agent="codex" if n % 2 else "claude-code", reward=n / 100) for n in range(40)]
    assert [one.agent for one in lift_of([*rows, shadow(99, reward=None)])] == ["claude-code", "codex"]
    assert sum(one.difference.one.n for one in lift_of([*rows, shadow(99, reward=None)])) == 40


def test_what_was_told_is_compared_as_it_was_drawn() -> None:
    rows = [suggestion(n, told=n % 2 == 0, reward=0.6 if n % 2 == 0 else 0.4) for n in range(60)]
    rows += [suggestion(99, told=True, trajectory=None)]
    (found,) = told_of(rows)
    assert found.reward.value == pytest.approx(0.2)
    assert [one.hits for one in found.used] == [30, 0]
    assert found.corrected[0].n == 0
    corrected = [suggestion(n, told=n % 2 == 0, corrected=n % 2 == 1) for n in range(60)]
    assert [one.hits for one in told_of(corrected)[0].corrected] == [0, 30]


def test_fixed_pairs_are_counted_once_and_no_other_is() -> None:
    rows = confused()
    every = simulated(rows)
    assert (every.now.hits, every.fixed.hits, every.then.hits) == (45, 5, 50)
    one = simulated(rows, [("a", "b"), ("a", "b"), ("b", "a"), ("no", "such")])
    assert (one.fixed.hits, one.then.hits) == (4, 49)
    assert one.pairs == [("a", "b", 4)]
    assert one.now.share is not None
    assert one.then.share is not None
    assert one.fixed.share is not None
    assert one.then.share == pytest.approx(one.now.share + one.fixed.share)


@given(shadows(), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_lift_does_not_hang_on_order(rows: list[ShadowRow], seed: int) -> None:
    other = rows[:]
    random.Random(seed).shuffle(other)
    assert lift_of(choose(rows).asked) == lift_of(choose(other).asked)
    assert simulated(choose(rows).asked) == simulated(choose(other).asked)
    made = simulated(choose(rows).asked)
    assert made.now.hits + made.fixed.hits == made.then.hits == made.now.n


def test_where_routing_changes_nothing_a_lift_is_seen_by_chance_alone() -> None:
    """Sessions differ in their rewards; whether the first is right has nothing to do with them."""
    draw = random.Random(13)
    seen = {"difference": 0, "within": 0}
    for _ in range(200):
        rows = []
        for session in range(30):
            usual = draw.uniform(0.3, 0.8)
            for _ in range(draw.randrange(1, 6)):
                reward = min(1.0, max(0.0, usual + draw.gauss(0, 0.1)))
                first = draw.choice(("a", "b"))
                rows.append(shadow(len(rows), "a", first, session=f"s{session}", reward=reward))
        (found,) = lift_of(rows)
        for name, one in (("difference", found.difference), ("within", found.within)):
            assert one.low is not None
            assert one.high is not None
            seen[name] += not one.low <= 0 <= one.high
    assert max(seen.values()) <= 20, seen  # 10 are expected


def _points(seed: int) -> list[Point]:
    draw = random.Random(seed)
    return [
        Point(draw.randrange(6), draw.choice("xy"), draw.uniform(-3, 9), draw.gauss(0, 1)) for _ in range(30)
    ]


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_slope_and_its_error_are_those_of_a_regression_done_again_without_each_session(seed: int) -> None:
    def regression(points: list[Point]) -> float:
        """Least squares with a column for each level."""
        columns = np.array([[p.x, *(float(p.level == level) for level in "xy")] for p in points])
        return float(np.linalg.lstsq(columns, np.array([p.y for p in points]), rcond=None)[0][0])

    points = _points(seed)
    found = slope_of(points)
    assert found is not None
    assert found.error is not None
    assert found.value == pytest.approx(regression(points), abs=1e-9)
    without = [
        regression([p for p in points if p.session != session]) for session in {p.session for p in points}
    ]
    moved = np.array(without) - found.value
    assert found.error == pytest.approx(np.sqrt((moved**2).sum() * (len(moved) - 1) / len(moved)), abs=1e-9)


def test_a_slope_is_null_where_nothing_differs_and_has_no_error_where_one_session_makes_it() -> None:
    assert slope_of([]) is None
    assert slope_of([Point(n, n, 1.0 * n, 2.0) for n in range(9)]) is None
    alone = [Point("s", "", 1.0 * n, 2.0 * n) for n in range(5)]
    found = slope_of([*alone, Point("t", "", 2.0, 4.0)])
    assert found is not None
    assert (found.value, found.error) == (pytest.approx(2.0), None)
