"""Version 1 of the reward: the golden records, each signal's rule, and any trajectory at all."""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from karl.reward import v1
from karl.reward.score import score
from karl.reward.signal import Signal
from karl.schema.trajectory import Outcome, Timing, ToolCall, Trajectory
from karl.session.older import normalize_record
from tests.reward.trajectories import call, trajectories, turn

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "reward_v1.jsonl.xz"
MOTION = {"r_retry_loops", "r_read_waste", "r_error_loops", "r_undo"}


def golden() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    with lzma.open(GOLDEN, "rt") as lines:
        for line in lines:
            pair = json.loads(line)
            yield pair["record"], pair["expected"]


def signal(trajectory: Trajectory, name: str) -> float:
    return v1.signals(trajectory)[name].value


def part(trajectory: Trajectory, name: str) -> float:
    return score(trajectory, version="1").components[name]


def rounded(trajectory: Trajectory) -> dict[str, Any]:
    found = score(trajectory, version="1")
    shown: dict[str, Any] = {f"{name}_score": round(value, 4) for name, value in found.signals.items()}
    components = {key: round(value, 4) for key, value in found.components.items() if key not in MOTION}
    return shown | {"reward_score": found.reward, "components": components}


def test_all_golden_records_score_as_the_first_engine_scored_them() -> None:
    pairs = list(golden())
    assert len(pairs) == 300
    for record, expected in pairs:
        assert rounded(msgspec.convert(record, Trajectory)) == expected


def test_normalising_a_golden_record_does_not_change_its_score() -> None:
    for record, _ in golden():
        before = score(msgspec.convert(record, Trajectory), version="1")
        assert score(normalize_record(record), version="1") == before


def test_a_turn_without_calls_scores_0_5550() -> None:
    assert score(Trajectory(), version="1").reward == 0.5550


@pytest.mark.parametrize(
    ("known", "value"),
    [
        ({}, 0.5),
        ({"correction_detected": False}, 0.85),
        ({"correction_detected": False, "redo_detected": False}, 1.0),
        ({"correction_detected": False, "redo_detected": False, "build_success": False}, 1.0),
        ({"correction_detected": True}, 0.15),
        ({"correction_detected": True, "build_success": True, "session_continued": True}, 0.55),
        ({"build_success": False}, 0.40),
        ({"session_continued": False}, 0.50),
    ],
)
def test_the_outcome_adds_up_what_is_known(known: dict[str, bool], value: float) -> None:
    found, components, _ = v1.outcome(Outcome(**known))
    assert found == pytest.approx(value)
    assert components["outcome_signals_available"] == len(known)


def test_a_shell_call_without_an_exit_code_is_no_error() -> None:
    record = {
        "trajectory": {"events": [{"tool": "Bash", "success": True, "input": {"command": "pytest"}}] * 4}
    }
    assert part(normalize_record(record), "r_bash_clean") == 1.0


def test_a_late_failure_costs_more_than_an_early_one() -> None:
    good = [call("Grep")] * 9
    early = turn(call("Grep", success=False), *good)
    late = turn(*good, call("Grep", success=False))
    assert part(early, "r_success_rate") == pytest.approx(0.95)
    assert part(late, "r_success_rate") == pytest.approx(0.85)
    assert part(early, "r_temporal_weight") == 1.0
    assert part(late, "r_temporal_weight") == pytest.approx(0.85)


def test_only_a_run_of_three_failures_makes_errors_dense() -> None:
    two = [call("Grep", success=False)] * 2
    assert part(turn(*two, call("Grep"), *two), "r_error_density") == 1.0
    assert part(turn(*two, call("Read", success=False)), "r_error_density") == pytest.approx(0.85)


@pytest.mark.parametrize(
    ("calls", "seconds", "pace"),
    [
        (4, 30, 1.0),
        (5, 30, 0.8),
        (1, 30, 1.0),
        (3, 120, 0.6),
        (1, 120, 0.35),
        (1, 10**9, 0.2),
        (4, None, 0.5),
    ],
)
def test_pace_is_calls_a_minute(calls: int, seconds: float | None, pace: float) -> None:
    assert part(turn(*[call("Read")] * calls, duration_s=seconds), "r_duration_eff") == pytest.approx(
        pace, abs=1e-6
    )


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -5.0, 0.0, 5e-324])
def test_a_duration_that_is_none_counts_as_unknown(seconds: float) -> None:
    assert part(turn(call("Read"), duration_s=seconds), "r_duration_eff") == 0.5


