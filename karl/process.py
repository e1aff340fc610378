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
