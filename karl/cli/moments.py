"""Times as people write and read them: `7d` in, `3 h` out."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import click

_SPAN = re.compile(r"(\d{1,6})\s*(s|m|h|d|w)")
#: A day, in ms.
DAY_MS = 86_400_000

_UNITS_S = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


def when(value: str) -> int:
    """Read a moment in the past as Unix time in ms: a span before now (`90m`, `7d`), or an ISO-8601 date.

    A date without a zone is local time. Raises BadParameter.
    """
    if span := _SPAN.fullmatch(value.strip()):
        return int((time.time() - int(span[1]) * _UNITS_S[span[2]]) * 1000)
    try:
        return round(datetime.fromisoformat(value).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is neither a span such as 90m, 12h, 7d nor a date such as 2026-01-31"
        ) from None


def now_ms() -> int:
    """Give this moment as Unix time in ms."""
    return time.time_ns() // 1_000_000


def age(seconds: float) -> str:
    """Give a span in its largest unit: `3 h`, `12 d`."""
    for unit, size in _UNITS_S.items():
        if unit != "w" and seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return "now"


def moment(ms: int) -> str:
    """Give Unix time in ms as UTC to the second; the number itself when it is no date."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return str(ms)
