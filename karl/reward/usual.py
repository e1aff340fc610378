"""Usual: how long an agent's turns are, and how often they change files, as its own earlier turns say.

Invariants:
- Counts by class of length alone: they can be added up in any order, on any machine, and take the same room
  however many turns there are.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from karl.schema.trajectory import Trajectory

#: Fewer turns than this say nothing of what is usual.
TURNS_MIN = 10


class Usual(msgspec.Struct, frozen=True):
    """`lengths` counts turns by class of length; `delivered` those that changed a source file."""

    lengths: dict[int, int] = {}
    delivered: int = 0


class Seen(NamedTuple):
    """What one turn says of what is usual: its class of length, and whether it changed a source file."""

    length: int
    delivered: bool


def seen(trajectory: Trajectory) -> Seen | None:
    """Say what a turn says of what is usual; null for one without calls."""
    calls = trajectory.trajectory
    if not calls.events:
        return None
    return Seen(len(calls.events).bit_length(), any(a.does == "edit" for c in calls.events for a in c.acts))
