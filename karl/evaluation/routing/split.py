"""Splitting a labelled set: exemplars, strangers to learn from, and what is reported; nothing is in two.

Where a set has a test part, that is what is reported; else its validation part; else what of the train part
is left over, of which nothing is an exemplar. Which prompts are exemplars is drawn by a seed.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np

from karl.evaluation.routing.labelled import Labelled, LabelledSet

#: Prompts of a label that are reported where they come from the train part.
_HELD_OUT_MAX = 40


class Split(NamedTuple):
    """`strangers` are out of scope and may be learned from; `tested` and `strange` are only reported."""

    exemplars: list[Labelled]
    strangers: list[Labelled]
    tested: list[Labelled]
    strange: list[Labelled]
    #: The part that `tested` comes from.
    part: str

    @property
    def texts(self) -> tuple[list[Labelled], ...]:
        """Exemplars, strangers to learn from, what is reported of both."""
        return self.exemplars, self.strangers, self.tested, self.strange


def split(given: LabelledSet, per_class: int, seed: int, described: AbstractSet[str] = frozenset()) -> Split:
    """Draw `per_class` exemplars of each label; labels with fewer give what they have.

    Labels that are `described` need none. Prompts of others that have no exemplar are not reported.
    """
    inside = {part: [row for row in rows if row.label] for part, rows in given.parts.items()}
    outside = {part: [row for row in rows if not row.label] for part, rows in given.parts.items()}
    reported = next((part for part in ("test", "val") if inside[part]), "train")
    by_label: dict[str, list[Labelled]] = {}
    for row in inside["train"]:
        by_label.setdefault(row.label, []).append(row)
    exemplars: list[Labelled] = []
    left: list[Labelled] = []
    random = np.random.default_rng(seed)
    for label in sorted(by_label):
        rows = by_label[label]
        order = random.permutation(len(rows))
        # Where the rest is reported, some of it must be there, whatever was asked for.
        most = per_class if reported != "train" else min(per_class, len(rows) - max(1, len(rows) // 5))
        most = max(most, 0 if label in described or not per_class else 1)
        exemplars += [rows[place] for place in order[:most]]
        left += [rows[place] for place in order[most:][:_HELD_OUT_MAX]]
    tested = left if reported == "train" else inside[reported]
    strange, strangers = _outside(outside, random)
    known = {row.label for row in exemplars} | described
    return Split(exemplars, strangers, [row for row in tested if row.label in known], strange, reported)


def _outside(
    outside: dict[str, list[Labelled]], random: np.random.Generator
) -> tuple[list[Labelled], list[Labelled]]:
    """Give the strangers that are reported, and those to learn from: never the same."""
    if outside["test"]:
        return outside["test"], outside["train"] + outside["val"]
    if outside["val"]:
        return outside["val"], outside["train"]
    rows = outside["train"]
    order = random.permutation(len(rows))
    half = len(rows) // 2
    return [rows[place] for place in order[half:]], [rows[place] for place in order[:half]]
