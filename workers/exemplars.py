"""The texts that routers are trained with, out of the ledger; and what people say of them, on its way to it.

Invariants:
- A text comes from the record that said it, so what was erased is nowhere to be had.
- Memory does not grow with the ledger: of each skill the newest prompts alone are looked at.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import LedgerRewound, NotFound, Refused
from karl.ledger.reader import read_at
from karl.routing.exemplars import (
    EACH,
    LOOKED_AT,
    SHORTEST,
    STRANGERS_MAX,
    Chosen,
    Given,
    Piece,
    Prompted,
    Usable,
    chosen,
    usable,
)
from karl.routing.sources import parse
from karl.routing.text import asked
from karl.schema.event import event_id
from karl.schema.routing import ExemplarBody, SkillEntry
from karl.views.routing import Routed, body_at
from workers.records import ROUTING, Outgoing, send

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from karl.views.routing_rows import ExemplarRow, TruthRow
    from karl.views.rows import Place

#: Prompts of a skill that are read: those that are looked at, the held-out ones, and some that fall out.
_READ = 2 * LOOKED_AT * EACH


class Material(NamedTuple):
    """All that a router may be trained with."""

    found: Usable
    given: tuple[Given, ...]
    skills: tuple[SkillEntry, ...]

    def chosen(self) -> Chosen:
        """Choose what a router is trained with today."""
        return chosen(self.found, self.given, self.skills)


class _Context(msgspec.Struct):
    prompt_text: str | None = None


class _Reading(msgspec.Struct):
    context: _Context = msgspec.field(default_factory=_Context)


class _Turn(msgspec.Struct):
    """What of a trajectory's record is its prompt; the rest is not decoded."""

    trajectory: _Reading


_turn = msgspec.json.Decoder(_Turn).decode


def material(views: Routed, ledger: Path) -> Material:
    """Read what there is to train with. Raises LedgerDamaged."""
    given = tuple(given_by_people(views, ledger))
    return Material(
        usable(_prompts(views, ledger), given), given, tuple(sorted(views.catalogue().skills, key=_name))
    )


def given_by_people(views: Routed, ledger: Path) -> Iterator[Given]:
    """Give what people said of exemplars, whole. Raises LedgerDamaged."""
    for row in views.exemplars(removed=True):
        body = exemplar_body(ledger, row)
        text = asked(body.text) if body else ""
        yield Given(row.id, row.skill, text, row.contrast, row.of, row.removed, row.time_ms)


def exemplar_body(ledger: Path, row: ExemplarRow) -> ExemplarBody | None:
    """Read an exemplar's record; null where it was erased. Raises LedgerDamaged."""
    try:
        return body_at(ledger, row.place, ExemplarBody)
    except LedgerRewound:
        return None


def prompt_at(ledger: Path, place: Place) -> str:
    """Read what routing looks at of a turn's prompt; empty where it was erased. Raises LedgerDamaged."""
    try:
        line = read_at(ledger, place.segment, place.offset, place.end)
    except LedgerRewound:
        return ""
    return asked(_turn(line.body).trajectory.context.prompt_text or "")


def add(
    redis: Redis,
    skill: str,
    text: str,
    *,
    person: str,
    now_ms: int,
    wait: Callable[[float], None],
    contrast: str = "",
    of: str = "",
) -> ExemplarBody:
    """Say that a prompt, one without secrets, asks for a skill; an empty skill: for none.

    Said again it is the same exemplar. Raises Refused where it says too little, and LineDown.
    """
    body = exemplar(skill, text, person=person, now_ms=now_ms, contrast=contrast, of=of)
    send(redis, [Outgoing("exemplar", ROUTING, body)], wait)
    return body


def exemplar(
    skill: str, text: str, *, person: str, now_ms: int, contrast: str = "", of: str = ""
) -> ExemplarBody:
    """Make the body of an exemplar's record. Raises Refused where the prompt says too little."""
    said = asked(text)
    if len(said.encode("utf-8", "replace")) < SHORTEST:
        raise Refused(
            f"a prompt of less than {SHORTEST} characters says too little to be an exemplar "
            "(a typed /name in front does not count)"
        )
    name = event_id("exemplar", skill, said, of)
    return ExemplarBody(name, skill, said, person, now_ms, contrast=contrast, of=of)


