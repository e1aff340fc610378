"""A job's process as its worker sees it: started, listened to, and ended with all that it started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from workers import this_job
from workers.one_job import Line, Order

#: Bytes of one line of a job's process above which it is ended: a report is smaller.
LINE_MAX = 16 << 20
#: Seconds for a process whose output has ended to end itself.
_LAST_WORDS_S = 1.0
_READ = 1 << 16


class JobProcess:
    """The process of one job, from its start to its end; a context manager that leaves nothing behind."""

    def __init__(self, order: Order, environ: Mapping[str, str]) -> None:
        # -P: the folder that we are started in must not stand before the installed packages.
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", "workers.one_job"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
        self._rest = b""
        self.progress: Line | None = None
        self.last: Line | None = None
        self._order = msgspec.json.encode(order) + b"\n"

    def __enter__(self) -> Self:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already; `listen` sees that
            self._process.stdin.write(self._order)
            self._process.stdin.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def listen(self, wait_s: float) -> bool:
        """Take in what it says, for at most `wait_s`; false when it will say no more."""
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        if not select.select([out], [], [], wait_s)[0]:
            return True
        data = os.read(out, _READ)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hear(line)
        return bool(data) and len(self._rest) <= LINE_MAX

    def ask_to_end(self) -> None:
        """Ask the job to leave word and end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already; `listen` sees that
            self._process.stdin.write(this_job.WORD)
            self._process.stdin.flush()

    def how_it_ended(self) -> str:
        """Say how it ended, for who reads why a job failed."""
        try:
            self._process.wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            self.kill()
        code = self._process.wait()
        if code >= 0:
            return f"its process ended with exit code {code} and without a result"
        return f"its process was killed by {signal.Signals(-code).name}"

    def kill(self) -> None:
        """End it and all that it started, at once."""
        if self._process.stdin and not self._process.stdin.closed:
            with suppress(ProcessLookupError):  # all of them have ended
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    with suppress(BrokenPipeError):  # an order that it did not live to read
                        pipe.close()

    def _hear(self, line: bytes) -> None:
        try:
            said = msgspec.json.decode(line, type=Line)
        except msgspec.DecodeError:
            return  # of a process that was ended in the middle of a line
        if said.last:
            self.last = said
        else:
            self.progress = said
