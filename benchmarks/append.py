"""What the ledger costs: appending against writing the same bytes bare, and opening at any size.

The floor writes and syncs the very bytes that the writer wrote, in the same batches, turn by turn
with it, so that a disk's mood falls on both. Opening and the head are measured on a ledger of a
thousand and of a million small records: what they cost must not depend on it.

    python -m benchmarks.append [ROUNDS] [RECORDS]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from karl.ledger.reader import Reader, head
from karl.ledger.verify import verify
from karl.ledger.writer import Draft, Writer

BODY_BYTES = 2_000
BATCHES = (64, 256)
SEGMENT_BYTES = 64 << 20
SMALL = b'{"session":"s","fleet":"f","node":"n","agent":"a","project":"p","time_ms":1,"events":[]}'


def measure(rounds: int = 200, records: int = 1_000_000) -> dict[str, Any]:
    """Give records/s and us/record by batch size with the floor's, and open and head times by ledger size."""
    with tempfile.TemporaryDirectory(prefix="karl-append-") as folder:
        return {
            "append": {
                f"batch of {size}": _append(Path(folder) / str(size), size, rounds) for size in BATCHES
            },
            "open": _sizes(Path(folder), records),
        }


def _open(folder: Path, term: int) -> Writer:
    return Writer.open(
        folder,
        term=term,
        clock=lambda: datetime.now(UTC),
        segment_max_bytes=SEGMENT_BYTES,
        trusted=lambda: True,
    )


def _append(folder: Path, size: int, rounds: int) -> dict[str, float]:
    body = b'{"text":"' + b"x" * (BODY_BYTES - 11) + b'"}'
    ours: list[float] = []
    cpu: list[float] = []
    floor: list[float] = []
    with _open(folder, 1) as writer, (folder.parent / f"floor-{size}").open("ab", buffering=0) as bare:
        for number in range(rounds):
            drafts = [Draft("events", body, n % 64, f"{number + 1}-{n}") for n in range(size)]
            before = (folder / writer.segment).stat().st_size
            spent = time.process_time()
            ours.append(_timed(lambda drafts=drafts: writer.append(drafts)))  # type: ignore[misc]
            cpu.append(time.process_time() - spent)
            written = (folder / writer.segment).stat().st_size - before
            data = b"x" * (written if written > 0 else size * BODY_BYTES)
            floor.append(_timed(lambda data=data: _write_bare(bare.fileno(), data)))  # type: ignore[misc]
    return {
        "records_per_s": size / statistics.median(ours),
        "us_per_record": statistics.median(ours) / size * 1e6,
        "cpu_us_per_record": statistics.median(cpu) / size * 1e6,
        "floor_records_per_s": size / statistics.median(floor),
        "floor_us_per_record": statistics.median(floor) / size * 1e6,
        "ratio": statistics.median(ours) / statistics.median(floor),
    }


def _write_bare(fd: int, data: bytes) -> None:
    os.write(fd, data)
    getattr(os, "fdatasync", os.fsync)(fd)


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _sizes(root: Path, records: int) -> dict[str, dict[str, float]]:
    """Measure a ledger of a thousandth of the records, then of all, each ending like the other."""
    result = {}
    for count in (records // 1000, records):
        folder = root / f"ledger-{count}"
        _fill(folder, count)
        newest_mib = (folder / head(folder).segment).stat().st_size / (1 << 20)
        first_open = _timed(lambda folder=folder: _open(folder, 2).close())  # type: ignore[misc]
        # What opening reads is the newest segment, at most SEGMENT_BYTES and a batch. Below it is the
        # same at any size of the ledger, so that only the ledger's size can make the difference.
        result[f"{count} records"] = {"newest_mib": newest_mib, "first_open_ms": first_open * 1e3} | _cost(
            folder
        )
    small, large = result.values()
    result["ratio"] = {
        name: large[name] / small[name] for name in ("open_ms", "head_ms", "idle_poll_ms", "append_ms")
    }
    return result


def _fill(folder: Path, count: int) -> None:
    with _open(folder, 1) as writer:
        for first in range(0, count, 10_000):
            batch = range(first, min(first + 10_000, count))
            writer.append([Draft("events", SMALL, n % 64, f"1-{n}") for n in batch])


def _cost(folder: Path) -> dict[str, float]:
    opens, heads, appends = [], [], []
    for term in range(3, 24):
        with _open(folder, 10 * term) as writer:
            writer.append([Draft("events", SMALL, 0, f"{10**9 + term}-{n}") for n in range(1000)])
        opens.append(_timed(lambda term=term: _open(folder, 10 * term + 1).close()))  # type: ignore[misc]
        heads.append(_timed(lambda: head(folder)))
    with _open(folder, 1000) as writer:
        for n in range(50):
            appends.append(_timed(lambda n=n: writer.append([Draft("events", SMALL, 1, f"{10**10}-{n}")])))  # type: ignore[misc]
    with Reader(folder) as reader:
        start = time.perf_counter()
        read = 0
        while lines := reader.poll(10_000):
            read += len(lines)
        read_s = time.perf_counter() - start
        polls = [_timed(lambda: reader.poll(1000)) for _ in range(200)]
    verified = _timed(lambda: verify(folder))
    return {
        "open_ms": statistics.median(opens) * 1e3,
        "head_ms": statistics.median(heads) * 1e3,
        "idle_poll_ms": statistics.median(polls) * 1e3,
        "append_ms": statistics.median(appends) * 1e3,
        "read_us_per_record": read_s / read * 1e6,
        "verify_us_per_record": verified / read * 1e6,
    }


if __name__ == "__main__":
    for part, figures in measure(*(int(argument) for argument in sys.argv[1:])).items():
        for case, values in figures.items():
            print(part, case, {name: round(value, 3) for name, value in values.items()})
