"""A router: skills, a head that was trained with their exemplars, and when it takes none.

Training is a function of the exemplars, the encoder's vectors and a seed; routing is numpy alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from karl.errors import Refused
from karl.routing import heads, reject
from karl.routing.heads import Floats

#: What a text is: a prompt, one made to tell two skills apart or by a skill's author, or a skill's own words.
Kind = Literal["prompt", "contrast", "example", "description", "name"]


class Exemplar(NamedTuple):
    """A text that is known to ask for a skill, or that tells of one; `weight`: how many prompts it is worth.

    Descriptions and names are to be cut first: karl.routing.described.spelled.
    """

    skill: str
    text: str
    kind: Kind = "prompt"
    weight: float = 1.0


class Ranked(NamedTuple):
    """A skill and its chance, 0 to 1."""

    skill: str
    chance: float


class Choice(NamedTuple):
    """What a prompt asks for: the best skills first; `takes` says whether the first is to be taken."""

    ranked: tuple[Ranked, ...]
    fit: float
    takes: bool


@dataclass(frozen=True, slots=True)
class Router:
    """Trained; see `train`. `encoder` and `encoder_version` name what its vectors must come from."""

    encoder: str
    encoder_version: str
    skills: tuple[str, ...]
    head: heads.Head
    centroid: heads.Centroid
    rejection: reject.Rejection
    #: sha256 of each exemplar, sorted: what it was trained with.
    exemplars: tuple[str, ...]

    def route(self, texts: Sequence[str], vectors: Floats, *, top: int = 3) -> list[Choice]:
        """Rank skills for prompts, whose unit vectors (n, dim) the router's own encoder made."""
        given = heads.prompts(texts, vectors)
        logs = self.head.log_chances(given)
        fits = reject.fits(logs, self.centroid.similarities(given), self.rejection.weight)
        top = min(top, len(self.skills))
        first = np.argpartition(-logs, top - 1, axis=1)[:, :top]
        taken = self.rejection.takes(logs, fits)
        choices = []
        for row, places, fit, takes in zip(logs, first, fits, taken, strict=True):
            best = sorted(places, key=lambda place: (-row[place], place))
            ranked = tuple(Ranked(self.skills[place], float(np.exp(row[place]))) for place in best)
            choices.append(Choice(ranked, float(fit), bool(takes)))
        return choices


def train(
    exemplars: Sequence[Exemplar],
    vectors: Floats,
    *,
    encoder: str,
    encoder_version: str,
    head: str = "",
    seed: int = 0,
    strangers: tuple[Sequence[str], Floats] | None = None,
) -> Router:
    """Train a router; the head that fits the exemplars, when none is named.

    `vectors` (n, dim) are those of the exemplars; `strangers` are texts, with theirs, that no skill is for.
    An exemplar that is there twice counts once, by its largest weight, and their order does not matter.
    Raises Refused for less than two skills.
    """
    by_hash: dict[str, int] = {}
    for place, one in enumerate(exemplars):
        known = by_hash.setdefault(hash_of(one), place)
        if one.weight > exemplars[known].weight:
            by_hash[hash_of(one)] = place
    ordered = sorted(by_hash)
    skills = tuple(sorted({one.skill for one in exemplars}))
    if len(skills) < 2:
        raise Refused("routing needs exemplars of two skills at least; add some of another skill")
    places = [by_hash[one] for one in ordered]
    learned = lessons([exemplars[place] for place in places], vectors[places], skills)
    name = head or heads.fitting(learned)
    unknown = heads.prompts(*strangers) if strangers and len(strangers[0]) else None
    return Router(
        encoder,
        encoder_version,
        skills,
        heads.train(name, learned),
        heads.centroid(learned),
        reject.calibrate(name, learned, seed=seed, strangers=unknown),
        tuple(ordered),
    )


def lessons(exemplars: Sequence[Exemplar], vectors: Floats, skills: Sequence[str]) -> heads.Lessons:
    """Give exemplars as heads learn from them; `vectors` (n, dim) are theirs."""
    numbers = {skill: number for number, skill in enumerate(skills)}
    return heads.Lessons(
        heads.prompts([one.text for one in exemplars], vectors),
        np.array([numbers[one.skill] for one in exemplars], dtype=np.intp),
        len(skills),
        np.array([one.weight for one in exemplars], dtype=np.float32),
        np.array([one.kind not in ("description", "name") for one in exemplars], dtype=np.bool_),
    )


def hash_of(exemplar: Exemplar) -> str:
    """Give the sha256 of an exemplar, in hex; what it weighs does not count."""
    skill, text = (part.encode("utf-8", "surrogatepass") for part in (exemplar.skill, exemplar.text))
    kind = b"" if exemplar.kind == "prompt" else b"\n%b" % exemplar.kind.encode()
    return hashlib.sha256(b"%d\n%b%b%b" % (len(skill), skill, text, kind)).hexdigest()
