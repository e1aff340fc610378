"""Score a trajectory with one of the reward's versions; several live side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from karl.errors import KarlError
from karl.reward import v1, v2
from karl.reward.basis import NOTHING, Basis
from karl.reward.deeds import Deeds
from karl.reward.signal import Signal
from karl.schema.record import Score
from karl.schema.trajectory import Outcome, Trajectory

#: The component that holds what an applied calibration gave: the chance that the task got done.
CHANCE = "chance"


class Version(Protocol):
    """What a module that is a version of the reward offers.

    `outcome` must be the only signal that reads a trajectory's outcome: `rescore_outcome` relies
    on it.
    """

    VERSION: str
    WEIGHTS: dict[str, float]

    def signals(self, trajectory: Trajectory, basis: Basis, done: Deeds | None) -> dict[str, Signal]:
        """Give each signal that could be observed, in [0, 1] with its components.

        `done` are the trajectory's deeds, where somebody has looked through it before.
        """

    def outcome(self, known: Outcome) -> Signal | None:
        """Give the signal that people and builds decide, with its components; null when nobody did."""

    def compose(
        self, signals: Mapping[str, Signal], weights: Mapping[str, float], chance: float | None
    ) -> tuple[float, float | None]:
        """Give the reward in [0, 1], and how much of what counts was observed, if the version says so.

        `chance` is what a calibration says of the signals other than the outcome, where one applies.
        """


VERSIONS: dict[str, Version] = {"1": v1, "2": v2}
DEFAULT_VERSION = "2"


def score(
    trajectory: Trajectory,
    *,
    version: str,
    weights: Mapping[str, float] | None = None,
    basis: Basis = NOTHING,
    done: Deeds | None = None,
) -> Score:
    """Score a trajectory; `weights` by signal, the version's own when not given.

    `basis` is what is known of the agent's earlier turns, `done` the trajectory's deeds where they were made
    out before. Raises KarlError for a version that there is not.
    A signal without a weight weighs nothing.
    """
    reward = _version(version)
    found = reward.signals(trajectory, basis, done)
    components: dict[str, float] = {}
    for signal in found.values():
        components.update(signal.components)
    calibration = basis.calibration
    if calibration is not None and calibration.version == version:
        seen = behaviour_of(found)
        fixed, _ = reward.compose(seen, reward.WEIGHTS, None)
        components[CHANCE] = calibration.chance(seen, fixed if seen else None)
    else:
        calibration = None
    chosen = dict(reward.WEIGHTS if weights is None else weights)
    return _composed(reward, found, components, chosen, calibration.id if calibration else None)


def rescore_outcome(score: Score, outcome: Outcome) -> Score:
    """Give the score that the same trajectory has when this is known of its outcome.

    The result is exactly that of a full re-score, component for component. Raises KarlError for a
    version that there is not.
    """
    reward = _version(score.version)
    old = _OUTCOME_COMPONENTS[score.version]
    kept = behaviour_of(signals_of(score))
    now = reward.outcome(outcome)
    others = {name: part for name, part in score.components.items() if name not in old}
    found = {"outcome": now, **kept} if now else kept
    components = {**now.components, **others} if now else others
    return _composed(reward, found, components, score.weights, score.calibration)


def signals_of(score: Score) -> dict[str, Signal]:
    """Give the signals of a score as `compose` takes them; they lack their components."""
    return {name: Signal(value, {}, score.observed.get(name, 1.0)) for name, value in score.signals.items()}


def behaviour_of(signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """Leave the outcome out."""
    return {name: signal for name, signal in signals.items() if name != "outcome"}


def outcome_parts(score: Score) -> dict[str, float]:
    """Give the components that the outcome was made of."""
    names = _OUTCOME_COMPONENTS[score.version]
    return {name: part for name, part in score.components.items() if name in names}


def _composed(
    reward: Version,
    found: Mapping[str, Signal],
    components: dict[str, float],
    weights: dict[str, float],
    calibration: str | None,
) -> Score:
    value, confidence = reward.compose(found, weights, components.get(CHANCE))
    return Score(
        reward.VERSION,
        round(value, 4),
        {name: signal.value for name, signal in found.items()},
        components,
        weights,
        {name: signal.observed for name, signal in found.items() if signal.observed != 1.0},
        confidence,
        calibration,
    )


def _version(version: str) -> Version:
    try:
        return VERSIONS[version]
    except KeyError:
        known = ", ".join(sorted(VERSIONS))
        raise KarlError(f"there is no reward version {version!r}; there are: {known}") from None


def _outcome_components(version: Version) -> frozenset[str]:
    """Name every component that the outcome can give, by asking with everything known."""
    known = Outcome(
        correction_detected=False,
        redo_detected=False,
        build_success=True,
        session_continued=True,
        committed=True,
        survived=True,
        reverted=False,
        ci_passed=True,
        label=True,
        correction_score=0.0,
    )
    found = version.outcome(known)
    return frozenset(found.components) if found else frozenset()


_OUTCOME_COMPONENTS = {name: _outcome_components(version) for name, version in VERSIONS.items()}
