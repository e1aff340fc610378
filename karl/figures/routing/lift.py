"""Whether routing rightly goes with higher rewards, agent by agent; and what telling agents of skills did.

What is seen in shadow is observational: the prediction changed nothing in the turn, and prompts that are easy
to route may be easy to do. Of the same skill it is compared as well (`within`), which takes the ease of the
skill out, and no more. Only suggestions, told to sessions drawn by their ids, say what telling does.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

import msgspec

from karl.figures.routing.chosen import GROUP_MIN, PROMPTS_MIN, SESSIONS_MIN, able
from karl.figures.routing.shares import enough, of_groups, part
from karl.figures.routing.slope import Point, slope_of
from karl.intervals import Mean, Share, mean_of, share_of, t95
from karl.views.routing_rows import ShadowRow, SuggestionRow


class Difference(msgspec.Struct, frozen=True):
    """How much higher a mean is in one group than in another, with its interval; null figures of too few."""

    one: Mean
    other: Mean
    value: float | None
    low: float | None
    high: float | None


class Within(msgspec.Struct, frozen=True):
    """The same among turns of the same skill: `turns` of `skills` that have both kinds."""

    turns: int
    skills: int
    value: float | None
    low: float | None
    high: float | None


class Lift(msgspec.Struct, frozen=True):
    """One agent's turns whose first was right against the others; both kinds had a reward."""

    agent: str
    difference: Difference
    within: Within


class Told(msgspec.Struct, frozen=True):
    """One agent's turns for which a skill was at hand: of sessions that were told of it against the others.

    As they were drawn, whether the agent used the skill or not (intention to treat).

    `used` are the shares of turns that used the skill, told and not told, `corrected` of those corrected.
    """

    agent: str
    reward: Difference
    used: tuple[Share, Share]
    corrected: tuple[Share, Share]


class Simulated(msgspec.Struct, frozen=True):
    """The accuracy now, and were errors of these pairs right: `fixed` is the share of prompts that changes.

    `reward` is, agent by agent, the share that changes times the lift within skills, with its interval: what
    the mean reward would gain if the lift were the routing's doing, which nothing here shows.
    """

    now: Share
    fixed: Share
    then: Share
    pairs: list[tuple[str, str, int]]
    reward: dict[str, Within]


def lift_of(asked: Sequence[ShadowRow]) -> list[Lift]:
    """Compare rewards, agent by agent."""
    agents: defaultdict[str, list[ShadowRow]] = defaultdict(list)
    for row in able(asked, "first"):
        if row.reward is not None:
            agents[row.agent].append(row)
    return [
        Lift(
            agent,
            difference([(row.session, row.reward or 0.0, row.vector == row.truth) for row in rows]),
            within(
                [(row.session, row.truth or "", row.reward or 0.0, row.vector == row.truth) for row in rows]
            ),
        )
        for agent, rows in sorted(agents.items())
    ]


def difference(values: Iterable[tuple[Hashable, float, bool]]) -> Difference:
    """Compare the means of (session, value, is one) between those that are one and the others.

    The error is a jackknife's over sessions, which may have turns of both; the degrees of freedom are Welch's
    (Welch 1947) of the two groups' own variances over sessions. With a turn a session it is, nearly, Welch's
    interval.
    """
    rows = list(values)
    means = [mean_of((session, value) for session, value, so in rows if so is kind) for kind in (True, False)]
    one, other = means
    few = min(one.n, other.n) < GROUP_MIN or min(one.groups, other.groups) < SESSIONS_MIN
    if few or one.mean is None or other.mean is None or one.error is None or other.error is None:
        return Difference(one, other, None, None, None)
    found = slope_of(Point(session, "", float(so), value) for session, value, so in rows)
    if found is None or found.error is None:
        return Difference(one, other, None, None, None)
    value = one.mean - other.mean
    half = t95(_welch(one, other)) * found.error
    return Difference(one, other, value, value - half, value + half)


