"""Leave events in the spool from Python, as the hook does from the shell.

Invariants:
- One event is one file; a name is never taken twice, nor an event left half: what can not be written
  whole is removed again.
- What one process leaves, from all of its threads, the shipper reads in that order: each name is
  numbered, and a file is whole before the next one is begun.
- A process that was forked counts on from a place of its own.
- `off` and `full` silence this as they silence the hook.
"""

from __future__ import annotations

import os
import random
import re
import threading
from pathlib import Path

from producers.hook import AGENT_NAME
from producers.spool import FULL, OFF

#: Numbers of ten digits: no process id of any system has so many, and the spool takes no more.
_NUMBER_MIN, _NUMBER_MAX = 1_000_000_000, 9_999_999_999
_AGENT = re.compile(AGENT_NAME)


class _Numbers:
    """Rising numbers from a place of this process's own, and the lock under which a file is written."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin elsewhere, under a new lock: after a fork the old one may be held by nobody."""
        # To be entered again: a signal's handler may record while the same thread records.
        self.lock = threading.RLock()
        # Below the middle, so that a process can count on for billions of events.
        self._last = random.SystemRandom().randrange(_NUMBER_MIN, _NUMBER_MAX // 2)

    def next(self) -> int:
        self._last = self._last + 1 if self._last < _NUMBER_MAX else _NUMBER_MIN
        return self._last


_numbers = _Numbers()
os.register_at_fork(after_in_child=_numbers.renew)


def leave(folder: Path, agent: str, data: bytes) -> bool:
    """Leave one event's bytes in the spool folder; False when the hook is switched off or the spool is full.

    Safe from any thread and process. Raises OSError when the folder is not there or can not be written to
    (then nothing was left), and ValueError when `agent` is no name of an agent.
    """
    if _AGENT.fullmatch(agent) is None:
        raise ValueError(f"an agent's name is lower-case letters, digits, - and _, at most 32; not {agent!r}")
    place = os.fspath(folder)
    if is_closed(folder):
        return False
    with _numbers.lock:
        handle, path = _new_file(place, agent)
        try:
            try:
                _write(handle, data)
            finally:
                os.close(handle)  # on a network's disk, this may be what says that there is no room
        except BaseException:  # also what a signal's handler raises
            Path(path).unlink(missing_ok=True)
            raise
    return True


def is_closed(folder: Path) -> bool:
    """Say whether the spool takes no events now."""
    place = os.fspath(folder)
    return os.path.lexists(f"{place}/{OFF}") or os.path.lexists(f"{place}/{FULL}")


def _new_file(place: str, agent: str) -> tuple[int, str]:
    """Make a file that nobody has; a taken name is the next number's affair."""
    while True:
        path = f"{place}/{agent}.{_numbers.next()}"
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path
        except FileExistsError:
            continue


def _write(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]
