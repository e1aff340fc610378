"""A user's machine for the doctor to look at: a home, a data folder, a Redis, and processes where wanted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from redis import Redis

from karl.doctor import latency, views
from karl.stream import keys
from karl.stream.connect import connect
from karl.stream.facts import facts
from karl.stream.server import Server
from tests.cli.running import karl
from tests.conftest import wait_until
from workers.processes import LINE

#: The processes that every line has, each with the words that start it.
PROCESSES = {process.name: process.words for process in LINE if not process.only_if}


class Visit:
    """What one `karl doctor --json` said."""

    def __init__(self, result: Result) -> None:
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        self.code = result.exit_code
        self.told: dict[str, Any] = json.loads(result.stdout)

    def __getitem__(self, name: str) -> dict[str, Any]:
        """Give the check of a link, or of `link/name` where it has several."""
        link, _, wanted = name.partition("/")
        found = [c for c in self.told["checks"] if c["link"] == link and wanted in {"", c["name"]}]
        assert found, f"no check {name}: {[(c['link'], c['name']) for c in self.told['checks']]}"
        return max(found, key=lambda c: ("ok", "unknown", "warn", "fail").index(c["verdict"]))

    @property
    def failing(self) -> list[str]:
        return [f"{c['link']}/{c['name']}" for c in self.told["checks"] if c["verdict"] == "fail"]


class Home:
    """One user's machine. `karl` runs a command as this user."""

    def __init__(self, folder: Path, redis_url: str = "") -> None:
        self.folder = folder
        self.data = folder / "data"
        self.spool = self.data / "spool"
        self.config = folder / "home" / ".claude"
        self.hooks = self.config / "settings.json"
        self.config.mkdir(parents=True)
        self.environ = {
            "HOME": str(folder / "home"),
            "CLAUDE_CONFIG_DIR": str(self.config),
            "PATH": "/usr/bin:/bin",
            "KARL_NODE": "n1",
            **({"KARL_REDIS_URL": redis_url} if redis_url else {}),
        }

    def karl(self, *arguments: str, **more: str) -> Result:
        return karl(self.data, *arguments, **{**self.environ, **more})

    def visit(self, *arguments: str, **more: str) -> Visit:
        return Visit(self.karl("doctor", "--json", *arguments, **more))

    def installed(self) -> Home:
        assert self.karl("hooks", "install").exit_code == 0
        return self


class Processes(Home):
    """The same with a server and the line's processes, each of which can be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder / "server")
        self.server.start()
        super().__init__(folder, self.server.url)
        self.redis: Redis = connect(self.server.url)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.installed()
        self.start(*PROCESSES)

    def start(self, *names: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        settings = {**self.environ, "KARL_DATA_DIR": str(self.data), "KARL_LEASE_TTL_S": "1"}
        if "ship" in names:
            self.redis.hdel(keys.NODES, "n1")  # what the one before it said
        for name in names:
            log = (self.folder / f"{name}.log").open("wb")
            self.running[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", "karl.cli", *PROCESSES[name]],
                env={**clean, **settings},
                stdout=log,
                stderr=log,
            )
            log.close()
        for name in names:
            wait_until(lambda name=name: self._ready(name), f"{name} works")

    def end(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        process.wait(30)

    def close(self) -> None:
        for name in list(self.running):
            self.end(name)
        self.redis.close()
        self.server.stop()

    def _ready(self, name: str) -> bool:
        now = facts(self.redis)
        return {
            "ship": "n1" in now.nodes,
            "sessions": now.partitions_held == 64,
            "ledger": now.ledger_lease is not None,
            "views": "views: ready" in (self.folder / "views.log").read_text(),
            "jobs": bool(self.redis.smembers("rq:workers:default")),
        }[name]


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook's latency is measured once, by its own test; views that stand still are not watched for long."""
    monkeypatch.setattr(latency, "BUDGET_S", 0.02)
    monkeypatch.setattr(views, "MOVE_S", 1.0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A machine with Claude Code and nothing of KARL's; no server."""
    made = Home(tmp_path)
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture
def at_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis: Redis, redis_url: str) -> Iterator[Home]:
    """The same, with the hook installed and a Redis of its own; what a test configures there is put back."""
    before = {
        name: redis.config_get(name)[name]
        for name in ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync")
    }
    made = Home(tmp_path, redis_url).installed()
    monkeypatch.chdir(made.folder)
    yield made
    for name, value in before.items():
        redis.config_set(name, value)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Processes]]:
    """A whole line, started once; a call starts again what a test has ended."""
    made = Processes(tmp_path_factory.mktemp("line"))

    def whole() -> Processes:
        made.start(*(name for name in PROCESSES if name not in made.running))
        return made

    yield whole
    made.close()