def _welch(one: Mean, other: Mean) -> int:
    """Give Welch's degrees of freedom, rounded down."""
    variances = [(found.error or 0.0) ** 2 for found in (one, other)]
    below = sum(
        variance * variance / (found.groups - 1)
        for variance, found in zip(variances, (one, other), strict=True)
    )
    return max(1, math.floor(sum(variances) ** 2 / below)) if below else min(one.groups, other.groups) - 1


def within(values: Iterable[tuple[Hashable, str, float, bool]]) -> Within:
    """Compare (session, skill, value, is one) within skills: the slope of a regression with a level for each.

    Its error is a jackknife's over sessions, with Student's t.
    """
    rows = list(values)
    kinds: defaultdict[str, set[bool]] = defaultdict(set)
    for _, skill, _, so in rows:
        kinds[skill].add(so)
    mixed = [row for row in rows if len(kinds[row[1]]) > 1]
    turns, sessions = len(mixed), len({row[0] for row in mixed})
    skills = sum(len(found) > 1 for found in kinds.values())
    found = slope_of(Point(session, skill, float(so), value) for session, skill, value, so in mixed)
    if turns < PROMPTS_MIN or sessions < SESSIONS_MIN or found is None or found.error is None:
        return Within(turns, skills, None, None, None)
    half = t95(sessions - 1) * found.error
    return Within(turns, skills, found.value, found.value - half, found.value + half)


def told_of(suggestions: Iterable[SuggestionRow]) -> list[Told]:
    """Compare turns of sessions that were told of a skill with those of sessions that were not."""
    agents: defaultdict[str, list[SuggestionRow]] = defaultdict(list)
    for row in suggestions:
        if row.trajectory is not None:
            agents[row.agent].append(row)
    return [
        Told(
            agent,
            difference([(row.session, row.reward, row.told) for row in rows if row.reward is not None]),
            _both(rows, lambda row: row.skill in row.used),
            _both([row for row in rows if row.corrected is not None], lambda row: bool(row.corrected)),
        )
        for agent, rows in sorted(agents.items())
    ]


def _both(rows: Sequence[SuggestionRow], so: Callable[[SuggestionRow], bool]) -> tuple[Share, Share]:
    told, others = (
        enough(
            of_groups(share_of((row.session, int(so(row)), 1) for row in rows if row.told is kind)), GROUP_MIN
        )
        for kind in (True, False)
    )
    return told, others


def simulated(asked: Sequence[ShadowRow], pairs: Sequence[tuple[str, str]] | None = None) -> Simulated:
    """Say what accuracy would be if errors of these pairs (asked for, picked) were right; all when null."""
    rows = able(asked, "first")
    fixed = {row.event for row in rows if _mended(row, pairs)}
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        if row.event in fixed:
            counts[row.truth or "", row.vector or ""] += 1
    share = part((row, row.event in fixed) for row in rows)
    return Simulated(
        part((row, row.vector == row.truth) for row in rows),
        share,
        part((row, row.vector == row.truth or row.event in fixed) for row in rows),
        sorted(((*pair, count) for pair, count in counts.items()), key=lambda one: (-one[2], one)),
        {one.agent: _scaled(one.within, _share_of(rows, one.agent, fixed)) for one in lift_of(asked)},
    )


def _mended(row: ShadowRow, pairs: Sequence[tuple[str, str]] | None) -> bool:
    if row.vector == row.truth:
        return False
    return pairs is None or (row.truth, row.vector) in pairs


def _share_of(rows: Sequence[ShadowRow], agent: str, fixed: set[str]) -> float:
    own = [row.event in fixed for row in rows if row.agent == agent]
    return sum(own) / len(own)


def _scaled(one: Within, by: float) -> Within:
    if one.value is None or one.low is None or one.high is None:
        return one
    return Within(one.turns, one.skills, one.value * by, one.low * by, one.high * by)
