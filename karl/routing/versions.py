"""Versions of a router: how well one does over held-out prompts, beside another, and how far it moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from karl.intervals import Paired, Verdict, paired_of, share_of
from karl.routing.exemplars import Piece
from karl.routing.heads import Floats
from karl.routing.router import Router

#: How much worse, in share of held-out prompts, a router may be than the one in use.
WORSE_MAX = 0.02
#: Held-out prompts below which nothing can be shown to be that little; there the estimate itself decides.
ENOUGH = 400
#: How far (1 - cosine) a skill's centroid may move before somebody should look.
DRIFT_ALERT = 0.2


class Seen(NamedTuple):
    """What a router said of a held-out prompt: the right skill's place, from 1; 0 where it knows it not."""

    session: str
    rank: int
    takes: bool


class Judged(NamedTuple):
    """Whether a router may take another's place, and why."""

    good: bool
    why: str


def seen(router: Router, pieces: Sequence[Piece], vectors: Floats) -> list[Seen]:
    """Ask a router for prompts whose skills are known; `vectors` (n, dim) are theirs."""
    if not pieces:
        return []
    choices = router.route([piece.text for piece in pieces], vectors, top=len(router.skills))
    found = []
    for piece, choice in zip(pieces, choices, strict=True):
        ranked = [one.skill for one in choice.ranked]
        rank = ranked.index(piece.skill) + 1 if piece.skill in ranked else 0
        found.append(Seen(piece.session or piece.source, rank, choice.takes))
    return found


def figures(inside: Sequence[Seen], strangers: Sequence[Seen] = ()) -> dict[str, float]:
    """Give the figures of a router over held-out prompts, as RouterBody has them; shares from 0 to 1.

    accuracy, top3 and mrr over `held_out` prompts; taken: the share that it would take a skill for, right: of
    these the share that is right; strangers_taken: of `strangers` that asked for none. Shares have an
    interval, NAME_low and NAME_high.
    """
    told: dict[str, float] = {"held_out": len(inside)}
    taken = [one for one in inside if one.takes]
    told |= _share("accuracy", [(one, one.rank == 1) for one in inside])
    told |= _share("top3", [(one, 1 <= one.rank <= 3) for one in inside])
    if inside:
        told["mrr"] = sum(1 / one.rank for one in inside if one.rank) / len(inside)
    told |= _share("taken", [(one, one.takes) for one in inside])
    told |= _share("right", [(one, one.rank == 1) for one in taken])
    if strangers:
        told["strangers"] = len(strangers)
        told |= _share("strangers_taken", [(one, one.takes) for one in strangers])
    return {name: round(value, 6) for name, value in told.items()}


def _share(name: str, seen: Sequence[tuple[Seen, bool]]) -> dict[str, float]:
    """Give a share with its interval, sessions being alike; nothing of none."""
    found = share_of((one.session, int(hit), 1) for one, hit in seen)
    if found.share is None or found.low is None or found.high is None:
        return {}
    return {name: found.share, f"{name}_low": found.low, f"{name}_high": found.high}


def compared(new: Iterable[Seen], old: Iterable[Seen], tail: float = 0.025) -> Paired:
    """Hold two routers against each other over the same prompts."""
    pairs = zip(new, old, strict=True)
    return paired_of((Verdict(one.session, one.rank == 1, two.rank == 1) for one, two in pairs), tail)


def told(pair: Paired) -> dict[str, float]:
    """Give a comparison as RouterBody has it: `before` is the share that the one in use got right."""
    values = {
        "compared": pair.n,
        "before": pair.second_share,
        "difference": pair.difference,
        "difference_low": pair.low,
        "difference_high": pair.high,
    }
    return {name: round(value, 6) for name, value in values.items() if value is not None}


def louder(new: Iterable[Seen], old: Iterable[Seen]) -> dict[str, float]:
    """Say how many more prompts that asked for none a router takes a skill for, as RouterBody has it."""
    pairs = zip(new, old, strict=True)
    pair = paired_of(Verdict(one.session, one.takes, two.takes) for one, two in pairs)
    values = {"louder": pair.difference, "louder_low": pair.low, "louder_high": pair.high}
    return {name: round(value, 6) for name, value in values.items() if value is not None}


def not_worse(measured: Mapping[str, float]) -> Judged:
    """Say whether a router may take the place of the one in use, by what was told of both."""
    if measured.get("louder_low", 0.0) > 0 and measured["louder"] > WORSE_MAX:
        more, low, high = (measured[f"louder{bound}"] for bound in ("", "_low", "_high"))
        return Judged(
            False,
            "it takes a skill for more of the prompts that asked for none than the one in use: "
            f"{more:+.3f} ({low:+.3f} to {high:+.3f})",
        )
    if "difference_low" not in measured:
        return Judged(True, "there is nothing to compare it with")
    difference, low, high = (measured[f"difference{bound}"] for bound in ("", "_low", "_high"))
    n = round(measured["compared"])
    shown = f"{difference:+.3f} ({low:+.3f} to {high:+.3f}) over {n} held-out prompts"
    if low > -WORSE_MAX:
        return Judged(True, f"not worse than the one in use: {shown}")
    if n < ENOUGH:
        good = difference >= 0
        so_far = "no worse so far" if good else "it looks worse"
        return Judged(good, f"{so_far}: {shown}, too few to be sure")
    return Judged(False, f"it may be worse than the one in use by more than {WORSE_MAX}: {shown}")


def drift(before: Router, after: Router) -> dict[str, float]:
    """Give how far (1 - cosine) each skill's centroid moved; none where another encoder made them."""
    if (before.encoder, before.encoder_version) != (after.encoder, after.encoder_version):
        return {}
    places = {skill: place for place, skill in enumerate(before.skills)}
    moved = {}
    for place, skill in enumerate(after.skills):
        if skill in places:
            cosine = float(before.centroid.matrix[:, places[skill]] @ after.centroid.matrix[:, place])
            moved[skill] = round(max(0.0, 1 - cosine), 6)
    return moved


def drifted(moved: dict[str, float]) -> list[str]:
    """Give the skills that moved farther than DRIFT_ALERT, the farthest first."""
    return sorted((skill for skill, far in moved.items() if far > DRIFT_ALERT), key=lambda one: -moved[one])