def remove(
    redis: Redis, ledger: Path, views: Routed, piece: Piece, *, person: str, now_ms: int,
    wait: Callable[[float], None],
) -> ExemplarBody:  # fmt: skip
    """Say that an exemplar does not count any more, whether somebody gave it or a turn's prompt is one.

    Raises Refused for what a skill says of itself, NotFound, LineDown, LedgerDamaged.
    """
    body = taken_back(views, ledger, piece, person=person, now_ms=now_ms)
    send(redis, [Outgoing("exemplar", ROUTING, body)], wait)
    return body


def taken_back(views: Routed, ledger: Path, piece: Piece, *, person: str, now_ms: int) -> ExemplarBody:
    """Make the body that takes an exemplar back. Raises as `remove` does, but for LineDown."""
    source = parse(piece.source)
    if source.kind == "skill":
        raise Refused(f"{piece.skill} says this of itself: change its SKILL.md, then `karl skills scan`")
    if source.kind == "trajectory":
        name = event_id("taken back", source.name)
        # Without its text: the turn's own record has it, and goes with its session when that is erased.
        return ExemplarBody(name, piece.skill, "", person, now_ms, removed=True, of=source.name)
    for row in views.exemplars():
        if row.id == source.name and (body := exemplar_body(ledger, row)):
            return msgspec.structs.replace(body, removed=True, person=person, time_ms=now_ms)
    raise NotFound(f"there is no exemplar {source.name}")


def find(pieces: Sequence[Piece], wanted: str) -> Piece:
    """Give the piece of a number, counted from 1, or of an id or its beginning. Raises NotFound, Refused."""
    if wanted.isdecimal() and len(wanted) < 5:
        if 1 <= int(wanted) <= len(pieces):
            return pieces[int(wanted) - 1]
        raise NotFound(f"there is no exemplar number {wanted}; there are {len(pieces)}")
    found = [piece for piece in pieces if name_of(piece).startswith(wanted)]
    if not found:
        raise NotFound(f"no exemplar of this skill has an id that begins with {wanted!r}")
    if len({piece.source for piece in found}) > 1:
        raise Refused(f"{len(found)} exemplars have an id that begins with {wanted!r}; give more of it")
    return found[0]


def name_of(piece: Piece) -> str:
    """Give what a piece's source is called by: a turn's id, an exemplar's, a skill's name."""
    return parse(piece.source).name


def _prompts(views: Routed, ledger: Path) -> Iterator[Prompted]:
    """Give the newest prompts of each skill with their truths; an influenced one is not even read."""
    newest: dict[str | None, deque[TruthRow]] = {}
    for row in views.truths():
        if row.influenced:
            yield _prompted(row, "")
            continue
        room = _READ if row.skill is not None else 2 * STRANGERS_MAX
        newest.setdefault(row.skill, deque(maxlen=room)).append(row)
    for rows in newest.values():
        for row in rows:
            yield _prompted(row, prompt_at(ledger, row.place))


def _prompted(row: TruthRow, text: str) -> Prompted:
    return Prompted(
        row.trajectory, row.session, text, row.skill, row.weight, row.source, row.influenced, row.time_ms
    )


def _name(entry: SkillEntry) -> str:
    return entry.name


def skills_known(found: Material) -> Counter[str]:
    """Count the usable prompts of each skill that there is, also of those without any."""
    known: Counter[str] = Counter({entry.name: 0 for entry in found.skills})
    known.update({skill: len(mine) for skill, mine in found.found.by_skill.items()})
    known.update({one.skill: 0 for one in found.given if one.skill})
    return known


class SkillWeight(msgspec.Struct, frozen=True):
    """What one skill weighs in a router trained today: its texts by who says what they ask for.

    `share` is its part of all texts, `usable` how many prompts are known of it; `own` are the texts that it
    says of itself.
    """

    skill: str
    texts: int
    share: float
    usable: int
    own: int
    by: dict[str, int]


def weights(found: Material) -> list[SkillWeight]:
    """Say what each skill weighs, the heaviest first."""
    pieces = found.chosen().pieces
    by: dict[str, Counter[str]] = {skill: Counter() for skill in skills_known(found)}
    for piece in pieces:
        by[piece.skill][piece.how] += 1
    usable_of = skills_known(found)
    rows = [
        SkillWeight(
            skill,
            told.total(),
            told.total() / len(pieces) if pieces else 0.0,
            usable_of[skill],
            told["skill"],
            dict(sorted((how, count) for how, count in told.items() if how != "skill")),
        )
        for skill, told in by.items()
    ]
    return sorted(rows, key=lambda row: (-row.texts, row.skill))
