"""How much to ask for in the next read, so that memory stays bounded and batches stay large.

A read over many streams gives up to COUNT entries of each: a count that suits one busy stream would
bring gigabytes from sixty-four. The pace follows what the last read brought.
"""

from __future__ import annotations


class Pace:
    """Chooses COUNT from the number of busy streams and the size of entries seen last."""

    def __init__(self, *, bytes_max: int, entries_max: int) -> None:
        self._bytes_max = bytes_max
        self._entries_max = entries_max
        self._size = 1024.0
        self._streams = 64

    @property
    def count(self) -> int:
        """Entries to ask of each stream next time."""
        entries = min(self._entries_max, self._bytes_max / self._size)
        return max(1, int(entries / self._streams))

    def saw(self, streams: int, entries: int, size: int) -> None:
        """Learn from a read: busy streams, entries and bytes in all."""
        if entries:
            # Half the old value: one odd batch must not swing the next read to an extreme.
            self._size = (self._size + max(1.0, size / entries)) / 2
            self._streams = max(1, streams)
