"""A team's line on machines of its own: agents on two, workers on two, the ledger, a reader, and the server."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from karl.stream.keys import lease_key, partition_of
from karl.stream.server import find_server
from producers.hook import hook_command
from tests.faults import checker
from tests.machines.network import ROOT, Network

AGENTS = ("agents-1", "agents-2")
WORKERS = ("workers-1", "workers-2")
NODES = ("server", *AGENTS, *WORKERS, "ledger", "standby", "gpu")
_KARL = (sys.executable, "-P", "-m", "karl.cli")
#: Programs by name: where each runs, as which user of the server, and its words.
PROGRAMS = {
    "ship-1": ("agents-1", "ship", (*_KARL, "ship")),
    "ship-2": ("agents-2", "ship", (*_KARL, "ship")),
    "sessions-1": ("workers-1", "sessions", (*_KARL, "worker", "sessions")),
    "sessions-2": ("workers-2", "sessions", (*_KARL, "worker", "sessions")),
    "writer": ("ledger", "ledger", (*_KARL, "worker", "ledger")),
    "views": ("ledger", "look", (*_KARL, "worker", "views")),
    "reader": ("gpu", "look", (sys.executable, "-P", "-m", "tests.machines.reader")),
}
#: These are started where a test wants them; what follows the ledger asks no Redis.
SENDER = {"sender": ("gpu", "ship", (sys.executable, "-P", "-m", "tests.machines.reader", "write"))}
FOLLOWER = ("gpu", "look", (*_KARL, "worker", "follow", "--from"))
_SERVED = {"KARL_LEDGER_PORT": "8790", "KARL_LEDGER_HOST": "0.0.0.0", "KARL_LEDGER_TOKEN": "t" * 32}
#: A writer that shares the ledger's disk and has a network of its own, as containers of one host do.
STANDBY = {"standby": ("standby", "ledger", (*_KARL, "worker", "ledger"))}
LEASE_S = 2.0
SETTLE_S = 60.0

_MADE = runpy.run_path(str(ROOT / "deploy" / "passwords"))


class Team:
    """The line over a network; `told` has every payload that a hook took."""

    def __init__(
        self, folder: Path, network: Network, *, standby: bool = False, lease_s: float = LEASE_S
    ) -> None:
        self.folder = folder
        self.network = network
        self._lease_s = lease_s
        self.told = checker.Told()
        self._passwords = {
            _MADE["variable"](role): f"{number:064x}" for number, role in enumerate(_MADE["REDIS_ROLES"])
        }
        started = PROGRAMS | (STANDBY if standby else {})
        self._programs = started | SENDER
        for node in NODES:
            (folder / node / "spool").mkdir(mode=0o700, parents=True)
        (folder / "logs").mkdir()
        self.start_server()
        for name in started:
            self.start(name)
        self.until(self._ready, "every process works")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.redis.close()

    @property
    def ledger(self) -> Path:
        """The data folder of the ledger's machine."""
        return self.folder / "ledger"

    def url(self, role: str) -> str:
        """Give the server's URL for a role."""
        password = self._passwords[_MADE["variable"](role)]
        return f"redis://{role}:{password}@{self.network.address('server')}:6379/0"

    def log(self, name: str) -> str:
        """Give what a program has said."""
        return (self.folder / "logs" / name).read_text()

    def start_server(self) -> None:
        """Start the server, and wait until it answers."""
        home = self.folder / "server"
        acl = home / "users.acl"
        acl.write_text(_MADE["users"]((ROOT / "deploy/redis/users.acl.in").read_text(), self._passwords))
        words = [
            find_server(), "--bind", self.network.address("server"), "--port", "6379", "--unixsocket", str(home / "s"),
            "--dir", str(home), "--aclfile", str(acl), "--appendonly", "yes", "--appendfsync", "always",
            "--save", "", "--protected-mode", "no",
        ]  # fmt: skip
        self.network.start(
            "server", "server", words, {"PATH": os.environ["PATH"]}, self.folder / "logs" / "server"
        )
        self.redis = Redis(
            unix_socket_path=str(home / "s"),
            username="look",
            password=self._passwords[_MADE["variable"]("look")],
            socket_timeout=5,
        )
        self.until(self._answers, "the server answers")

    def start(self, name: str) -> None:
        """Start a program on its machine."""
        node, role, words = self._programs[name]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        home = self.ledger if node == "standby" else self.folder / node
        told = {
            "KARL_DATA_DIR": str(home),
            "KARL_NODE": node,
            "KARL_REDIS_URL": self.url(role),
            "KARL_LEASE_TTL_S": str(self._lease_s),
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            **(_SERVED if role == "ledger" or name == "follower" else {}),
        }
        self.network.start(name, node, words, clean | told, self.folder / "logs" / name)

    def follow(self, source: str) -> None:
        """Start a follower of the ledger that a machine's process writes."""
        node, role, words = FOLLOWER
        self._programs["follower"] = (node, role, (*words, f"http://{self.network.address(source)}:8790"))
        self.start("follower")

    def copied(self) -> bool:
        """Say whether the follower's segments are the ledger's, byte for byte."""
        theirs, ours = (
            {path.name: path.read_bytes() for path in (home / "ledger").glob("*.jsonl")}
            for home in (self.ledger, self.folder / "gpu")
        )
        return theirs == ours

    def karl(self, node: str, role: str, *words: str, timeout_s: float = 30) -> tuple[int, str]:
        """Run a command of KARL on a machine; gives its exit code and what it said."""
        name = f"karl-{len(self.network.codes())}"
        self._programs[name] = (node, role, (*_KARL, *words))
        try:
            self.start(name)
        finally:
            del self._programs[name]
        self.until(lambda: self.network.codes()[name] is not None, f"`karl {words[0]}` ends", timeout_s)
        return self.network.codes()[name] or 0, self.log(name)

    def say(self, payloads: Iterable[dict[str, Any]]) -> None:
        """Leave events in the spools, whole at once, each on the machine that its session's agent works on."""
        for payload in payloads:
            numbered = {**payload, "n": len(self.told)}
            node = self.folder / self._home(payload["session_id"])
            hidden = node / "incoming"
            hidden.write_text(json.dumps(numbered))
            hidden.rename(node / "spool" / f"claude-code.{1_000_000_000 + len(self.told)}")
            self.told.accepted(numbered)

    def hook(self, payload: dict[str, Any]) -> None:
        """Let the real hook take an event on the machine that its session's agent works on."""
        spool = self.folder / self._home(payload["session_id"]) / "spool"
        numbered = {**payload, "n": len(self.told)}
        done = subprocess.run(
            ["/bin/sh", "-c", hook_command(spool, "claude-code")],
            input=json.dumps(numbered).encode(), capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), done
        self.told.accepted(numbered)

    def turns(self, name: str, turns: int = 1, calls: int = 3) -> None:
        """Let two sessions of a name, one on each agents' machine, have some turns side by side."""
        told = [list(_turns(session, turns, calls)) for session in self.sessions(name)]
        for pair in zip(*told, strict=True):
            for payload in pair:
                self.hook(payload)

    def sessions(self, name: str) -> list[str]:
        """Give the ids of two sessions, one for each agents' machine."""
        found: dict[str, str] = {}
        number = 0
        while len(found) < len(AGENTS):
            found.setdefault(self._home(f"{name}-{number}"), f"{name}-{number}")
            number += 1
        return [found[node] for node in AGENTS]

    def ledgered(self, name: str) -> int:
        """Count the events in the ledger of the sessions of a name."""
        bodies = [line["body"] for line in checker.lines_of(self.ledger) if line["kind"] == "trajectory"]
        return sum(len(body["events"]) for body in bodies if body["session"].rpartition("-")[0] == name)

    def spooled(self, node: str) -> int:
        """Count the events that wait on an agents' machine."""
        return sum(path.name.startswith("claude-code.") for path in (self.folder / node / "spool").iterdir())

    def settle(self, within_s: float = SETTLE_S) -> None:
        """Wait until nothing is under way and the views are at the ledger's end."""
        self.until(self._settled, "everything arrives", within_s)

    def broken(self) -> list[str]:
        """Name every promise that was broken."""
        ended = {name: code for name, code in self.network.codes().items() if code and name in self._programs}
        return [
            *(f"{name} ended by itself with {code}" for name, code in ended.items()),
            *checker.broken_promises(self.ledger, self.redis, self.told),
        ]

    def kill_server(self) -> None:
        """Let the server die without a word."""
        self.network.send_signal("server", signal.SIGKILL)
        self.until(lambda: self.network.codes()["server"] is not None, "the server is dead")

    def await_said(self, name: str, text: str, times: int = 1, within_s: float = 30.0) -> None:
        """Wait until a program's log has a text so many times."""
        self.until(lambda: self.log(name).count(text) >= times, f"{name} says {text!r}", within_s)

    def until(self, condition: Callable[[], object], what: str, within_s: float = 30.0) -> None:
        """Wait until something is so; fail, naming it, when it does not come."""
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {within_s:g} s in vain until {what}")
            time.sleep(0.01)

    def lines(self) -> list[dict[str, Any]]:
        """Give the ledger's lines."""
        return checker.lines_of(self.ledger)

    def term(self) -> int:
        """Give the term of the ledger's newest line."""
        return int(self.lines()[-1]["term"])

    def writers(self) -> tuple[str, str]:
        """Give the machine whose process writes the ledger, and the other one."""
        holder = (self.redis.get("karl:ledger:lease") or b"").decode().partition(":")[0]
        return ("standby", "ledger") if holder == "standby" else ("ledger", "standby")

    def holder(self, session: str) -> str:
        """Give the machine whose worker has a session's partition; empty when none has."""
        return (self.redis.get(lease_key(partition_of(session))) or b"").decode().partition(":")[0]

    def session_of(self, node: str) -> str:
        """Give the id of a new session whose partition is a machine's."""
        return next(name for number in count() if self.holder(name := f"of-{node}-{number}") == node)

    def _home(self, session: str) -> str:
        return AGENTS[zlib.crc32(b"home of " + session.encode()) % len(AGENTS)]

    def _settled(self) -> bool:
        try:
            if any(checker.waiting(self.ledger, self.redis).values()):
                return False
        except RedisError:
            return False
        return not any(map(self.spooled, AGENTS)) and checker.views_are_there(self.ledger)

    def _answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except RedisError:
            return False

    def _ready(self) -> bool:
        return (
            all("partitions gained" in self.log(name) for name in ("sessions-1", "sessions-2"))
            and len(self.redis.hgetall("karl:nodes")) == len(AGENTS)
            and self.redis.get("karl:ledger:lease") is not None
            and "ok" in self.log("reader")
        )


def _turns(session: str, turns: int, calls: int) -> Iterable[dict[str, Any]]:
    """Give what an agent's hooks say of some turns."""
    for turn in range(turns):
        yield {"session_id": session, "hook_event_name": "UserPromptSubmit", "prompt": f"Do part {turn}"}
        for call in range(calls):
            tool = {
                "tool_name": "Bash", "tool_use_id": f"{session}-{turn}-{call}", "tool_input": {"command": "x" * 300},
            }  # fmt: skip
            yield {"session_id": session, "hook_event_name": "PreToolUse", **tool}
            yield {"session_id": session, "hook_event_name": "PostToolUse", **tool}
        yield {"session_id": session, "hook_event_name": "Stop"}
