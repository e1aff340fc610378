"""Assessing a reward: each set of labelled runs on its own, against other scores of the same runs.

Sets are never pooled: they differ in agents, tasks and base rates (6 % to 88 %), so a pooled figure
would mostly say which set a run is from.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from karl.evaluation.chances import Truth, truth
from karl.evaluation.learned import Elsewhere, Learned, cross_validated, from_elsewhere, table
from karl.evaluation.ranking import (
    DRAWS,
    Estimate,
    Flags,
    Floats,
    auroc_difference,
    auroc_estimate,
    wins,
)
from karl.evaluation.runs import Run
from karl.evaluation.scoring import Sheet, columns, rewards
from karl.reward.calibration import Calibration

#: The trivial score: a run is the better, the fewer calls it took.
FEWER_STEPS = "steps"

#: Told the set that is looked at, how many are done and how many there are.
Progress = Callable[[int, int, object], None]


class ScoreReport(msgspec.Struct, frozen=True):
    """How one score of the runs does; `truth` is null for one that is no chance.

    `delivered` is the AUROC among the runs that changed a source file, `within_agent` the one over
    pairs of runs of the same agent, where a set has several.
    """

    auroc: Estimate | None
    within_agent: Estimate | None
    win_rate: Estimate | None
    delivered: Estimate | None
    truth: Truth | None


class Difference(msgspec.Struct, frozen=True):
    """How much higher the AUROC of the reward is than another score's, with paired intervals."""

    auroc: Estimate | None
    delivered: Estimate | None


class FeatureReport(msgspec.Struct, frozen=True):
    """One signal or component: the share of runs in which it was observed, and its AUROC over those."""

    name: str
    observed: float
    mean: float
    auroc: Estimate | None


class SetReport(msgspec.Struct, frozen=True):
    """One set. `scores` and `differences` are by name: `version 2`, `version 1`, `steps`."""

    set: str
    runs: int
    resolved: int
    base_rate: float
    instances: int
    pairs: int
    agents: dict[str, int]
    delivered_runs: int
    delivered_resolved: int
    reward: str
    scores: dict[str, ScoreReport]
    differences: dict[str, Difference]
    signals: list[FeatureReport]
    components: list[FeatureReport]
    learned: Learned | None = None
    elsewhere: Elsewhere | None = None


def assess(
    runs: Sequence[Run],
    *,
    version: str,
    baselines: Sequence[str] = ("1", FEWER_STEPS),
    calibrations: Mapping[str, Calibration] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[SetReport]:
    """Assess the reward of `version` on each set of runs, against `baselines` (versions, or `steps`)."""
    sets: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        sets[run.set].append(run)
    sheets = {name: Sheet(sets[name], draws=draws, seed=seed) for name in sorted(sets)}
    tables = {name: table(sheet.scores(version), sheet.labels, sheet.draws) for name, sheet in sheets.items()}
    reports = []
    for done, (name, sheet) in enumerate(sheets.items()):
        if progress:
            progress(done, len(sheets), name)
        report = _one_set(name, sheet, version=version, baselines=baselines, calibrations=calibrations or {})
        others = [one for other, one in tables.items() if other != name]
        learned, elsewhere = cross_validated(sheet, tables[name]), from_elsewhere(tables[name], others)
        reports.append(msgspec.structs.replace(report, learned=learned, elsewhere=elsewhere))
    return reports


def title(score: str) -> str:
    """Name a score as reports do."""
    return score if score == FEWER_STEPS else f"version {score}"


def _one_set(
    name: str,
    sheet: Sheet,
    *,
    version: str,
    baselines: Sequence[str],
    calibrations: Mapping[str, Calibration],
) -> SetReport:
    scored = sheet.scores(version, calibrations)
    ours = rewards(scored)
    theirs = {title(one): _baseline(sheet, one) for one in baselines if one != version}
    made = {title(version): ours, **theirs}
    resolved = int(sheet.labels.sum())
    return SetReport(
        set=name,
        runs=len(sheet.runs),
        resolved=resolved,
        base_rate=round(resolved / len(sheet.runs), 6),
        instances=sheet.draws.groups,
        pairs=wins(ours, sheet.labels, sheet.draws).pairs,
        agents=dict(sorted(Counter(run.agent for run in sheet.runs).items())),
        delivered_runs=int(sheet.delivered.sum()),
        delivered_resolved=int((sheet.delivered & sheet.labels).sum()),
        reward=title(version),
        scores={one: _score(sheet, values, is_chance=one != FEWER_STEPS) for one, values in made.items()},
        differences={one: _difference(sheet, ours, values) for one, values in theirs.items()},
        signals=_features(sheet, columns(scored, signals=True)),
        components=_features(sheet, columns(scored, signals=False)),
    )


def _baseline(sheet: Sheet, name: str) -> Floats:
    return -sheet.steps if name == FEWER_STEPS else rewards(sheet.scores(name))


def _score(sheet: Sheet, values: Floats, *, is_chance: bool) -> ScoreReport:
    return ScoreReport(
        auroc=auroc_estimate(values, sheet.labels, sheet.draws),
        within_agent=_within_agent(sheet, values),
        win_rate=wins(values, sheet.labels, sheet.draws).rate,
        delivered=auroc_estimate(values, sheet.labels, sheet.draws, which=sheet.delivered),
        truth=truth(values, sheet.labels, sheet.draws) if is_chance else None,
    )


def _difference(sheet: Sheet, ours: Floats, theirs: Floats) -> Difference:
    return Difference(
        auroc=auroc_difference(ours, theirs, sheet.labels, sheet.draws),
        delivered=auroc_difference(ours, theirs, sheet.labels, sheet.draws, which=sheet.delivered),
    )


def _features(sheet: Sheet, found: Mapping[str, Floats]) -> list[FeatureReport]:
    return [
        FeatureReport(
            name=name,
            observed=round(float(np.isfinite(values).mean()), 6),
            mean=round(float(np.nanmean(values)), 6),
            auroc=auroc_estimate(values, sheet.labels, sheet.draws),
        )
        for name, values in found.items()
    ]


def _within_agent(sheet: Sheet, values: Floats) -> Estimate | None:
    """Give the AUROC over pairs of runs of one agent; null where the set has one agent only."""
    agents = sorted({run.agent for run in sheet.runs})
    if len(agents) < 2:
        return None
    mine: list[Flags] = [np.array([run.agent == agent for run in sheet.runs]) for agent in agents]
    return auroc_estimate(values, sheet.labels, sheet.draws, parts=mine)
