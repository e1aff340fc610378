"""Orders carried out in a process of their own: started, listened to, ended with whoever waits for it.

Invariants:
- mlx is never loaded here, and its memory is gone when the order is done.
- However `run` ends, its process has ended.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import Signals
from typing import BinaryIO

import msgspec

from karl.errors import KarlError
from karl.training import blas
from karl.training.order import Ask, Notice, R_co, decode_result, encode


class Died(KarlError):
    """Raised when the process ended without a result and without saying why; it may be started again."""


#: Who is told how far it is; what it raises ends the process.
Progress = Callable[[Notice], object]

#: Lines of stderr that an error shows, and bytes that are read for them.
_TAIL_LINES, _TAIL_BYTES = 15, 20_000
#: Seconds for a process whose output has ended to end itself.
_LAST_WORDS_S = 5.0
_READ = 1 << 16
_WAIT_S = 0.5


def run(
    order: Ask[R_co],
    *,
    cache: Path,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    threads: int = 0,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> R_co:
    """Carry out an order; gives its result.

    `cache` is a folder for what makes mlx fast on this machine (`karl.training.blas`). `progress` is told
    what the process says; what it raises ends the process and goes on to the caller. So does `stop`, within
    a second of being set. `threads` are those of a matrix product on a CPU, 0 for all. What mlx
    prints is appended to `log`. `env` is the environment that the process gets; ours, if it is null. Raises
    Died where the process ended without a word about it, and KarlError where it said why it failed, or was
    stopped.
    """
    environ = blas.environ(os.environ if env is None else env, cache, threads=threads)
    with _stderr(log) as (stderr, start):
        process = subprocess.Popen(
            # -P: the folder that we are started in must not stand before the installed packages.
            (sys.executable, "-P", "-m", "karl.training"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environ,
        )
        try:
            last = _listen(process, encode(order), progress, stop)
            code = _ended(process)
        finally:
            _end(process)
        if last is not None and last.kind == "failed":
            raise KarlError(last.reason)
        if last is None or code:
            raise Died(_why(code, stderr, start, log))
        return decode_result(last.result, order)


@contextmanager
def _stderr(log: Path | None) -> Iterator[tuple[BinaryIO, int]]:
    """Open what the process writes its errors to; gives where they begin too."""
    if log is None:
        with tempfile.TemporaryFile() as file:
            yield file, 0
        return
    with log.open("a+b") as file:
        yield file, file.seek(0, os.SEEK_END)


def _listen(
    process: subprocess.Popen[bytes],
    order: bytes,
    progress: Progress | None,
    stop: threading.Event | None,
) -> Notice | None:
    """Give the order and hear what comes of it; the last word, or null where there was none."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already; how it ended says why
        process.stdin.write(order + b"\n")
        process.stdin.flush()
    for told in _lines(process, stop):
        if told.kind in ("done", "failed"):
            return told
        if progress is not None:
            progress(told)
    return None


def _lines(process: subprocess.Popen[bytes], stop: threading.Event | None) -> Iterator[Notice]:
    """Give what the process says, until it says no more."""
    assert process.stdout is not None
    out = process.stdout.fileno()
    rest = b""
    while True:
        if stop is not None and stop.is_set():
            raise KarlError("stopped before it was done")
        if not select.select([out], [], [], _WAIT_S)[0]:
            continue
        data = os.read(out, _READ)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield msgspec.json.decode(line, type=Notice)
        if not data:
            return


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for it to end by itself after its last word; what does not is killed, and has done its work."""
    try:
        return process.wait(_LAST_WORDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and close what leads to it."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):  # an order that it did not live to read
                pipe.close()


def _why(code: int, stderr: BinaryIO, start: int, log: Path | None) -> str:
    """Say how it ended without a result."""
    stderr.seek(max(start, stderr.seek(0, os.SEEK_END) - _TAIL_BYTES))
    tail = "\n".join(stderr.read().decode("utf-8", "replace").splitlines()[-_TAIL_LINES:])
    if code < 0:
        how = f"was killed by {Signals(-code).name}"
        if code == -9:
            how += " (out of memory? a smaller batch, fewer layers or shorter rows need less)"
    else:
        how = f"ended with exit code {code} and without a result"
    where = f"; all that it said is in {log}" if log else ""
    return f"the training process {how}{where}" + (f":\n{tail}" if tail else "")
