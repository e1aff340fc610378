"""Rows for the tests of figures, as `karl.views.figures` gives them."""

from __future__ import annotations

from typing import Any

from karl.views.figures import Measured
from karl.views.schema import SIGNALS

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS


def row(number: int, reward: float, **facts: Any) -> Measured:
    """One turn; a session, and a day, of its own unless told."""
    signals = facts.pop("signals", {"process": reward})
    known = {
        "id": f"traj_{number:04}", "session": f"s{number}", "turn": 0, "agent": "claude-code", "project": "shop",
        "domain": "shop", "skill": None, "made_by": "m", "version": "2",
        "started_ms": START_MS + number * DAY_MS, "time_ms": START_MS + number * DAY_MS, "calls": 10,
        "failures": 0, "reward": reward, "confidence": None, "calibration": None, "task": None,
        "correction_score": None, "words": None, "signals": tuple(signals.get(name) for name in SIGNALS),
        "flags": {}, **facts,
    }  # fmt: skip
    return Measured(**known)
