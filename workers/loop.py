"""The one loop of every worker process, and waiting out a server that is away.

    starting --- first round done ---> working <--- error / answer ---> waiting --- signal ---> ended

Invariants:
- A worker that is told to stop ends after its present round.
- An error of the connection is logged once when it begins and once when it ends, and waited out.
- This loop holds the one broad `except` behind the stream: what it catches is counted and logged,
  the worker forgets what it held (the stream still has it) and starts over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from redis.exceptions import RedisError

from karl.errors import FsyncFailed, LeaseLost, LedgerDamaged, LedgerHeld, LineDown

#: Waits between attempts while something is wrong, in seconds; the last one repeats.
BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

_log = logging.getLogger("karl")


class Worker(Protocol):
    """One process of the line: `run_once` does a bounded piece of work."""

    name: str

    def run_once(self, stop: threading.Event) -> None:
        """Do one round: wait for work at most a second or two, and do it."""

    def forget(self) -> None:
        """Drop everything held in memory; the next round starts from the stream."""

    def close(self) -> None:
        """Give back leases and close files; called once, at a clean end."""


def run(worker: Worker, stop: threading.Event) -> int:
    """Run a worker until `stop`; gives the exit code (1 when it must not go on)."""
    failures = 0
    while not stop.is_set():
        try:
            worker.run_once(stop)
        except (FsyncFailed, LedgerDamaged, LedgerHeld) as error:
            _log.critical("%s: %s", worker.name, error)
            return 1
        except (RedisError, OSError, LineDown, LeaseLost) as error:
            failures = _wait(worker, stop, failures, error, logging.WARNING)
        except Exception as error:  # noqa: BLE001 - the loop's own: counted, logged, started over
            failures = _wait(worker, stop, failures, error, logging.ERROR)
        else:
            if failures:
                _log.info("%s: goes on after %d failed attempts", worker.name, failures)
            failures = 0
    try:
        worker.close()
    except (RedisError, OSError, LineDown, LeaseLost) as error:
        _log.warning("%s: could not sign off: %s", worker.name, error)
    return 0


def _wait(worker: Worker, stop: threading.Event, failures: int, error: Exception, level: int) -> int:
    if failures == 0 or level > logging.WARNING:
        _log.log(level, "%s: %s; trying again", worker.name, error, exc_info=level > logging.WARNING)
    worker.forget()
    stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
    return failures + 1


def every(seconds: float, clock: Callable[[], float]) -> Callable[[], bool]:
    """Give a function that says true once every so many seconds, beginning at once."""
    due = clock()

    def is_due() -> bool:
        nonlocal due
        if clock() < due:
            return False
        due = clock() + seconds
        return True

    return is_due
