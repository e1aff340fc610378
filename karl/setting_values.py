"""What the text of a setting may be: one function a kind, which gives the value or says what was expected.

Each raises ValueError for a text that does not fit.
"""

from __future__ import annotations

import math
from pathlib import Path


def text(value: str) -> str:
    """Take it as it is."""
    return value


def path(value: str) -> Path:
    """Give an absolute path."""
    try:
        value.encode()
        return Path(value).expanduser().absolute()
    except UnicodeEncodeError:
        raise ValueError("a path that is not UTF-8 fits into no URL and no agent's settings") from None
    except RuntimeError:
        raise ValueError("there is no home folder of that name") from None


def paths(value: str) -> tuple[Path, ...]:
    """Give absolute paths, named with commas between."""
    return tuple(path(name) for name in names(value))


def flag(value: str) -> bool:
    """Read yes or no."""
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"", "0", "false", "no", "off"}:
        return False
    raise ValueError("expected 1 or 0")


def count(value: str) -> int:
    """Read a whole number of at least 1."""
    number = int(value)
    if number < 1:
        raise ValueError("expected a whole number of at least 1")
    return number


def amount(value: str) -> int:
    """Read a whole number of at least 0."""
    number = int(value)
    if number < 0:
        raise ValueError("expected a whole number of at least 0")
    return number


def port(value: str) -> int:
    """Read the number of a port."""
    number = int(value)
    if not 0 <= number <= 65_535:
        raise ValueError("expected a port number from 0 to 65535")
    return number


def seconds(value: str) -> float:
    """Read a number above 0."""
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError("expected a number of seconds above 0")
    return number


def share(value: str) -> float:
    """Read a number from 0 to 1."""
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError("expected a number from 0 to 1")
    return number


def a_redis_url(value: str) -> str:
    """Take the URL of a server."""
    if value and not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("expected a URL that starts with redis://, rediss:// or unix://")
    return value


def a_ack(value: str) -> str:
    """Take one of two words."""
    if value not in {"disk", "replica"}:
        raise ValueError("expected disk or replica")
    return value


def names(value: str) -> tuple[str, ...]:
    """Give names, with commas between."""
    return tuple(name for part in value.split(",") if (name := part.strip()))


def a_device(value: str) -> str:
    """Read what a node trains on."""
    if value not in ("", "apple", "cuda", "cpu"):
        raise ValueError("expected apple, cuda or cpu")
    return value
