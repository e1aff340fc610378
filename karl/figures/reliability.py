"""Whether a reward can be read as a chance: what it said before anybody knew, against what came of it.

What was said is the reward without its outcome signal: that one holds what is asked about.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np

from karl.evaluation.chances import Truth, truth
from karl.evaluation.known import Verdict, known_of
from karl.evaluation.ranking import Draws, Estimate, auroc_estimate
from karl.figures.chosen import By, Chosen, grouped
from karl.figures.days import SHARES
from karl.figures.plot import Span
from karl.intervals import Mean, mean_of, spread_of, wilson
from karl.reward.score import CHANCE, VERSIONS, behaviour_of, signals_of
from karl.schema.record import Score
from karl.views.figures import Measured, Reading

#: Fewer turns with a known outcome, or fewer of either kind, give no reliability.
KNOWN_MIN, EITHER_MIN = 30, 5
#: Turns, or sessions, of a group below which it has no z and no flag but `few`.
GROUP_MIN = 5

Flag = Literal["few", "all high", "all low", "wide"]


class Said(msgspec.Struct, frozen=True):
    """A turn whose outcome is known: what its reward said without it, and what came of it."""

    session: str
    said: float
    known: Verdict


class Standing(msgspec.Struct, frozen=True):
    """A skill's (or project's, domain's) rewards against all of its agent's.

    `z` is how many standard errors its mean is from that of the agent's other turns; null of few.
    `flags`: `all high`, `all low` (every reward beyond the agent's quartile), `wide` (twice its spread).
    """

    name: str
    reward: Mean
    spread: float | None
    least: float
    most: float
    z: float | None
    flags: list[Flag]


class Reliability(msgspec.Struct, frozen=True):
    """One agent. `known` counts turns with a known outcome, `done` those that got their task done.

    `by` says what told so of how many, `calibrated` how many rewards a learned calibration made. Of too few
    known turns the rest is null.
    """

    agent: str
    turns: int
    known: int
    done: int
    by: dict[str, int]
    calibrated: int
    truth: Truth | None
    auroc: Estimate | None
    groups: list[Standing]


def known_turns(chosen: Chosen) -> list[Measured]:
    """Give the turns whose outcome is known."""
    return [row for rows in chosen.agents.values() for row in rows if known_of(row)]


def said_before(score: Score) -> float:
    """Give the reward without its outcome signal. Raises KeyError for a version that there is not."""
    signals = behaviour_of(signals_of(score))
    total = sum(score.weights.get(name, 0.0) for name in signals) or 1.0
    weights = {name: score.weights.get(name, 0.0) / total for name in signals}
    value, _ = VERSIONS[score.version].compose(signals, weights, score.components.get(CHANCE))
    return min(1.0, max(0.0, value))


def reliability_of(
    chosen: Chosen, readings: Iterable[Reading], by: By, draws: int = 1000
) -> list[Reliability]:
    """Measure each agent; `readings` are those of its known turns."""
    said: defaultdict[str, list[Said]] = defaultdict(list)
    calibrated: defaultdict[str, int] = defaultdict(int)
    for row, _, score in readings:
        known = known_of(row)
        if known:
            said[row.agent].append(Said(row.session, said_before(score), known))
            calibrated[row.agent] += score.calibration is not None
    return [
        _reliability(agent, rows, said[agent], calibrated=calibrated[agent], by=by, draws=draws)
        for agent, rows in chosen.agents.items()
    ]


def _reliability(
    agent: str, rows: Sequence[Measured], said: Sequence[Said], *, calibrated: int, by: By, draws: int
) -> Reliability:
    done = sum(one.known.label for one in said)
    found, ranked = None, None
    if len(said) >= KNOWN_MIN and min(done, len(said) - done) >= EITHER_MIN:
        chances = np.array([one.said for one in said])
        labels = np.array([one.known.label for one in said])
        sessions = Draws([one.session for one in said], draws=draws)
        found, ranked = truth(chances, labels, sessions), auroc_estimate(chances, labels, sessions)
    groups = [_standing(name, some, rows) for name, some in grouped(rows, by).items()]
    by_whom = dict(Counter(one.known.by for one in said).most_common())
    return Reliability(agent, len(rows), len(said), done, by_whom, calibrated, found, ranked, groups)


def _standing(name: str, some: Sequence[Measured], rows: Sequence[Measured]) -> Standing:
    rewards = sorted(row.reward for row in some)
    everyone = sorted(row.reward for row in rows)
    ours = {row.id for row in some}
    reward = mean_of(((row.session, row.reward) for row in some), SHARES)
    rest = mean_of(((row.session, row.reward) for row in rows if row.id not in ours), SHARES)
    spread, usual = spread_of(rewards), spread_of(everyone)
    flags: list[Flag] = []
    if len(some) < GROUP_MIN:
        flags.append("few")
    elif len(some) < len(rows):
        low, high = everyone[len(everyone) // 4], everyone[-1 - len(everyone) // 4]
        flags += ["all high"] if rewards[0] > high else ["all low"] if rewards[-1] < low else []
        flags += ["wide"] if spread and usual and spread > 2 * usual else []
    return Standing(name, reward, spread, rewards[0], rewards[-1], _z(reward, rest), flags)


def _z(one: Mean, other: Mean) -> float | None:
    """Give the distance of two means in standard errors; null where one has none."""
    if one.mean is None or other.mean is None or one.error is None or other.error is None:
        return None
    if min(one.groups, other.groups) < GROUP_MIN:
        return None
    error = math.hypot(one.error, other.error)
    return (one.mean - other.mean) / error if error else None


def spans_of(found: Truth) -> list[Span]:
    """Give the points of a reliability diagram, with Wilson's interval of each."""
    return [Span(one.said, one.happened, *wilson(one.happened * one.runs, one.runs)) for one in found.bins]
