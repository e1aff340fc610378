"""What the hook adds to each call of an agent: wall time of `sh -c COMMAND`, against /bin/true.

/bin/true is the floor: the least that starting any process costs. The cases run in turn within each
round, so that noise of the machine falls on all alike. The goal is a ratio of at most 2.5 at 1 KB.

    python -m benchmarks.hook [ROUNDS]
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from producers.hook import hook_command
from producers.hook_line import find_program

GOAL_RATIO = 2.5
SIZES = {"1 KB": 1_000, "100 KB": 100_000}


def measure(rounds: int = 300) -> dict[str, dict[str, dict[str, float]]]:
    """Give, by payload size and case, the median and 95th percentile (ms) and the ratio to /bin/true."""
    with tempfile.TemporaryDirectory(prefix="karl-hook-") as folder:
        return {size: _measure(Path(folder), length, rounds) for size, length in SIZES.items()}


def _measure(spool: Path, length: int, rounds: int) -> dict[str, dict[str, float]]:
    payload = json.dumps({"hook_event_name": "PostToolUse", "tool_response": "x" * length}).encode()
    cases = {
        "/bin/true": [shutil.which("true") or "/bin/true"],
        "sh -c :": ["/bin/sh", "-c", ":"],
        "the hook": ["/bin/sh", "-c", hook_command(spool, "claude-code", find_program("cat"))],
        "python -I -S -c pass": [os.path.realpath(sys.executable), "-I", "-S", "-c", "pass"],
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, argv in cases.items():
            times[name].append(wall_ms(argv, payload))
        _check_and_empty(spool, payload)
    floor = statistics.median(times["/bin/true"])
    return {
        name: {
            "median_ms": statistics.median(taken),
            "p95_ms": statistics.quantiles(taken, n=20)[-1],
            "ratio": statistics.median(taken) / floor,
        }
        for name, taken in times.items()
    }


def wall_ms(argv: list[str], payload: bytes, out: int = 1) -> float:
    """Run one process as an agent does: start it, write the payload to its stdin, wait for its end.

    `out` is the file descriptor that it prints to.
    """
    # Not KARL's own settings: KARL_DISABLE would make the hook very fast.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
    reader, writer = os.pipe()
    start = time.perf_counter()
    files = [(os.POSIX_SPAWN_DUP2, reader, 0), (os.POSIX_SPAWN_DUP2, out, 1)]
    pid = os.posix_spawn(argv[0], argv, environ, file_actions=files)
    os.close(reader)
    with suppress(BrokenPipeError):  # /bin/true goes without reading
        sent = 0
        while sent < len(payload):
            sent += os.write(writer, payload[sent:])
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    taken = time.perf_counter() - start
    if status != 0:
        raise RuntimeError(f"{argv} ended with status {status}")
    return taken * 1e3


def _check_and_empty(spool: Path, payload: bytes) -> None:
    """A hook that is fast because it keeps nothing would not count."""
    (event,) = spool.iterdir()
    if event.read_bytes() != payload:
        raise RuntimeError("the hook did not keep the event whole")
    event.unlink()


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print(f"{'payload':8} {'case':22} {'median ms':>9} {'p95 ms':>8} {'x true':>7}")
    for size, cases in measure(rounds).items():
        for name, row in cases.items():
            print(f"{size:8} {name:22} {row['median_ms']:9.2f} {row['p95_ms']:8.2f} {row['ratio']:7.2f}")
    print(f"goal: the hook at 1 KB is at most {GOAL_RATIO} x /bin/true")


if __name__ == "__main__":
    main()
