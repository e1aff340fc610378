"""A push goes in whole, or not at all: a server that refuses for a moment must not change the order."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from karl.errors import LineDown
from karl.stream import keys
from karl.stream.connect import connect
from producers.push import Parcel, push

#: What a server does for a client while it loads its data.
ALLOWED = (b"CLIENT", b"MULTI", b"EXEC")


class Moody:
    """A server in front of the real one that refuses the first commands of each connection, but ALLOWED."""

    def __init__(self, socket_path: Path, real: str, refuses: int, error: bytes) -> None:
        self.url = f"unix://{socket_path}"
        self._real = real
        self._refuses = refuses
        self._error = error
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(socket_path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            one.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._real.removeprefix("unix://"))
            self._open += [client, server]
            thread = threading.Thread(target=self._serve, args=(client, server))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Answer the first commands with the error, hand the others on one by one."""
        left = self._refuses
        with client.makefile("rb") as commands, server.makefile("rb") as replies:
            try:
                while head := commands.readline():
                    words = [head]
                    for _ in range(int(head[1:])):
                        size = commands.readline()
                        words += [size, commands.read(int(size[1:]) + 2)]
                    if left and words[2].strip().upper() not in ALLOWED:
                        left -= 1
                        client.sendall(b"-" + self._error + b"\r\n")
                        continue
                    server.sendall(b"".join(words))
                    client.sendall(_reply(replies))
            except (OSError, ValueError):
                pass  # one end has closed
            finally:
                client.close()
                server.close()


def _reply(replies: object) -> bytes:
    line: bytes = replies.readline()  # type: ignore[attr-defined]
    if line[:1] == b"*" and line[1:2] != b"-":
        return line + b"".join(_reply(replies) for _ in range(int(line[1:])))
    if line[:1] == b"$" and line[1:2] != b"-":
        return line + bytes(replies.read(int(line[1:]) + 2))  # type: ignore[attr-defined]
    return line


@pytest.fixture
def moody(tmp_path: Path, redis_url: str) -> Iterator[Callable[[int, bytes], Redis]]:
    made: list[Moody] = []
    clients: list[Redis] = []

    def make(refuses: int, error: bytes) -> Redis:
        made.append(Moody(tmp_path / f"s{len(made)}", redis_url, refuses, error))
        clients.append(connect(made[-1].url))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    for server in made:
        server.close()


def events(redis: Redis) -> list[bytes]:
    return [fields[1] for _, fields in redis.xrange(keys.events_key(0))]


@pytest.mark.parametrize("refuses", range(12))
def test_a_server_that_loads_its_data_takes_all_of_a_push_or_nothing(
    moody: Callable[[int, bytes], Redis], redis: Redis, refuses: int
) -> None:
    client = moody(refuses, b"LOADING the dataset is in memory soon")
    parcels = [Parcel(b"%d" % number) for number in range(6)]
    try:
        assert push(client, parcels, where="ship", node="n1").errors == {}
    except LineDown:
        assert events(redis) == []
    else:
        assert events(redis) == [parcel.data for parcel in parcels]


def test_a_server_that_is_full_takes_nothing_of_a_push(redis: Redis) -> None:
    before = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(LineDown, match="maxmemory"):
            push(redis, [Parcel(b"x"), Parcel(b"y")], where="ship", node="n1")
    finally:
        redis.config_set("maxmemory", before)
    assert events(redis) == []
