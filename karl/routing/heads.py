"""Heads: from a prompt's vector and grams to the chance of each skill.

- `centroid`: the cosine with the mean of a skill's exemplars.
- `lexical`: the same over tf-idf weighted grams alone; needs no encoder.
- `hybrid`: 0.7 of the first and 0.3 of the second, for skills with few exemplars (a cold start).
- `logistic`: a softmax over vector and grams, once each skill has five exemplars.

Which head fits is a matter of the number of exemplars (`fitting`). What a head learns it learns from all
exemplars at once and without chance, so the same exemplars make the same head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from karl.routing import ngrams, softmax
from karl.routing.ngrams import Sparse

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

#: Exemplars of the median skill from which on a logistic head is better than centroids.
LOGISTIC_MIN = 5
#: The share of the cosine in a hybrid; the rest is lexical.
DENSE_SHARE = 0.7
#: How much the grams weigh beside a vector of length 1 in the logistic head.
GRAMS_WEIGHT = 0.5
#: Strength of the logistic head's penalty, and how sharply a similarity becomes a chance.
STRENGTH, SHARPNESS = 0.025, 20.0


class Prompts(NamedTuple):
    """Prompts as heads see them: unit vectors (n, dim) and grams, not yet weighted."""

    vectors: Floats
    grams: Sparse

    def some(self, places: Places) -> Prompts:
        """Give some of them."""
        return Prompts(self.vectors[places], ngrams.chosen(self.grams, places))


class Head(Protocol):
    """What says how likely each of the skills it was trained with is."""

    @property
    def name(self) -> str:
        """What it is called, such as `centroid`."""

    def log_chances(self, prompts: Prompts) -> Floats:
        """Give log p (n, skills); each row's chances sum to 1."""

    def arrays(self) -> dict[str, Floats]:
        """Give what it has learned, by name, to be kept."""


def prompts(texts: Sequence[str], vectors: Floats) -> Prompts:
    """Put texts and their vectors (n, dim) together."""
    return Prompts(np.asarray(vectors, dtype=np.float32), ngrams.sparse(texts))


class Centroid(NamedTuple):
    """`matrix` (dim, skills): unit columns, the direction of the mean of each skill's exemplars."""

    matrix: Floats

    @property
    def name(self) -> str:
        """What it is called."""
        return "centroid"

    def similarities(self, given: Prompts) -> Floats:
        """Give cosines (n, skills)."""
        return given.vectors @ self.matrix

    def log_chances(self, given: Prompts) -> Floats:
        """Give log p (n, skills)."""
        return softmax.log_softmax(np.float32(SHARPNESS) * self.similarities(given))

    def arrays(self) -> dict[str, Floats]:
        """Give what it has learned."""
        return {"centroids": self.matrix}


class Lexical(NamedTuple):
    """`rarity` (COLUMNS) weighs grams; `matrix` (COLUMNS, skills) holds unit columns."""

    rarity: Floats
    matrix: Floats

    @property
    def name(self) -> str:
        """What it is called."""
        return "lexical"

    def similarities(self, given: Prompts) -> Floats:
        """Give cosines (n, skills)."""
        return ngrams.times(ngrams.weighted(given.grams, self.rarity), self.matrix)

    def log_chances(self, given: Prompts) -> Floats:
        """Give log p (n, skills)."""
        return softmax.log_softmax(np.float32(SHARPNESS) * self.similarities(given))

    def arrays(self) -> dict[str, Floats]:
        """Give what it has learned."""
        return {"rarity": self.rarity, "grams": self.matrix}


class Hybrid(NamedTuple):
    """A mean of the two, weighted."""

    dense: Centroid
    lexical: Lexical

    @property
    def name(self) -> str:
        """What it is called."""
        return "hybrid"

    def log_chances(self, given: Prompts) -> Floats:
        """Give log p (n, skills)."""
        both = np.float32(DENSE_SHARE) * self.dense.similarities(given)
        both = both + np.float32(1 - DENSE_SHARE) * self.lexical.similarities(given)
        return softmax.log_softmax(np.float32(SHARPNESS) * both)

    def arrays(self) -> dict[str, Floats]:
        """Give what it has learned."""
        return {**self.dense.arrays(), **self.lexical.arrays()}


