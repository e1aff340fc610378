"""Versions of the router: what each was trained with, whether that is still there, and having one again.

Invariants:
- A text comes from the ledger alone. What was erased, and what was made of it, does not come back.
- The same sources, encoder and seed give the same bytes, or it is said that they are others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.ledger.reader import Progress, walk
from karl.routing.exemplars import (
    Chosen,
    Given,
    Piece,
    assembled,
    entry_digest,
    said_by,
)
from karl.routing.sources import Source, parse
from karl.schema.routing import RouterBody, SkillEntry, SkillsBody
from karl.views.routing import body_at
from karl.views.sources import Sources
from workers.exemplars import given_by_people, prompt_at

if TYPE_CHECKING:
    from pathlib import Path

    from karl.settings import Settings
    from karl.views.routing_rows import RouterRow

_skills = msgspec.json.Decoder(SkillsBody).decode


class Resolved(NamedTuple):
    """What the sources of a router say, and those that are not there any more."""

    chosen: Chosen
    gone: tuple[str, ...]


class Version(msgspec.Struct, frozen=True):
    """A router that was trained, as `karl centroid-versions` tells of it.

    `gone` counts the turns and exemplars it was trained with that are not there any more; `kept` says whether
    its file is on this machine.
    """

    id: str
    why: str
    label: str
    encoder: str
    head: str
    skills: int
    exemplars: int
    time_ms: int
    person: str
    in_use: bool
    kept: bool
    gone: int
    measured: dict[str, float] = {}
    parent: str = ""


def versions(settings: Settings, limit: int = 50) -> list[Version]:
    """List the routers that were trained, the newest first. Raises NotFound without views, LedgerDamaged."""
    with Sources(settings.views) as views:
        in_use = views.policy().router
        rows = views.routers(limit)
        bodies = [body_at(settings.ledger, row.place, RouterBody) for row in rows]
        there = there_now(views, bodies)
        return [
            _version(settings, row, body, in_use, gone_of(body.sources, there))
            for row, body in zip(rows, bodies, strict=True)
        ]


def there_now(views: Sources, bodies: Iterable[RouterBody]) -> set[tuple[str, str]]:
    """Give the turns and exemplars among the sources of routers that are there, as (kind, id)."""
    told = [parse(source) for body in bodies for source in body.sources]
    turns = views.turns_there(one.name for one in told if one.kind == "trajectory")
    return {("trajectory", name) for name in turns} | {
        ("exemplar", row.id) for row in views.exemplars(removed=True)
    }


def gone_of(sources: Sequence[str], there: set[tuple[str, str]]) -> int:
    """Count the turns and exemplars that are not there; what a skill said of itself is not looked for."""
    told = (parse(source) for source in sources)
    return sum(one.kind != "skill" and (one.kind, one.name) not in there for one in told)


def resolved(
    views: Sources, ledger: Path, sources: Iterable[str], progress: Progress | None = None
) -> Resolved:
    """Read what sources say: out of the ledger, each at its place. Raises LedgerDamaged."""
    told = {source: parse(source) for source in sorted(set(sources))}
    found: dict[str, list[Piece]] = {}
    found |= _turns(views, ledger, {s: one for s, one in told.items() if one.kind == "trajectory"})
    given = {one.id: one for one in given_by_people(views, ledger)}
    said = _given({s: one for s, one in told.items() if one.kind == "exemplar"}, given)
    found |= _said(views, ledger, {s: one for s, one in told.items() if one.kind == "skill"}, progress)
    there = {*found, *said}
    chosen = assembled(said.values(), [piece for pieces in found.values() for piece in pieces])
    return Resolved(chosen, tuple(source for source in told if source not in there))


def _turns(views: Sources, ledger: Path, told: Mapping[str, Source]) -> dict[str, list[Piece]]:
    places = views.turns_at(one.name for one in told.values())
    found = {}
    for source, one in told.items():
        at = places.get(one.name)
        if at and (text := prompt_at(ledger, at.place)):
            found[source] = [Piece(source, one.more, text, "prompt", "turn", at.time_ms, at.session)]
    return found


def _given(told: Mapping[str, Source], given: Mapping[str, Given]) -> dict[str, Given]:
    """Find exemplars, also those that count no more: they did then."""
    return {
        source: given[one.name]._replace(removed=False)
        for source, one in told.items()
        if one.name in given and given[one.name].text
    }


def _said(
    views: Sources, ledger: Path, told: Mapping[str, Source], progress: Progress | None
) -> dict[str, list[Piece]]:
    """Find what skills said of themselves then: today's catalogue has it, else an older record."""
    missing = {(one.name, one.more): source for source, one in told.items()}
    found: dict[str, list[Piece]] = {}

    def look(entries: Iterable[SkillEntry]) -> None:
        for entry in entries:
            if entry.name in names and (source := missing.pop((entry.name, entry_digest(entry)), None)):
                found[source] = said_by(entry)

    names = {name for name, _ in missing}
    look(views.catalogue().skills)
    if missing:
        for line in walk(ledger, progress):
            if line.kind == "skills":
                look(_skills(line.body).skills)
            if not missing:
                break
    return found


def _version(settings: Settings, row: RouterRow, body: RouterBody, in_use: str, gone: int) -> Version:
    return Version(
        id=row.id,
        why=row.why,
        label=row.label,
        encoder=row.encoder,
        head=row.head,
        skills=len(body.skills),
        exemplars=sum(body.counts.values()),
        time_ms=row.time_ms,
        person=row.person,
        in_use=row.id == in_use,
        kept=(settings.routers / row.id).is_file(),
        gone=gone,
        measured=body.measured,
        parent=body.parent,
    )
