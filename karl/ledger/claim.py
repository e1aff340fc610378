"""The folder's own memory of who may write: terms in the file LOCK, only ever appended to.

    claim our term --> look at the segments --> write --> is ours still the largest claim?

Invariants:
- Terms are claimed in growing order; a claim as large as ours, or larger, ends ours for good.
- Whoever claims a larger term looks at the segments after claiming. So a write that ended before
  a look into LOCK that found no larger claim is seen by every later writer.
- flock keeps a taking-over process from cutting into a write in progress. It is courtesy: a paused
  process would hold it for ever, so after some attempts we go on without it.

Not here: the lease that gives the term (see karl/stream/lease.py).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from karl.errors import FsyncFailed, LeaseLost, LedgerHeld
from karl.ledger.segments import LOCK, claimed_terms, newest_term


class Claim:
    """One process's claim on one folder under one term."""

    def __init__(self, folder: Path, term: int, *, attempts: int, pause: Callable[[], object]) -> None:
        """Open LOCK; `attempts` to get the flock, with a `pause()` after each, are made every time."""
        self._folder = folder
        self._term = term
        self._attempts = attempts
        self._pause = pause
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(folder / LOCK, flags, 0o600)
        #: The length at which LOCK was last found without a claim that ends ours.
        self._size = -1

    def take(self) -> None:
        """Claim the term. Raises LedgerHeld when one as large was or is being used, and FsyncFailed."""
        newest = newest_term(self._folder)
        if newest < self._term:
            self._put()
            newest = self._rival()
        if newest >= self._term:
            raise LedgerHeld(
                f"{self._folder} was written under term {newest}, ours is {self._term}; "
                "get a lease with a larger term"
            )

    def check(self) -> None:
        """Raise LeaseLost when somebody claimed a term as large as ours, or took LOCK or the folder away."""
        status = os.fstat(self._fd)
        try:
            there = (self._folder / LOCK).stat()
        except FileNotFoundError as error:
            raise LeaseLost(f"{self._folder} (its file {LOCK} was removed)") from error
        if (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino):
            raise LeaseLost(f"{self._folder} (another folder is in its place)")
        if status.st_size == self._size:
            return
        rival = self._rival()
        if rival >= self._term:
            raise LeaseLost(str(self._folder), f"a writer with term {rival}")
        self._size = status.st_size

    @contextmanager
    def courtesy(self) -> Iterator[None]:
        """Hold the flock, or go on without it when it can not be had."""
        held = self._lock()
        try:
            yield
        finally:
            if held:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of LOCK; the claim stays written there."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _put(self) -> None:
        try:
            os.write(self._fd, b"%010d\n" % self._term)
        except OSError as error:
            raise FsyncFailed(f"{self._folder / LOCK}: {error}; make room, then start again") from error

    def _lock(self) -> bool:
        for _ in range(self._attempts):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._pause()
            else:
                return True
        return False

    def _rival(self) -> int:
        """Give the largest claim besides our own; our own again if LOCK does not hold it exactly once."""
        terms = claimed_terms(os.pread(self._fd, os.fstat(self._fd).st_size, 0))
        if terms.count(self._term) != 1:
            return self._term
        terms.remove(self._term)
        return max(terms, default=0)
