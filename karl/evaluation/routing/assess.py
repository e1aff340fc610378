"""Routing assessed: every set, number of exemplars, encoder and head, against centroids and bare words.

Hyper-parameters are the heads' own; what is learned from data (weights, threshold) is learned from exemplars
and from strangers that are not reported. Vectors come from outside: nothing here knows an encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from karl.evaluation.ranking import Draws, Estimate
from karl.evaluation.routing.baselines import Rules
from karl.evaluation.routing.catalogue import named, plain_words
from karl.evaluation.routing.labelled import Labelled, LabelledSet
from karl.evaluation.routing.measures import Measured, measure, ranks, share
from karl.evaluation.routing.split import Split, split
from karl.routing import heads, reject, softmax
from karl.routing.described import spelled
from karl.routing.router import Exemplar, Router, lessons, train

Vectors = NDArray[np.float32]
#: Texts to unit vectors (n, dim).
Encode = Callable[[Sequence[str]], Vectors]
#: Told what is done, of how much, and where.
Progress = Callable[[int, int, object], None]

#: What is not an encoder's: the baselines that see words alone.
NO_ENCODER = "-"
#: Beside the head that is chosen where none is named.
HEADS = ("centroid", "hybrid")


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """Shares: of prompts that are let through, of these that are right, of strangers that are let through."""

    kept: float
    right: float | None
    strangers_kept: float | None
    #: The first of these as it was expected when the threshold was learned.
    expected: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One head on one set."""

    encoder: str
    head: str
    per_class: int
    exemplars: int
    #: Prompts that are reported; with more exemplars from the same part, fewer are left.
    tested: int
    measured: Measured
    #: Whether it is the one that is trained where none is named.
    chosen: bool = False
    #: How much more of the prompts it gets right than centroids of the same encoder, and than tf-idf.
    over_centroid: Estimate | None = None
    over_lexical: Estimate | None = None
    #: What the thresholds that were learned do to the prompts that are reported; null for rules.
    threshold: Threshold | None = None


class SetReport(msgspec.Struct, frozen=True, kw_only=True):
    """One set: what of it was reported, and what each head made of it."""

    set: str
    part: str
    labels: int
    tested: int
    strange: int
    #: Skills whose descriptions were given, and prompts of labels that are none and were not reported.
    described: int
    unknown: int
    rows: list[Row]


class _Asked(NamedTuple):
    split: Split
    words: Sequence[Exemplar]
    per_class: int
    skills: tuple[str, ...]
    labels: NDArray[np.intp]
    draws: Draws


class _Seen(NamedTuple):
    logs: Vectors
    fits: Vectors
    strange: Vectors
    takes: NDArray[np.bool_] | None = None
    takes_strange: NDArray[np.bool_] | None = None
    expected: float = 1.0


def assess(
    sets: Sequence[LabelledSet],
    encoders: Mapping[str, Encode],
    *,
    per_class: Sequence[int],
    draws: int,
    seed: int,
    skills: Mapping[str, Sequence[Exemplar]] | None = None,
    progress: Progress | None = None,
) -> list[SetReport]:
    """Assess every head on every set; sets that have no two labels with prompts to report are left out.

    `skills` are known by their own words (`catalogue.own_words`); prompts go to these and to all labels that
    have exemplars.
    """
    steps = len(sets) * len(per_class) * (2 + len(encoders) * (len(HEADS) + 1))
    how = _How(encoders, per_class, draws, seed, skills or {}, _Told(progress, steps))
    found = (_set(one, how) for one in sets)
    return [report for report in found if report is not None]


class _Told:
    """Counts what is done."""

    def __init__(self, progress: Progress | None, steps: int) -> None:
        self._progress, self._steps, self._done = progress, steps, 0

    def say(self, where: object) -> None:
        if self._progress:
            self._progress(self._done, self._steps, where)
        self._done += 1


class _How(NamedTuple):
    encoders: Mapping[str, Encode]
    per_class: Sequence[int]
    draws: int
    seed: int
    skills: Mapping[str, Sequence[Exemplar]]
    told: _Told


def _set(given: LabelledSet, how: _How) -> SetReport | None:
    rows: list[Row] = []
    one: _Asked | None = None
    given = named(given, frozenset(how.skills))
    words = [row for name in sorted(how.skills) for row in how.skills[name]]
    for count in how.per_class:
        drawn = split(given, count, how.seed, how.skills.keys())
        skills = tuple(sorted({row.label for row in drawn.exemplars} | set(how.skills)))
        if len(skills) < 2 or not drawn.tested:
            continue
        places = {skill: place for place, skill in enumerate(skills)}
        labels = np.array([places[row.label] for row in drawn.tested], dtype=np.intp)
        names = [str(place) for place in range(len(labels))]
        one = _Asked(drawn, words, count, skills, labels, Draws(names, draws=how.draws, seed=how.seed))
        rows += _rows(one, how, f"{given.name}, {count} a class")
    if one is None:
        return None
    return SetReport(
        set=given.name,
        part=one.split.part,
        labels=len(one.skills),
        tested=len(one.labels),
        strange=len(one.split.strange),
        described=len(how.skills),
        unknown=sum(row.label not in {*one.skills, ""} for row in given.parts[one.split.part]),
        rows=rows,
    )


