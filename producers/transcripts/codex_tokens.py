"""Codex's running total of tokens, as what each response added to it.

Invariant: what was given adds up to the last total or, when totals fell, to those before each fall.
"""

from __future__ import annotations

from typing import Any

_FIELDS = ("input_tokens", "cached_input_tokens", "output_tokens")


class Totals:
    """The total that was seen last."""

    def __init__(self) -> None:
        self.now: tuple[int, ...] = (0,) * len(_FIELDS)

    def begin_after(self, total: dict[str, Any], last: Any) -> None:
        """Begin with what was used before the response that a first total is of; `last` is its own usage."""
        if isinstance(last, dict):
            self.now = tuple(max(_count(total.get(name)) - _count(last.get(name)), 0) for name in _FIELDS)

    def grown(self, total: dict[str, Any]) -> dict[str, int] | None:
        """Give the usage since the last total; null when nothing was added. A total that fell began anew."""
        now = tuple(_count(total.get(name)) for name in _FIELDS)
        fell = any(new < old for new, old in zip(now, self.now, strict=True))
        before = (0,) * len(now) if fell else self.now
        given, cached, answered = (new - old for new, old in zip(now, before, strict=True))
        self.now = now
        if not (given or cached or answered):
            return None
        return {
            "input_tokens": max(given - cached, 0),
            "output_tokens": answered,
            "cache_read_tokens": cached,
            "cache_write_tokens": 0,
        }


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