def test_staying_power_pays_from_20_calls_on_when_85_percent_of_the_known_results_are_good() -> None:
    assert part(turn(*[call("Read")] * 40), "r_sustained") == pytest.approx(0.75)
    assert part(
        turn(*[call("Read")] * 20, *[call("Read", success=False)] * 4), "r_sustained"
    ) == pytest.approx(0.4)
    unknown = [call("Read", success=None)] * 20
    assert part(turn(*unknown), "r_sustained") == pytest.approx(0.5)


def test_words_in_a_shell_command_count_as_verification_once_something_was_edited() -> None:
    edit, test = call("Edit", file_path="/a"), call("Bash", command="echo pytest; make x")
    assert signal(turn(edit, test), "verification") == pytest.approx(0.7)
    assert signal(turn(edit, call("Grep", command="pytest")), "verification") == 0.0
    assert v1.signals(turn(test))["verification"] == Signal(
        0.6,
        {"r_has_test": 0.0, "r_has_build": 0.0, "r_read_after_write": 0.0, "r_no_mutation": 1.0},
    )


def test_counts_without_any_call_are_no_data() -> None:
    empty = turn()
    empty.trajectory.tool_counts = {"Edit": 3}
    assert signal(empty, "verification") == 0.5


def test_reading_a_file_again_after_an_edit_is_worth_0_09() -> None:
    read, edit = call("Read", file_path="/a"), call("Edit", file_path="/a")
    assert signal(turn(read, edit), "verification") == 0.0
    assert signal(turn(edit, read), "verification") == pytest.approx(0.09)


def test_an_edit_is_consistent_when_its_file_was_read_before() -> None:
    read, edit, other = (
        call("Read", file_path="/a"),
        call("Edit", file_path="/a"),
        call("Write", file_path="/b"),
    )
    assert part(turn(read, edit, other), "r_read_before_write") == 0.5
    assert part(turn(edit, read, other), "r_read_before_write") == 0.0
    assert (
        part(turn(read, call("Edit"), call("Write")), "r_read_before_write") == 0.5
    )  # no path: nothing known


def test_the_third_edit_of_a_file_is_thrashing() -> None:
    edit = call("Edit", file_path="/a")
    assert part(turn(edit, edit, call("Grep")), "r_no_thrashing") == 1.0
    assert part(turn(edit, edit, edit), "r_no_thrashing") == pytest.approx(0.8)


def test_motion_counts_each_kind_of_waste() -> None:
    red = call("Bash", success=False, command="x")
    components = v1.signals(turn(red, red, red, call("Grep"), red))["motion"].components
    assert components == {"r_retry_loops": 1, "r_error_loops": 2, "r_undo": 0, "r_read_waste": 0}
    edit, read = call("Edit", file_path="/a"), call("Read", file_path="/b")
    value, components, _ = v1.signals(turn(edit, edit, read, read))["motion"]
    assert components == {"r_retry_loops": 0, "r_error_loops": 0, "r_undo": 1, "r_read_waste": 1}
    assert value == pytest.approx(math.exp(-0.15 * 4))


def test_edits_without_a_path_are_no_edits_on_edits() -> None:
    assert part(turn(call("Edit"), call("Edit"), call("Edit")), "r_undo") == 0


@settings(deadline=None)
@given(trajectories)
def test_any_trajectory_gets_finite_signals_between_0_and_1(trajectory: Trajectory) -> None:
    found = score(trajectory, version="1")
    for value in (found.reward, *found.signals.values()):
        assert 0 <= value <= 1
    assert all(math.isfinite(value) for value in found.components.values())
    assert list(found.signals) == list(v1.WEIGHTS)


def test_a_hundred_thousand_calls_are_scored() -> None:
    many = [ToolCall(tool_name=f"T{place % 50}", success=place % 3 == 0) for place in range(100_000)]
    found = score(turn(*many, duration_s=1e6), version="1")
    assert 0 < found.reward < 1


def test_counters_that_contradict_the_calls_do_no_harm() -> None:
    odd = turn(call("Bash", success=False), call("Edit", file_path="/a"), call("Read"))
    odd.trajectory.bash_errors = 10**30
    odd.trajectory.successes = -5
    odd.trajectory.tool_counts = {"Bash": -1, "Edit": 10**400}
    odd.timing = Timing(duration_s=1e-300)
    assert all(0 <= value <= 1 for value in score(odd, version="1").signals.values())
