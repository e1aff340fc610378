"""Which skill is taken for which: pairs, precision and recall, and the prompts that were wrong."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from karl.evaluation.ranking import Draws, Estimate, estimate
from karl.figures.routing.chosen import GROUP_MIN, Picker, able, pick
from karl.figures.routing.shares import enough, part, weighed
from karl.intervals import Share
from karl.views.routing_rows import ShadowRow

#: Prompts of a pair that are named.
NAMED = 3


class Pair(msgspec.Struct, frozen=True):
    """Prompts that asked for `truth` and were picked for `picked`; null stands for no skill.

    `errors` is the share of the prompts that asked for `truth`. `sure` is the mean chance that the wrong
    skill was given, where there was one, and `weight` the mean weight of what says that it was wrong: errors
    that a weak truth shows may be the truth's. `events` are the prompts' events, the surest error first.
    """

    truth: str | None
    picked: str | None
    errors: Share
    sure: float | None
    weight: float
    events: tuple[str, ...]


class Skill(msgspec.Struct, frozen=True):
    """One skill: how often it was picked rightly, of all picks of it (precision) and prompts for it (recall).

    The interval of F1 is a bootstrap over sessions; null where precision or recall is of too few.
    """

    skill: str
    precision: Share
    recall: Share
    f1: Estimate | None


class Confusion(msgspec.Struct, frozen=True):
    """`counts` are prompts by what they asked for, then by what was picked; "" stands for none."""

    picker: Picker
    prompts: int
    skills: list[Skill]
    counts: dict[str, dict[str, int]]
    pairs: list[Pair]


def confusion_of(asked: Sequence[ShadowRow], who: Picker = "first", draws: int = 1000) -> Confusion:
    """Say what was picked for prompts that asked for a skill; skills with the most prompts stand first."""
    rows = able(asked, who)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row.truth or ""][pick(row, who) or ""] += 1
    size = Counter({truth: found.total() for truth, found in counts.items()})
    names = sorted(
        {*counts, *(name for found in counts.values() for name in found if name)},
        key=lambda name: (-size[name], name),
    )
    groups = Draws([row.session for row in rows] or [""], draws=draws)
    own: defaultdict[str, list[int]] = defaultdict(list)
    taken: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        own[row.truth or ""].append(place)
        taken[pick(row, who) or ""].append(place)
    return Confusion(
        who,
        len(rows),
        [_skill(name, rows, own.get(name, []), taken.get(name, []), groups) for name in names],
        {name: dict(sorted(counts[name].items())) for name in names if name in counts},
        pairs_of(rows, who),
    )


def _skill(
    name: str, rows: Sequence[ShadowRow], own: Sequence[int], taken: Sequence[int], draws: Draws
) -> Skill:
    """Measure one skill, by the places of the prompts that asked for it and of those it was picked for."""
    picked = {*taken}
    right = [place for place in own if place in picked]
    precision = part(((rows[place], rows[place].truth == name) for place in taken), least=GROUP_MIN)
    recall = part(((rows[place], place in picked) for place in own), least=GROUP_MIN)
    known = precision.share is not None and recall.share is not None
    return Skill(name, precision, recall, _f1(right, [*own, *taken], draws) if known else None)


def _f1(right: Sequence[int], either: Sequence[int], draws: Draws) -> Estimate:
    """Give 2 right / (picked + asked for), with percentiles of a bootstrap over sessions."""
    sums = [np.bincount(draws.of[list(one)], minlength=draws.groups) for one in (right, either)]
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = 2 * (draws.counts @ sums[0]) / (draws.counts @ sums[1])
    return estimate(2 * len(right) / len(either), drawn)


def pairs_of(rows: Iterable[ShadowRow], who: Picker = "first") -> list[Pair]:
    """Give what was taken for what, the most frequent first. Prompts that asked for none may be among."""
    by_truth: defaultdict[str | None, list[ShadowRow]] = defaultdict(list)
    for row in able(list(rows), who):
        by_truth[row.truth].append(row)
    found = []
    for truth, own in by_truth.items():
        wrong: defaultdict[str | None, list[ShadowRow]] = defaultdict(list)
        for row in own:
            if pick(row, who) != truth:
                wrong[pick(row, who)].append(row)
        found += [_pair(truth, picked, some, own) for picked, some in wrong.items()]
    return sorted(found, key=lambda pair: (-pair.errors.hits, pair.truth or "", pair.picked or ""))


def _pair(truth: str | None, picked: str | None, some: Sequence[ShadowRow], own: Sequence[ShadowRow]) -> Pair:
    ours = {row.event for row in some}
    chances = {row.event: chance for row in some if (chance := _chance(row, picked)) is not None}
    return Pair(
        truth,
        picked,
        part(((row, row.event in ours) for row in own), least=GROUP_MIN),
        math.fsum(chances.values()) / len(chances) if chances else None,
        math.fsum(row.truth_weight or 0.0 for row in some) / len(some),
        tuple(sorted(ours, key=lambda event: (-chances.get(event, 0.0), event))[:NAMED]),
    )


def _chance(row: ShadowRow, skill: str | None) -> float | None:
    """Give the chance that the vector router gave a skill; null where it is not among its first."""
    return next((one.chance for one in row.ranked if one.skill == skill), None)


def apart(rows: Iterable[ShadowRow], one: str, other: str, who: Picker = "first") -> Share:
    """Say how often two skills are told apart: of prompts for either that one of the two was picked for.

    Both skills count the same, however many prompts each has: always naming the more frequent one is a coin.
    """
    both = {one, other}
    among = [row for row in able(list(rows), who) if row.truth in both and pick(row, who) in both]
    size = Counter(row.truth for row in among)
    told = weighed((row.session, pick(row, who) == row.truth, 1 / size[row.truth]) for row in among)
    return enough(told, GROUP_MIN if len(size) > 1 else len(among) + 1)
