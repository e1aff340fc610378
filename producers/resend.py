"""What was sent a moment ago, kept on this machine until the server has had time to bring it to its disk.

A server that syncs its append-only file every second forgets the last answers when its machine loses power.
So a batch that it took is written here before the spool's files go, stays for KEEP_S, and is sent again,
before anything younger, when the server is another than the one that took it, or when nobody knows.

Invariants:
- What is sent again has the ids that it had: whoever has it already leaves it alone.
- Batches are sent again in the order in which they were sent.
- What is kept is redacted already: it is what the server was given.
"""

from __future__ import annotations

import logging
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from karl.errors import LineDown
from producers.push import Parcel, push

if TYPE_CHECKING:
    from redis import Redis

#: Seconds for which a batch is kept; a server with `appendfsync everysec` may be two seconds behind.
KEEP_S = 5.0
#: Bytes that are kept at most; the oldest batches go early then.
KEEP_MAX_BYTES = 256 * 1024 * 1024
#: Seconds between two questions whether the server is still the same.
LOOK_S = 1.0

_RUN_ID = re.compile(rb"run_id:(\w+)")

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Parcel]).decode


class _Batch(NamedTuple):
    path: Path
    bytes: int
    kept_at: float


class Resend:
    """The batches in one folder, for one server. `clock` gives monotonic seconds."""

    def __init__(self, folder: Path, redis: Redis, *, node: str, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._redis = redis
        self._node = node
        self._clock = clock
        self._batches: deque[_Batch] = deque()
        self._bytes = 0
        self._number = 0
        self._full = False
        self._server = ""
        self._doubt = True
        self._again = 0  # how many batches, the youngest, this server has yet to be sent
        self._looked = float("-inf")

    def keep(self, parcels: Sequence[Parcel]) -> None:
        """Keep a batch that was sent. A disk without room is no reason to stop: then it is not kept."""
        if not parcels:
            return
        self._number += 1
        path = self._folder / f"{self._number:012d}"
        data = _encode(parcels)
        try:
            _write(path, data)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            self._warn(path, error)
            return
        self._full = False
        self._take_in(path, len(data))
        while self._bytes > KEEP_MAX_BYTES:
            self._forget()

    def doubt(self) -> None:
        """Note that the server did not answer: what it took before may be lost."""
        self._doubt = True

    def settle(self) -> None:
        """Forget what the server has had for long enough, when it is time. Raises LineDown."""
        now = self._clock()
        if self._doubt or (self._batches and now >= max(self._looked + LOOK_S, self._until())):
            self._redis.connection_pool.release(self.connection())

    def connection(self) -> Any:
        """Give a connection to a server that has all that is kept; what is missing there is sent again first.

        A server that is replaced from now on breaks the connection, so what goes over it comes after all that
        was kept, or nowhere. Whoever takes it gives it back to the client's pool. Raises LineDown.
        """
        self._looked = self._clock()
        if not self._number:
            self._find()
        try:
            while True:
                connection, server = _identified(self._redis)
                if self._doubt or server != self._server:
                    self._server, self._doubt = server, False
                    self._again = len(self._batches)
                if not self._again:
                    break
                self._send_again(connection)
        except LineDown:
            self._doubt = True
            raise
        while self._batches and self._looked >= self._until():
            self._forget()
        return connection

    def _until(self) -> float:
        return self._batches[0].kept_at + KEEP_S

    def _find(self) -> None:
        """Make the folder, and find what an earlier process had kept."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            self._warn(self._folder, error)
            return
        for path in sorted(path for path in self._folder.iterdir() if path.name.isdigit()):
            self._number = int(path.name)
            self._take_in(path, path.lstat().st_size)

    def _warn(self, path: Path, error: OSError) -> None:
        if not self._full:
            _log.warning("%s: %s; a power cut of the server's machine may lose events now", path, error)
        self._full = True

    def _send_again(self, connection: Any) -> None:
        """Send the oldest of those batches that this server has yet to be sent."""
        at = len(self._batches) - self._again
        batch = self._batches[at]
        try:
            parcels = _decode(batch.path.read_bytes())
        except (OSError, msgspec.MsgspecError) as error:
            # Its files were not removed from the spool: that comes after the whole batch is kept.
            _log.info("%s is not whole: %s", batch.path, error)
            parcels = []
        push(self._redis, parcels, where="ship", node=self._node, over=connection)
        self._batches[at] = batch._replace(kept_at=self._clock())
        self._again -= 1

    def _take_in(self, path: Path, size: int) -> None:
        self._batches.append(_Batch(path, size, self._clock()))
        self._bytes += size

    def _forget(self) -> None:
        batch = self._batches.popleft()
        self._bytes -= batch.bytes
        batch.path.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def _identified(redis: Redis) -> tuple[Any, str]:
    """Give a connection of the client's pool and the name of the server's process at its other end.

    Another process may know less than the one that answered before. Raises LineDown.
    """
    from redis.exceptions import RedisError  # noqa: PLC0415 - as in push

    pool = redis.connection_pool
    connection: Any = None
    try:
        connection = pool.get_connection()
        connection.send_command("INFO", "server")
        found = _RUN_ID.search(connection.read_response())
    except (RedisError, OSError) as error:
        if connection is not None:
            connection.disconnect()
            pool.release(connection)
        raise LineDown(f"Redis did not answer: {error}") from error
    return connection, found[1].decode() if found else ""