class Logistic(NamedTuple):
    """A softmax over vector and weighted grams."""

    rarity: Floats
    weights: softmax.Weights

    @property
    def name(self) -> str:
        """What it is called."""
        return "logistic"

    def log_chances(self, given: Prompts) -> Floats:
        """Give log p (n, skills)."""
        grams = ngrams.weighted(given.grams, self.rarity)
        logits = given.vectors @ self.weights.dense + ngrams.times(grams, self.weights.sparse)
        return softmax.log_softmax(logits + self.weights.bias)

    def arrays(self) -> dict[str, Floats]:
        """Give what it has learned; the weight of the grams is in their weights."""
        return {"rarity": self.rarity, **{f"weights_{k}": v for k, v in self.weights._asdict().items()}}


def fitting(labels: Places, count: int) -> str:
    """Say which head fits: by the exemplars that the median skill has."""
    return "logistic" if np.median(np.bincount(labels, minlength=count)) >= LOGISTIC_MIN else "hybrid"


def train(name: str, given: Prompts, labels: Places, count: int) -> Head:
    """Train a head of this name; `labels` (n) are places from 0 to count - 1. Raises KeyError for no head."""
    return _TRAINERS[name](given, labels, count)


def centroid(given: Prompts, labels: Places, count: int) -> Centroid:
    """Give the direction of the mean of each label's vectors; zeros where there is none."""
    sums = np.zeros((count, given.vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, labels, given.vectors)
    return Centroid(_unit_columns(sums.T))


def lexical(given: Prompts, labels: Places, count: int) -> Lexical:
    """Give the direction of the mean of each label's weighted grams."""
    rarity = ngrams.rarity(given.grams)
    rows = ngrams.weighted(given.grams, rarity)
    of = np.repeat(labels, np.diff(rows.starts))
    sums = np.zeros((ngrams.COLUMNS, count), dtype=np.float64)
    np.add.at(sums, (rows.columns, of), rows.values)
    return Lexical(rarity, _unit_columns(sums))


def _hybrid(given: Prompts, labels: Places, count: int) -> Hybrid:
    return Hybrid(centroid(given, labels, count), lexical(given, labels, count))


def _logistic(given: Prompts, labels: Places, count: int) -> Logistic:
    rarity = ngrams.rarity(given.grams)
    rows = ngrams.weighted(given.grams, rarity)
    rows = rows._replace(values=rows.values * np.float32(GRAMS_WEIGHT))
    weights = softmax.fit(given.vectors, rows, labels, count, STRENGTH)
    return Logistic(rarity, weights._replace(sparse=weights.sparse * np.float32(GRAMS_WEIGHT)))


_TRAINERS: dict[str, Callable[[Prompts, Places, int], Head]] = {
    "centroid": centroid,
    "lexical": lexical,
    "hybrid": _hybrid,
    "logistic": _logistic,
}
#: The heads that there are.
HEADS = tuple(_TRAINERS)


def restored(name: str, arrays: dict[str, Floats]) -> Head:
    """Give the head that `arrays` was taken from. Raises KeyError where one is missing."""
    if name == "logistic":
        weights = softmax.Weights(arrays["weights_dense"], arrays["weights_sparse"], arrays["weights_bias"])
        return Logistic(arrays["rarity"], weights)
    if name == "centroid":
        return Centroid(arrays["centroids"])
    words = Lexical(arrays["rarity"], arrays["grams"])
    return words if name == "lexical" else Hybrid(Centroid(arrays["centroids"]), words)


def _unit_columns(sums: NDArray[np.float64]) -> Floats:
    lengths = np.sqrt((sums**2).sum(axis=0))
    return np.asarray(sums / np.where(lengths > 0, lengths, 1), dtype=np.float32)
