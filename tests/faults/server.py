"""The line's server, and what a power cut leaves of its append-only file.

Invariant: no byte is cut that the server has brought to its disk. strace tells when it does (where there is strace),
and how long the file is then is noted: whatever was synced lies before that. Without strace a connection of ours asks
for ever whether its last write is on disk (`WAITAOF`); servers with a known defect say so too early, which makes
the cuts smaller and never wrong.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from karl.stream.server import find_server


class LineServer:
    """A server on a unix socket in a folder of its own; `fsync` is its `appendfsync`."""

    def __init__(self, folder: Path, log: int, fsync: str = "everysec") -> None:
        self._fsync = fsync
        self.folder = folder
        folder.mkdir(mode=0o700)
        self.socket = folder / "s"
        self._log = log
        self._watch: _Watch | None = None

    def start(self) -> subprocess.Popen[bytes]:
        argv = [
            find_server(), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder),
            "--appendonly", "yes", "--appendfsync", self._fsync, "--save", "", "--maxmemory-policy", "noeviction",
            "--auto-aof-rewrite-percentage", "0",
        ]  # fmt: skip
        self._watch = _Strace(self.folder) if shutil.which("strace") else _Prober(self.socket, self.folder)
        process = subprocess.Popen(
            [*self._watch.prefix, *argv],
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            pass_fds=self._watch.fds,
        )
        self._await()
        self._watch.begin()
        return process

    def cut_power(self, process: subprocess.Popen[bytes], chance: random.Random) -> int:
        """Kill the server and cut its file somewhere behind what is surely synced; gives the bytes that are lost."""
        process.send_signal(signal.SIGSTOP)
        watch, self._watch = self._watch, None
        file, synced = watch.end() if watch else (None, 0)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        if watch:
            watch.close()
        if file is None or file != newest_file(self.folder):
            return 0
        size = file.stat().st_size
        if synced >= size:
            return 0
        # Often all of it: that is what a power cut does; else anywhere, also inside of a command.
        keep = synced if chance.random() < 0.4 else chance.randrange(synced, size)
        os.truncate(file, keep)
        return size - keep

    def ended(self) -> None:
        """Note that the server's process has ended."""
        if self._watch:
            self._watch.end()
            self._watch.close()
            self._watch = None

    def _await(self) -> None:
        client = Redis(unix_socket_path=str(self.socket))
        try:
            for _ in range(3000):
                try:
                    client.ping()
                except RedisError:
                    time.sleep(0.01)
                else:
                    return
            raise AssertionError("the server does not answer")
        finally:
            client.close()


def newest_file(folder: Path) -> Path | None:
    """Find the part of the append-only file that is written now."""
    files = sorted((folder / "appendonlydir").glob("*.incr.aof"), key=lambda p: int(p.name.split(".")[-3]))
    return files[-1] if files else None


class _Watch(threading.Thread):
    """Notes up to where the append-only file is surely on disk, or farther."""

    prefix: tuple[str, ...] = ()
    fds: tuple[int, ...] = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._ended = threading.Event()
        self._file: Path | None = None
        self._synced = 0

    def begin(self) -> None:
        """Watch a server that answers."""
        self.start()

    def end(self) -> tuple[Path | None, int]:
        """Watch no longer; what is on its way is still heard. Gives the file and how much of it is safe."""
        self._ended.set()
        self.join()
        return self._file, self._synced

    def close(self) -> None:
        """Let go of what was needed."""

    def _note(self) -> None:
        self._file = newest_file(self._folder)
        self._synced = self._file.stat().st_size if self._file else 0


class _Strace(_Watch):
    """Hears from strace of each fsync that the server has made, before the server can tell anybody."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._hears, self._tells = os.pipe()
        os.set_blocking(self._hears, False)
        self.fds = (self._tells,)
        told = f"/proc/self/fd/{self._tells}"
        self.prefix = ("strace", "-D", "-f", "-q", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o", told)

    def begin(self) -> None:
        self._note()  # what is there at the start was read from the disk, or is an empty file
        super().begin()

    def run(self) -> None:
        while True:
            ready, _, _ = select.select([self._hears], [], [], 0.03)
            if ready and b"= 0" in os.read(self._hears, 1 << 16):
                self._note()
            elif self._ended.is_set():
                return

    def close(self) -> None:
        for end in (self._hears, self._tells):
            os.close(end)


class _Prober(_Watch):
    """Asks the server itself."""

    def __init__(self, socket: Path, folder: Path) -> None:
        super().__init__(folder)
        self._client = Redis(unix_socket_path=str(socket), socket_timeout=0.1)

    def run(self) -> None:
        while not self._ended.is_set():
            connection = self._client.connection_pool.get_connection()
            try:
                self._ask(connection)
            except (RedisError, OSError):
                self._file = None  # cut off: nothing is known until the next answer
                connection.disconnect()
                self._ended.wait(0.005)
            except _NoAnswer:
                pass  # the server was stopped; what was noted holds
            finally:
                self._client.connection_pool.release(connection)

    def close(self) -> None:
        self._client.close()

    def _ask(self, connection: Any) -> None:
        while not self._ended.is_set():
            connection.send_command("SET", "probe", "1")
            connection.send_command("WAITAOF", "1", "0", "0")
            self._hear(connection)
            if self._hear(connection)[0] == 1:
                self._note()

    def _hear(self, connection: Any) -> Any:
        while not connection.can_read(timeout=0.1):
            if self._ended.is_set():
                raise _NoAnswer
        return connection.read_response()


class _NoAnswer(Exception):
    """No answer came before the end of the questions."""
