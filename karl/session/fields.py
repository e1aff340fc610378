"""Take the fields of a loosely typed object one by one, each as what it should be, and keep the rest.

A reader takes any JSON value, and what Python's own JSON reader makes of careless JSON; it gives
the value in its proper type, or null where it does not fit. None of them raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from karl.session.vocabulary import UNKNOWN, clean_text, json_safe, whole

T = TypeVar("T")


class Part:
    """One object of a record.

    Invariants:
    - Each field is taken, or left with its value; what says nothing (null, NaN, empty, or
      `unknown` where a name should stand) gets lost.
    """

    def __init__(self, value: object) -> None:
        """Start with all fields there; what is no object is left under `value`."""
        self._fields: dict[Any, Any] = dict(value) if isinstance(value, Mapping) else {}
        self._left: dict[Any, Any] = {}
        if not isinstance(value, Mapping):
            self.leave("value", value)

    def take(self, key: str, read: Callable[[object], T | None]) -> T | None:
        """Take a field; null when it is absent, or when it does not fit and so is left."""
        value = self._fields.pop(key, None)
        taken = None if value is None else read(value)
        if taken is None and value != UNKNOWN:
            self.leave(key, value)
        return taken

    def take_first(self, keys: tuple[str, ...], read: Callable[[object], T | None]) -> T | None:
        """Take the first of several names that fits; the others are dropped as its repetitions."""
        values = {key: self._fields.pop(key, None) for key in keys}
        taken = next((fit for value in values.values() if (fit := read(value)) is not None), None)
        if taken is None:
            for key, value in values.items():
                if not isinstance(value, str):  # a text that does not fit is `unknown`
                    self.leave(key, value)
        return taken

    def drop(self, *keys: str) -> None:
        """Forget fields that are derived again, or that only repeat what was taken."""
        for key in keys:
            self._fields.pop(key, None)

    def leave(self, key: str, value: object) -> None:
        """Put a value among those that were not taken."""
        if not says_nothing(value):
            self._left[key] = value

    def rest(self) -> dict[Any, Any]:
        """Give what was not taken, as it came."""
        return {
            **{key: value for key, value in self._fields.items() if not says_nothing(value)},
            **self._left,
        }


def says_nothing(value: object) -> bool:
    """Say whether a value carries no information: null, NaN, an infinity, or empty."""
    if isinstance(value, float):
        return not math.isfinite(value)
    return value is None or (isinstance(value, (str, list, tuple, Mapping)) and not value)


def text(value: object) -> str | None:
    """Read a text that is not empty."""
    return clean_text(value) if isinstance(value, str) and value else None


def known(value: object) -> str | None:
    """Read a text that is neither empty nor `unknown`."""
    read = text(value)
    return None if read == UNKNOWN else read


def name(value: object) -> str | None:
    """Read an identifier: a text, or a whole number as some producers wrote it."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = whole(value)
        return None if number is None else str(number)
    return text(value)


def moment(value: object) -> str | None:
    """Read a time: a text stays as it is, a number is Unix time in seconds or milliseconds."""
    seconds = number(value)
    if seconds is None:
        return text(value)
    try:
        read = datetime.fromtimestamp(seconds / 1000 if abs(seconds) > 1e11 else seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return read.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def number(value: object) -> float | None:
    """Read a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    safe = json_safe(value)
    return None if safe is None else float(safe)


def share(value: object) -> float | None:
    """Read a number in [0, 1]."""
    read = number(value)
    return read if read is not None and 0 <= read <= 1 else None


def count(value: object) -> int | None:
    """Read a whole number from 0."""
    read = whole(value)
    return read if read is not None and read >= 0 else None


def items(value: object) -> list[Any] | None:
    """Read a list, whatever it holds."""
    return list(value) if isinstance(value, (list, tuple)) else None


def safe_items(value: object) -> list[Any] | None:
    """Read a list, made safe in JSON."""
    return json_safe(value) if isinstance(value, (list, tuple)) else None


def mapping(value: object) -> Mapping[Any, Any] | None:
    """Read an object, whatever it holds."""
    return value if isinstance(value, Mapping) else None


def safe_object(value: object) -> dict[str, Any] | None:
    """Read an object, made safe in JSON."""
    return json_safe(value) if isinstance(value, Mapping) else None
