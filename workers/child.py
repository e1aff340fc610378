"""A child process of `karl up`, and the one terminal that all of them talk to.

Invariants:
- A child is in a session of its own and lives by a pipe: it ends when this process is gone.
- What a child says reaches the terminal line by line, under its name, unable to drive the terminal.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TextIO

#: A line of a child's output that is longer is broken here, in bytes.
LINE_MAX = 64 * 1024


class Command(NamedTuple):
    """One process of the line: its name, its argument list, and the seconds that it has for a clean end."""

    name: str
    argv: tuple[str, ...]
    stop_s: float = 10.0


class Child:
    """One process of the line, with the pipe that it lives by and the pipe that it talks into."""

    def __init__(self, command: Command, environ: Mapping[str, str], terminal: Terminal) -> None:
        self.name = command.name
        self.stop_s = command.stop_s
        self._argv = command.argv
        self._environ = environ
        self._terminal = terminal
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def start(self) -> None:
        """Start it in a session of its own."""
        self._process = subprocess.Popen(
            self._argv,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(self._environ),
            start_new_session=True,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    @property
    def output_fd(self) -> int | None:
        """The end of the pipe that its output comes from; null while it has none."""
        return self._process.stdout.fileno() if self._process and self._process.stdout else None

    def ended(self) -> str | None:
        """Say how it ended; null while it runs."""
        code = self._process.poll() if self._process else -signal.SIGKILL
        if code is None:
            return None
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def listen(self) -> bool:
        """Pass on what it says; False when there is no more for now."""
        if self.output_fd is None:
            return False
        try:
            data = os.read(self.output_fd, LINE_MAX)
        except BlockingIOError:
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not data or len(self._rest) > LINE_MAX):
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._terminal.say(self.name, line.decode("utf-8", "replace"))
        return bool(data)

    def ask(self) -> None:
        """Ask it to end."""
        if self._process:
            self._process.terminate()

    def close(self) -> None:
        """Make sure that it is gone, pass on its last words, close its pipes."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        while self.listen():
            pass
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process = None


class Terminal:
    """Where all that is said goes: a line each, under the name of who says it."""

    _COLOURS = (36, 35, 34, 33, 32)

    def __init__(self, stream: TextIO, names: Sequence[str]) -> None:
        self._stream = stream
        self._width = max(map(len, [*names, "redis", "up"]))
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._colours = {name: self._COLOURS[at % len(self._COLOURS)] for at, name in enumerate(names)}

    def say(self, name: str, text: str) -> None:
        """Print one line; what could drive a terminal is replaced."""
        shown = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)
        label = f"{name:<{self._width}} |"
        if self._coloured:
            label = f"\033[{self._colours.get(name, 31)}m{label}\033[0m"
        self.print(f"{label} {shown}")

    def print(self, text: str) -> None:
        """Print text as it stands."""
        # A terminal that has gone away has nobody to be told; SIGHUP ends the line in that case.
        with suppress(OSError):
            print(text, file=self._stream, flush=True)
