"""When a payload says that it was."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

TIME_FIELDS = ("timestamp", "logged_at", "ts")
#: Characters of a time that is remembered; what is longer is none.
_TIME_MAX = 64


def time_of(payload: dict[str, Any]) -> int | None:
    """Read a payload's own time: ISO-8601, or a number of seconds or milliseconds since 1970."""
    for name in TIME_FIELDS:
        if name in payload:
            return moment_of(payload[name])
    return None


def moment_of(value: object) -> int | None:
    """Read a time as payloads tell it, as `time_of` does."""
    if isinstance(value, str):
        return _iso(value) if len(value) <= _TIME_MAX else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e14:
        return None
    return int(value if value >= 1e11 else value * 1000)


@lru_cache(maxsize=256)  # what is told of one second stands together
def _iso(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Without a zone it is local time somewhere: no fact, so no time.
    return max(0, int(moment.timestamp() * 1000)) if moment.tzinfo else None
