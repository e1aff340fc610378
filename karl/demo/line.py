"""The demo's line: a real `karl up` over a data folder of its own, and whether all has gone through it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from karl.demo.progress import Progress
from karl.demo.tools import clean_environ
from karl.errors import LineDown
from karl.settings import Settings
from karl.stream.connect import connect
from karl.stream.facts import Facts, facts
from karl.stream.server import line_url
from karl.views.overview import overview
from producers.hook_line import hook_line
from producers.install import apply, plan
from producers.spool import Spool

#: Seconds between two looks at the line, and for it to end.
LOOK_S, STOP_S = 0.1, 60.0


def install_hook(settings: Settings, file: Path, environ: Mapping[str, str]) -> None:
    """Put the hook into a settings file with the installer that `karl hooks install` uses."""
    Spool(settings.spool).prepare()
    command = hook_line(settings, environ, "claude-code")
    file.parent.mkdir(parents=True, exist_ok=True)
    apply(plan(file, command, "install", data_dir=settings.data_dir))


class Line:
    """A running line; leaving the block ends it. `problems` says what was wrong with it."""

    def __init__(self, environ: Mapping[str, str], variables: Mapping[str, str], log: Path) -> None:
        """Start it. `variables` are all the settings it gets; `log` takes what it says."""
        self.problems: list[str] = []
        self._path = log
        self._log: IO[bytes] = log.open("wb")
        # A session of its own: a Ctrl-C is for us, and we end the line in good order.
        self._process = subprocess.Popen(
            # --supervised: it also ends when we are gone, however that happened.
            [sys.executable, "-P", "-m", "karl.cli", "up", "--supervised"],
            env={**clean_environ(environ), **variables},
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def running(self) -> bool:
        """Say whether its supervisor lives."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it in good order, and by force when that takes too long; the second time does nothing."""
        if self._log.closed:
            return
        try:
            self._end()
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            if self._process.stdin:
                with suppress(BrokenPipeError):
                    self._process.stdin.close()
            self._log.close()

    def _end(self) -> None:
        if self.running():
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.problems.append(f"the line did not end within {STOP_S:g} s")
            return
        if code != 0:
            said = " / ".join(self._path.read_text("utf-8", "replace").splitlines()[-3:])
            self.problems.append(f"the line ended with exit code {code}: {said}")


class Watch:
    """Looks at a line until all has gone through it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = connect(line_url("", settings.data_dir), name="karl-demo")
        self._spool = Spool(settings.spool)
        self.dead_letters = 0

    def close(self) -> None:
        """Let go of the line."""
        self._redis.close()

    def wait(self, line: Line, sent: int, progress: Progress, limit_s: float) -> str | None:
        """Wait until `sent` events are in ledger and views; gives what is missing when they do not come."""
        deadline = time.monotonic() + limit_s
        while (missing := self._missing(sent)) is not None:
            if not line.running():
                return f"the line ended too early, with {missing}"
            if time.monotonic() > deadline:
                return f"after {limit_s:g} s there were still {missing}"
            progress.now(f"waiting: {missing}")
            time.sleep(LOOK_S)
        return None

    def _missing(self, sent: int) -> str | None:
        """Say what is still on its way; null when nothing is."""
        if files := self._spool.depth().files:
            return f"{files} events in the spool"
        try:
            stream = facts(self._redis)
        except LineDown:
            return "no answer from the server of the line"
        self.dead_letters = stream.dead_letters
        return _on_its_way(stream) or self._unseen(sent)

    def _unseen(self, sent: int) -> str | None:
        seen = overview(self._settings.ledger, self._settings.views)
        if seen.views is None or seen.views.behind:
            return "records that the views have not taken in"
        # An idle session worker reads on for a moment: what it trims is in the ledger by then.
        return f"{sent - seen.counts.events} events not in the views" if seen.counts.events < sent else None


def _on_its_way(stream: Facts) -> str | None:
    if stream.lag:
        return f"{stream.lag} events in the stream"
    if stream.pending:
        return f"{stream.pending} events of a turn that is open until it has been silent for long enough"
    return f"{stream.records_waiting} records on their way to the ledger" if stream.records_waiting else None
