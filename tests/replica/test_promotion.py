"""Losing the ledger's machine, with real processes: what a follower has, and what the streams kept, is all of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.stream import keys
from tests.cli.running import KARL, environ
from tests.conftest import wait_until
from tests.replica.conftest import segments
from tests.workers.conftest import Feed

Start = Callable[..., subprocess.Popen[bytes]]
TOKEN = "a-token-of-the-tests"


class Machines:
    """A line whose ledger is on machine `a` and its copy on machine `b`, each a folder and processes."""

    def __init__(self, redis: Redis, url: str, folder: Path, **settings: str) -> None:
        self.redis, self.url, self.folder = redis, url, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.settings = {
            "KARL_LEASE_TTL_S": "0.5",
            "KARL_LEDGER_TOKEN": TOKEN,
            "KARL_REDIS_URL": url,
            **settings,
        }
        self.running: list[subprocess.Popen[bytes]] = []
        self._read: dict[str, tuple[Any, list[dict[str, Any]]]] = {}

    def environ(self, machine: str) -> dict[str, str]:
        port = str(self.port + ord(machine) - ord("a"))
        given = environ(self.folder / machine, KARL_NODE=machine, KARL_LEDGER_PORT=port, **self.settings)
        return {name: value for name, value in {**os.environ, **given}.items() if value is not None}

    def start(self, machine: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{machine}-{words[1]}.log").open("ab") as log:
            made = subprocess.Popen([KARL, *words], env=self.environ(machine), stderr=log)
        self.running.append(made)
        return made

    def follow(self, machine: str = "b", of: str = "a", *more: str) -> subprocess.Popen[bytes]:
        port = self.port + ord(of) - ord("a")
        return self.start(machine, "worker", "follow", "--from", f"http://127.0.0.1:{port}", *more)

    def karl(self, machine: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        env = self.environ(machine)
        return subprocess.run([KARL, *words], env=env, capture_output=True, timeout=60, check=False)

    def ledger(self, machine: str) -> Path:
        return self.folder / machine / "ledger"

    def said(self, machine: str, process: str) -> str:
        return (self.folder / f"{machine}-{process}.log").read_text()

    def lines(self, machine: str) -> list[dict[str, Any]]:
        """Every line of the files, read with nothing of ours; seals are looked at by `verify`."""
        paths = sorted(self.ledger(machine).glob("*.jsonl"))
        sizes = [(path.name, path.stat().st_size) for path in paths]
        if self._read.get(machine, (None,))[0] != sizes:
            found: list[dict[str, Any]] = []
            for path in paths:
                whole = path.read_bytes().rpartition(b"\n")[0]
                found += [json.loads(line) for line in whole.split(b"\n") if line]
            self._read[machine] = (sizes, found)
        return self._read[machine][1]

    def events(self, machine: str) -> list[str]:
        return [event["id"] for line in self.lines(machine) for event in line["body"].get("events", [])]

    def records(self, machine: str) -> int:
        return sum(line["kind"] != "segment" for line in self.lines(machine))

    def head(self, machine: str) -> int:
        lines = self.lines(machine)
        return lines[-1]["seq"] if lines else 0

    def waiting(self) -> int:
        return sum(self.redis.xlen(keys.records_key(p)) for p in range(64))

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture
def machines(redis: Redis, redis_url: str, tmp_path: Path) -> Iterator[Machines]:
    made = Machines(redis, redis_url, tmp_path, KARL_ACK="replica")
    yield made
    made.end()


def feed(machines: Machines, sessions: range, turns: int = 2) -> list[str]:
    sent = []
    for number in sessions:
        one = Feed(machines.redis, f"s-{number}")
        for _ in range(turns):
            one.turn(1)
        sent += [event.id for event in one.sent]
    return sent


def test_losing_the_ledger_s_disk_in_the_middle_of_work_loses_nothing(machines: Machines) -> None:
    machines.start("a", "worker", "sessions")
    writer = machines.start("a", "worker", "ledger")
    follower = machines.follow()
    sent = feed(machines, range(20))
    wait_until(lambda: len(machines.lines("b")) > 20, "the copy grows")
    kill(follower)  # from here on nothing that is written may leave the streams
    sent += feed(machines, range(20, 40))
    wait_until(lambda: machines.head("a") > machines.head("b") + 5, "the ledger is ahead of its copy")
    kill(writer)
    ahead = machines.head("a")
    shutil.rmtree(machines.ledger("a"))

    wait_until(lambda: not machines.redis.exists(keys.LEDGER_LEASE), "the lease runs out")
    promoted = machines.karl("b", "replica", "promote", "--json")
    assert promoted.returncode == 0, promoted.stderr
    assert json.loads(promoted.stdout)["seq"] < ahead
    machines.start("b", "worker", "ledger")
    machines.follow("c", "b")
    sent += feed(machines, range(40, 50))
    wait_until(lambda: len(machines.events("b")) >= len(sent), "all events are in the ledger")
    wait_until(lambda: not machines.waiting(), "the new follower has them, and the streams are empty")
    assert sorted(machines.events("b")) == sorted(sent)
    for machine in "bc":
        report = json.loads(machines.karl(machine, "verify", "--json").stdout)
        assert (report["ok"], report["warnings"]) == (True, 0)


def test_a_follower_that_is_killed_again_and_again_has_the_source_s_bytes(machines: Machines) -> None:
    machines.settings["KARL_SEGMENT_MAX_MB"] = "1"
    machines.start("a", "worker", "sessions")
    machines.start("a", "worker", "ledger")
    sent: list[str] = []
    for number in range(3):
        follower = machines.follow()
        head = machines.head("b")
        sent += feed(machines, range(10 * number, 10 * number + 10), turns=5)
        wait_until(lambda head=head: machines.head("b") > head, "the copy grows")
        kill(follower)
    machines.follow()
    wait_until(lambda: len(machines.events("b")) == len(sent) and not machines.waiting(), "all is copied")
    assert segments(machines.ledger("b")) == segments(machines.ledger("a"))


def test_a_follower_goes_on_with_the_standby_that_takes_over_at_the_same_port(machines: Machines) -> None:
    machines.start("a", "worker", "sessions")
    writer = machines.start("a", "worker", "ledger")
    wait_until(lambda: machines.redis.exists(keys.LEDGER_LEASE), "it writes")
    machines.start("a", "worker", "ledger")
    machines.follow()
    sent = feed(machines, range(5))
    wait_until(lambda: len(machines.events("b")) == len(sent), "all is copied")
    kill(writer)
    sent += feed(machines, range(5, 10))
    wait_until(lambda: len(machines.events("b")) == len(sent) and not machines.waiting(), "it goes on")
    assert {line["term"] for line in machines.lines("b")} == {1, 2}
    assert segments(machines.ledger("b")) == segments(machines.ledger("a"))


def test_without_a_follower_records_stay_in_the_streams_and_are_appended_all_the_same(
    machines: Machines,
) -> None:
    machines.start("a", "worker", "sessions")
    machines.start("a", "worker", "ledger")
    sent = feed(machines, range(5))
    wait_until(lambda: len(machines.events("a")) == len(sent), "all events are in the ledger")
    assert machines.waiting() == machines.records("a") > 0
    machines.follow()
    wait_until(lambda: not machines.waiting(), "the streams are empty")
    assert sorted(machines.events("b")) == sorted(sent)


def test_a_ledger_that_comes_back_after_its_copy_was_promoted_is_refused_and_can_become_a_copy(
    machines: Machines,
) -> None:
    machines.start("a", "worker", "sessions")
    writer = machines.start("a", "worker", "ledger")
    follower = machines.follow()
    sent = feed(machines, range(3))
    wait_until(lambda: len(machines.events("b")) == len(sent) and not machines.waiting(), "all is copied")
    follower.terminate()
    assert follower.wait(10) == 0
    refused = machines.karl("b", "replica", "promote")
    assert refused.returncode == 1
    assert b"holds the ledger's lease" in refused.stderr
    sent += feed(machines, range(3, 5))  # only `a` will have them, and the streams
    wait_until(lambda: len(machines.events("a")) == len(sent), "the ledger is ahead")
    kill(writer)
    wait_until(lambda: not machines.redis.exists(keys.LEDGER_LEASE), "the lease runs out")
    assert machines.karl("b", "replica", "promote").returncode == 0

    back = machines.start("a", "worker", "ledger")
    assert back.wait(20) == 1
    assert "is not the ledger that was written last" in machines.said("a", "ledger")
    machines.start("b", "worker", "ledger")
    wait_until(lambda: len(machines.events("b")) == len(sent), "what was in the streams is in the ledger")
    forked = machines.follow("a", "b", "--rejoin")
    assert forked.wait(20) == 1
    assert len(machines.events("a")) == len(sent)  # nothing was taken out
    rejoined = machines.follow("a", "b", "--rejoin", "--set-aside")
    wait_until(lambda: machines.head("a") == machines.head("b"), "it is a copy")
    wait_until(lambda: not machines.waiting(), "the streams are empty")
    assert sorted(machines.events("a")) == sorted(machines.events("b")) == sorted(sent)
    rejoined.terminate()
    assert rejoined.wait(10) == 0
    assert json.loads(machines.karl("a", "verify", "--json").stdout)["ok"]


def test_a_copy_that_lacks_what_left_the_streams_is_promoted_only_by_force(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    machines = Machines(redis, redis_url, tmp_path)
    try:
        machines.start("a", "worker", "sessions")
        writer = machines.start("a", "worker", "ledger")
        follower = machines.follow()
        sent = feed(machines, range(3))
        wait_until(lambda: len(machines.events("b")) == len(sent), "all is copied")
        kill(follower)
        lost = feed(machines, range(3, 5))
        wait_until(
            lambda: len(machines.events("a")) == len(sent + lost) and not machines.waiting(), "it is let go"
        )
        kill(writer)
        wait_until(lambda: not redis.exists(keys.LEDGER_LEASE), "the lease runs out")
        refused = machines.karl("b", "replica", "promote")
        assert refused.returncode == 1
        missing = machines.head("a") - machines.head("b")
        assert f"{missing} lines are only where the ledger was".encode() in refused.stderr
        assert machines.start("b", "worker", "ledger").wait(20) == 1  # it is a copy still
        forced = machines.karl("b", "replica", "promote", "--force", "--json")
        assert forced.returncode == 0, forced.stderr
        assert f"{missing} lines" in json.loads(forced.stdout)["lost"][0]
        machines.start("b", "worker", "ledger")
        wait_until(lambda: redis.exists(keys.LEDGER_LEASE), "it writes")
    finally:
        machines.end()
