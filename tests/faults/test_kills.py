"""kill -9 of the line's real processes at random moments loses nothing and repeats nothing.

The checker reads the ledger's files itself, without the product's reader.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from karl.stream import keys
from karl.stream.connect import connect
from karl.stream.server import Server
from tests.conftest import wait_until

COMMANDS = {
    "ship": ["ship"],
    "sessions-1": ["worker", "sessions"],
    "sessions-2": ["worker", "sessions"],
    "ledger-1": ["worker", "ledger"],
    "ledger-2": ["worker", "ledger"],
}


class RealLine:
    """The real processes over one data folder; any of them can be killed and is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.spool.mkdir(mode=0o700, parents=True)
        self.server = Server(folder)
        self.server.start()
        self.redis = connect(self.server.url)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        self._environment = clean | {
            "KARL_DATA_DIR": str(folder),
            "KARL_REDIS_URL": self.server.url,
            "KARL_LEASE_TTL_S": "1",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log = (folder / "log").open("ab")
        for name in COMMANDS:
            self.start(name)

    def start(self, name: str) -> None:
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "karl.cli", *COMMANDS[name]],
            env=self._environment, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def kill(self, name: str) -> None:
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.start(name)

    def hook(self, number: int, payload: dict[str, Any]) -> None:
        """Leave an event in the spool, whole at once, under a name that no other event has."""
        hidden = self.spool.parent / "incoming"
        hidden.write_text(json.dumps(payload))
        hidden.rename(self.spool / f"claude-code.{number + 1}")

    def idle(self) -> bool:
        """Say whether everything that came in has left the spool and the streams."""
        if any(path.name.startswith("claude-code") for path in self.spool.iterdir()):
            return False
        pipe = self.redis.pipeline(transaction=False)
        for partition in range(keys.PARTITIONS):
            pipe.xlen(keys.events_key(partition))
            pipe.xlen(keys.records_key(partition))
        return not any(pipe.execute())

    def close(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.redis.close()
        self._log.close()
        self.server.stop()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[RealLine]:
    made = RealLine(tmp_path / "data")
    yield made
    made.close()


def ledgered(folder: Path) -> list[dict[str, Any]]:
    """Read all records: segments in order, each up to the length that the next one seals."""
    segments = sorted((folder / "ledger").glob("*.jsonl"))
    lengths: dict[str, int] = {}
    for segment in segments:
        with segment.open("rb") as file:
            first = file.readline()
        if first.endswith(b"\n"):
            for seal in json.loads(first)["body"]["seals"]:
                lengths[seal["segment"]] = seal["length"]
    records = []
    for segment in segments:
        data = segment.read_bytes()[: lengths.get(segment.name)]
        records += [json.loads(text) for text in data.splitlines() if text]
    return records


def payloads(sessions: int, turns: int) -> Iterator[dict[str, Any]]:
    """Give the events of several sessions, interleaved, each with a number of its own."""
    number = 0
    for turn in range(turns):
        for step in ("UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"):
            for session in range(sessions):
                number += 1
                payload: dict[str, Any] = {"session_id": f"s-{session}", "hook_event_name": step, "n": number}
                if "Tool" in step:
                    payload |= {
                        "tool_name": "Bash",
                        "tool_use_id": f"call-{session}-{turn}",
                        "tool_input": {"command": "true"},
                    }
                if step == "UserPromptSubmit":
                    payload["prompt"] = f"do part {turn}"
                yield payload


@pytest.mark.parametrize("seed", [1, 2])
def test_every_event_is_in_the_ledger_once_and_in_order_whatever_is_killed(line: RealLine, seed: int) -> None:
    chance = random.Random(seed)
    sent = []
    for number, payload in enumerate(payloads(sessions=12, turns=12)):
        line.hook(number, payload)
        sent.append(payload)
        if chance.random() < 0.02:
            line.kill(chance.choice(list(COMMANDS)))
        time.sleep(0.001)  # a pace, not a wait: the events spread over the kills
    wait_until(line.idle, "the line has taken everything in", deadline_s=60)
    records = ledgered(line.folder)
    events = [
        (event["session"], event["payload"]["n"])
        for record in records
        for event in record["body"].get("events", [])
    ]
    assert [event for event, count in Counter(events).items() if count > 1] == []
    assert len(events) == len(sent)
    for session in {payload["session_id"] for payload in sent}:
        kept = [n for name, n in events if name == session]
        assert kept == [payload["n"] for payload in sent if payload["session_id"] == session]
    terms = [record["term"] for record in records]
    assert terms == sorted(terms)
    trajectories = [record["body"]["id"] for record in records if record["kind"] == "trajectory"]
    assert len(trajectories) == len(set(trajectories)) == 12 * 12
    annotations = [record for record in records if record["kind"] == "annotation"]
    assert len(annotations) == 12 * 11
