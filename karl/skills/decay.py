"""What to do about a skill, from how it did: advice, which nothing follows by itself.

disable    it makes turns worse: a confidence below 0.3 after more than 10 activations
archive    nobody has used it for 60 days, and no turn with it did well
warn       it did not do well, below 0.5, and nobody has used it for 30 days
candidate  it does well, above 0.7 after more than 20 activations: for the vector router
"""

from __future__ import annotations

from typing import Literal

Advice = Literal["disable", "archive", "warn", "candidate"]

_DAY_MS = 86_400_000


def advice(*, activations: int, useful: int, confidence: float, last_ms: int, now_ms: int) -> Advice | None:
    """Say what is to be done about a skill; the gravest where several rules hold, nothing where none does."""
    idle_days = (now_ms - last_ms) / _DAY_MS
    if confidence < 0.3 and activations > 10:
        return "disable"
    if idle_days >= 60 and not useful:
        return "archive"
    if confidence < 0.5 and idle_days >= 30:
        return "warn"
    if confidence > 0.7 and activations > 20:
        return "candidate"
    return None
