"""Which files in the spool nobody writes any more.

Invariant: it is judged by how long a file has been seen unchanged on a clock that never jumps. The wall clock
does, and a file that a hook has just made would look old: an empty one would go, and the event with it.
"""

from __future__ import annotations

from collections.abc import Callable

from producers.spool import Item

#: Seconds of quiet after which a file that can not be read is called half-written.
GRACE_S = 10.0
#: Files that are remembered; beyond, those that were seen first are looked at anew.
SEEN_MAX = 10_000


class Quiet:
    """How long each unfinished file has been as it is. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, int, float]] = {}

    def seconds(self, item: Item) -> float:
        """Say for how many seconds a file has been seen as it is now; 0 at the first look."""
        now = self._clock()
        mtime_ns, size, since = self._seen.get(item.name, (0, -1, now))
        if (mtime_ns, size) == (item.mtime_ns, item.size):
            return now - since
        while len(self._seen) >= SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        self._seen[item.name] = (item.mtime_ns, item.size, now)
        return 0.0

    def is_settled(self, item: Item) -> bool:
        """Say whether a file has been left alone for so long that its writer must be gone."""
        return self.seconds(item) >= GRACE_S
