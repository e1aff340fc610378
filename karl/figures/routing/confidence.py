"""Whether the vector router knows when it is right: chances against what came, and when to take none.

A threshold is chosen on some sessions and judged on others, never on those that it was chosen by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from zlib import crc32

import msgspec
import numpy as np

from karl.evaluation.chances import Truth, truth
from karl.evaluation.ranking import Draws, Estimate, auroc_estimate
from karl.figures.routing.chosen import PROMPTS_MIN, SESSIONS_MIN, able
from karl.figures.routing.shares import part
from karl.intervals import Share
from karl.views.routing_rows import ShadowRow

#: What a threshold may look at: the first's chance, how well the prompt fits, how far the second is behind.
By = Literal["chance", "fit", "margin"]
#: Fewer prompts, or fewer right or wrong ones, give no reliability; as of rewards (karl.figures.reliability).
KNOWN_MIN, EITHER_MIN = 30, 5
#: Shares of the prompts that the curve answers.
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


class Point(msgspec.Struct, frozen=True):
    """Answering from `threshold` on, in hindsight.

    Of prompts that asked for a skill those answered (`taken`), of these those right; and of prompts that
    asked for none those answered all the same (`false`).
    """

    threshold: float
    taken: Share
    right: Share
    false: Share


class Advice(msgspec.Struct, frozen=True):
    """A threshold of which at most `error` of the answers are wrong, as judged on other sessions.

    `thresholds` are those that each half of the sessions chose; `taken`, `right` and `false` are what they
    came to on the other half, both halves together, `own_*` the same for the router's own decision to take
    one. `threshold` is what all sessions choose; null where either half can not choose.
    """

    error: float
    threshold: float | None
    thresholds: tuple[float | None, float | None]
    taken: Share
    right: Share
    false: Share
    own_taken: Share
    own_right: Share
    own_false: Share


class Confidence(msgspec.Struct, frozen=True):
    """`truth` holds the first's chance against whether it was right; null, as `auroc`, of too few."""

    by: By
    asked: int
    none: int
    right: int
    truth: Truth | None
    auroc: Estimate | None
    curve: list[Point]
    advice: Advice


def confidence_of(
    asked: Sequence[ShadowRow], none: Sequence[ShadowRow], by: By, *, error: float, draws: int = 1000
) -> Confidence:
    """Measure the vector router's chances and what a threshold would do."""
    ours = [row for row in able(asked, "first") if value_of(row, by) is not None]
    strange = [row for row in able(none, "first") if value_of(row, by) is not None]
    right = np.array([is_right(row) for row in ours], dtype=np.bool_)
    good = int(right.sum())
    found, ranked = None, None
    if len(ours) >= KNOWN_MIN and min(good, len(ours) - good) >= EITHER_MIN:
        sessions = Draws([row.session for row in ours], draws=draws)
        found = truth(np.array([row.ranked[0].chance for row in ours]), right, sessions)
        values = np.array([value_of(row, by) for row in ours], dtype=np.float64)
        ranked = auroc_estimate(values, right, sessions)
    return Confidence(
        by,
        len(ours),
        len(strange),
        good,
        found,
        ranked,
        _curve(ours, strange, by),
        _advice(ours, strange, by, error),
    )


def is_right(row: ShadowRow) -> bool:
    """Say whether the vector router's first is what the prompt asked for."""
    return row.vector == row.truth


def value_of(row: ShadowRow, by: By) -> float | None:
    """Give what a threshold looks at; the margin of a router with one skill is that skill's chance."""
    if by == "fit":
        return row.fit
    if not row.ranked:
        return None
    return row.ranked[0].chance if by == "chance" or row.margin is None else row.margin


def _curve(asked: Sequence[ShadowRow], none: Sequence[ShadowRow], by: By) -> list[Point]:
    values = np.sort([value_of(row, by) for row in asked])[::-1]
    if len(values) < PROMPTS_MIN:
        return []
    places = [max(0, round(share * len(values)) - 1) for share in COVERAGES]
    return [
        Point(at, *_answered(asked, none, by, [at] * len(asked), [at] * len(none)))
        for at in dict.fromkeys(float(values[place]) for place in places)
    ]


def _answered(
    asked: Sequence[ShadowRow],
    none: Sequence[ShadowRow],
    by: By,
    from_asked: Sequence[float],
    from_none: Sequence[float],
) -> tuple[Share, Share, Share]:
    """Say what answering comes to; each prompt has the threshold that it is held against."""
    taken = [(row, (value_of(row, by) or 0.0) >= at) for row, at in zip(asked, from_asked, strict=True)]
    false = [(row, (value_of(row, by) or 0.0) >= at) for row, at in zip(none, from_none, strict=True)]
    return part(taken), part((row, is_right(row)) for row, so in taken if so), part(false)


def _advice(asked: Sequence[ShadowRow], none: Sequence[ShadowRow], by: By, error: float) -> Advice:
    half = halves([row.session for row in (*asked, *none)])
    chosen = [threshold_of([row for row in asked if half[row.session] == own], by, error) for own in (0, 1)]
    # Nobody answers from a threshold that nobody could choose.
    held = [float("inf") if at is None else at for at in chosen]
    other = [[held[1 - half[row.session]] for row in rows] for rows in (asked, none)]
    taken, right, false = _answered(asked, none, by, *other)
    return Advice(
        error,
        None if None in chosen else threshold_of(asked, by, error),
        (chosen[0], chosen[1]),
        taken,
        right,
        false,
        part((row, row.takes) for row in asked),
        part((row, is_right(row)) for row in asked if row.takes),
        part((row, row.takes) for row in none),
    )


def halves(sessions: Sequence[str]) -> dict[str, int]:
    """Divide sessions into two halves, 0 and 1, by nothing but their ids."""
    ordered = sorted(set(sessions), key=lambda one: (crc32(one.encode("utf-8", "surrogatepass")), one))
    return {session: place % 2 for place, session in enumerate(ordered)}


def threshold_of(rows: Sequence[ShadowRow], by: By, error: float) -> float | None:
    """Give the lowest threshold from which on at most `error` is wrong; null without one, or of few rows."""
    if len(rows) < PROMPTS_MIN or len({row.session for row in rows}) < SESSIONS_MIN:
        return None
    ordered = sorted(((value_of(row, by) or 0.0, is_right(row)) for row in rows), reverse=True)
    best, wrong = None, 0
    for place, (value, right) in enumerate(ordered, 1):
        wrong += not right
        is_last = place == len(ordered) or ordered[place][0] != value  # equals are answered together
        if is_last and wrong <= error * place:
            best = value
    return best
