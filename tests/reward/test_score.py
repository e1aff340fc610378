"""Scores: their versions and weights, and what a later outcome does to one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import KarlError
from karl.reward.score import VERSIONS, rescore_outcome, score
from karl.schema.record import Score
from karl.schema.trajectory import Outcome, Trajectory
from tests.reward.trajectories import call, outcomes, trajectories, turn

_WEIGHTS = [
    VERSIONS["1"].WEIGHTS,
    {"outcome": 1.0},
    dict.fromkeys(VERSIONS["1"].WEIGHTS, 1 / 6),
]


@settings(deadline=None)
@given(trajectories, outcomes, st.sampled_from(sorted(VERSIONS)), st.sampled_from(_WEIGHTS))
def test_a_later_outcome_gives_the_very_score_that_a_full_rescore_gives(
    trajectory: Trajectory, later: Outcome, version: str, weights: dict[str, float]
) -> None:
    first = score(trajectory, version=version, weights=weights)
    trajectory.outcome = later
    fresh = score(trajectory, version=version, weights=weights)
    assert msgspec.json.encode(rescore_outcome(first, later)) == msgspec.json.encode(fresh)


@given(trajectories)
def test_the_same_outcome_again_changes_nothing_even_after_the_ledger(trajectory: Trajectory) -> None:
    first = score(trajectory, version="1")
    stored = msgspec.json.decode(msgspec.json.encode(first), type=Score)
    assert rescore_outcome(stored, trajectory.outcome) == first


def test_a_score_says_what_it_was_made_of() -> None:
    found = score(turn(call("Read")), version="1")
    assert found.version == "1"
    assert found.weights == VERSIONS["1"].WEIGHTS
    assert found.reward == round(sum(found.weights[name] * value for name, value in found.signals.items()), 4)


def test_weights_decide_the_reward() -> None:
    corrected = turn(call("Read"), outcome=Outcome(correction_detected=True))
    assert score(corrected, version="1", weights={"outcome": 1.0}).reward == 0.15
    assert score(corrected, version="1", weights={}).reward == 0.0


def test_scoring_leaves_the_trajectory_and_the_weights_alone() -> None:
    trajectory = turn(call("Read"), call("Edit", file_path="/a"), call("Bash", command="make x"))
    before, weights = msgspec.json.encode(trajectory), {"process": 1.0}
    score(trajectory, version="1", weights=weights).weights["process"] = 0.0
    assert msgspec.json.encode(trajectory) == before
    assert weights == {"process": 1.0}


def test_an_unknown_version_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(KarlError, match="no reward version '0'; there are: 1"):
        score(Trajectory(), version="0")
    with pytest.raises(KarlError, match="no reward version"):
        rescore_outcome(Score("0", 0.5, {}, {}, {}), Outcome())
