"""Routers made from what the ledger has, and measured over prompts that they have not seen.

Invariants:
- The same ledger, encoder and seed make the same router, byte for byte.
- No router is measured with a prompt that it was trained with; the one in use is measured as its sources
  without these prompts would make it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from karl.errors import NotFound, Refused
from karl.jobs.table import Progress
from karl.routing import model, versions
from karl.routing.described import spelled
from karl.routing.exemplars import Chosen, Piece, held_out
from karl.routing.router import Exemplar, Router, train
from karl.routing.text import normal
from karl.schema.routing import RouterBody
from karl.views.routing import body_at
from workers.versions import resolved

if TYPE_CHECKING:
    from karl.encoders.encoder import Encoder, Vectors
    from karl.routing.policy import Policy
    from karl.settings import Settings
    from karl.views.sources import Sources
    from workers.exemplars import Material

#: Texts that are encoded between two words on how far it is.
_SLICE = 256


class Recipe(NamedTuple):
    """How a router is trained; without a head, the one that fits."""

    head: str = ""
    seed: int = 0


#: The head that fits, and the first seed.
DEFAULT = Recipe()


class Trained(NamedTuple):
    """A router, its bytes, and what it was trained with."""

    router: Router
    data: bytes
    chosen: Chosen

    @property
    def id(self) -> str:
        """The sha256 of its bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()


class InUse(NamedTuple):
    """The router in use: its record, and what of its sources is there."""

    body: RouterBody
    chosen: Chosen
    gone: int


class Rows:
    """Vectors of texts, each made once."""

    def __init__(self, encoder: Encoder, progress: Progress) -> None:
        self.encoder = encoder
        self._progress = progress
        self._rows: dict[str, Vectors] = {}

    def of(self, texts: Iterable[str]) -> Vectors:
        """Give the vectors of texts (n, dim). Raises EncoderSilent."""
        wanted = list(texts)
        missing = list(dict.fromkeys(text for text in wanted if text not in self._rows))
        for start in range(0, len(missing), _SLICE):
            part = missing[start : start + _SLICE]
            self._rows |= zip(part, self.encoder.encode(part), strict=True)
            self._progress(start + len(part), len(missing), "texts encoded")
        if not wanted:
            return np.zeros((0, self.encoder.dim), dtype=np.float32)
        return np.vstack([self._rows[text] for text in wanted])


def in_use(views: Sources, settings: Settings, policy: Policy) -> InUse | None:
    """Give the router in use with its sources; null where there is none, or nobody knows its record."""
    if not policy.router:
        return None
    try:
        row = views.router(policy.router)
    except NotFound:
        return None
    body = body_at(settings.ledger, row.place, RouterBody)
    found = resolved(views, settings.ledger, body.sources)
    return InUse(body, found.chosen, len(found.gone))


def trained(chosen: Chosen, rows: Rows, how: Recipe = DEFAULT) -> Trained:
    """Train with what was chosen. Raises Refused for less than two skills."""
    if not chosen.pieces:
        raise Refused(
            "there is nothing to train with: `karl skills scan` reads skills, `karl import` reads past "
            "sessions, `karl add-exemplar` takes prompts"
        )
    texts = spelled([Exemplar(one.skill, one.text, one.kind) for one in chosen.pieces])
    strange = [piece.text for piece in chosen.strangers]
    router = train(
        texts,
        rows.of(one.text for one in texts),
        encoder=rows.encoder.name,
        encoder_version=rows.encoder.version,
        head=how.head,
        seed=how.seed,
        strangers=(strange, rows.of(strange)) if strange else None,
    )
    return Trained(router, model.dumps(router), chosen)


def measure(
    found: Material,
    before: InUse | None,
    rows: Rows,
    how: Recipe,
    pick: Callable[[Material], Chosen],
) -> dict[str, float]:
    """Measure how a router trained like this does over each skill's latest prompts; see RouterBody.measured.

    `pick` chooses what it is trained with. It is compared with the router in use as far as that can be.
    """
    older, latest = held_out(found.found)
    inside = [piece for mine in latest.by_skill.values() for piece in mine]
    mine = without(pick(found._replace(found=older)), [*inside, *latest.strangers])
    if len(mine.counts()) < 2:
        return {"held_out": 0.0}
    new = trained(mine, rows, how)
    seen = _seen(new.router, inside, rows)
    strange = _seen(new.router, latest.strangers, rows)
    told = versions.figures(seen, strange)
    theirs = _before(before, mine, new, [*inside, *latest.strangers], rows)
    if theirs and inside:
        pair = versions.compared(seen, _seen(theirs, inside, rows))
        told |= versions.told(pair)
    if theirs and strange:
        told |= versions.louder(strange, _seen(theirs, latest.strangers, rows))
    return told


def without(chosen: Chosen, out: Sequence[Piece]) -> Chosen:
    """Leave out what was held out, and what says the same."""
    said = {normal(piece.text) for piece in out}
    sources = {piece.source for piece in out}

    def left(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
        return tuple(one for one in pieces if one.source not in sources and normal(one.text) not in said)

    return Chosen(left(chosen.pieces), left(chosen.strangers))


def some_anew(found: Material, before: InUse | None, skills: Sequence[str]) -> Chosen:
    """Choose anew for some skills; the others' exemplars are those of the router in use."""
    today = found.chosen()
    if unknown := sorted(set(skills) - set(today.counts())):
        raise NotFound(f"there are no exemplars of the skill {unknown[0]!r}; `karl exemplars` lists skills")
    if before is None:
        return today
    return Chosen(
        tuple(
            sorted(
                [
                    *(piece for piece in before.chosen.pieces if piece.skill not in skills),
                    *(piece for piece in today.pieces if piece.skill in skills),
                ]
            )
        ),
        before.chosen.strangers,
    )


def _before(
    before: InUse | None, mine: Chosen, new: Trained, out: Sequence[Piece], rows: Rows
) -> Router | None:
    """Give the router in use as it would be without the held-out prompts; null where nobody can know."""
    if before is None or (before.body.encoder, before.body.encoder_version) != (
        rows.encoder.name,
        rows.encoder.version,
    ):
        return None
    theirs = without(before.chosen, out)
    if theirs.sources == mine.sources and before.body.head == new.router.head.name:
        return new.router
    if len(theirs.counts()) < 2:
        return None
    return trained(theirs, rows, Recipe(before.body.head, before.body.seed)).router


def _seen(router: Router, pieces: Sequence[Piece], rows: Rows) -> list[versions.Seen]:
    return versions.seen(router, pieces, rows.of(piece.text for piece in pieces))
