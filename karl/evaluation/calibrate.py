"""Calibrating: what is learned of each agent, as the ledger's record says it.

A calibration is for one agent and one version of the reward, and never touches another agent: what predicts
one agent's outcomes has the wrong sign for the next.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

import msgspec
import numpy as np

from karl.errors import Refused
from karl.evaluation.learned import (
    EACH_MIN,
    RUNS_MIN,
    STRENGTHS,
    Learned,
    enough,
    fitted,
    judged,
    table,
    weights_of,
)
from karl.evaluation.ranking import DRAWS
from karl.evaluation.runs import Run
from karl.evaluation.scoring import Sheet
from karl.reward.score import VERSIONS
from karl.schema.record import CalibrationBody

#: Told the agent that is looked at, how many are done and how many there are.
Progress = Callable[[int, int, object], None]


class AgentReport(msgspec.Struct, frozen=True):
    """What was learned of one agent: the cross-validation, and the record; null of too few runs (`why`)."""

    agent: str
    runs: int
    resolved: int
    why: str
    learned: Learned | None = None
    record: CalibrationBody | None = None


def calibrate(
    runs: Sequence[Run],
    *,
    version: str,
    now_ms: int,
    known: Mapping[str, Mapping[str, int]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[AgentReport]:
    """Learn from runs, agent by agent; `known` says what told each agent's outcomes, labels when null.

    Raises Refused for a version of the reward that takes no calibration, KarlError for none at all.
    """
    if not takes_calibration(version):
        raise Refused(f"version {version} of the reward takes no calibration; say --version")
    agents: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        agents[run.agent].append(run)
    reports = []
    for done, agent in enumerate(sorted(agents)):
        if progress:
            progress(done, len(agents), agent)
        mine = agents[agent]
        told = dict(known.get(agent, {})) if known is not None else {"label": len(mine)}
        sheet = Sheet(mine, draws=draws, seed=seed)
        reports.append(_learn(agent, sheet, version=version, known=told, now_ms=now_ms))
    return reports


def takes_calibration(version: str) -> bool:
    """Say whether a version's reward hangs on what a calibration says; of one that there is not, it does."""
    reward = VERSIONS.get(version)
    return reward is None or reward.compose({}, reward.WEIGHTS, 0.0) != reward.compose(
        {}, reward.WEIGHTS, 1.0
    )


def _learn(agent: str, sheet: Sheet, *, version: str, known: dict[str, int], now_ms: int) -> AgentReport:
    resolved = int(sheet.labels.sum())
    if not enough(sheet.labels):
        few = f"too few: at least {RUNS_MIN} with {EACH_MIN} of either outcome are needed"
        return AgentReport(agent, len(sheet.runs), resolved, few)
    data = table(sheet.scores(version), sheet.labels, sheet.draws)
    learned = judged(data)
    strengths = STRENGTHS if learned.kind == "weights" else (math.inf,)
    made = fitted(data, np.arange(len(sheet.runs)), strengths)
    terms = weights_of(data, made)
    middles = dict(zip(data.names, made.middle.tolist(), strict=True))
    record = CalibrationBody(
        id="",
        agent=agent,
        version=version,
        intercept=round(made.intercept, 6),
        terms=terms,
        middle={name: round(middles[name], 6) for name in terms},
        applied=learned.beats,
        why=learned.why,
        runs=learned.runs,
        resolved=learned.resolved,
        groups=learned.groups,
        known=known,
        measured=_measured(learned),
        time_ms=now_ms,
    )
    return AgentReport(agent, learned.runs, resolved, learned.why, learned, _named(record))


def _named(record: CalibrationBody) -> CalibrationBody:
    """Name a record by what it says."""
    digest = blake2b(msgspec.json.encode(record, order="sorted"), digest_size=8)
    return msgspec.structs.replace(record, id=f"cal-{digest.hexdigest()}")


def _measured(learned: Learned) -> dict[str, float]:
    """Flatten the figures of the cross-validation; what could not be measured is left out."""
    estimates = {
        "auroc": learned.auroc,
        "fixed_auroc": learned.fixed_auroc,
        "auroc_gain": learned.auroc_gain,
        "brier_gain": learned.brier_gain,
        "brier": learned.truth.brier if learned.truth else None,
    }
    figures: dict[str, float | None] = {}
    for name, one in estimates.items():
        if one is not None:
            figures |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    if learned.truth:
        figures |= {"ece": learned.truth.ece, "brier_constant": learned.truth.constant}
    return {name: value for name, value in figures.items() if value is not None}
