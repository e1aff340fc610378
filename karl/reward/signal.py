"""Signal: one of the six things that a reward is made of."""

from __future__ import annotations

from typing import NamedTuple

#: Their names, in the order in which they are shown.
SIGNALS = ("outcome", "process", "efficiency", "verification", "consistency", "motion")


class Signal(NamedTuple):
    """A value in [0, 1], what it was made of, and how much of it could be observed, from 0 to 1.

    Nothing observed is no value: such a signal weighs nothing, and stands in no score.
    """

    value: float
    components: dict[str, float]
    observed: float = 1.0
