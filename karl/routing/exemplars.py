"""Which texts a router is trained with: prompts with a truth, what somebody gave, and what skills say.

    prompts ---- usable, once each ----+---- the latest fifth of a skill: held out, to measure
                                       +---- the others: EACH of a skill, spread out ---- exemplars
    given by somebody: always          what skills say of themselves: always          unused: strangers

Plain values: the same prompts in any order give the same choice.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from karl.routing import ngrams
from karl.routing.described import words_of
from karl.routing.router import Kind
from karl.routing.sources import of_exemplar, of_skill, of_turn
from karl.routing.text import normal
from karl.routing.truth import WEIGHTS, TruthSource
from karl.schema.routing import SkillEntry

#: Exemplars of a skill that are taken of its prompts, and how many times as many are looked at.
EACH, LOOKED_AT = 50, 4
#: Prompts that asked for no skill.
STRANGERS_MAX = 300
#: Bytes of UTF-8 below which a prompt says too little to be of any skill.
SHORTEST = 10
#: The part of a skill's prompts that is held out, the latest; of fewer than this many none is.
HELD_OUT_SHARE, HELD_OUT_FROM = 5, 3
#: The cosine of two texts' grams from which on they say the same.
SAME = 0.95
#: What the oldest of the prompts must be farther away for than the newest.
_AGE = 0.1


class Prompted(NamedTuple):
    """A prompt, as routing looks at it, with the truth about it. Time is Unix time (ms)."""

    trajectory: str
    session: str
    text: str
    skill: str | None
    weight: float
    source: TruthSource
    influenced: bool
    time_ms: int


class Given(NamedTuple):
    """What somebody gave: an exemplar, or with `removed` that one does not count; see ExemplarBody."""

    id: str
    skill: str
    text: str
    contrast: str = ""
    of: str = ""
    removed: bool = False
    time_ms: int = 0


class Piece(NamedTuple):
    """A text to train with. `source` says where it is from (RouterBody), `how` who says what it asks for.

    `skill` is empty for a stranger, a prompt that asks for none. `session` is a prompt's.
    """

    source: str
    skill: str
    text: str
    kind: Kind
    how: str
    time_ms: int
    session: str = ""


class Usable(NamedTuple):
    """Prompts that may be exemplars, by skill, the newest first, and strangers; and why others may not."""

    by_skill: Mapping[str, Sequence[Piece]]
    strangers: Sequence[Piece]
    left_out: Mapping[str, int]


class Chosen(NamedTuple):
    """What a router is trained with."""

    pieces: tuple[Piece, ...]
    strangers: tuple[Piece, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Give where all of it is from, sorted."""
        return tuple(sorted({piece.source for piece in (*self.pieces, *self.strangers)}))

    def counts(self) -> dict[str, int]:
        """Give the number of texts of each skill, by its name."""
        found: defaultdict[str, int] = defaultdict(int)
        for piece in self.pieces:
            found[piece.skill] += 1
        return dict(sorted(found.items()))


def usable(prompts: Iterable[Prompted], given: Iterable[Given] = ()) -> Usable:
    """Leave out what is no exemplar: unsure, influenced by a router, too short, taken back, or said twice.

    Of prompts that say the same, the skill that most evidence stands for counts, and of these the newest.
    """
    taken_back = {one.of for one in given if one.removed and one.of}
    left_out: defaultdict[str, int] = defaultdict(int)
    alike: defaultdict[str, list[Prompted]] = defaultdict(list)
    for one in prompts:
        if why := _unfit(one, taken_back):
            left_out[why] += 1
        else:
            alike[normal(one.text)].append(one)
    by_skill: defaultdict[str, list[Piece]] = defaultdict(list)
    for same in alike.values():
        one = _standing_for(same)
        left_out["said before"] += len(same) - 1
        by_skill[one.skill or ""].append(_piece(one))
    for mine in by_skill.values():
        mine.sort(key=_newest_first)
    strangers = by_skill.pop("", [])
    return Usable(dict(sorted(by_skill.items())), strangers, {k: n for k, n in left_out.items() if n})


