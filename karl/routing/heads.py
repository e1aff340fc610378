"""Heads: from a prompt's vector and grams to the chance of each skill.

- `centroid`: the cosine with the mean of a skill's exemplars.
- `lexical`: the same over tf-idf weighted grams alone; needs no encoder.
- `hybrid`: both, for skills that are known by their descriptions alone (a cold start).
- `logistic`: a softmax over vector and grams, where all skills have prompts.
- `mixed`: where some have prompts and others do not: `hybrid` over all, and `logistic` says which of those
  that have some comes first, second and so on.

Which head fits is a matter of which skills have prompts (`fitting`). What a head learns it learns from all
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
Flags = NDArray[np.bool_]

#: Exemplars of a skill from which on more of them change little between centroids and a logistic head.
LOGISTIC_MIN = 5
#: A skill has enough prompts for the logistic head with this share of what those with prompts have, each.
RICH_SHARE = 1 / 3
#: The share of the cosine in a hybrid; the rest is lexical. Those of form 1 had another.
DENSE_SHARE, DENSE_SHARE_BEFORE = 0.8, 0.7
#: How much the grams weigh beside a vector of length 1 in the logistic head.
GRAMS_WEIGHT = 0.5
#: Strength of the logistic head's penalty, and how sharply a similarity becomes a chance.
STRENGTH, SHARPNESS = 0.025, 20.0
#: With few exemplars the penalty is this divided by their number, and this much of a cosine is added.
STRENGTH_FEW, PULL_FEW = 0.25, 10.0
#: The share of a skill's habit that is taken off, and prompts by which half of what was seen is believed.
_HABIT_SHARE, _HABIT_HALF = 0.5, 10.0


class Prompts(NamedTuple):
    """Prompts as heads see them: unit vectors (n, dim) and grams, not yet weighted."""

    vectors: Floats
    grams: Sparse

    def some(self, places: Places) -> Prompts:
        """Give some of them."""
        return Prompts(self.vectors[places], ngrams.chosen(self.grams, places))


class Lessons(NamedTuple):
    """What a head learns from, (n) each: texts, whose skill each tells of, how much it counts.

    `labels` are places from 0 to skills - 1; `asked` says which are prompts, not parts of descriptions.
    """

    given: Prompts
    labels: Places
    skills: int
    weights: Floats
    asked: Flags

    def some(self, places: Places) -> Lessons:
        """Give some of them."""
        return Lessons(
            self.given.some(places),
            self.labels[places],
            self.skills,
            self.weights[places],
            self.asked[places],
        )

    @property
    def prompts_each(self) -> Places:
        """Give the number of prompts of each skill (skills)."""
        return np.bincount(self.labels[self.asked], minlength=self.skills)


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


def lessons(given: Prompts, labels: Places, skills: int) -> Lessons:
    """Take prompts, each of which counts once, as lessons."""
    size = len(labels)
    return Lessons(given, labels, skills, np.ones(size, np.float32), np.ones(size, np.bool_))


class Centroid(NamedTuple):
    """`matrix` (dim, skills): unit columns, the direction of the mean of each skill's exemplars."""

    matrix: Floats

    @property
    def name(self) -> str:
        """What it is called."""
        return "centroid"

    def similarities(self, given: Prompts) -> Floats:
        """Give cosines (n, skills)."""
        return ngrams.product(given.vectors, self.matrix)

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
    """A mean of the two, weighted; `share` is that of the cosine.

    `habit` (skills) is half of how near prompts of other skills are to each skill: one whose exemplars are
    prompts is nearer to every prompt than one that has a description alone.
    """

    dense: Centroid
    lexical: Lexical
    share: float
    habit: Floats

    @property
    def name(self) -> str:
        """What it is called."""
        return "hybrid"

    def log_chances(self, given: Prompts) -> Floats:
        """Give log p (n, skills)."""
        both = np.float32(self.share) * (self.dense.similarities(given) - self.habit)
        both = both + np.float32(1 - self.share) * self.lexical.similarities(given)
        return softmax.log_softmax(np.float32(SHARPNESS) * both)

    def arrays(self) -> dict[str, Floats]:
        """Give what it has learned."""
        own = {"share": np.array([self.share], np.float32), "habit": self.habit}
        return {**self.dense.arrays(), **self.lexical.arrays(), **own}


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
        logits = ngrams.product(given.vectors, self.weights.dense)
        logits += ngrams.times(grams, self.weights.sparse)
        return softmax.log_softmax(logits + self.weights.bias)

    def arrays(self) -> dict[str, Floats]:
        """Give what it has learned; the weight of the grams is in their weights."""
        return {"rarity": self.rarity, **{f"weights_{k}": v for k, v in self.weights._asdict().items()}}


