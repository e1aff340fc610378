"""Exemplars refined: changes that cross-validation proposes, kept if held-out prompts prove them right.

Invariants:
- The latest fifth of each skill's prompts judges, and nothing learned or proposed anything from it. Each look
  at it costs a share of the certainty that is asked for.
- What is kept becomes records of exemplars, so every later training knows of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.jobs import table
from karl.jobs.table import Outcome
from karl.routing import refine as pure
from karl.routing.exemplars import Chosen, Piece, held_out
from karl.routing.refine import Proposal, Round, Said
from karl.routing.sources import parse
from karl.routing.text import normal
from karl.schema.routing import ExemplarBody
from karl.views.sources import Sources
from workers.centroids import Report, centroids
from workers.doors import Doors
from workers.encoder import opened_encoder
from workers.exemplars import Material, exemplar, material, taken_back
from workers.line import on_line
from workers.records import ROUTING, Outgoing, send, settled
from workers.router_training import Recipe, Rows, trained, without

if TYPE_CHECKING:
    from karl.jobs.table import Progress
    from karl.settings import Settings

#: The chance of keeping a change that is none, on each side, all rounds together.
_TAIL = 0.025


class Change(msgspec.Struct, frozen=True):
    """A change that was tried: prompts that it put right and that it spoilt, in cross-validation."""

    what: str
    skill: str
    other: str
    prompts: list[str]
    better: int
    worse: int


class RoundTold(msgspec.Struct, frozen=True):
    """A round: what was tried, and after and before over `held_out` prompts; null where nothing helped."""

    tried: list[Change]
    held_out: int
    before: float | None
    after: float | None
    low: float | None
    high: float | None
    kept: int


class RefineReport(msgspec.Struct, kw_only=True):
    """What refining came to. `changes` were kept; `records` were sent; `trained` is what followed from it."""

    prompts: int
    held_out: int
    rounds: list[RoundTold]
    changes: int
    records: int = 0
    trained: Report | None = None


class _Ground(NamedTuple):
    """What is refined: exemplars without the latest prompts, these, and further prompts by skill."""

    chosen: Chosen
    latest: list[Piece]
    more: Mapping[str, Sequence[Piece]]


def job(arguments: table.Refine, settings: Settings, progress: Progress) -> Outcome:
    """Refine, as a job."""
    with on_line(settings, "karl-refine") as redis:
        return Outcome(msgspec.to_builtins(refine(arguments, Doors(settings, redis, progress))))


def refine(asked: table.Refine, doors: Doors) -> RefineReport:
    """Look for changes, round by round until one keeps nothing; with `apply` send them and train with them.

    Raises as `centroids` does.
    """
    settings = doors.settings
    if asked.apply:
        settled(doors.redis, settings, doors.wait)
    with Sources(settings.views) as views:
        ground = _ground(material(views, settings.ledger))
    with opened_encoder(settings, asked.encoder) as encoder:
        rows = Rows(encoder, doors.progress)
        found = list(_rounds(ground, rows, asked, doors))
    kept = [proposal for one in found for proposal in one.kept]
    report = RefineReport(
        prompts=sum(pure.is_prompt(piece) for piece in ground.chosen.pieces),
        held_out=len(ground.latest),
        rounds=[_told(one) for one in found],
        changes=len(kept),
    )
    if asked.apply and kept:
        report.records = _send(kept, doors, asked.person)
        again = table.Centroids(why="refine", seed=asked.seed, encoder=asked.encoder, person=asked.person)
        report.trained = centroids(again, doors)
    return report


def _ground(found: Material) -> _Ground:
    older, late = held_out(found.found)
    latest = [piece for mine in late.by_skill.values() for piece in mine]
    chosen = without(found._replace(found=older).chosen(), [*latest, *late.strangers])
    taken = {piece.source for piece in chosen.pieces}
    said = {normal(piece.text) for piece in latest}
    more = {
        skill: [one for one in mine if one.source not in taken and normal(one.text) not in said]
        for skill, mine in older.by_skill.items()
    }
    return _Ground(chosen, latest, more)


def _rounds(ground: _Ground, rows: Rows, asked: table.Refine, doors: Doors) -> Iterator[Round]:
    """Give rounds until one keeps nothing."""

    def learn(chosen: Chosen, of: Sequence[Piece]) -> list[Said]:
        return said_of(chosen, of, rows, Recipe(seed=asked.seed))

    def told(place: int, count: int) -> None:
        doors.progress(place, count, "changes tried")

    chosen = ground.chosen
    for _ in range(asked.rounds):
        if len(chosen.counts()) < 2:
            return
        one = pure.one_round(chosen, ground.latest, ground.more, learn, tail=_TAIL / asked.rounds, told=told)
        yield one
        if not one.kept:
            return
        for proposal in one.kept:
            chosen = proposal.to(chosen)


def said_of(chosen: Chosen, of: Sequence[Piece], rows: Rows, how: Recipe) -> list[Said]:
    """Train with what is chosen, and ask for prompts that are not in it."""
    router = trained(chosen, rows, how).router
    texts = [piece.text for piece in of]
    choices = router.route(texts, rows.of(texts), top=len(router.skills)) if of else []
    return [
        Said(piece, {one.skill: one.chance for one in choice.ranked})
        for piece, choice in zip(of, choices, strict=True)
    ]


def _told(one: Round) -> RoundTold:
    pair = one.pair
    return RoundTold(
        tried=[
            Change(
                tried.proposal.what,
                tried.proposal.skill,
                tried.proposal.other,
                [piece.text for piece in tried.proposal.pieces],
                tried.better,
                tried.worse,
            )
            for tried in one.tried
        ],
        held_out=pair.n if pair else 0,
        before=pair.second_share if pair else None,
        after=pair.first_share if pair else None,
        low=pair.low if pair else None,
        high=pair.high if pair else None,
        kept=len(one.kept),
    )


def _send(kept: Sequence[Proposal], doors: Doors, person: str) -> int:
    """Send what was kept, as records of exemplars; gives their number."""
    with Sources(doors.settings.views) as views:
        bodies = [body for proposal in kept for body in _bodies(proposal, views, doors, person)]
    send(doors.redis, [Outgoing("exemplar", ROUTING, body) for body in bodies], doors.wait)
    return len(bodies)


def _bodies(proposal: Proposal, views: Sources, doors: Doors, person: str) -> Iterator[ExemplarBody]:
    now_ms = doors.now_ms()
    for piece in proposal.pieces:
        if proposal.what == "drop":
            yield taken_back(views, doors.settings.ledger, piece, person=person, now_ms=now_ms)
        else:
            other = proposal.other if piece.skill == proposal.skill else proposal.skill
            yield contrast(piece, other, person=person, now_ms=now_ms)


def contrast(piece: Piece, other: str, *, person: str, now_ms: int) -> ExemplarBody:
    """Make the record that marks a prompt as one that tells its skill from another."""
    source = parse(piece.source)
    of = source.name if source.kind == "trajectory" else ""
    return exemplar(piece.skill, piece.text, person=person, now_ms=now_ms, contrast=other, of=of)
