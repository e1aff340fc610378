"""What every long-lived process of ours does the same way: stopping and logging.

Invariants:
- SIGTERM and SIGINT ask for a clean end; a second one ends the process at once.
- A supervised process ends when its supervisor is gone, however that happened.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def stop_on_signals() -> threading.Event:
    """Give an event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            sys.exit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop


@contextmanager
def leaving_in_order() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end this process as Ctrl-C does: by way of every `finally`."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_without_parent(stop: threading.Event) -> None:
    """Set `stop` when stdin closes: the supervisor holds its other end, and is gone then."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        stop.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def log_to_stderr(level: str) -> None:
    """Log to stderr, one line an event: time, level, text."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname).1s %(message)s",
        datefmt="%H:%M:%S",
    )


def unique_name(node: str) -> str:
    """Name this process so that no other process, now or later, has the same name."""
    return f"{node}:{os.getpid()}:{secrets.token_hex(4)}"
