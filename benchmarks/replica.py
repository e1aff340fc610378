"""What a follower of the ledger costs, and how far behind it is.

    catching up     a ledger that is there already, followed from its start, against copying and syncing its bytes
    appending       batches with a follower against batches without, rounds in turn
    lag             from the end of an append to the follower's word that it is on its disk too

The follower is a process of its own on the same machine, so both share its cores and its disk.

    python -m benchmarks.replica [MEGABYTES] [ROUNDS]
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from karl.ledger.segments import list_segments
from karl.ledger.writer import Draft, Writer
from karl.replica.serve import Served, Serving
from workers.follow import follow

TOKEN = "a-token-of-the-benchmark"
BODY = b'{"text":"' + b"x" * 1_989 + b'"}'
BATCH = 64
PIECE = 4 << 20


def measure(megabytes: int = 256, rounds: int = 300) -> dict[str, Any]:
    """Give MB/s and seconds, and milliseconds by case."""
    with tempfile.TemporaryDirectory(prefix="karl-replica-") as folder:
        return {"catching up": _catch_up(Path(folder), megabytes), "appending": _append(Path(folder), rounds)}


class _Source:
    """A ledger that is written and served here."""

    def __init__(self, folder: Path) -> None:
        self.writer = Writer.open(
            folder,
            term=1,
            clock=lambda: datetime.now(UTC),
            segment_max_bytes=64 << 20,
            trusted=lambda: True,
        )
        self.serving = Serving(folder, Served("127.0.0.1", 0, TOKEN))
        self.folder = folder
        self.count = 0
        _wait(lambda: self.serving.port)

    def append(self, size: int = BATCH) -> float:
        """Append a batch and let followers have it; gives the seconds."""
        drafts = [Draft("events", BODY, n % 64, f"{self.count + 1}-{n}") for n in range(size)]
        self.count += 1
        start = time.perf_counter()
        self.writer.append(drafts)
        segment = self.writer.segment
        self.serving.source.confirm(segment, (self.folder / segment).stat().st_size)
        return time.perf_counter() - start

    def has_follower_at_end(self) -> bool:
        farthest = self.serving.source.farthest
        return farthest is not None and farthest.seq == self.writer.next_seq - 1

    def close(self) -> None:
        self.serving.stop()
        self.writer.close()


def _catch_up(root: Path, megabytes: int) -> dict[str, float]:
    source = _Source(root / "ledger")
    for _ in range(-(-(megabytes << 20) // (1024 * len(BODY)))):
        source.append(1024)
    size = sum((root / "ledger" / name).stat().st_size for name in list_segments(root / "ledger"))
    ours, floor = [], []
    for turn in range(3):
        start = time.perf_counter()
        with _following(source, root / f"copy-{turn}"):
            _wait(source.has_follower_at_end)
            ours.append(time.perf_counter() - start - _start_s())
        source.serving.source.farthest = None
        start = time.perf_counter()
        _plain_copy(root / "ledger", root / f"plain-{turn}")
        floor.append(time.perf_counter() - start)
    source.close()
    mb = size / 1e6
    return {
        "megabytes": mb,
        "mb_per_s": mb / statistics.median(ours),
        "floor_mb_per_s": mb / statistics.median(floor),
        "share_of_floor": statistics.median(floor) / statistics.median(ours),
    }


def _append(root: Path, rounds: int) -> dict[str, float]:
    alone, followed, lags = [], [], []
    cpu = {"alone": 0.0, "followed": 0.0}
    for turn in range(4):
        source = _Source(root / f"appending-{turn}")
        if turn % 2:
            with _following(source, root / f"followed-{turn}"):
                source.append()
                _wait(source.has_follower_at_end)
                spent = time.process_time()
                followed += [source.append() for _ in range(rounds)]
                cpu["followed"] += time.process_time() - spent
                _wait(source.has_follower_at_end)
                lags += [_lag(source) for _ in range(rounds)]
        else:
            spent = time.process_time()
            alone += [source.append() for _ in range(rounds)]
            cpu["alone"] += time.process_time() - spent
        source.close()
    return {
        "alone_ms": statistics.median(alone) * 1e3,
        "followed_ms": statistics.median(followed) * 1e3,
        "ratio": statistics.median(followed) / statistics.median(alone),
        "cpu_ratio": cpu["followed"] / cpu["alone"],
        "lag_ms": statistics.median(lags) * 1e3,
        "lag_p99_ms": statistics.quantiles(lags, n=100)[98] * 1e3,
    }


def _lag(source: _Source) -> float:
    source.append(4)
    start = time.perf_counter()
    _wait(source.has_follower_at_end)
    return time.perf_counter() - start


@contextmanager
def _following(source: _Source, folder: Path) -> Iterator[None]:
    words = [sys.executable, "-m", "benchmarks.replica", "follow", str(source.serving.port), str(folder)]
    process = subprocess.Popen(words)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _start_s() -> float:
    """Give the seconds that a follower's process takes to start, which is not its copying."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.replica", "nothing"], check=True, cwd=Path.cwd())
    return time.perf_counter() - start


def _plain_copy(source: Path, target: Path) -> None:
    target.mkdir()
    for name in list_segments(source):
        with (source / name).open("rb") as file, (target / name).open("xb", buffering=0) as copy:
            while data := file.read(PIECE):
                copy.write(data)
                os.fdatasync(copy.fileno())


def _wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the follower does not follow")
        time.sleep(0.0005)


def _follow(port: str, folder: str) -> None:
    logging.disable()
    stop = threading.Event()
    worker = follow(Path(folder), f"http://127.0.0.1:{port}", TOKEN, node="bench", since="")
    while True:
        worker.run_once(stop)


if __name__ == "__main__":
    if sys.argv[1:2] == ["follow"]:
        _follow(*sys.argv[2:])
    elif sys.argv[1:2] != ["nothing"]:
        for part, figures in measure(*(int(argument) for argument in sys.argv[1:])).items():
            print(part, {name: round(value, 3) for name, value in figures.items()})
