"""Basis: what is known from earlier turns of the same agent when one of its turns is scored.

A score says what of it was used (its components, its calibration), so the same turn can be scored again to
the same value, and anew when more is known.
"""

from __future__ import annotations

import msgspec

from karl.reward.calibration import Calibration
from karl.reward.usual import Usual


class Basis(msgspec.Struct, frozen=True):
    """An agent's usual turn, and the calibration that applies to it; null where there is none yet."""

    usual: Usual | None = None
    calibration: Calibration | None = None


NOTHING = Basis()
