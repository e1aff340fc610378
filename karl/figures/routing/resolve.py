"""What to do about skills that are taken for each other, as advice with its reasons.

What is near is what lies beyond the other pairs of the same router, whatever its encoder; whether two are
told apart is what their prompts show (karl.figures.routing.centroids).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from karl.figures.routing.centroids import HALFWAY, Layout
from karl.figures.routing.chosen import able
from karl.figures.routing.confusion import Pair, apart, pairs_of
from karl.intervals import Share
from karl.routing.heads import LOGISTIC_MIN
from karl.views.routing_rows import ShadowRow

#: Skills whose prompts a skill must draw to be called generic.
DRAWN_MIN = 3
#: Mean weight of truths below which they are as likely wrong as the router is.
WEAK = 0.5

Strategy = Literal[
    "look_at_truth", "add_exemplars", "merge_or_separate", "refine_centroids", "narrow", "contrast"
]
#: What each strategy asks for, with the command that does it, or that says more.
DOES: dict[Strategy, tuple[str, str]] = {
    "look_at_truth": (
        "what says that these are errors is weak: say what the prompts were for",
        "karl annotate ID --skill NAME",
    ),
    "add_exemplars": (
        "one of the two has too few exemplars to be learned from",
        "karl add-exemplar SKILL PROMPT",
    ),
    "merge_or_separate": (
        "nobody tells the two apart: make one of them, or describe what differs",
        "karl merge-candidates",
    ),
    "refine_centroids": ("the two lie near, and are told apart in part", "karl refine"),
    "narrow": (
        "the skill that is picked draws prompts of many others: leave it to the rules",
        "karl routing-override SKILL regex",
    ),
    "contrast": ("give exemplars that show the difference", "karl auto-resolve"),
}


class Resolution(msgspec.Struct, frozen=True):
    """A pair, how often its two skills are told apart, the cosine of their centroids, and what to do.

    `exemplars` made the two skills' centroids; null where no router is known.
    """

    pair: Pair
    apart: Share
    cosine: float | None
    exemplars: tuple[int | None, int | None]
    strategy: Strategy
    why: str
    command: str


def advice_of(
    asked: Sequence[ShadowRow],
    top: int,
    *,
    layout: Layout | None = None,
    cosines: Mapping[tuple[str, str], float] | None = None,
    exemplars: Mapping[str, int] | None = None,
) -> list[Resolution]:
    """Advise on the pairs with the most errors; `cosines` are by the two names in order."""
    near = {(pair.one, pair.other) for pair in layout.near} if layout else set()
    drawn = _drawn(asked)
    out = []
    for pair in pairs_of(able(asked, "first"))[:top]:
        truth, picked = pair.truth or "", pair.picked or ""
        names = (truth, picked) if truth < picked else (picked, truth)
        known = (exemplars or {}).get(truth), (exemplars or {}).get(picked)
        told = apart(asked, truth, picked)
        strategy = _strategy(pair, told, known, near=names in near, generic=picked in drawn)
        cosine = (cosines or {}).get(names)
        out.append(Resolution(pair, told, cosine, known, strategy, *DOES[strategy]))
    return out


def _strategy(
    pair: Pair, told: Share, exemplars: tuple[int | None, int | None], *, near: bool, generic: bool
) -> Strategy:
    """Choose, what would make the others pointless first."""
    if pair.weight < WEAK:
        return "look_at_truth"
    if any(count is not None and count < LOGISTIC_MIN for count in exemplars):
        return "add_exemplars"
    if near:
        alike = told.high is not None and told.high < HALFWAY
        return "merge_or_separate" if alike else "refine_centroids"
    return "narrow" if generic else "contrast"


def _drawn(asked: Sequence[ShadowRow]) -> set[str]:
    """Name the skills that are picked for prompts of several others, and oftener wrongly than rightly."""
    of: dict[str, list[ShadowRow]] = {}
    for row in able(asked, "first"):
        of.setdefault(row.vector or "", []).append(row)
    return {
        name
        for name, rows in of.items()
        if len({row.truth for row in rows} - {name}) >= DRAWN_MIN
        and 2 * sum(row.truth != name for row in rows) > len(rows)
    }
