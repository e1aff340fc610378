"""Records that were read and may not be written yet: the server that gave them might forget them.

A server that syncs its append-only file every second forgets the last two when its machine loses power. What
had been in the ledger by then would come again from events that were not forgotten, under other stream ids.
So records wait for HOLD_S between the stream and the ledger, unless the server answers from its disk.

Invariant: records leave in the order in which they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from redis.exceptions import ResponseError

from karl.stream.connect import command

if TYPE_CHECKING:
    from redis import Redis

#: Seconds that a record waits: the sync of every second may be postponed by one more.
HOLD_S = 2.5
#: Bytes of records that may wait; then nothing more is read.
HOLD_MAX_BYTES = 64 * 1024 * 1024


def hold_of(redis: Redis) -> float:
    """Say for how many seconds a record must wait on this server."""
    try:
        answer = command(redis, "CONFIG", "GET", "appendfsync")
    except ResponseError:
        return HOLD_S  # who may not ask assumes the usual
    return 0.0 if answer[1:] == [b"always"] else HOLD_S


class Record(Protocol):
    """A record that was read: its body, and where it came from."""

    @property
    def body(self) -> bytes: ...
    @property
    def partition(self) -> int | None: ...
    @property
    def stream_id(self) -> bytes | str | None: ...


R = TypeVar("R", bound=Record)


class ReadAhead(Generic[R]):
    """A queue of batches of records. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._batches: deque[tuple[float, int, list[R]]] = deque()
        self._bytes = 0
        self.hold_s = 0.0
        #: The last stream id that was read of each partition, where that is past the ledger's.
        self.read: dict[int, str] = {}

    @property
    def full(self) -> bool:
        """Say that nothing more should be read."""
        return self._bytes >= HOLD_MAX_BYTES

    def add(self, drafts: list[R]) -> None:
        """Take in a batch that was read just now."""
        size = sum(len(draft.body) for draft in drafts)
        self._batches.append((self._clock() + self.hold_s, size, drafts))
        self._bytes += size
        self.read.update({d.partition: str(d.stream_id) for d in drafts if d.partition is not None})

    def due(self) -> list[R]:
        """Give the oldest batch when it has waited long enough; else nothing."""
        if not self._batches or self._clock() < self._batches[0][0]:
            return []
        _, size, drafts = self._batches.popleft()
        self._bytes -= size
        return drafts

    def wait_s(self, longest: float) -> float:
        """Say how long one may wait for more: at most until the oldest batch is due."""
        if not self._batches:
            return longest
        return max(0.0, min(longest, self._batches[0][0] - self._clock()))

    def clear(self) -> None:
        """Forget everything: it is still in the streams."""
        self._batches.clear()
        self._bytes = 0
        self.read.clear()
