"""The one loop of every worker process, and waiting out a server that is away.

    starting --- first round done ---> working <--- error / answer ---> waiting --- signal ---> ended

Invariants:
- A worker that is told to stop ends after its present round.
- An error of the connection is logged once when it begins and once when it ends, and waited out.
- The broad `except`s behind the stream are here: what they catch is counted and logged, and the worker
  starts over from the stream, or keeps the poisoned event aside.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol, TypeVar

from karl.errors import FsyncFailed, LeaseLost, LedgerDamaged, LedgerForked, LedgerHeld, LineDown
from karl.metrics.table import FAILED_ROUNDS, LAST_ROUND

#: Waits between attempts while something is wrong, in seconds; the last one repeats.
BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
#: Seconds after which a thread that computes lets one go on that waits, where Python's default is 0.005.
SWITCH_S = 0.0005

_log = logging.getLogger("karl")

#: How often a defect of ours was caught, by what was being done.
caught: Counter[str] = Counter()

_T = TypeVar("_T")


class Worker(Protocol):
    """One process of the line: `run_once` does a bounded piece of work."""

    name: str

    def run_once(self, stop: threading.Event) -> None:
        """Do one round: wait for work at most a second or two, and do it."""

    def forget(self, *, defect: bool = False) -> None:
        """Drop everything held in memory; the next round starts from the stream.

        `defect` says that our own code failed, and may fail again on the same data.
        """

    def close(self) -> None:
        """Give back leases and close files; called once, at a clean end."""


def run(worker: Worker, stop: threading.Event) -> int:
    """Run a worker until `stop`; gives the exit code (1 when it must not go on)."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - a job's process needs `attempt` alone, and no client

    # Batches make many objects and no cycles; the collector's default pace costs a tenth of the work.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    # A thread that exchanges with the server takes the interpreter back after every piece of an answer; while
    # another folds, each of some thirty pieces of a batch would wait for all of the default.
    sys.setswitchinterval(SWITCH_S)
    failures = 0
    while not stop.is_set():
        try:
            worker.run_once(stop)
        except (FsyncFailed, LedgerDamaged, LedgerForked, LedgerHeld) as error:
            _log.critical("%s: %s", worker.name, error)
            return 1
        except (RedisError, OSError, LineDown, LeaseLost) as error:
            failures = _wait(worker, stop, failures, error, logging.WARNING)
        except Exception as error:  # noqa: BLE001 - the loop's own: counted, logged, started over
            caught[worker.name] += 1
            failures = _wait(worker, stop, failures, error, logging.ERROR)
        else:
            if failures:
                _log.info("%s: goes on after %d failed attempts", worker.name, failures)
            failures = 0
            LAST_ROUND.set(time.time())
    try:
        worker.close()
    except (RedisError, OSError, LineDown, LeaseLost) as error:
        _log.warning("%s: could not sign off: %s", worker.name, error)
    return 0


def _wait(worker: Worker, stop: threading.Event, failures: int, error: Exception, level: int) -> int:
    if failures == 0 or level > logging.WARNING:
        _log.log(level, "%s: %s; trying again", worker.name, error, exc_info=level > logging.WARNING)
    worker.forget(defect=level > logging.WARNING)
    FAILED_ROUNDS.add(1, _cause(error, level))
    stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
    return failures + 1


def _cause(error: Exception, level: int) -> str:
    if level > logging.WARNING:
        return "defect"
    return "lease" if isinstance(error, LeaseLost) else "connection"


def attempt(what: str, work: Callable[[], _T]) -> _T | Exception:
    """Do a piece of work that one poisoned event must not stop; gives the error when it fails."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - one poisoned event must not stop the rest
        caught[what] += 1
        _log.exception("could not %s; it is kept as it came", what)
        return error


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
