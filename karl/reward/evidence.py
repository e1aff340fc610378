"""The evidence for a score: which calls made each component of each signal, by number.

It reads the same trajectory by the same rules as the version of the reward that scored it, and comes
to the same values; where a component hangs on no single call, it says what was counted instead.
Numbers of calls count from 1, in the order in which the calls were made.
"""

from __future__ import annotations

from karl.reward import evidence_v1, evidence_v2
from karl.reward.evidence_shape import Because, Evidence, Part
from karl.reward.evidence_v2 import PRIOR
from karl.schema.record import Score
from karl.schema.trajectory import Trajectory

__all__ = ["PRIOR", "Because", "Evidence", "Part", "evidence", "shares"]


def evidence(trajectory: Trajectory, score: Score) -> dict[str, Evidence]:
    """Give each signal's evidence by its name; empty for a version of which nothing is known.

    `trajectory.outcome` is what is known by now. The trajectory must be the one that was scored.
    """
    if score.version == "1":
        return evidence_v1.evidence(trajectory)
    if score.version == "2":
        return evidence_v2.evidence(trajectory, score.components)
    return {}


def shares(score: Score) -> dict[str, float]:
    """Give the share that each signal has in the reward: the reward is the sum of share times value.

    What is no signal stands there too: a `chance`, which has the share of all that a calibration read, or
    the `prior`, a little of 0.5 with which version 2 begins. Empty for a version that is not known.
    """
    if score.version == "1":
        return {name: score.weights.get(name, 0.0) for name in score.signals}
    if score.version == "2":
        return evidence_v2.shares(score)
    return {}
