"""The evidence for a score: it names calls, and comes to the very values that the score has."""

from __future__ import annotations

import json
import lzma
import math
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from karl.reward.evidence import Part, evidence
from karl.reward.score import score
from karl.schema.record import Score
from karl.schema.trajectory import Outcome, Trajectory
from tests.reward.trajectories import call, trajectories, turn

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "reward_v1.jsonl.xz"


def golden() -> list[Trajectory]:
    with lzma.open(GOLDEN, "rt") as lines:
        return [msgspec.convert(json.loads(line)["record"], Trajectory) for line in lines]


def parts(trajectory: Trajectory) -> dict[str, Part]:
    return {
        part.component: part
        for one in evidence(trajectory, score(trajectory, version="1")).values()
        for part in one.parts
    }


def same_as_the_score(trajectory: Trajectory) -> None:
    found = score(trajectory, version="1")
    told = parts(trajectory)
    assert {name: part.value for name, part in told.items()} == pytest.approx(found.components, abs=1e-12)
    assert list(evidence(trajectory, found)) == list(found.signals)
    made = range(1, len(trajectory.trajectory.events) + 1)
    assert all(n in made for part in told.values() for each in part.because for n in each.calls)


def test_the_evidence_of_every_golden_record_comes_to_the_components_of_its_score() -> None:
    records = golden()
    assert len(records) == 300
    for record in records:
        same_as_the_score(record)


@settings(deadline=None)
@given(trajectories)
def test_the_evidence_of_any_trajectory_comes_to_the_components_of_its_score(trajectory: Trajectory) -> None:
    same_as_the_score(trajectory)


def test_each_formula_gives_its_signal() -> None:
    checked = 0
    for record in golden():
        found = score(record, version="1")
        for name, told in evidence(record, found).items():
            if name == "outcome" or not re.match(r"exp|0\.\d+ \*", told.formula):
                continue
            value = eval(told.formula, {"exp": math.exp}, dict(found.components))
            assert value == pytest.approx(found.signals[name], abs=1e-9), (name, told.formula)
            checked += 1
    assert checked > 900


def numbers(trajectory: Trajectory, component: str) -> list[tuple[str, list[int]]]:
    return [(each.what, each.calls) for each in parts(trajectory)[component].because]


def test_failures_are_named_where_they_cost() -> None:
    bad = call("Bash", success=False, command="false")
    made = turn(call("Read", file_path="/a"), bad, bad, bad, call("Read", file_path="/a"), bad)
    assert numbers(made, "r_success_rate") == [("failed", [2, 3, 4, 6])]
    assert numbers(made, "r_error_density") == [("failed one after another", [2, 3, 4])]
    assert numbers(made, "r_temporal_weight") == [("failed in the last quarter", [6])]
    assert numbers(made, "r_retry_loops") == [("Bash in a row", [2, 3, 4])]
    assert numbers(made, "r_error_loops") == [("failed right after another shell call had", [3, 4])]
    assert numbers(made, "r_bash_clean") == [("ended in error", [2, 3, 4, 6])]


def test_what_counted_as_verification_is_named_with_its_word() -> None:
    made = turn(
        call("Edit", file_path="/a"),
        call("Bash", command="cd x && pytest -q"),
        call("Read", file_path="/b"),
        call("Read", file_path="/a"),
        call("Bash", command="make test"),
    )
    assert numbers(made, "r_has_test") == [
        ("has “pytest” in the command", [2]),
        ("has “make test” in the command", [5]),
    ]
    assert numbers(made, "r_has_build") == [("has “make” in the command", [5])]
    assert numbers(made, "r_read_after_write") == [("read after an edit of the same file", [4])]


def test_edits_are_told_apart_by_whether_the_file_had_been_read() -> None:
    edit = call("Edit", file_path="/a")
    made = turn(edit, call("Read", file_path="/a"), edit, edit, call("Read", file_path="/never"))
    assert numbers(made, "r_read_before_write") == [
        ("read before it was edited", [3, 4]),
        ("edited without having been read", [1]),
    ]
    assert numbers(made, "r_no_thrashing") == [("edits of /a", [1, 3, 4])]
    assert numbers(made, "r_undo") == [("edits what the call before it had edited", [4])]
    assert numbers(made, "r_read_waste") == [("read, and never edited", [5])]


def test_counts_that_the_record_holds_and_its_calls_do_not_show_are_said_to_be_counts() -> None:
    made = turn(call("Bash"), call("Bash"))
    made.trajectory.bash_errors = 2
    assert "as the record counts; 0 of those that it holds did" in parts(made)["r_bash_clean"].means


def test_what_people_said_is_told_in_words() -> None:
    told = parts(turn(call("Read"), outcome=Outcome(correction_detected=True, build_success=True)))
    assert [told[name].means for name in ("r_no_correction", "r_build_pass")] == [
        "corrected",
        "the build passed",
    ]
    assert "nobody said" in parts(turn(call("Read")))["outcome_signals_available"].means


def test_of_a_version_that_is_not_known_there_is_no_evidence() -> None:
    assert evidence(Trajectory(), Score("99", 0.5, {}, {}, {})) == {}
