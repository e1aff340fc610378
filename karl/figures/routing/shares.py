"""Shares over prompts: counted evenly or weighed, with intervals that take a session's prompts for alike."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import msgspec

from karl.figures.routing.chosen import PROMPTS_MIN, SESSIONS_MIN
from karl.intervals import Z95, Mean, Paired, Share, mean_of, share_of, t95, wilson
from karl.views.routing_rows import ShadowRow

#: How much a prompt weighs: all the same; as sure as its truth is; as its turn's reward is high.
Weigh = Literal["even", "truth", "reward"]
#: The weight by reward of a turn whose reward is not known.
_UNKNOWN = 0.5
#: A weight up to which a prompt counts for nothing.
_NOTHING = 1e-9


def weight_of(row: ShadowRow, how: Weigh) -> float:
    """Give the weight of a prompt, from 0 to 1."""
    if how == "truth":
        return 1.0 if row.truth_weight is None else row.truth_weight
    if how == "reward":
        return _UNKNOWN if row.reward is None else row.reward
    return 1.0


def part(found: Iterable[tuple[ShadowRow, bool]], how: Weigh = "even", least: int = PROMPTS_MIN) -> Share:
    """Give the share of prompts of which something is so; null figures, with the counts, of too few."""
    if how == "even":
        whole = of_groups(share_of((row.session, int(so), 1) for row, so in found))
    else:
        whole = weighed((row.session, so, weight_of(row, how)) for row, so in found)
    return enough(whole, least)


def of_groups(found: Share) -> Share:
    """Widen the interval of none, or of all: nothing tells how alike a session's are, so it counts as one."""
    if not found.n or 0 < found.hits < found.n:
        return found
    low, high = wilson(found.hits / found.n * found.groups, found.groups)
    return msgspec.structs.replace(found, low=low, high=high)


def weighed(values: Iterable[tuple[str, bool, float]]) -> Share:
    """Give a share from (session, whether it is so, weight); `hits` and `n` stay counts.

    As of even weights (`part`), to which it comes down where all are the same: Wilson's interval for as many
    as they are worth, at most what unequal weights leave (Kish 1965).
    """
    sums: defaultdict[str, list[tuple[bool, float]]] = defaultdict(list)
    for session, so, weight in values:
        if weight > _NOTHING:
            sums[session].append((so, weight))
    every = [one for some in sums.values() for one in some]
    hits, n, groups = sum(so for so, _ in every), len(every), len(sums)
    if not n:
        return Share(0, 0, 0, None, None, None)
    total = math.fsum(weight for _, weight in every)
    share = math.fsum(weight for so, weight in every if so) / total
    worth = total * total / math.fsum(weight * weight for _, weight in every)
    if groups > 1 and 0 < hits < n:
        apart = math.fsum(
            math.fsum(weight * (so - share) for so, weight in some) ** 2 for some in sums.values()
        )
        variance = apart * groups / (groups - 1) / (total * total)
        alone = share * (1 - share) / variance if variance else worth
        worth = min(worth, alone) * (Z95 / t95(groups - 1)) ** 2
    elif hits in {0, n}:
        worth = min(worth, groups)
    low, high = wilson(share * worth, worth)
    return Share(hits, n, groups, share, low, high)


def enough(found: Share, least: int = PROMPTS_MIN) -> Share:
    """Give a share, without its figures where it is of too few; with `least` 0 as it is."""
    if not least or (found.n >= least and found.groups >= SESSIONS_MIN):
        return found
    return msgspec.structs.replace(found, share=None, low=None, high=None)


def enough_paired(found: Paired) -> Paired:
    """Give a comparison, without its figures where it is of too few."""
    if found.n >= PROMPTS_MIN and found.groups >= SESSIONS_MIN:
        return found
    return msgspec.structs.replace(found, difference=None, low=None, high=None)


def mean(
    values: Iterable[tuple[ShadowRow, float]],
    bounds: tuple[float, float] = (0.0, 1.0),
    least: int = PROMPTS_MIN,
) -> Mean:
    """Give a mean over prompts, with an interval over sessions; null figures of too few."""
    found = mean_of(((row.session, value) for row, value in values), bounds)
    if found.n >= least and found.groups >= SESSIONS_MIN:
        return found
    return msgspec.structs.replace(found, mean=None, low=None, high=None, error=None)
