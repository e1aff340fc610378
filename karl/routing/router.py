"""A router: skills, a head that was trained with their exemplars, and when it takes none.

Training is a function of the exemplars, the encoder's vectors and a seed; routing is numpy alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from karl.errors import Refused
from karl.routing import heads, reject
from karl.routing.heads import Floats


class Exemplar(NamedTuple):
    """A text that is known to ask for a skill."""

    skill: str
    text: str


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
    """Train a router; the head that fits the number of exemplars, when none is named.

    `vectors` (n, dim) are those of the exemplars; `strangers` are texts, with theirs, that no skill is for.
    An exemplar that is there twice counts once, and their order does not matter. Raises Refused for less
    than two skills.
    """
    by_hash = {hash_of(one): place for place, one in enumerate(exemplars)}
    ordered = sorted(by_hash)
    places = np.array([by_hash[one] for one in ordered], dtype=np.intp)
    skills = tuple(sorted({one.skill for one in exemplars}))
    if len(skills) < 2:
        raise Refused("routing needs exemplars of two skills at least; add some of another skill")
    numbers = {skill: number for number, skill in enumerate(skills)}
    kept = [exemplars[place] for place in places]
    labels = np.array([numbers[one.skill] for one in kept], dtype=np.intp)
    given = heads.prompts([one.text for one in kept], vectors[places])
    name = head or heads.fitting(labels, len(skills))
    unknown = heads.prompts(*strangers) if strangers and len(strangers[0]) else None
    return Router(
        encoder,
        encoder_version,
        skills,
        heads.train(name, given, labels, len(skills)),
        heads.centroid(given, labels, len(skills)),
        reject.calibrate(name, given, labels, len(skills), seed=seed, strangers=unknown),
        tuple(ordered),
    )


def hash_of(exemplar: Exemplar) -> str:
    """Give the sha256 of an exemplar, in hex."""
    skill, text = (part.encode("utf-8", "surrogatepass") for part in exemplar)
    return hashlib.sha256(b"%d\n%b%b" % (len(skill), skill, text)).hexdigest()