class Mixed(NamedTuple):
    """`hybrid` over all skills, `logistic` over those at the places `rich` (m)."""

    hybrid: Hybrid
    logistic: Logistic
    rich: Places

    @property
    def name(self) -> str:
        """What it is called."""
        return "mixed"

    def log_chances(self, given: Prompts) -> Floats:
        """Give log p (n, skills): the best of the rich keeps its place, others follow as logistic says."""
        logs = self.hybrid.log_chances(given)
        best = logs[:, self.rich].max(axis=1, keepdims=True)
        theirs = self.logistic.log_chances(given)
        logs[:, self.rich] = best + theirs - theirs.max(axis=1, keepdims=True)
        return softmax.log_softmax(logs)

    def arrays(self) -> dict[str, Floats]:
        """Give what both have learned; the grams' rarity is the same for both."""
        rich = {"rich": self.rich.astype(np.float32)}
        return {**self.hybrid.arrays(), **self.logistic.arrays(), **rich}


def fitting(learned: Lessons) -> str:
    """Say which head fits: by the skills that have prompts enough."""
    rich = len(_rich(learned))
    return "logistic" if rich == learned.skills else "mixed" if rich > 1 else "hybrid"


def train(name: str, learned: Lessons) -> Head:
    """Train a head of this name. Raises KeyError for no head.

    What `mixed` is made of may be missing: without two skills with prompts it is a hybrid.
    """
    return _TRAINERS[name](learned)


def centroid(learned: Lessons) -> Centroid:
    """Give the direction of the mean of each label's vectors; zeros where there is none."""
    return Centroid(_unit_columns(_sums(learned).T))


def lexical(learned: Lessons) -> Lexical:
    """Give the direction of the mean of each label's weighted grams."""
    rarity = ngrams.rarity(learned.given.grams)
    rows = ngrams.weighted(learned.given.grams, rarity)
    lengths = np.diff(rows.starts)
    of, often = np.repeat(learned.labels, lengths), np.repeat(learned.weights, lengths)
    shape = ngrams.COLUMNS, learned.skills
    places = rows.columns * learned.skills + of
    sums = np.bincount(places, rows.values * often, minlength=shape[0] * shape[1])
    return Lexical(rarity, _unit_columns(sums.astype(np.float64).reshape(shape)))


def _hybrid(learned: Lessons) -> Hybrid:
    dense = centroid(learned)
    return Hybrid(dense, lexical(learned), DENSE_SHARE, _habit(learned, dense))


def _habit(learned: Lessons, dense: Centroid) -> Floats:
    """Give the mean cosine of each skill with prompts of other skills, less what all have, halved."""
    each = learned.prompts_each
    others = each.sum() - each
    if not each.any():
        return np.zeros(learned.skills, dtype=np.float32)
    asked = learned.some(np.flatnonzero(learned.asked))
    sums = _sums(asked._replace(weights=np.ones(len(asked.labels), np.float32)))
    matrix = dense.matrix.astype(np.float64)
    near = sums.sum(axis=0) @ matrix - (sums * matrix.T).sum(axis=1)
    mean = near / np.maximum(others, 1)
    believed = _HABIT_SHARE * others / (others + _HABIT_HALF)
    return np.asarray(believed * (mean - mean[others > 0].mean()), dtype=np.float32)