def _rows(one: _Asked, how: _How, where: str) -> Iterator[Row]:
    how.told.say(f"{where}: words")
    words = _words(one, how.seed)
    yield _row(NO_ENCODER, "regex", one, _rules(one))
    how.told.say(f"{where}: words")
    yield _row(NO_ENCODER, "lexical", one, words)
    chosen = _chosen(one)
    for encoder, encode in how.encoders.items():
        centroid: _Seen | None = None
        for head in dict.fromkeys((*HEADS, chosen)):
            how.told.say(f"{where}: {encoder}, {head}")
            seen = _seen(one, encoder, head, encode, how.seed)
            row = _row(encoder, head, one, seen)
            yield msgspec.structs.replace(
                row,
                chosen=head == chosen,
                over_centroid=_over(one, seen, centroid),
                over_lexical=_over(one, seen, words),
            )
            centroid = centroid or seen


def _taught(one: _Asked, *, plain: bool) -> list[Exemplar]:
    """Give what a head is trained with; `plain`: descriptions are one more exemplar, as they are."""
    prompts = [Exemplar(row.label, row.text) for row in one.split.exemplars]
    return prompts + (plain_words(one.words) if plain else spelled(one.words))


def _chosen(one: _Asked) -> str:
    """Name the head that fits."""
    rows = _taught(one, plain=False)
    nothing = np.zeros((len(rows), 1), np.float32)
    return heads.fitting(lessons(rows, nothing, one.skills))


def _seen(one: _Asked, encoder: str, head: str, encode: Encode, seed: int) -> _Seen:
    """Train with exemplars; look at what is reported."""
    rows = _taught(one, plain=head in ("centroid", "lexical"))
    _, strangers, tested, strange = (_texts(part) for part in one.split.texts)
    router = train(
        rows,
        encode([row.text for row in rows]),
        encoder=encoder,
        encoder_version="",
        head=head,
        seed=seed,
        strangers=(strangers, encode(strangers)),
    )
    logs, fits = _looked_at(router, tested, encode(tested))
    others, outside = _looked_at(router, strange, encode(strange))
    learned = router.rejection
    if not learned.exemplars:
        return _Seen(logs, fits, outside)
    return _Seen(logs, fits, outside, learned.takes(logs, fits), learned.takes(others, outside), learned.kept)


def _looked_at(router: Router, texts: Sequence[str], vectors: Vectors) -> tuple[Vectors, Vectors]:
    if not texts:
        return np.zeros((0, len(router.skills)), np.float32), np.zeros(0, np.float32)
    given = heads.prompts(texts, vectors)
    logs = router.head.log_chances(given)
    return logs, reject.fits(logs, router.centroid.similarities(given), router.rejection.weight)


def _words(one: _Asked, seed: int) -> _Seen:
    """Look with tf-idf over grams alone; vectors of one zero stand where an encoder's would."""
    return _seen(one, NO_ENCODER, "lexical", lambda texts: np.zeros((len(texts), 1), np.float32), seed)


def _rules(one: _Asked) -> _Seen:
    rules = Rules(one.skills)
    scores, outside = rules.scores(_texts(one.split.tested)), rules.scores(_texts(one.split.strange))
    logs = softmax.log_softmax(scores)
    strange = outside.max(axis=1) if len(outside) else np.zeros(0, np.float32)
    return _Seen(logs, scores.max(axis=1), strange)


def _row(encoder: str, head: str, one: _Asked, seen: _Seen) -> Row:
    return Row(
        encoder=encoder,
        head=head,
        per_class=one.per_class,
        exemplars=len(one.split.exemplars),
        tested=len(one.labels),
        measured=measure(seen.logs, one.labels, seen.fits, seen.strange, one.draws),
        threshold=_threshold(one, seen),
    )


def _over(one: _Asked, seen: _Seen, other: _Seen | None) -> Estimate | None:
    if other is None:
        return None
    mine, theirs = (ranks(which.logs, one.labels) == 1 for which in (seen, other))
    return share(mine.astype(np.float64) - theirs, one.draws)


def _threshold(one: _Asked, seen: _Seen) -> Threshold | None:
    if seen.takes is None or seen.takes_strange is None:
        return None
    right = ranks(seen.logs, one.labels) == 1
    return Threshold(
        kept=float(seen.takes.mean()),
        right=float(right[seen.takes].mean()) if seen.takes.any() else None,
        strangers_kept=float(seen.takes_strange.mean()) if len(seen.strange) else None,
        expected=seen.expected,
    )


def _texts(rows: Sequence[Labelled]) -> list[str]:
    return [row.text for row in rows]
