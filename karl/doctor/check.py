"""What a check says, what all checks look at, and the words that they share."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from redis.exceptions import RedisError

from karl.errors import KarlError
from karl.settings import Settings

#: `unknown` could not be told, mostly because an earlier link is cut; it is no failure by itself.
Verdict = Literal["ok", "warn", "fail", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was seen of one thing, and what to do about it.

    `link` is the stop of the line, `name` the thing. `mend` repairs it where that is safe, and gives a
    sentence on what it did; `fixed` is that sentence, once done.
    """

    link: str
    name: str
    verdict: Verdict
    seen: str
    hint: str = ""
    fixed: str | None = None
    mend: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    def told(self) -> dict[str, Any]:
        """Give the check as it stands in the JSON document."""
        names = ("name", "link", "verdict", "seen", "hint", "fixed")
        return {name: as_text(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the checks look at. `now_ns` gives Unix time, `clock` monotonic seconds.

    `agent` narrows the checks of hooks to one kind of agent; `token` makes this visit's ids unique.
    """

    settings: Settings
    environ: Mapping[str, str]
    home: Path
    cwd: Path
    token: str
    agent: str | None = None
    now_ns: Callable[[], int] = time.time_ns
    clock: Callable[[], float] = time.monotonic


#: The check of `--here`: a worker of this very node.
HERE = "of this node"

#: One look at one thing, or at some that belong together. It may raise what TROUBLE names.
Look = Callable[[Machine], Iterable[Check]]

#: What a look may raise, the last three of what others have left in Redis or in files: it breaks off, and
#: the other looks go on.
TROUBLE = (KarlError, OSError, RedisError, sqlite3.Error, LookupError, TypeError, ValueError)


def as_text(value: str | None) -> str | None:
    """Give a text that JSON can hold: of a name that is not UTF-8, its bytes stand there as escapes."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()


def looked(link: str, name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """Give what one look finds; when it breaks off, also one check that says why."""
    try:
        yield from look()
    except TROUBLE as error:
        yield Check(link, name, "fail", f"could not be looked at: {error}")


def held(lock: Path) -> bool | None:
    """Say whether a process holds the flock on a file; null when the file can not be looked at."""
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        # Shared, and given back at once: a process that starts in this very microsecond tries again.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def size(count: float) -> str:
    """Give bytes in a unit that fits."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count:.0f} bytes"


def span(seconds: float) -> str:
    """Give seconds in a unit that fits."""
    for unit, scale in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * scale:
            return f"{seconds / scale:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