def held_out(found: Usable) -> tuple[Usable, Usable]:
    """Split by time: what came before, and the latest fifth of each skill's prompts and of the strangers."""
    before: dict[str, Sequence[Piece]] = {}
    latest: dict[str, Sequence[Piece]] = {}
    for skill, mine in [*found.by_skill.items(), ("", found.strangers)]:
        size = max(1, len(mine) // HELD_OUT_SHARE) if len(mine) >= HELD_OUT_FROM else 0
        latest[skill], before[skill] = mine[:size], mine[size:]
    none, late = before.pop(""), latest.pop("")
    return Usable(before, none, {}), Usable(latest, late, {})


def chosen(
    found: Usable, given: Iterable[Given] = (), skills: Iterable[SkillEntry] = (), *, each: int = EACH
) -> Chosen:
    """Choose at most `each` prompts of a skill, all that was given, and what skills say of themselves."""
    pieces = [piece for mine in found.by_skill.values() for piece in spread(mine, each)]
    pieces += found.strangers[:STRANGERS_MAX]
    pieces += [piece for entry in skills for piece in said_by(entry)]
    return assembled((one for one in given if not one.removed), pieces)


def assembled(given: Iterable[Given], pieces: Iterable[Piece]) -> Chosen:
    """Put together what was given and other pieces; of what says the same for a skill, the former stays."""
    whole = [_given_piece(one) for one in sorted(given) if one.text.strip()]
    order = sorted(pieces, key=lambda piece: (piece.kind != "prompt", piece.source, piece.kind, piece.text))
    once = _once([*whole, *order])
    known = {normal(piece.text) for piece in once if piece.skill}
    return Chosen(
        tuple(piece for piece in once if piece.skill),
        tuple(piece for piece in once if not piece.skill and normal(piece.text) not in known),
    )


def spread(mine: Sequence[Piece], each: int) -> list[Piece]:
    """Choose pieces that differ: the newest first, then always the one least like those that are chosen.

    Of two that say nearly the same, the newer one alone; between as different ones newer counts more. Looks
    at the newest LOOKED_AT times `each`.
    """
    looked_at = mine[: LOOKED_AT * each]
    if not looked_at:
        return []
    matrix = _grams(looked_at)
    age = _AGE * np.arange(len(looked_at)) / len(looked_at)
    nearest = matrix @ matrix[0]
    taken = [0]
    while len(taken) < min(each, len(looked_at)):
        open_ = nearest < SAME
        if not open_.any():
            break
        place = int(np.argmax(np.where(open_, 1 - nearest - age, -np.inf)))
        taken.append(place)
        nearest = np.maximum(nearest, matrix @ matrix[place])
        nearest[place] = 1.0
    return [looked_at[place] for place in sorted(taken)]


def alike(to: Sequence[Piece], others: Sequence[Piece], count: int) -> list[Piece]:
    """Give those of the others that look most like one of some pieces."""
    if not to or not others:
        return []
    nearest = (_grams(others) @ _grams(to).T).max(axis=1)
    return [others[place] for place in np.argsort(-nearest, kind="stable")[:count]]


def said_by(entry: SkillEntry) -> list[Piece]:
    """Give what a skill says of itself: its name, its description with when to use it, its examples."""
    source = of_skill(entry.name, entry_digest(entry))
    described = "\n".join(part for part in (entry.description.strip(), entry.when.strip()) if part)
    texts: list[tuple[Kind, str]] = [("name", words_of(entry.name)), ("description", described)]
    texts += [("example", text) for text in entry.examples]
    return [
        Piece(source, entry.name, text, kind, "skill", 0) for kind, text in texts if text and text.strip()
    ]


def entry_digest(entry: SkillEntry) -> str:
    """Give 16 hex digits that say what a skill says of itself."""
    return hashlib.sha256(msgspec.json.encode(entry)).hexdigest()[:16]


def _grams(pieces: Sequence[Piece]) -> NDArray[np.float32]:
    """Give what texts look like, as unit rows."""
    rows = ngrams.sparse([piece.text for piece in pieces])
    return ngrams.dense(ngrams.weighted(rows, np.ones(ngrams.COLUMNS, np.float32)), 0, rows.size)


def _unfit(one: Prompted, taken_back: set[str]) -> str:
    """Say why a prompt is no exemplar; empty where it may be one."""
    if one.influenced:
        return "told of a skill by a router"
    if one.skill is not None and one.weight < WEIGHTS["called"]:
        return "not sure enough"
    if one.trajectory in taken_back:
        return "taken back by somebody"
    if len(one.text.strip().encode("utf-8", "replace")) < SHORTEST:
        return "too short"
    return ""


def _standing_for(same: Sequence[Prompted]) -> Prompted:
    """Give the newest of those whose skill has most weight; a skill counts before none."""
    weights: defaultdict[str | None, float] = defaultdict(float)
    for one in same:
        weights[one.skill] += one.weight if one.skill is not None else 0.0
    return max(same, key=lambda one: (round(weights[one.skill], 6), one.time_ms, one.trajectory))


def _piece(one: Prompted) -> Piece:
    source = of_turn(one.trajectory, one.skill)
    return Piece(source, one.skill or "", one.text, "prompt", one.source, one.time_ms, one.session)


def _given_piece(one: Given) -> Piece:
    kind: Kind = "contrast" if one.contrast else "prompt"
    return Piece(
        of_exemplar(one.id), one.skill, one.text, kind, kind if one.contrast else "manual", one.time_ms
    )


def _newest_first(piece: Piece) -> tuple[int, str]:
    return -piece.time_ms, piece.source


def _once(pieces: Iterable[Piece]) -> list[Piece]:
    """Leave out what says the same for the same skill; the first of them stays, so what was given does."""
    seen: dict[tuple[str, str], Piece] = {}
    for piece in pieces:
        seen.setdefault((piece.skill, normal(piece.text)), piece)
    return list(seen.values())
