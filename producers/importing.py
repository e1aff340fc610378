"""What every import does with events and with what is broken: batches, back-pressure, dead letters.

Invariants:
- What `flush` or `settle` has returned for is in Redis; nothing before it counts as sent.
- Batches go out one after the other: each when the one before is in Redis and no stream over its bound.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from karl.errors import LineDown, Refused
from karl.schema.event import Event
from karl.stream import keys
from producers.envelope import DEAD_MAX, EnvelopeMaker
from producers.push import BATCH_MAX, BATCH_MAX_BYTES, Parcel, parcel_of, push

if TYPE_CHECKING:
    from redis import Redis

#: Seconds between two looks at a stream that is over its bound.
_FULL_WAIT_S = 0.2
#: Where in a broken piece the trouble is says nothing about what kind of trouble it is.
_PLACE = re.compile(r" \(character[^)]*\)| at byte [0-9]+| \(in .*\)")
#: Broken pieces of one file that have a dead letter each; after them, small ones share one: a megabyte of
#: brackets is a million pieces.
EACH_MAX = 1000


class _Piece(NamedTuple):
    data: bytes
    line: int
    reason: str


class Sender:
    """The parcels of an import on their way; `dead` and `by_reason` count the pieces that were buried."""

    def __init__(
        self, redis: Redis, envelopes: EnvelopeMaker, stream_max: int, wait: Callable[[float], None]
    ) -> None:
        self.envelopes = envelopes
        self.dead = 0
        self.by_reason: Counter[str] = Counter()
        self._redis = redis
        self._stream_max = stream_max
        self._wait = wait
        self._parcels: list[Parcel] = []
        self._bytes = 0
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: Future[dict[int, int]] | None = None
        self._path: Path | None = None  # of what was buried last, and how much of it
        self._buried = 0
        self._shared: list[_Piece] = []
        self._shared_bytes = 0

    @property
    def is_full(self) -> bool:
        """Say whether a batch is complete; whoever adds on must flush."""
        return len(self._parcels) >= BATCH_MAX or self._bytes >= BATCH_MAX_BYTES

    def event(self, event: Event) -> None:
        """Add an event."""
        self._add(parcel_of(event))

    def events(self, session: str, lines: list[bytes]) -> None:
        """Add encoded events of one session, to go as one entry of its stream."""
        self._add(Parcel(b"\n".join(lines), keys.partition_of(session)))

    def bury(self, data: bytes, reason: str, path: Path, line: int) -> None:
        """Add a dead letter of what a file holds on a line."""
        self.dead += 1
        self.by_reason[_PLACE.sub("", reason)] += 1
        if path != self._path:
            self._share()
            self._path, self._buried = path, 0
        self._buried += 1
        if self._shared_bytes + len(data) > DEAD_MAX:
            self._share()
        self._shared.append(_Piece(data, line, reason))
        self._shared_bytes += len(data) + 1
        if self._buried <= EACH_MAX:
            self._share()

    def _share(self) -> None:
        """Add a dead letter of the pieces that have none yet."""
        pieces, self._shared, self._shared_bytes = self._shared, [], 0
        if not pieces or self._path is None:
            return
        name = self._path.name.encode("utf-8", "backslashreplace").decode()  # a name may be no text
        first, last = pieces[0], pieces[-1]
        more = f", and {len(pieces) - 1} more pieces up to line {last.line}" if len(pieces) > 1 else ""
        data = self.envelopes.dead(b"\n".join(piece.data for piece in pieces))
        self._add(Parcel(data, reason=f"{name} line {first.line}: {first.reason}{more}"))

    def drop(self) -> None:
        """Let go of what was not sent, or may not have been: it will be read again."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            wait([under_way])
        self._parcels, self._bytes = [], 0
        self._shared, self._shared_bytes = [], 0

    def flush(self) -> None:
        """Send what there is, then wait while a stream is over its bound. Raises LineDown."""
        self.settle()
        self._await_room(self._push(self._taken()))

    def send(self) -> None:
        """Begin to send what there is; who comes next waits for it. Raises LineDown for what went before."""
        self.settle()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="push")
        self._under_way = self._thread.submit(self._push, self._taken())

    def settle(self) -> None:
        """Wait until all that was sent is in Redis, and while a stream is over its bound. Raises LineDown."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            self._await_room(under_way.result())

    def _taken(self) -> list[Parcel]:
        self._share()
        parcels, self._parcels, self._bytes = self._parcels, [], 0
        return parcels

    def _await_room(self, lengths: dict[int, int]) -> None:
        while over := [partition for partition, length in lengths.items() if length > self._stream_max]:
            self._wait(_FULL_WAIT_S)
            lengths = self._push([], over)

    def _add(self, parcel: Parcel) -> None:
        self._parcels.append(parcel)
        self._bytes += len(parcel.data)

    def _push(self, parcels: list[Parcel], watch: Iterable[int] = ()) -> dict[int, int]:
        pushed = push(self._redis, parcels, where="import", node=self.envelopes.node, watch=watch)
        if pushed.errors:
            raise LineDown(
                f"Redis refused an event: {next(iter(pushed.errors.values()))}; import again later"
            )
        return pushed.lengths


def require_file(path: Path) -> None:
    """Raise Refused for a pipe, a device or a socket: reading one might never end."""
    if path.exists() and not path.is_file():
        raise Refused("it is no regular file")


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock file's flock for the block. Raises Refused when another process has it: `what` it is."""
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"{lock} can not be written: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{what} is running; wait for its end") from None
        yield
    finally:
        os.close(handle)
