"""Usual: how long an agent's turns are, and how often they change files, as its own earlier turns say.

Invariants:
- Counts by class of length alone: they can be added up in any order, on any machine, and take the same room
  however many turns there are.
"""

from __future__ import annotations

import msgspec

#: Fewer turns than this say nothing of what is usual.
TURNS_MIN = 10


class Usual(msgspec.Struct, frozen=True):
    """`lengths` counts turns by class of length; `delivered` those that changed a source file."""

    lengths: dict[int, int] = {}
    delivered: int = 0
