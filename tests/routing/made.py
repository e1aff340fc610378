"""Exemplars made here: skills with words of their own, and words that all share; and vectors of no encoder."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

import numpy as np

from karl.encoders.encoder import Vectors, unit
from karl.routing.router import Exemplar

DIM = 32
_SHARED = ("please", "could", "you", "now", "the", "a", "for", "me", "again", "today", "with", "this")


def exemplars(skills: int, each: int, seed: int = 0) -> list[Exemplar]:
    """Prompts of 3 words of their skill's six, and 4 of those that all have."""
    chance = random.Random(seed)
    return [Exemplar(f"skill_{skill}", text(skill, chance)) for skill in range(skills) for _ in range(each)]


def text(skill: int, chance: random.Random) -> str:
    own = [
        f"{'abcdefghij'[skill % 10]}{word}{skill}x"
        for word in ("red", "bore", "cat", "deploy", "east", "fog")
    ]
    words = chance.sample(own, 3) + chance.choices(_SHARED, k=4)
    chance.shuffle(words)
    return " ".join(words)


def vectors(texts: Sequence[str]) -> Vectors:
    """A word's direction is drawn by its checksum; a text's is the sum of its words'."""
    rows = np.zeros((len(texts), DIM), dtype=np.float32)
    for place, one in enumerate(texts):
        for word in one.split():
            rows[place] += (
                np.random.default_rng(zlib.crc32(word.encode())).normal(size=DIM).astype(np.float32)
            )
    return unit(rows)


def texts(of: Sequence[Exemplar]) -> list[str]:
    return [one.text for one in of]
