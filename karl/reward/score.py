"""Score a trajectory with one of the reward's versions; several live side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from karl.errors import KarlError
from karl.reward import v1
from karl.schema.record import Score
from karl.schema.trajectory import Outcome, Trajectory


class Version(Protocol):
    """What a module that is a version of the reward offers.

    `outcome` must be the only signal that reads a trajectory's outcome: `rescore_outcome` relies
    on it.
    """

    VERSION: str
    WEIGHTS: dict[str, float]

    def signals(self, trajectory: Trajectory) -> dict[str, tuple[float, dict[str, float]]]:
        """Give each signal in [0, 1] with its components."""

    def outcome(self, known: Outcome) -> tuple[float, dict[str, float]]:
        """Give the signal that people and builds decide, with its components."""


VERSIONS: dict[str, Version] = {"1": v1}


def score(trajectory: Trajectory, *, version: str, weights: Mapping[str, float] | None = None) -> Score:
    """Score a trajectory; `weights` by signal, the version's own when not given.

    Raises KarlError for a version that there is not. A signal without a weight weighs nothing.
    """
    reward = _version(version)
    found = reward.signals(trajectory)
    components: dict[str, float] = {}
    for _, parts in found.values():
        components.update(parts)
    return _composed(
        version,
        {name: value for name, (value, _) in found.items()},
        components,
        dict(reward.WEIGHTS if weights is None else weights),
    )


def rescore_outcome(score: Score, outcome: Outcome) -> Score:
    """Give the score that the same trajectory has when this is known of its outcome.

    The result is exactly that of a full re-score, component for component. Raises KarlError for a
    version that there is not.
    """
    value, parts = _version(score.version).outcome(outcome)
    old = _OUTCOME_COMPONENTS[score.version]
    others = {name: part for name, part in score.components.items() if name not in old}
    return _composed(score.version, {**score.signals, "outcome": value}, {**parts, **others}, score.weights)


def _composed(
    version: str, signals: dict[str, float], components: dict[str, float], weights: dict[str, float]
) -> Score:
    # Added one by one, as the scores of older stores were: an exact sum, which is what `fsum` and
    # newer Pythons' `sum` give, rounds a few of them to another fourth decimal.
    reward = 0.0
    for name, value in signals.items():
        reward += weights.get(name, 0.0) * value
    return Score(version, round(reward, 4), signals, components, weights)


def _version(version: str) -> Version:
    try:
        return VERSIONS[version]
    except KeyError:
        known = ", ".join(sorted(VERSIONS))
        raise KarlError(f"there is no reward version {version!r}; there are: {known}") from None


def _outcome_components(version: Version) -> frozenset[str]:
    """Name every component that the outcome can give, by asking with everything known."""
    known = Outcome(
        correction_detected=False, redo_detected=False, build_success=True, session_continued=True
    )
    return frozenset(version.outcome(known)[1])


_OUTCOME_COMPONENTS = {name: _outcome_components(version) for name, version in VERSIONS.items()}
