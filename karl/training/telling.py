"""What the process says of its order: how far it is, not more often than anybody could look."""

from __future__ import annotations

import sys
import threading
import time
from typing import Protocol

import msgspec

from karl.training.order import Notice, Result, encode

#: Seconds between two words on how far it is.
_TOLD_EVERY_S = 1.0


class Out(Protocol):
    """What lines are written to."""

    def write(self, data: bytes, /) -> object:
        """Write all of it."""


class Teller:
    """Writes lines, each a Notice."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._told_s = float("-inf")
        self._lock = threading.Lock()

    def progress(self, told: Notice) -> None:
        """Say how far it is, if nobody was told for a second."""
        now = time.monotonic()
        if now - self._told_s >= _TOLD_EVERY_S:
            self._told_s = now
            self.say(told)

    def where(self, where: str) -> None:
        """Say what is being done."""
        self.say(Notice(kind="progress", where=where))

    def done(self, result: Result) -> None:
        """Say what came of it."""
        self.say(Notice(kind="done", result=msgspec.Raw(encode(result))))

    def failed(self, reason: str) -> None:
        """Say why nothing came of it."""
        self.say(Notice(kind="failed", reason=reason))

    def say(self, told: Notice) -> None:
        """Write one line, and one for people to stderr, which is the log."""
        sys.stderr.write(f"{_in_words(told)}\n")
        with self._lock:
            self._out.write(encode(told) + b"\n")


def _in_words(told: Notice) -> str:
    """Give a line for the log."""
    words = [told.kind if told.kind != "progress" else "", told.where, told.reason]
    if told.iterations:
        words.append(f"{told.iteration}/{told.iterations}")
    for name, value in (("train", told.train_loss), ("valid", told.valid_loss)):
        if value is not None:
            words.append(f"{name} {value:.4f}")
    if told.tokens_per_s:
        words.append(f"{told.tokens_per_s:,.0f} tokens/s")
    return " ".join(filter(None, words))
