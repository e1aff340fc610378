"""Reward version 2: six signals by evidence, renormalised over what could be observed, with a confidence."""

from __future__ import annotations

from collections.abc import Mapping

from karl.reward.basis import Basis
from karl.reward.signal import Signal
from karl.schema.trajectory import Outcome, Trajectory

VERSION = "2"

#: Weight of each signal where nobody set others.
WEIGHTS = {
    "outcome": 0.25,
    "process": 0.25,
    "efficiency": 0.10,
    "verification": 0.15,
    "consistency": 0.15,
    "motion": 0.10,
}


def signals(trajectory: Trajectory, basis: Basis) -> dict[str, Signal]:
    """Give the signals that could be observed, by name, each with its components."""
    del basis
    known = outcome(trajectory.outcome)
    return {"outcome": known} if known else {}


def outcome(known: Outcome) -> Signal | None:
    """Renormalise over what people and builds said; null when nobody did. No other signal reads `known`."""
    del known
    return None


def compose(
    signals: Mapping[str, Signal], weights: Mapping[str, float], chance: float | None
) -> tuple[float, float | None]:
    """Give the weighted mean of what was observed, and how much of the weights that is."""
    del chance
    seen = {name: weights.get(name, 0.0) * signal.observed for name, signal in signals.items()}
    total = sum(seen.values())
    value = sum(seen[name] * signal.value for name, signal in signals.items())
    return (value / total if total else 0.5), total
