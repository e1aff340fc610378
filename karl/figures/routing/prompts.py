"""Which prompts were hard to route: by what the routers said, before anybody knew what the prompt was for.

    difficulty = mean of three parts, each from 0 to 1, and 0.5 where it is not known:
      doubt    1 - (the first's chance - the second's)
      strange  1 - the place of the prompt's fit among those of the same router
      dispute  1 where the rules and the vector router pick different skills, 0 where they pick the same

As of tasks (karl.figures.difficulty), a place is 0 below all, 1 above all, equals count half. Whether it says
anything is shown with it: how often the first was right where it is low, and where it is high.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from karl.evaluation.ranking import Draws, Estimate, auroc_estimate
from karl.figures.numbers import standing
from karl.figures.routing.chosen import PROMPTS_MIN, able, pick
from karl.figures.routing.confidence import EITHER_MIN, KNOWN_MIN, is_right
from karl.figures.routing.shares import part
from karl.intervals import Share
from karl.views.routing_rows import ShadowRow

#: Fewer predictions of a router give no places.
PLACES_MIN = PROMPTS_MIN
PARTS = ("doubt", "strange", "dispute")
_MIDDLE = 0.5

Level = Literal["easy", "medium", "hard"]
LEVELS: tuple[Level, ...] = ("easy", "medium", "hard")


class Prompt(msgspec.Struct, frozen=True):
    """One prompt that asked for a skill: how hard, the parts that were known, and what became of it."""

    event: str
    trajectory: str | None
    difficulty: float
    parts: dict[str, float]
    truth: str | None
    first: str | None
    right: bool


class Third(msgspec.Struct, frozen=True):
    """A third of the prompts, by difficulty: from and to which, and how often the first was right."""

    level: Level
    low: float
    high: float
    right: Share


class Difficulty(msgspec.Struct, frozen=True):
    """Prompts, the hardest first. `auroc`: how often one routed wrongly is harder than one routed rightly."""

    prompts: list[Prompt]
    thirds: list[Third]
    auroc: Estimate | None


def difficulty_of(asked: Sequence[ShadowRow], draws: int = 1000) -> Difficulty:
    """Say how hard to route prompts were that asked for a skill."""
    rows = able(asked, "first")
    fits: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.fit is not None:
            fits[row.router].append(row.fit)
    places = {router: sorted(found) for router, found in fits.items() if len(found) >= PLACES_MIN}
    parts = {row.event: _parts(row, places.get(row.router)) for row in rows}
    hard = {
        event: math.fsum(one.get(name, _MIDDLE) for name in PARTS) / len(PARTS)
        for event, one in parts.items()
    }
    ordered = sorted(rows, key=lambda row: (-hard[row.event], row.event))
    return Difficulty(
        [
            Prompt(
                row.event,
                row.trajectory,
                hard[row.event],
                parts[row.event],
                row.truth,
                row.vector,
                is_right(row),
            )
            for row in ordered
        ],
        _thirds(ordered[::-1], hard),
        _auroc(rows, hard, draws),
    )


def _parts(row: ShadowRow, fits: Sequence[float] | None) -> dict[str, float]:
    out = {}
    if row.margin is not None:
        out["doubt"] = min(1.0, max(0.0, 1 - row.margin))
    if row.fit is not None and fits is not None:
        out["strange"] = 1 - standing(fits, row.fit)
    rules = pick(row, "regex")
    if rules is not None and row.vector is not None:
        out["dispute"] = float(rules != row.vector)
    return out


def _thirds(ordered: Sequence[ShadowRow], hard: dict[str, float]) -> list[Third]:
    if len(ordered) < PROMPTS_MIN:
        return []
    cuts = [len(ordered) * at // len(LEVELS) for at in range(len(LEVELS) + 1)]
    return [
        Third(
            level,
            hard[ordered[start].event],
            hard[ordered[end - 1].event],
            part(((row, is_right(row)) for row in ordered[start:end]), least=0),
        )
        for level, start, end in zip(LEVELS, cuts, cuts[1:], strict=False)
    ]


def _auroc(rows: Sequence[ShadowRow], hard: dict[str, float], draws: int) -> Estimate | None:
    wrong = np.array([not is_right(row) for row in rows], dtype=np.bool_)
    if len(rows) < KNOWN_MIN or min(int(wrong.sum()), int((~wrong).sum())) < EITHER_MIN:
        return None
    values = np.array([hard[row.event] for row in rows], dtype=np.float64)
    return auroc_estimate(values, wrong, Draws([row.session for row in rows], draws=draws))
