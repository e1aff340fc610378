"""Skills that are taken for each other, told apart: real prompts of both, marked as contrast.

An exemplar is never evidence of how well a router does: it is a record of another kind than a prediction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from karl.routing.exemplars import Piece, alike
from karl.routing.refine import PAIR_MIN, confused, crossed
from karl.routing.sources import of_turn
from karl.views.sources import Sources
from workers.encoder import opened_encoder
from workers.exemplars import Material, material, name_of
from workers.records import ROUTING, Outgoing, send, settled
from workers.refine import contrast, said_of
from workers.router_training import DEFAULT, Rows

if TYPE_CHECKING:
    from workers.doors import Doors

#: Prompts of each of two skills that are marked.
EACH = 3

Pairs = Mapping[tuple[str, str], Sequence[str]]


class Marked(msgspec.Struct, frozen=True):
    """A prompt that is marked: whose, of which turn, and what it says."""

    skill: str
    contrast: str
    trajectory: str
    text: str


class Resolution(msgspec.Struct, frozen=True):
    """A pair of skills: prompts of `skill` that were taken for `other`'s, and the prompts to tell them by."""

    skill: str
    other: str
    errors: int
    prompts: list[Marked]


class ResolveReport(msgspec.Struct, kw_only=True):
    """Pairs that are taken for each other; `source`: `live` predictions, or cross-validation (`crossed`)."""

    source: str
    pairs: list[Resolution]
    records: int = 0


def resolve(doors: Doors, *, top: int, apply: bool, person: str, encoder: str = "") -> ResolveReport:
    """Find the pairs that are confused most, and prompts to tell them apart by; with `apply` mark these.

    Raises Refused, EncoderMissing, LineDown, LedgerDamaged, NotFound.
    """
    settings = doors.settings
    if apply:
        settled(doors.redis, settings, doors.wait)
    with Sources(settings.views) as views:
        found = material(views, settings.ledger)
        live = _live(views)
    pairs = live or _crossed(found, doors, encoder)
    told = [_resolution(found, pair, ids) for pair, ids in list(pairs.items())[:top]]
    report = ResolveReport(source="live" if live else "crossed", pairs=[one for one in told if one.prompts])
    if apply:
        report.records = _send(report.pairs, found, doors, person)
    return report


def _live(views: Sources) -> Pairs:
    """Give the turns whose prompts were taken for another skill, by both, the most frequent pair first."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for row in views.shadows():
        if row.organic and row.truth and row.vector and row.vector != row.truth and row.trajectory:
            found[row.truth, row.vector].append(row.trajectory)
    order = sorted(found, key=lambda pair: (-len(found[pair]), pair))
    return {pair: found[pair] for pair in order if len(found[pair]) >= PAIR_MIN}


def _crossed(found: Material, doors: Doors, encoder: str) -> Pairs:
    chosen = found.chosen()
    if len(chosen.counts()) < 2:
        return {}
    with opened_encoder(doors.settings, encoder) as opened:
        rows = Rows(opened, doors.progress)
        said = crossed(chosen, lambda some, of: said_of(some, of, rows, DEFAULT))
    return {pair: [name_of(piece) for piece in pieces] for pair, pieces in confused(said).items()}


def _resolution(found: Material, pair: tuple[str, str], ids: Sequence[str]) -> Resolution:
    """Choose the newest prompts that were mistaken, and those of the other skill most like them."""
    skill, other = pair
    mistaken = [one for one in found.found.by_skill.get(skill, ()) if name_of(one) in ids][:EACH]
    near = alike(mistaken, found.found.by_skill.get(other, ()), EACH)
    marked = [_marked(one, other) for one in mistaken] + [_marked(one, skill) for one in near]
    return Resolution(skill, other, len(ids), marked)


def _marked(piece: Piece, other: str) -> Marked:
    return Marked(piece.skill, other, name_of(piece), piece.text)


def _send(pairs: Sequence[Resolution], found: Material, doors: Doors, person: str) -> int:
    known = {(one.of, one.skill, one.contrast) for one in found.given if not one.removed}
    now_ms = doors.now_ms()
    bodies = {}
    for one in (one for pair in pairs for one in pair.prompts):
        if (one.trajectory, one.skill, one.contrast) not in known:
            piece = Piece(of_turn(one.trajectory, one.skill), one.skill, one.text, "prompt", "", 0)
            body = contrast(piece, one.contrast, person=person, now_ms=now_ms)
            bodies[body.id] = body
    send(doors.redis, [Outgoing("exemplar", ROUTING, body) for body in bodies.values()], doors.wait)
    return len(bodies)
