"""Machines that work on jobs: a server, one that has the ledger and asks, and two that do the work."""

from __future__ import annotations

import os
import runpy
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from karl.stream.server import find_server
from tests.machines.network import ROOT, Network

NODES = ("server", "asker", "one", "two")
LEASE_S = 1.0
_KARL = (sys.executable, "-P", "-m", "karl.cli")
_MADE = runpy.run_path(str(ROOT / "deploy" / "passwords"))


class Fleet:
    """The machines of NODES over a network, each with a folder of its own; `environ` is what all are told."""

    def __init__(self, folder: Path, network: Network, environ: Mapping[str, str]) -> None:
        self.folder, self.network = folder, network
        self._environ = dict(environ)
        self._passwords = {
            _MADE["variable"](role): f"{number:064x}" for number, role in enumerate(_MADE["REDIS_ROLES"])
        }
        for node in NODES:
            (folder / node).mkdir(mode=0o700)
        (folder / "logs").mkdir()
        self._start_server()

    def url(self, role: str) -> str:
        """Give the server's URL for a role."""
        password = self._passwords[_MADE["variable"](role)]
        return f"redis://{role}:{password}@{self.network.address('server')}:6379/0"

    def here(self, role: str) -> str:
        """Give the server's URL for a role, as this process reaches it."""
        password = self._passwords[_MADE["variable"](role)]
        return f"unix://{role}:{password}@{self.folder / 'server' / 's'}"

    def log(self, name: str) -> str:
        """Give what a program has said."""
        return (self.folder / "logs" / name).read_text()

    def start(self, name: str, node: str, role: str, *words: str) -> None:
        """Start a command of KARL on a machine, as a user of the server."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        told = {
            "KARL_DATA_DIR": str(self.folder / node),
            "KARL_NODE": node,
            "KARL_REDIS_URL": self.url(role),
            "KARL_RQ_URL": self.url("jobs"),
            "KARL_LEASE_TTL_S": str(LEASE_S),
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder / node),
        }
        log = self.folder / "logs" / name
        self.network.start(name, node, (*_KARL, *words), clean | told | self._environ, log)

    def code(self, name: str) -> int | None:
        """Give the exit code of a program; null while it runs."""
        return self.network.codes()[name]

    def until(self, condition: Callable[[], Any], what: str, within_s: float = 60.0) -> Any:
        """Wait until something is so, and give it; fail, naming it, when it does not come."""
        end = time.monotonic() + within_s
        while not (found := condition()):
            if time.monotonic() > end:
                raise AssertionError(f"waited {within_s:g} s in vain until {what}")
            time.sleep(0.01)
        return found

    def close(self) -> None:
        """Let go of the server."""
        self.redis.close()

    def _start_server(self) -> None:
        home = self.folder / "server"
        acl = home / "users.acl"
        acl.write_text(_MADE["users"]((ROOT / "deploy/redis/users.acl.in").read_text(), self._passwords))
        words = [
            find_server(), "--bind", self.network.address("server"), "--port", "6379", "--unixsocket", str(home / "s"),
            "--dir", str(home), "--aclfile", str(acl), "--save", "", "--protected-mode", "no",
        ]  # fmt: skip
        log = self.folder / "logs" / "server"
        self.network.start("server", "server", words, {"PATH": os.environ["PATH"]}, log)
        self.redis = Redis(
            unix_socket_path=str(home / "s"),
            username="look",
            password=self._passwords[_MADE["variable"]("look")],
        )
        self.until(self._answers, "the server answers")

    def _answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except RedisError:
            return False
