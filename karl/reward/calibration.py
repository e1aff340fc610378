"""Calibration: from a score's signals to the chance that the task got done, for one agent.

Invariants:
- Pure arithmetic over what a score holds; nothing of a trajectory's outcome goes in, so what it was fitted on
  is not what it reads.
- No weight is negative: whatever raises the reward, or a feature, never lowers the chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from karl.reward.signal import Signal
from karl.schema.record import CalibrationBody

#: The feature that is the reward itself, as the version's own weights give it without the outcome.
REWARD = "reward"
#: Beyond this the exponential says nothing that a float can hold apart from 0 and 1.
_STEEPEST = 30.0


class Calibration(msgspec.Struct, frozen=True):
    """A logistic model, no weight of it negative. `terms` gives each feature's weight by its name.

    A feature is the reward, a signal or a component, taken about `middle` (what it counts as where it was not
    observed). `id` names the ledger record that holds it; `agent` and `version` (of the reward) say what it
    is for.
    """

    id: str
    agent: str
    version: str
    intercept: float
    terms: dict[str, float]
    middle: dict[str, float] = {}

    def chance(self, signals: Mapping[str, Signal], reward: float | None = None) -> float:
        """Give the chance, from 0 to 1, that a trajectory with these signals got its task done.

        `reward` is what the version's own weights make of the signals without the outcome; null where none
        was observed.
        """
        known = features(signals)
        if reward is not None:
            known[REWARD] = reward
        logit = self.intercept + math.fsum(
            weight * (known[name] - self.middle.get(name, 0.0))
            for name, weight in self.terms.items()
            if name in known
        )
        return 1 / (1 + math.exp(-max(-_STEEPEST, min(_STEEPEST, logit))))


def of_record(body: CalibrationBody) -> Calibration:
    """Give the model that a ledger record holds."""
    return Calibration(body.id, body.agent, body.version, body.intercept, body.terms, body.middle)


def features(signals: Mapping[str, Signal]) -> dict[str, float]:
    """Give signals and components by name, those of the outcome left out."""
    known: dict[str, float] = {}
    for name, signal in signals.items():
        if name != "outcome":
            known.update(signal.components)
            known[name] = signal.value
    return known
