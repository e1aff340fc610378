"""What an evaluation's bits come to: figures, and a verdict that can say no."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import Unreadable
from karl.learning.lift import GUARD_MARGIN, differs, found, pack, recomputed, unpack
from karl.learning.lift import Asked as Judged
from karl.learning.resample import Sums, interval
from karl.schema.learning import Arm, ArmRun, EvaluationBody
from tests.lift.planted import evaluation


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_bits_come_back_as_they_went(bits: list[bool]) -> None:
    assert list(unpack(pack(bits), len(bits))) == bits


def test_the_first_item_is_the_highest_bit_of_the_first_byte() -> None:
    assert pack([True, *[False] * 8, True]) == "8040"


@pytest.mark.parametrize("text", ["8", "zz", "80"])
def test_bits_of_another_number_of_items_are_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        unpack(text, 10)


def test_a_planted_effect_is_a_lift() -> None:
    body = evaluation(0.2)
    assert body.verdict == "lift"
    assert body.primary.name == "advantage-random"
    assert body.primary.low > 0
    assert "5 of 5 seeds" in body.why


def test_no_effect_is_no_lift() -> None:
    verdicts = [evaluation(0.0, seed=seed).verdict for seed in range(8)]
    assert verdicts.count("no lift") >= 7


def test_a_planted_harm_is_harm() -> None:
    body = evaluation(-0.2)
    assert body.verdict == "harm"
    assert body.primary.high < 0


def test_an_oracle_against_a_fool_is_a_lift_whatever_the_items() -> None:
    sizes = [3] * 20
    right, wrong = (
        Arm(name, tuple(ArmRun(seed, bits, bits, (float(seed),) * 20) for seed in range(5)))
        for name, bits in (("advantage", pack([True] * 60)), ("random", pack([False] * 60)))
    )
    made = found(Judged([right, wrong], sizes, {}, {"base": 1.0, "advantage": 1.0}))
    assert (made.verdict, made.primary.difference, made.primary.low) == ("lift", 1.0, 1.0)


def test_fewer_than_five_seeds_are_no_lift_however_large_the_effect() -> None:
    body = evaluation(0.5, seeds=4)
    assert body.verdict == "no lift"
    assert "4 seeds are too few" in body.why


@pytest.mark.parametrize("copies", ["advantage", "random"])
def test_one_run_told_under_five_seeds_is_no_lift(copies: str) -> None:
    body = evaluation(0.5)
    copied = tuple(
        Arm(arm.name, tuple(msgspec.structs.replace(arm.runs[0], seed=at) for at in range(5)))
        if arm.name == copies
        else arm
        for arm in body.arms
    )
    made = found(Judged(copied, body.sessions, body.labels, body.guard))
    assert made.verdict == "no lift"
    assert "of 5 seeds 1 differ" in made.why


@pytest.mark.parametrize("copies", ["advantage", "random"])
def test_a_seed_or_an_arm_that_is_there_twice_is_refused(copies: str) -> None:
    body = evaluation(0.5)
    (arm,) = (arm for arm in body.arms if arm.name == copies)
    others = tuple(one for one in body.arms if one is not arm)
    doubled = (*others, Arm(copies, (*arm.runs, arm.runs[0])))
    for arms in (doubled, (*body.arms, arm)):
        with pytest.raises(Unreadable, match="twice"):
            recomputed(msgspec.structs.replace(body, arms=arms))


def test_few_sessions_are_no_lift_though_all_of_them_say_so() -> None:
    body = evaluation(0.6, items=60, sessions=9)
    assert (body.verdict, body.primary.low > 0) == ("no lift", True)
    assert "60 next actions of 9 sessions are too few" in body.why


def test_of_a_share_of_none_or_all_the_interval_is_no_point() -> None:
    none = Arm("base", (ArmRun(0, pack([False] * 60), pack([False] * 60)),))
    tool = found(Judged([none], [2] * 30, {}, {})).arms[0].tool
    assert tool is not None
    assert tool.high is not None
    assert 0.05 < tool.high < 0.2


def test_without_one_of_the_two_arms_there_is_no_lift() -> None:
    body = evaluation(0.2)
    left = tuple(arm for arm in body.arms if arm.name != "random")
    made = found(Judged(left, body.sessions, body.labels, body.guard))
    assert (made.verdict, made.primary.low, made.primary.high) == ("no lift", -1.0, 1.0)


def test_of_one_seed_no_figure_is_given() -> None:
    made = recomputed(evaluation(0.5, seeds=1))
    trained = [one for one in made.arms if one.name not in {"base", "bigram", "majority"}]
    assert all(one.tool is None and one.target is None and one.guard is None for one in trained)
    assert not made.differences
    assert (made.primary.low, made.primary.high) == (-1.0, 1.0)
    tables = {one.name: one for one in made.arms if one.name in {"base", "bigram", "majority"}}
    assert all(one.tool is not None for one in tables.values())


@pytest.mark.parametrize("worse", [GUARD_MARGIN + 0.01, float("nan"), float("inf")])
def test_a_lift_that_unlearns_plain_instructions_is_harm(worse: float) -> None:
    body = evaluation(0.2, guard={"base": 2.0, "advantage": 2.0 + worse})
    assert body.verdict == "harm"
    assert "plain instructions" in body.why


def test_a_loss_on_plain_instructions_within_the_margin_takes_nothing_away() -> None:
    assert evaluation(0.2, guard={"base": 2.0, "advantage": 2.0 + GUARD_MARGIN - 0.01}).verdict == "lift"


def test_without_a_guard_there_is_no_lift() -> None:
    assert evaluation(0.2, guard={}).verdict == "no lift"


@pytest.mark.parametrize(
    ("table", "said"), [(0.05, "it beats the table"), (0.95, "beats it"), (0.6, "not told apart")]
)
def test_whether_the_table_is_beaten_is_said_with_a_lift_too(table: float, said: str) -> None:
    body = evaluation(0.2, table=table)
    assert body.verdict == "lift"
    assert said in body.why


def test_a_record_agrees_with_its_own_arms_after_a_journey_as_json() -> None:
    body = msgspec.json.decode(msgspec.json.encode(evaluation(0.1)), type=EvaluationBody)
    assert differs(body) == []


def test_a_record_with_one_bit_changed_does_not_agree() -> None:
    body = evaluation(0.1)
    at = next(at for at, arm in enumerate(body.arms) if arm.name == "advantage")
    run = body.arms[at].runs[2]
    turned = f"{int(run.tools[0], 16) ^ 8:x}{run.tools[1:]}"
    runs = list(body.arms[at].runs)
    runs[2] = msgspec.structs.replace(run, tools=turned)
    arms = list(body.arms)
    arms[at] = Arm("advantage", tuple(runs))
    assert differs(msgspec.structs.replace(body, arms=tuple(arms)))


@pytest.mark.parametrize("verdict", ["lift", "harm"])
def test_a_verdict_that_does_not_follow_is_found(verdict: str) -> None:
    body = msgspec.structs.replace(evaluation(0.0), verdict=verdict)
    assert f"the verdict is no lift, not {verdict}" in differs(body)


def test_a_contrast_that_was_left_out_or_made_up_is_found() -> None:
    body = evaluation(0.1)
    left = msgspec.structs.replace(body, contrasts=body.contrasts[1:])
    more = msgspec.structs.replace(body, primary=msgspec.structs.replace(body.primary, low=0.5))
    assert differs(left)
    assert differs(more)


def test_sessions_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(Unreadable):
        recomputed(msgspec.structs.replace(evaluation(0.1), items=7))


def test_the_mean_over_tools_counts_a_rare_tool_like_a_common_one() -> None:
    sizes = [10] * 10
    rare = np.arange(100) % 10 == 0
    bits = pack([not one for one in rare])
    arm = Arm("base", (ArmRun(0, bits, bits),))
    made = found(
        Judged([arm], sizes, {"Bash": pack([not one for one in rare]), "Edit": pack(list(rare))}, {})
    )
    tool, macro = made.arms[0].tool, made.arms[0].macro
    assert tool is not None
    assert macro is not None
    assert (tool.value, macro.value) == (pytest.approx(0.9), pytest.approx(0.5))


def test_a_smaller_loss_counts_as_the_better_seed() -> None:
    made = recomputed(evaluation(0.3))
    nll = next(one for one in made.differences if (one.name, one.metric) == ("advantage-random", "nll"))
    assert nll.figure.value < 0
    assert (nll.positive, nll.seeds) == (5, 5)


def test_seeds_are_compared_with_their_own() -> None:
    """Each seed moves both arms alike: the difference is as sure as if no seed moved anything."""
    chance = np.random.default_rng(3)
    base = chance.random((1, 40, 1)) * 3
    moved = base + np.linspace(-1, 1, 5)[:, None, None]
    sizes = np.full((40, 1), 3.0)
    same = interval(Sums(moved + 0.3 - moved, sizes), (-1, 1))
    assert (same.low, same.high) == (pytest.approx(0.1), pytest.approx(0.1))


@pytest.mark.parametrize("runs", [1, 5])
def test_one_answer_of_one_session_is_no_difference_however_many_seeds_have_it(runs: int) -> None:
    values, sizes = np.zeros((5, 34, 1)), np.full((34, 1), 2.0)
    values[:runs, 3, 0] = 1.0
    figure = interval(Sums(values, sizes), (-1, 1))
    assert figure.value > 0
    assert figure.low is not None
    assert figure.low < 0


def test_an_interval_says_the_same_each_time() -> None:
    values = np.random.default_rng(0).random((5, 30, 1))
    sums = Sums(values, np.ones((30, 1)))
    assert interval(sums, (-1, 1)) == interval(sums, (-1, 1))


def test_one_session_or_one_seed_has_no_interval() -> None:
    assert interval(Sums(np.ones((5, 1, 1)), np.ones((1, 1))), (0, 1)).low is None
    assert interval(Sums(np.ones((1, 9, 1)), np.ones((9, 1))), (0, 1)).low is None
    assert interval(Sums(np.ones((1, 9, 1)), np.ones((9, 1))), (0, 1), one_run=True).low == 1.0


@pytest.mark.usefixtures("all_draws")
def test_under_no_effect_a_lift_is_said_about_as_rarely_as_promised() -> None:
    """Of 200 evaluations without an effect, 2.5 % each way; 11 or fewer with a chance above 99 %."""
    chance = np.random.default_rng(7)
    lifts = harms = 0
    for _ in range(200):
        sessions = chance.normal(0, 0.05, (1, 40)) * 4
        seeds = chance.normal(0, 0.04, (5, 1)) * 4
        values = (sessions + seeds + chance.normal(0, 0.6, (5, 40)))[:, :, None]
        figure = interval(Sums(values, np.full((40, 1), 4.0)), (-1, 1))
        assert figure.low is not None
        assert figure.high is not None
        lifts += figure.low > 0
        harms += figure.high < 0
    assert lifts <= 11
    assert harms <= 11
