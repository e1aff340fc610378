"""Things that are counted, in words."""

from __future__ import annotations


def many(number: int, thing: str) -> str:
    """Give a number with what it counts: `1 session`, `1,200 sessions`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
