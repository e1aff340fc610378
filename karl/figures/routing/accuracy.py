"""How often the routers are right: the vector router's ranking, and what each way of picking comes to.

Prompts that asked for a skill give accuracy; those that asked for none, as far as anybody knows, give the
share of false takes. The two are never put together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from karl.figures.change import ALPHA, VALUES_MIN, Direction, Trend
from karl.figures.chosen import DAY_MS, WEEK_MS
from karl.figures.days import day_name
from karl.figures.numbers import two_sided
from karl.figures.routing.chosen import Chosen, Group, Picker, able, grouped, pick
from karl.figures.routing.shares import Weigh, enough_paired, mean, part
from karl.figures.routing.slope import Point, slope_of
from karl.intervals import Z95, Mean, Paired, Share, Verdict, paired_of, t95
from karl.views.routing_rows import ShadowRow

#: The places that a prediction keeps.
TOP = 3


class Ranking(msgspec.Struct, frozen=True):
    """Of the prompts that asked for a skill: the first is right, it is among the first three, 1 / its place.

    The last, 0 beyond the third place, is never weighed.
    """

    first: Share
    top3: Share
    mrr: Mean


class Way(msgspec.Struct, frozen=True):
    """One way of picking. `right` and `taken` are of all prompts that asked for a skill, the second is the
    coverage; `right_taken` is of those taken; `false` is of prompts that asked for none.
    """

    right: Share
    taken: Share
    right_taken: Share
    false: Share


class Accuracy(msgspec.Struct, frozen=True):
    """All prompts (`name` null), or a group of them; so many `asked` for a skill, `none` for none.

    `ways` are the vector router (only what it takes), the rules (regex), and what the policy picked.
    `over_regex` is how much more often the vector router, where it takes one, is right than the rules on the
    same prompts (its interval null of too few); `agree` how often both pick the same where both pick.
    """

    name: str | None
    asked: int
    none: int
    sessions: int
    ranking: Ranking
    ways: dict[str, Way]
    over_regex: Paired
    agree: Share


class Day(msgspec.Struct, frozen=True):
    """One day (UTC) on which prompts came that asked for a skill; `number` counts days from 1970-01-01.

    Days are mostly of few prompts, so the shares of a day are given whatever their number.
    """

    day: str
    number: int
    first: Share
    regex: Share
    false: Share


class Days(msgspec.Struct, frozen=True):
    """All days together, each day, and the trend of the first's accuracy a week."""

    whole: Accuracy
    trend: Trend
    days: list[Day]


def accuracy_of(chosen: Chosen, by: Group = "none", how: Weigh = "even") -> list[Accuracy]:
    """Give the accuracy of all, followed by that of the groups, the largest first.

    Weighed by reward there is none of all: rewards of different agents do not mean the same.
    """
    asked, none = grouped(chosen.asked, by), grouped(chosen.none, by)
    names = dict.fromkeys((*asked, *none))
    found = [_accuracy(name, asked.get(name, []), none.get(name, []), how) for name in names]
    agents = {row.agent for row in chosen.asked}
    mixed = how == "reward" and len(agents) > 1
    whole = [] if mixed else [_accuracy(None, chosen.asked, chosen.none, how)]
    return whole + ([] if by == "truth" and len(found) == 1 else found)


def _accuracy(
    name: str | None, asked: Sequence[ShadowRow], none: Sequence[ShadowRow], how: Weigh
) -> Accuracy:
    both = able(able(asked, "vector"), "regex")
    agreeing = [row for row in both if pick(row, "vector") and pick(row, "regex")]
    return Accuracy(
        name,
        len(asked),
        len(none),
        len({row.session for row in asked}),
        ranking_of(asked, how),
        {who: _way(asked, none, who, how) for who in ("vector", "regex", "picked")},
        over_regex(both),
        part(((row, pick(row, "vector") == pick(row, "regex")) for row in agreeing), how),
    )


def ranking_of(asked: Sequence[ShadowRow], how: Weigh = "even") -> Ranking:
    """Measure the vector router's ranking over prompts that asked for a skill."""
    rows = able(asked, "first")
    return Ranking(
        part(((row, place_of(row) == 1) for row in rows), how),
        part(((row, place_of(row) is not None) for row in rows), how),
        mean((row, 1 / (place_of(row) or math.inf)) for row in rows),
    )


def place_of(row: ShadowRow) -> int | None:
    """Give the place of the right skill among the first three, from 1; null where it is not there."""
    for place, one in enumerate(row.ranked[:TOP], 1):
        if one.skill == row.truth:
            return place
    return None


def _way(asked: Sequence[ShadowRow], none: Sequence[ShadowRow], who: Picker, how: Weigh) -> Way:
    rows, strange = able(asked, who), able(none, who)
    return Way(
        part(((row, pick(row, who) == row.truth) for row in rows), how),
        part(((row, pick(row, who) is not None) for row in rows), how),
        part(((row, pick(row, who) == row.truth) for row in rows if pick(row, who) is not None), how),
        part(((row, pick(row, who) is not None) for row in strange), how),
    )


def over_regex(asked: Sequence[ShadowRow]) -> Paired:
    """Say how much more often the vector router, where it takes one, is right than the rules."""
    return enough_paired(
        paired_of(
            Verdict(row.session, pick(row, "vector") == row.truth, pick(row, "regex") == row.truth)
            for row in able(able(asked, "vector"), "regex")
        )
    )


def days_of(chosen: Chosen) -> Days:
    """Give each day, and whether the accuracy of the vector router's first rises or falls."""
    asked: dict[int, list[ShadowRow]] = {}
    none: dict[int, list[ShadowRow]] = {}
    for rows, into in ((chosen.asked, asked), (chosen.none, none)):
        for row in rows:
            into.setdefault(row.time_ms // DAY_MS, []).append(row)
    return Days(
        _accuracy(None, chosen.asked, chosen.none, "even"),
        first_trend(chosen.asked),
        [_day(number, asked.get(number, []), none.get(number, [])) for number in sorted({*asked, *none})],
    )


def _day(number: int, asked: Sequence[ShadowRow], none: Sequence[ShadowRow]) -> Day:
    return Day(
        day_name(number),
        number,
        part(((row, row.vector == row.truth) for row in able(asked, "first")), least=0),
        part(((row, row.regex == row.truth) for row in able(asked, "regex")), least=0),
        part(((row, row.takes) for row in able(none, "vector")), least=0),
    )


def first_trend(asked: Sequence[ShadowRow]) -> Trend:
    """Look for a trend of how often the first is right, a week.

    Most sessions have one or two prompts, so that the median slope of pairs (karl.figures.change) would be
    none whatever happens: this is the slope of a straight line through all prompts. Of less than a day
    there is none: a week's slope from an hour's prompts would be any number.
    """
    rows = able(asked, "first")
    sessions = len({row.session for row in rows})
    if sessions < VALUES_MIN or max(row.time_ms for row in rows) - min(row.time_ms for row in rows) < DAY_MS:
        return Trend(sessions, "too few")
    found = slope_of(
        Point(row.session, "", row.time_ms / WEEK_MS, float(row.vector == row.truth)) for row in rows
    )
    if found is None or found.error is None:
        return Trend(sessions, "too few")
    slope, half = found.value, t95(sessions - 1) * found.error
    p = two_sided(Z95 * abs(slope) / half) if half else float(not slope)
    direction: Direction = "steady" if p >= ALPHA else "rising" if slope > 0 else "falling"
    return Trend(sessions, direction, slope, slope - half, slope + half, p)
