"""Each skill by itself: how often its prompts are routed rightly, what it costs, how that went over time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from karl.figures.change import Trend
from karl.figures.chosen import DAY_MS
from karl.figures.days import day_name
from karl.figures.routing.accuracy import first_trend, place_of
from karl.figures.routing.chosen import GROUP_MIN, able
from karl.figures.routing.shares import enough, of_groups, part
from karl.intervals import Share, share_of
from karl.views.routing_rows import ShadowRow


class SkillAccuracy(msgspec.Struct, frozen=True):
    """One skill, by prompts that asked for it. `errors` are those whose first was another skill.

    `drag` is the share of all prompts that these errors are: what of the accuracy this skill costs.
    `precision` is of the prompts whose first it was.
    """

    skill: str
    prompts: int
    first: Share
    top3: Share
    regex: Share
    precision: Share
    errors: int
    drag: Share


class Period(msgspec.Struct, frozen=True):
    """Some days from `day` (UTC) on; counts are given whatever their number."""

    day: str
    number: int
    first: Share
    top3: Share


class Evolution(msgspec.Struct, frozen=True):
    """One skill over time: its periods, oldest first, and the trend of its accuracy a week."""

    skill: str
    trend: Trend
    periods: list[Period]


def skills_of(asked: Sequence[ShadowRow]) -> list[SkillAccuracy]:
    """Give each skill that prompts asked for, those that cost most first."""
    rows = able(asked, "first")
    sizes = Counter(row.session for row in rows)
    own: defaultdict[str, list[ShadowRow]] = defaultdict(list)
    taken: defaultdict[str, list[ShadowRow]] = defaultdict(list)
    for row in rows:
        own[row.truth or ""].append(row)
        taken[row.vector or ""].append(row)
    found = [_skill(name, some, taken.get(name, []), sizes) for name, some in own.items()]
    return sorted(found, key=lambda one: (-one.errors, -one.prompts, one.skill))


def _skill(
    name: str, own: Sequence[ShadowRow], taken: Sequence[ShadowRow], sizes: Mapping[str, int]
) -> SkillAccuracy:
    wrong = Counter(row.session for row in own if row.vector != name)
    return SkillAccuracy(
        name,
        len(own),
        part(((row, row.vector == name) for row in own), least=GROUP_MIN),
        part(((row, place_of(row) is not None) for row in own), least=GROUP_MIN),
        part(((row, row.regex == name) for row in able(own, "regex")), least=GROUP_MIN),
        part(((row, row.truth == name) for row in taken), least=GROUP_MIN),
        wrong.total(),
        enough(of_groups(share_of((session, wrong[session], size) for session, size in sizes.items()))),
    )


def evolution_of(asked: Sequence[ShadowRow], days: int, skill: str | None = None) -> list[Evolution]:
    """Give each skill's accuracy in periods of so many days, the skills with the most prompts first."""
    own: defaultdict[str, list[ShadowRow]] = defaultdict(list)
    for row in able(asked, "first"):
        own[row.truth or ""].append(row)
    names = sorted(own, key=lambda name: (-len(own[name]), name))
    return [
        Evolution(name, first_trend(own[name]), _periods(own[name], days))
        for name in names
        if skill is None or name == skill
    ]


def _periods(rows: Sequence[ShadowRow], days: int) -> list[Period]:
    by_period: defaultdict[int, list[ShadowRow]] = defaultdict(list)
    for row in rows:
        by_period[row.time_ms // (DAY_MS * days) * days].append(row)
    return [
        Period(
            day_name(number),
            number,
            part(((row, row.vector == row.truth) for row in some), least=0),
            part(((row, place_of(row) is not None) for row in some), least=0),
        )
        for number, some in sorted(by_period.items())
    ]
