"""The evidence for version 2: the very values of the score, the calls behind them, and what was left out."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given

from karl.reward.basis import NOTHING, Basis
from karl.reward.calibration import Calibration
from karl.reward.evidence import PRIOR, Evidence, Part, evidence, shares
from karl.reward.score import CHANCE, score
from karl.reward.signal import SIGNALS
from karl.schema.record import Score
from karl.schema.trajectory import Outcome, ToolCall, Trajectory
from tests.gaming.scripted import (
    CHECK,
    FIX,
    HONEST,
    LOOK,
    RED,
    Turn,
    edit,
    read,
    refused,
    sh,
    trajectory,
)
from tests.reward.test_v2_properties import bases, made, many, outcomes, turns
from tests.reward.trajectories import trajectories

#: A sentence that gives a share as counts.
COUNTED = re.compile(r"(\d+) of (\d+) ")


def scored(known: Trajectory, basis: Basis = NOTHING) -> Score:
    return score(known, version="2", basis=basis)


def told(turn: Turn) -> dict[str, Evidence]:
    known = trajectory(turn)
    return evidence(known, scored(known))


def parts(turn: Turn) -> dict[str, Part]:
    return {part.component: part for one in told(turn).values() for part in one.parts}


def numbers(turn: Turn, component: str) -> list[tuple[str, list[int]]]:
    return [(each.what, each.calls) for each in parts(turn)[component].because]


def same_as_the_score(known: Trajectory, basis: Basis) -> None:
    found = scored(known, basis)
    said = evidence(known, found)
    values = {part.component: part.value for one in said.values() for part in one.parts}
    assert values == {name: value for name, value in found.components.items() if name != CHANCE}
    assert [name for name in SIGNALS if said[name].parts] == [n for n in SIGNALS if n in found.signals]
    assert all(said[name].left_out for name in SIGNALS if name not in found.signals)
    calls = range(1, len(known.trajectory.events) + 1)
    behind = [n for one in said.values() for part in one.parts for each in part.because for n in each.calls]
    assert set(behind) <= set(calls)
    for part in (part for one in said.values() for part in one.parts):
        if counted := COUNTED.match(part.means):
            assert int(counted[1]) / int(counted[2]) == pytest.approx(part.value), part
    for name, one in said.items():
        if one.formula:
            value = eval(one.formula, {}, dict(found.components))
            assert value == pytest.approx(found.signals[name], abs=1e-9), (name, one.formula)


@many
@given(turns, outcomes, bases)
def test_every_component_of_a_score_is_in_its_evidence_with_the_same_value_and_each_formula_gives_its_signal(
    calls: list[ToolCall], known: Outcome, basis: Basis
) -> None:
    same_as_the_score(made(calls, known), basis)


@many
@given(trajectories, bases)
def test_so_it_is_for_calls_that_nobody_has_taken_apart(known: Trajectory, basis: Basis) -> None:
    same_as_the_score(known, basis)


CALIBRATION = Calibration(
    "cal_1", "claude-code", "2", 0.2, {"process": 1.5, "r_checked": 0.7}, {"r_checked": 0.5}
)


@many
@given(turns, outcomes, bases)
def test_the_reward_is_the_sum_of_share_times_value_with_a_calibration_and_without(
    calls: list[ToolCall], known: Outcome, basis: Basis
) -> None:
    for applied in (None, CALIBRATION):
        found = scored(made(calls, known), Basis(basis.usual, applied))
        values = {**found.signals, CHANCE: found.components.get(CHANCE, 0.0), PRIOR: 0.5}
        shared = shares(found)
        assert math.fsum(shared.values()) == pytest.approx(1.0)
        total = math.fsum(share * values[name] for name, share in shared.items())
        assert total == pytest.approx(found.reward, abs=5.1e-5)


def test_the_calls_behind_honest_work_are_named() -> None:
    assert numbers(HONEST, "r_checked") == [("green", [3]), ("the last change", [2])]
    assert numbers(HONEST, "r_read_before_edit") == [("looked into before they were changed", [2])]
    assert numbers(HONEST, "r_localised") == [("looked into, then changed", [2])]
    assert numbers(HONEST, "r_delivered") == [("changed: shop/billing.py", [2])]


def test_a_check_before_the_last_change_and_a_red_one_are_told_apart_from_a_green_one() -> None:
    stale = (LOOK, CHECK, FIX)
    assert ("before the last change", [2]) in numbers(stale, "r_checked")
    assert "no check ran after the last change" in parts(stale)["r_checked"].means
    red = (LOOK, FIX, RED)
    assert ("red, or its end is not known", [3]) in numbers(red, "r_checked")
    assert "none is known to be green" in parts(red)["r_checked"].means


def test_a_file_that_was_changed_unseen_and_one_that_was_read_in_vain_are_named() -> None:
    other = "/w/shop/shop/stock.py"
    unseen = (read(other), FIX)
    assert numbers(unseen, "r_read_before_edit") == [("changed without a look: shop/billing.py", [2])]
    assert ("read, and not changed", [1]) in numbers(unseen, "r_localised")


def test_why_nothing_was_delivered_is_told() -> None:
    gone = (LOOK, FIX, sh("git checkout -- ."))
    assert ("changed, then thrown away: shop/billing.py", [2]) in numbers(gone, "r_delivered")
    failed = (LOOK, refused(edit(), "String to replace not found in file."))
    assert ("failed: shop/billing.py", [2]) in numbers(failed, "r_delivered")


def test_every_word_on_the_outcome_has_its_words() -> None:
    known = trajectory(HONEST)
    for value in (True, False):
        known.outcome = Outcome(
            correction_detected=value,
            redo_detected=value,
            build_success=value,
            session_continued=value,
            committed=value,
            survived=value,
            reverted=value,
            ci_passed=value,
        )
        said = evidence(known, scored(known))["outcome"]
        assert len({part.means for part in said.parts}) == len(said.parts) >= 7
    known.outcome = Outcome(correction_detected=True, correction_score=0.7)
    (part,) = evidence(known, scored(known))["outcome"].parts
    assert part.means == "corrected, as far as can be told: 70%"


def test_what_was_left_out_says_why() -> None:
    without = told((LOOK,))
    assert "nobody has said" in without["outcome"].left_out[0]
    assert "nothing to check" in without["verification"].left_out[0]
    assert "not known how long" in without["efficiency"].left_out[0]
    known = trajectory(HONEST)
    known.outcome.correction_detected = True
    (unsaid,) = evidence(known, scored(known))["outcome"].left_out
    assert "the build" in unsaid
    assert "a correction" not in unsaid
