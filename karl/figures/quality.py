"""Grades of turns, by where their rewards stand among their own agent's, and shares of what went wrong.

    standing = place of the reward among the agent's, 0 to 1, equals counting half
    weight   = min(1, confidence / the agent's median confidence); 1 where scores have none
    place    = 0.5 + (standing - 0.5) * weight
    grade    = low if place < 0.25 or something speaks against the turn, high if place > 0.75, else medium

So a turn of which little was seen is neither high nor low, and no constant says what a good reward is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from karl.evaluation.known import known_of
from karl.figures.chosen import Chosen
from karl.figures.days import reward_of
from karl.figures.numbers import quantile, standing
from karl.intervals import Mean, Share, share_of
from karl.views.figures import Measured

#: Fewer turns of an agent give no grades.
TURNS_MIN = 20
LOW, HIGH = 0.25, 0.75
#: Each flag with the value that speaks against a turn.
AGAINST = {
    "label": False,
    "correction_detected": True,
    "redo_detected": True,
    "reverted": True,
    "build_success": False,
    "ci_passed": False,
    "survived": False,
}

Grade = Literal["low", "medium", "high"]
GRADES: tuple[Grade, ...] = ("high", "medium", "low")


class Graded(msgspec.Struct, frozen=True):
    """One turn's grade; `place` as above; `against` names what speaks against it."""

    id: str
    session: str
    grade: Grade
    place: float
    reward: float
    confidence: float | None
    against: list[str]


class AgentQuality(msgspec.Struct, frozen=True):
    """One agent: rewards (mean, quartiles), how many turns have which grade (null: too few), failed calls
    of all calls, corrected turns of those of which it is known, and the grades, lowest place first.
    """

    agent: str
    reward: Mean
    quartiles: tuple[float, float, float]
    grades: dict[Grade, int] | None
    failed: Share
    corrected: Share
    turns: list[Graded] = []


def quality_of(chosen: Chosen) -> list[AgentQuality]:
    """Grade every turn, agent by agent."""
    return [_quality(agent, rows) for agent, rows in chosen.agents.items()]


def failed_of(rows: Sequence[Measured]) -> Share:
    """Give the share of calls that failed."""
    return share_of((row.session, row.failures, row.calls) for row in rows)


def corrected_of(rows: Sequence[Measured]) -> Share:
    """Give the share of turns that were corrected, of those of which anybody said whether."""
    return share_of(
        (row.session, int(row.flags["correction_detected"]), 1)
        for row in rows
        if "correction_detected" in row.flags
    )


def reasons(row: Measured) -> list[str]:
    """Name what speaks against a turn that is known not to have got its task done; none of another."""
    known = known_of(row)
    if known is None or known.label:
        return []
    return [name for name, value in AGAINST.items() if row.flags.get(name) is value] or [known.by]


def _quality(agent: str, rows: Sequence[Measured]) -> AgentQuality:
    rewards = sorted(row.reward for row in rows)
    turns = graded(rows) if len(rows) >= TURNS_MIN else []
    grades: dict[Grade, int] | None = None
    if turns:
        grades = {grade: sum(turn.grade == grade for turn in turns) for grade in GRADES}
    return AgentQuality(
        agent,
        reward_of(rows),
        (quantile(rewards, 0.25), quantile(rewards, 0.5), quantile(rewards, 0.75)),
        grades,
        failed_of(rows),
        corrected_of(rows),
        turns,
    )


def graded(rows: Sequence[Measured]) -> list[Graded]:
    """Grade the turns of one agent, the lowest place first."""
    rewards = sorted(row.reward for row in rows)
    seen = sorted(row.confidence for row in rows if row.confidence is not None)
    usual = quantile(seen, 0.5) if seen else 0.0
    out = []
    for row in rows:
        weight = 1.0 if row.confidence is None or usual <= 0 else min(1.0, row.confidence / usual)
        place = 0.5 + (standing(rewards, row.reward) - 0.5) * weight
        against = reasons(row)
        grade: Grade = "low" if against or place < LOW else "high" if place > HIGH else "medium"
        out.append(Graded(row.id, row.session, grade, place, row.reward, row.confidence, against))
    return sorted(out, key=lambda turn: (turn.place, turn.id))


def listed(one: AgentQuality, grade: str, limit: int) -> list[Graded]:
    """Give an agent's turns of a grade: the lowest first, of the high ones the highest."""
    turns = [turn for turn in one.turns if turn.grade == grade]
    return (turns[::-1] if grade == "high" else turns)[:limit]
