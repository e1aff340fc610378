"""The real line as separate processes, each of which can be killed, paused and started again.

Nothing here reads what the line wrote: that is the checker's.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis

from producers.hook import hook_command
from tests.faults.disks import Disk
from tests.faults.page import INJECTED, Page, new_page
from tests.faults.proxy import Proxy
from tests.faults.server import LineServer

COMMANDS = {
    "ship": ("ship",),
    "sessions-1": ("worker", "sessions"),
    "sessions-2": ("worker", "sessions"),
    "ledger-1": ("worker", "ledger"),
    "ledger-2": ("worker", "ledger"),
    "views": ("worker", "views"),
}
WRITERS = ("ledger-1", "ledger-2")
#: Seconds of a lease's life here; a pause longer than that loses it.
LEASE_S = 1.0
#: Seconds after which a process that was told to end is killed.
STOP_S = 40.0
#: The disks that can be harmed, with their sizes in MiB, and who uses each.
DISKS = {"ledger": 192, "spool": 48, "views": 192}
USERS = {"ledger": WRITERS, "spool": ("ship",), "views": ("views",)}


class RealLine:
    """A server and the line's processes over one data folder; with `disks`, each on a disk of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        disks: bool = False,
        fsync: str = "everysec",
        settings: Mapping[str, str] = {},
        start: bool = True,
    ) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.fsync = fsync
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.disks = {name: Disk(folder / name, mib) for name, mib in DISKS.items()} if disks else {}
        self.spool.mkdir(mode=0o700, exist_ok=True)
        self._log = (folder / "log").open("ab")
        self._server = LineServer(folder / "redis", self._log.fileno(), fsync)
        self._settings = dict(settings)
        (folder / "pages").mkdir()
        self.pages: dict[str, Page] = {name: new_page(folder / "pages" / name) for name in COMMANDS}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.died: Counter[str] = Counter()
        self._events = 0
        #: What is to be done while a process is waited for.
        self.meanwhile: Callable[[], object] = bool
        self.start("server")
        (folder / "wires").mkdir()
        #: Each process has a wire of its own to the server.
        self.wires = {name: Proxy(folder / "wires" / name, self._server.socket) for name in COMMANDS}
        self.redis = Redis(unix_socket_path=str(self._server.socket), socket_timeout=5)
        if start:
            for name in COMMANDS:
                self.start(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the line is given; also for commands that look at it."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        return clean | {
            "KARL_DATA_DIR": str(self.folder),
            "KARL_REDIS_URL": f"unix://{self._server.socket}",
            "KARL_LEASE_TTL_S": str(LEASE_S),
            "KARL_NODE": "n1",
            "KARL_SEGMENT_MAX_MB": "1",
            **self._settings,
        }

    def start(self, name: str) -> None:
        if name == "server":
            self.processes[name] = self._server.start()
            return
        harm = {
            "KARL_REDIS_URL": f"unix://{self.folder / 'wires' / name}",
            "PYTHONPATH": str(INJECTED),
            "TORTURE_PAGE": str(self.folder / "pages" / name),
            "TORTURE_DISK": str(self.folder / "ledger"),
        }
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-P", "-m", "karl.cli", *COMMANDS[name]],
            env=self.environment | harm,
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
        )

    def kill(self, name: str) -> None:
        """End a process by SIGKILL, and start it again."""
        self.end(name)
        self.start(name)

    def restart(self, name: str) -> None:
        """End a process by SIGTERM, and start it again."""
        self.end(name, signal.SIGTERM)
        self.start(name)

    def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End a process, and leave it so."""
        process = self.processes[name]
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # it may be paused, and then would not hear of it
        deadline = time.monotonic() + STOP_S
        while process.poll() is None and time.monotonic() < deadline:
            self.meanwhile()
            time.sleep(0.005)
        if process.poll() is None:
            self.died[f"{name} did not end within {STOP_S:g} s of {how.name}"] += 1
            process.kill()
            process.wait()
        if name == "server":
            self._server.ended()

    def pause(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def cut_connections(self) -> None:
        """Let the server cut every connection but our own."""
        self.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def cut_power_of_the_server(self, chance: random.Random) -> int:
        """Kill the server, lose what it had not yet brought to its disk, start it again; gives the bytes lost."""
        lost = self._server.cut_power(self.processes["server"], chance)
        self.start("server")
        return lost

    def tend(self) -> list[str]:
        """Start again what ended by itself, as a supervisor would; gives what ended, with its code."""
        ended = [
            f"{name} ended with {code}"
            for name, process in self.processes.items()
            if (code := process.poll()) is not None
        ]
        for what in ended:
            self.died[what] += 1
            if what.startswith("server "):
                self._server.ended()
            self.start(what.split()[0])
        return ended

    def hook(self, payload: dict[str, Any]) -> bool:
        """Leave an event in the spool, whole at once, under a name that no other event has; False if there is no room."""
        self._events += 1
        hidden = self.spool / ".incoming"
        try:
            hidden.write_text(json.dumps(payload))
        except OSError:
            if os.access(self.spool, os.W_OK):
                hidden.unlink(missing_ok=True)
            return False
        hidden.rename(self.last_event)
        return True

    @property
    def last_event(self) -> Path:
        """Where `hook` left its last event."""
        return self.spool / f"claude-code.{1_000_000_000 + self._events}"

    def real_hook(self, payload: dict[str, Any]) -> None:
        """Run the hook as an agent does. It exits 0 and prints nothing, whatever happens."""
        done = subprocess.run(
            ["/bin/sh", "-c", hook_command(self.spool, "claude-code")],
            input=json.dumps(payload).encode(),
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), done

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self._server.ended()
        for wire in self.wires.values():
            wire.close()
        self.redis.close()
        self._log.close()
        for page in self.pages.values():
            page.close()
        for name, disk in self.disks.items():
            # What lay on the disk stays in the folder, for whoever looks into it afterwards.
            disk.writable()
            disk.make_room()
            shutil.copytree(self.folder / name, self.folder / f"{name}.kept", symlinks=True)
            disk.close()
            (self.folder / name).rmdir()
            (self.folder / f"{name}.kept").rename(self.folder / name)