def _logistic(learned: Lessons) -> Logistic:
    rarity = ngrams.rarity(learned.given.grams)
    return _fitted(learned, rarity)


def _fitted(learned: Lessons, rarity: Floats) -> Logistic:
    """Fit the softmax; the fewer exemplars there are, the more of the centroids' cosines is added to it."""
    rows = ngrams.weighted(learned.given.grams, rarity)
    rows = rows._replace(values=rows.values * np.float32(GRAMS_WEIGHT))
    each = max(float(learned.weights.sum()) / learned.skills, 1e-6)
    strength = max(STRENGTH, STRENGTH_FEW / each)
    vectors = learned.given.vectors
    found = softmax.fit(
        vectors, rows, learned.labels, learned.skills, strength=strength, counts=learned.weights
    )
    pull = np.float32(PULL_FEW / each) * centroid(learned).matrix
    return Logistic(
        rarity, found._replace(dense=found.dense + pull, sparse=found.sparse * np.float32(GRAMS_WEIGHT))
    )


def _mixed(learned: Lessons) -> Head:
    base = _hybrid(learned)
    rich = _rich(learned)
    if len(rich) < 2:
        return base
    number = np.full(learned.skills, -1, dtype=np.intp)
    number[rich] = np.arange(len(rich))
    theirs = learned.some(np.flatnonzero(number[learned.labels] >= 0))
    theirs = theirs._replace(labels=number[theirs.labels], skills=len(rich))
    return Mixed(base, _fitted(theirs, base.lexical.rarity), rich)


def _rich(learned: Lessons) -> Places:
    """Give the skills that have prompts: of those with a description too, not far less than others have."""
    each = learned.prompts_each
    if not each.any():
        return np.zeros(0, dtype=np.intp)
    described = np.bincount(learned.labels[~learned.asked], minlength=learned.skills) > 0
    enough = max(1.0, RICH_SHARE * each[each > 0].mean())
    return np.flatnonzero((each >= enough) | ((each > 0) & ~described))


_TRAINERS: dict[str, Callable[[Lessons], Head]] = {
    "centroid": centroid,
    "lexical": lexical,
    "hybrid": _hybrid,
    "logistic": _logistic,
    "mixed": _mixed,
}
#: The heads that there are.
HEADS = tuple(_TRAINERS)


def restored(name: str, arrays: dict[str, Floats]) -> Head:
    """Give the head that `arrays` was taken from. Raises KeyError where one is missing."""
    if name == "centroid":
        return Centroid(arrays["centroids"])
    if name == "lexical":
        return Lexical(arrays["rarity"], arrays["grams"])
    if name == "logistic":
        return _logistic_of(arrays)
    dense = Centroid(arrays["centroids"])
    share = round(float(arrays["share"][0]), 6) if "share" in arrays else DENSE_SHARE_BEFORE
    habit = arrays.get("habit", np.zeros(dense.matrix.shape[1], np.float32))
    hybrid = Hybrid(dense, Lexical(arrays["rarity"], arrays["grams"]), share, habit)
    if name == "hybrid":
        return hybrid
    return Mixed(hybrid, _logistic_of(arrays), arrays["rich"].astype(np.intp))


def _logistic_of(arrays: dict[str, Floats]) -> Logistic:
    weights = softmax.Weights(arrays["weights_dense"], arrays["weights_sparse"], arrays["weights_bias"])
    return Logistic(arrays["rarity"], weights)


def _sums(learned: Lessons) -> NDArray[np.float64]:
    """Give the sum of each label's vectors (skills, dim)."""
    sums = np.zeros((learned.skills, learned.given.vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, learned.labels, learned.given.vectors * learned.weights[:, None])
    return sums


def _unit_columns(sums: NDArray[np.float64]) -> Floats:
    lengths = np.sqrt((sums**2).sum(axis=0))
    return np.asarray(sums / np.where(lengths > 0, lengths, 1), dtype=np.float32)
