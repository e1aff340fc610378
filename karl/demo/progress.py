"""What happens now, on stderr while it happens; a terminal is needed, else nothing is said."""

from __future__ import annotations

import shutil
import threading
from typing import TextIO


class Progress:
    """A line for each chapter, and below it one that always says what is done now."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._lock = threading.Lock()  # subagents tell of themselves from threads

    def chapter(self, text: str) -> None:
        """Begin a part; its line stays."""
        self._write(f"\r\x1b[K- {text}\n")

    def now(self, text: str) -> None:
        """Say what is done now, in place of what was."""
        width = shutil.get_terminal_size().columns - 4
        flat = " ".join(text.split())
        self._write(f"\r\x1b[K  {flat if len(flat) <= width else flat[: width - 1] + '…'}")

    def done(self) -> None:
        """Leave a clean line."""
        self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if self._shown:
            with self._lock:
                self._stream.write(text)
                self._stream.flush()
