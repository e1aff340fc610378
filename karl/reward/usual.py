"""Usual: how long an agent's turns are, and how often they change files, as its own other turns say.

Invariants:
- Counts by class alone: they can be added up in any order, on any machine, and take the same room however
  many turns there are.
- Nothing of how a turn came out goes in, only what was done.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from karl.reward.deeds import Deeds, deeds
from karl.schema.trajectory import Trajectory

#: Fewer turns than this say nothing of what is usual.
TURNS_MIN = 10
#: Classes of length to a doubling: a class spans an eighth of it.
_CLASSES = 6
#: Turns of another kind are counted in classes of their own, this far apart. No length reaches so high.
_APART = 100
#: The kinds, in that order: a source file was changed; only tried, or other files; nothing was changed.
DELIVERED, TRIED, LOOKED = range(3)


class Seen(NamedTuple):
    """What one turn adds: its class of length and kind in one number, and whether it delivered."""

    length: int
    delivered: bool


class Usual(msgspec.Struct, frozen=True):
    """`lengths` counts turns by class of length and kind; `delivered` those that changed a source file."""

    lengths: dict[int, int] = {}
    delivered: int = 0

    @property
    def n(self) -> int:
        """The number of turns that were counted."""
        return sum(self.lengths.values())

    def with_turn(self, one: Seen) -> Usual:
        """Give the counts with one more turn in them."""
        return self._moved(one, 1)

    def without_turn(self, one: Seen) -> Usual:
        """Give the counts without a turn that had been counted."""
        return self._moved(one, -1)

    def share_tried(self) -> float | None:
        """Give the share of turns that changed a file or tried to; null of fewer than TURNS_MIN turns."""
        n = self.n
        if n < TURNS_MIN:
            return None
        return sum(turns for one, turns in self.lengths.items() if one < LOOKED * _APART) / n

    def longer(self, length: int, kind: int) -> float | None:
        """Give the share of a kind's turns that were longer; those of its class count half. Null of few."""
        own = kind * _APART + class_of(length)
        alike = [(one, turns) for one, turns in self.lengths.items() if one // _APART == kind]
        n = sum(turns for _, turns in alike)
        if n < TURNS_MIN:
            return None
        return sum(turns * (1.0 if one > own else 0.5) for one, turns in alike if one >= own) / n

    def _moved(self, one: Seen, by: int) -> Usual:
        lengths = self.lengths | {one.length: self.lengths.get(one.length, 0) + by}
        kept = {key: turns for key, turns in lengths.items() if turns}
        return Usual(kept, self.delivered + by * one.delivered)


def seen(trajectory: Trajectory) -> Seen | None:
    """Say what a turn adds to what is usual for its agent; null of a turn without calls."""
    return seen_of(deeds(trajectory))


def seen_of(done: Deeds) -> Seen | None:
    """Say the same of a turn whose deeds were made out before."""
    if not done.calls:
        return None
    kind = kind_of(done)
    return Seen(kind * _APART + class_of(done.length), kind == DELIVERED)


def kind_of(done: Deeds) -> int:
    """Say whether a turn delivered, tried, or looked only."""
    if done.source_edits:
        return DELIVERED
    return TRIED if done.tried else LOOKED


def class_of(length: int) -> int:
    """Give the class of a length: each spans an eighth of it or so."""
    return min(_APART - 1, int(_CLASSES * math.log2(max(1, length))))
