"""The whole line as real processes over one folder, measured from outside: memory, files, and its own metrics.

What is counted at the end is counted from the ledger's files, without the product's reader. Linux only:
it reads /proc.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from pyzstd import ZstdFile

from karl.stream.connect import connect
from karl.stream.server import Server

READY_S, END_S = 60.0, 60.0


class Use(NamedTuple):
    """What a process holds: resident bytes and open files."""

    rss: int
    fds: int


class RealLine:
    """A server, a shipper, so many sessions workers, a writer and the views; ended with the block."""

    def __init__(self, folder: Path, *, workers: int = 4, settings: dict[str, str], start: str = "") -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.spool.mkdir(mode=0o700, parents=True)
        self._server = Server(folder)
        self._server.start()
        self.redis = connect(self._server.url, name="karl-bench")
        words = {"ship": ["ship"], "ledger": ["worker", "ledger"], "views": ["worker", "views"]}
        words |= {f"sessions-{n}": ["worker", "sessions"] for n in range(1, workers + 1)}
        self.ports = dict(zip(words, free_ports(len(words)), strict=True))
        self._log = (folder / "log").open("ab")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        code = f"{start}\nfrom karl.cli.main import main\nmain()"
        self.processes = {
            name: subprocess.Popen(
                [sys.executable, "-P", "-c", code, *argv],
                env=clean
                | {"KARL_DATA_DIR": str(folder), "KARL_REDIS_URL": self._server.url, "KARL_NODE": "n1"}
                | {"KARL_METRICS_PORT": str(self.ports[name]), "KARL_LOG_LEVEL": "WARNING"}
                | settings,
                stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            )
            for name, argv in words.items()
        }  # fmt: skip
        self.paused: set[str] = set()
        self.pids = {name: process.pid for name, process in self.processes.items()}
        self.pids["server"] = self.redis.info("server")["process_id"]
        self._await_all()

    def pause(self, name: str) -> None:
        self.paused.add(name)
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)
        self.paused.discard(name)

    def figures(self) -> dict[str, float]:
        """Give every figure of KARL's, added up over processes and labels; a paused process tells none."""
        sums: dict[str, float] = defaultdict(float)
        for name, port in self.ports.items():
            if name not in self.paused:
                for key, value in scraped(port).items():
                    sums[key] += value
        return sums

    def use(self) -> dict[str, Use]:
        """Give what each process holds, and that of the server."""
        return {name: used(pid) for name, pid in self.pids.items()}

    def server_bytes(self) -> int:
        """Give the server's data in memory, as it says."""
        return int(self.redis.info("memory")["used_memory"])

    def ended(self) -> dict[str, int]:
        """Give the processes that ended by themselves, and their codes."""
        codes = {name: process.poll() for name, process in self.processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def drained(self) -> bool:
        """Say whether nothing is under way: no file in the spool, nothing unread, no record that waits."""
        if any(path.name.startswith("claude-code.") for path in self.spool.iterdir()):
            return False
        now = self.figures()
        return now["karl_lag_entries"] == now["karl_pending_entries"] == now["karl_lag_records"] == 0

    def close(self) -> None:
        """End the line as its supervisor would: what one hands on, the next can still take."""
        for name in sorted(self.processes, key=lambda name: ("ship", "sess", "ledg", "view").index(name[:4])):
            process = self.processes[name]
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.redis.close()
        self._server.stop()
        self._log.close()

    def _await_all(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            try:
                now = self.figures()
            except OSError:
                now = {}
            if now.get("karl_partitions_held") == 64 and now.get("karl_lease_held") == 1:
                return
            time.sleep(0.1)
        self.close()
        raise RuntimeError(f"the line was not ready within {READY_S:g} s; see {self.folder / 'log'}")


@contextmanager
def real_line(folder: Path, **options: Any) -> Iterator[RealLine]:
    """Run a line for the length of a block."""
    line = RealLine(folder, **options)
    try:
        yield line
    finally:
        line.close()


def ledgered(folder: Path) -> Counter[int]:
    """Count the numbers of the events in a ledger, each segment as far as a later one's seal counts it."""
    segments = sorted(path for path in folder.iterdir() if ".jsonl" in path.name and path.name[0].isdigit())
    lengths: dict[str, int] = {}
    for segment in segments:
        header = json.loads(_bytes_of(segment).partition(b"\n")[0])
        lengths |= {seal["segment"]: seal["length"] for seal in header["body"].get("seals", [])}
    numbers: Counter[int] = Counter()
    for segment in segments:
        name = segment.name.removesuffix(".zst")
        for raw in _bytes_of(segment)[: lengths.get(name)].splitlines():
            line = json.loads(raw)
            if line["kind"] in ("trajectory", "events"):
                numbers.update(event["payload"]["n"] for event in line["body"]["events"])
    return numbers


def _bytes_of(segment: Path) -> bytes:
    if segment.suffix == ".zst":
        with ZstdFile(segment) as file:
            return file.read()
    return segment.read_bytes()


def lost_or_double(folder: Path, sent: int) -> list[str]:
    """Hold what was sent against the ledger; gives what is wrong in words."""
    have = ledgered(folder)
    missing = [number for number in range(sent) if not have[number]]
    double = [number for number, count in have.items() if count > 1]
    wrong = [f"{len(missing)} of {sent} events were lost, from {missing[0]} on"] if missing else []
    return wrong + ([f"{len(double)} events are there twice, from {min(double)} on"] if double else [])


def scraped(port: int) -> dict[str, float]:
    """Give a process's own figures, added up over their labels."""
    sums: dict[str, float] = defaultdict(float)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                if sample.name.startswith("karl_") and not sample.name.endswith("_bucket"):
                    sums[sample.name] += sample.value
    return sums


def used(pid: int) -> Use:
    """Give what a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return Use(kib * 1024, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))


def free_ports(count: int) -> list[int]:
    """Find ports that nobody has at this moment."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


def slope(times: list[float], values: list[float]) -> float:
    """Give the growth of values a second: the median over all pairs, which a few odd ones do not move."""
    step = max(1, len(times) // 150)  # pairs grow with the square
    points = list(zip(times, values, strict=True))[::step]
    slopes = [
        (later[1] - one[1]) / (later[0] - one[0])
        for at, one in enumerate(points)
        for later in points[at + 1 :]
        if later[0] > one[0]
    ]
    return median(slopes) if slopes else 0.0
