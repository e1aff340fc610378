"""Files in the spool that are not whole: when to look at them again, and whether anybody still writes them.

Invariants:
- A file that has changed is looked at before anything younger: an agent's next hook begins when the one
  before has ended, so whoever finds the younger file finds the older one changed.
- That nobody writes a file any more is judged by how long it has been seen unchanged on a clock that never
  jumps. The wall clock does, and a file that a hook has just made would look old: an empty one would go, and
  the event with it.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from producers.spool import Item

#: Seconds of quiet after which a file that can not be read is called half-written.
GRACE_S = 10.0
#: Seconds between two looks at a file that is not whole; longer, the longer it has been quiet.
LOOK_MIN_S, LOOK_MAX_S = 0.05, 1.0
#: Files that are remembered; beyond, those that were seen first are looked at anew.
SEEN_MAX = 10_000


class Quiet:
    """How long each unfinished file has been as it is. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, int, float]] = {}
        self._later: dict[str, tuple[float, Item]] = {}  # when to look at it again, and as what it was seen

    def __len__(self) -> int:
        """Count the files that are looked at later."""
        return len(self._later)

    def look_later(self, item: Item, seconds: float | None = None) -> None:
        """Leave a file alone for so many seconds, or for about as long as it has been quiet."""
        if seconds is None:
            seconds = min(LOOK_MAX_S, max(LOOK_MIN_S, self.seconds(item)))
        self._later[item.name] = (self._clock() + seconds, item)

    def later(self) -> AbstractSet[str]:
        """Name the files that are not to be looked at now."""
        now = self._clock()
        self._later = {name: later for name, later in self._later.items() if later[0] > now}
        return self._later.keys()

    def is_due(self) -> bool:
        """Say whether it is time to look at a file again."""
        now = self._clock()
        return any(at <= now for at, _ in self._later.values())

    def release(self, has_changed: Callable[[Item], bool]) -> bool:
        """Look at once at every file that has changed since it was seen; False when none has."""
        changed = [name for name, (_, item) in self._later.items() if has_changed(item)]
        for name in changed:
            del self._later[name]
        return bool(changed)

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
