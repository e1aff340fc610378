"""The process of one job: reads on stdin what to do, does it, and says on stdout what came of it.

    python -m workers.one_job        one line in, an Order; lines out, each a Line, the last one marked

Invariants:
- It and everything that it started end at once when stdin closes: its worker holds the other end. One word on
  it asks the job to end by itself (workers.this_job).
- What else a job prints goes to stderr, never between the lines.
- It knows nothing of RQ: it can change no job, and its memory is gone with it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO, NoReturn

import msgspec

from karl.errors import EncoderMissing, EncoderSilent, KarlError, LineDown, SettingsError
from karl.jobs import table
from karl.process import log_to_stderr
from karl.settings import read_settings
from workers import this_job
from workers.loop import attempt

#: Seconds between two words on how far it is.
_TOLD_EVERY_S = 0.25
#: Characters of an unexpected error's traceback that are kept.
_TRACEBACK_MAX = 20_000


class Order(msgspec.Struct, frozen=True):
    """What to do: a name of the table, its arguments as JSON has them, and the job's id in its queue."""

    job: str
    arguments: dict[str, Any]
    id: str = ""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job's process says: how far it is, or, `last`, what came of it.

    `figures` are numbers of where it is, by name. `reason` is why a job with a result has failed, `failed`
    why there is none. `again`: another try may help.
    """

    done: int = 0
    total: int = 0
    where: str = ""
    figures: dict[str, Any] = {}
    result: Any = None
    reason: str | None = None
    failed: str | None = None
    again: bool = False
    last: bool = False


class _Teller:
    """Says how far the job is, not more often than anybody could look."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._told_s = 0.0
        self._untold: Line | None = None

    def progress(self, done: int, total: int, where: object) -> None:
        """Say how much is done of how much, and where: a word, or figures by their names."""
        figures = dict(where) if isinstance(where, Mapping) else {}
        said = str(figures.pop("where", "")) if figures else str(where)
        self._untold = Line(done=done, total=total, where=said[:200], figures=figures)
        if time.monotonic() - self._told_s >= _TOLD_EVERY_S:
            self._told_s = time.monotonic()
            self.settle()

    def settle(self) -> None:
        """Say what was not said yet."""
        if self._untold is not None:
            self.say(self._untold)
            self._untold = None

    def say(self, line: Line) -> None:
        """Write one line."""
        self._out.write(msgspec.json.encode(line) + b"\n")
        self._out.flush()


def main() -> None:
    """Do the one job."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_worker, name="worker", daemon=True).start()
    this_job.this.id = order.id
    teller = _Teller(out)
    last = _done(order, teller)
    teller.settle()
    teller.say(last)


def _done(order: Order, teller: _Teller) -> Line:
    """Do what was ordered; gives the last line."""

    def work() -> Line:
        try:
            settings = read_settings(os.environ)
            log_to_stderr(settings.log_level)
            # A line for each request is no news, and has the address in it, which may be nobody's business.
            logging.getLogger("httpx").setLevel(logging.WARNING)
            job = table.find(order.job)
            arguments = table.checked(job, order.arguments)
            if job.threads:  # read once, when numpy is loaded with the job's module
                os.environ.setdefault("OPENBLAS_NUM_THREADS", str(job.threads))
            found = table.function(job)(arguments, settings, teller.progress)
        except (LineDown, EncoderSilent, OSError) as error:
            return Line(failed=f"{type(error).__name__}: {error}", again=True, last=True)
        except (EncoderMissing, SettingsError) as error:  # another machine of the queue may have it
            return Line(failed=str(error), again=_anywhere(order.job), last=True)
        except KarlError as error:
            return Line(failed=str(error), last=True)
        return Line(result=found.result, reason=found.reason, last=True)

    done = attempt(f"do the job {order.job}", work)
    if isinstance(done, Exception):
        text = "".join(traceback.format_exception(done))
        return Line(failed=text[-_TRACEBACK_MAX:], again=True, last=True)
    return done


def _anywhere(name: str) -> bool:
    places = {queue.name: queue.where for queue in table.QUEUES}
    return places[table.find(name).queue] == table.ANYWHERE


def _end_with_worker() -> NoReturn:
    while os.read(0, 4096):
        this_job.asked_to_end.set()  # there is one word only
    os.killpg(0, signal.SIGKILL)  # a session of our own: nobody else is in it
    os._exit(1)


if __name__ == "__main__":
    main()
