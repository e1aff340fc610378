"""Scoring runs as the line would, and holding what came out as columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from karl.evaluation.ranking import Draws, Flags, Floats
from karl.evaluation.runs import Run
from karl.reward.basis import Basis
from karl.reward.calibration import Calibration
from karl.reward.score import score
from karl.reward.usual import Usual, seen
from karl.schema.record import Score


class Sheet:
    """The runs of one set, or of one agent, as columns: labels, groups, and scores by their names."""

    def __init__(self, runs: Sequence[Run], *, draws: int, seed: int) -> None:
        self.runs = runs
        self._plain: dict[str, list[Score]] = {}
        self.labels: Flags = np.array([run.label for run in runs], dtype=bool)
        self.draws = Draws([run.instance for run in runs], draws=draws, seed=seed)
        facts = [seen(run.trajectory) for run in runs]
        self.delivered: Flags = np.array([fact is not None and fact.delivered for fact in facts], dtype=bool)
        calls = [run.trajectory.trajectory.events for run in runs]
        self.steps: Floats = np.array([len(made) for made in calls], dtype=np.float64)

    def scores(self, version: str, calibrations: Mapping[str, Calibration] | None = None) -> list[Score]:
        """Score every run; what is usual for its agent is taken from the agent's other runs here."""
        if calibrations:
            return score_all(self.runs, version, calibrations)
        if version not in self._plain:
            self._plain[version] = score_all(self.runs, version, {})
        return self._plain[version]


def score_all(
    runs: Sequence[Run],
    version: str,
    calibrations: Mapping[str, Calibration],
    weights: Mapping[str, float] | None = None,
) -> list[Score]:
    """Score runs by a version, with a calibration for the agents that have one.

    An agent's usual turn is made from its other runs in the same set, never from the run itself, and no
    label goes into it.
    """
    usual = _usual_of_others(runs)
    return [
        score(
            run.trajectory,
            version=version,
            weights=weights,
            basis=Basis(usual=known, calibration=calibrations.get(run.agent)),
        )
        for run, known in zip(runs, usual, strict=True)
    ]


def _usual_of_others(runs: Sequence[Run]) -> list[Usual]:
    """Give, for each run, what is usual for its agent by the agent's other runs in the same set."""
    facts = [seen(run.trajectory) for run in runs]
    usual: dict[tuple[str, str], Usual] = {}
    for run, fact in zip(runs, facts, strict=True):
        known = usual.setdefault((run.set, run.agent), Usual())
        usual[run.set, run.agent] = known.with_turn(fact) if fact else known
    whole = [usual[run.set, run.agent] for run in runs]
    return [all_.without_turn(fact) if fact else all_ for all_, fact in zip(whole, facts, strict=True)]


def rewards(scores: Sequence[Score]) -> Floats:
    """Give the rewards as a column."""
    return np.array([one.reward for one in scores], dtype=np.float64)


def columns(scores: Sequence[Score], *, signals: bool) -> dict[str, Floats]:
    """Give each signal, or each component, as a column; NaN where it was not observed."""
    told = [one.signals if signals else one.components for one in scores]
    names = dict.fromkeys(name for row in told for name in row)
    return {name: np.array([row.get(name, np.nan) for row in told], dtype=np.float64) for name in names}
