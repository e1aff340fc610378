"""The real line as separate processes, each of which can be killed, paused and started again.

Nothing here reads what the line wrote: that is the checker's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from karl.stream.server import find_server

COMMANDS = {
    "ship": ("ship",),
    "sessions-1": ("worker", "sessions"),
    "sessions-2": ("worker", "sessions"),
    "ledger-1": ("worker", "ledger"),
    "ledger-2": ("worker", "ledger"),
    "views": ("worker", "views"),
}
#: Seconds of a lease's life here; a pause longer than that loses it.
LEASE_S = 1.0


class RealLine:
    """A server and the line's processes over one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.spool.mkdir(mode=0o700, parents=True)
        self._redis_dir = folder / "redis"
        self._redis_dir.mkdir(mode=0o700)
        self._socket = self._redis_dir / "s"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        self.environment = clean | {
            "KARL_DATA_DIR": str(folder),
            "KARL_REDIS_URL": f"unix://{self._socket}",
            "KARL_LEASE_TTL_S": str(LEASE_S),
            "KARL_NODE": "n1",
            "KARL_SEGMENT_MAX_MB": "1",
        }
        self._log = (folder / "log").open("ab")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._events = 0
        self.start("server")
        self.redis = Redis(unix_socket_path=str(self._socket), socket_timeout=5)
        for name in COMMANDS:
            self.start(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, name: str) -> None:
        argv = (
            [
                find_server(), "--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._redis_dir),
                "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
            ]
            if name == "server"
            else [sys.executable, "-P", "-m", "karl.cli", *COMMANDS[name]]
        )  # fmt: skip
        self.processes[name] = subprocess.Popen(
            argv, env=self.environment, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL
        )
        if name == "server":
            self._await_server()

    def kill(self, name: str) -> None:
        """End a process by SIGKILL, and start it again."""
        self._end(name, signal.SIGKILL)
        self.start(name)

    def restart(self, name: str) -> None:
        """End a process by SIGTERM, and start it again."""
        self._end(name, signal.SIGTERM)
        self.start(name)

    def pause(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def cut_connections(self) -> None:
        """Let the server cut every connection but our own."""
        self.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def ended(self) -> dict[str, int]:
        """Give the processes that ended by themselves, and their codes."""
        codes = {name: process.poll() for name, process in self.processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def hook(self, payload: dict[str, Any]) -> None:
        """Leave an event in the spool, whole at once, under a name that no other event has."""
        self._events += 1
        hidden = self.folder / "incoming"
        hidden.write_text(json.dumps(payload))
        hidden.rename(self.spool / f"claude-code.{1_000_000_000 + self._events}")

    def close(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.redis.close()
        self._log.close()

    def _end(self, name: str, how: signal.Signals) -> None:
        process = self.processes[name]
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # it may be paused, and then would not hear of it
        process.wait(60)

    def _await_server(self) -> None:
        client = Redis(unix_socket_path=str(self._socket))
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
