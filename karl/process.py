"""What every long-lived process of ours does the same way: stopping and logging.

Invariants:
- SIGTERM and SIGINT ask for a clean end; a second one ends the process at once.
- A supervised process ends when its supervisor is gone, however that happened.
- What any process or command of ours makes is its owner's alone, whatever the umask was.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: How often who waits is woken at the end, and the seconds between.
_WAKES, _WAKE_EVERY_S = 5, 0.02

#: Control characters but tab and line end, and those that turn a line round.
_DRIVING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def keep_private() -> None:
    """Make files and folders that are made from now on, by children too, their owner's alone (0600, 0700).

    Libraries and the embedded server make files of their own, and ask nothing but the umask.
    """
    os.umask(0o077)


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


def wake_on(stop: threading.Event, wake: Callable[[], object]) -> None:
    """Call `wake` when `stop` is set: whoever waits for a server shall not wait on.

    A few times, for who has just looked at `stop` and is about to wait.
    """

    def watch() -> None:
        stop.wait()
        for _ in range(_WAKES):
            wake()
            time.sleep(_WAKE_EVERY_S)

    threading.Thread(target=watch, name="wake", daemon=True).start()


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


class _Plain(logging.Formatter):
    """One line an event, and nothing that drives a terminal: names of files may hold anything."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Give an event's one line."""
        record.message = record.message.replace("\n", "\\n")
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """Give all that is said of an event."""
        said = super().format(record)  # a traceback has lines of its own
        return _DRIVING.sub(lambda found: f"\\x{ord(found.group()):02x}", said)


def log_to_stderr(level: str) -> None:
    """Log to stderr, one line an event: time, level, text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("%(asctime)s %(levelname).1s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def unique_name(node: str) -> str:
    """Name this process so that no other process, now or later, has the same name."""
    return f"{node}:{os.getpid()}:{secrets.token_hex(4)}"
