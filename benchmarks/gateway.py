"""A gateway's event file, from its lines to the fsynced ledger: the workload of the daemon that KARL supersedes.

A thousand flows of three steps, eight envelopes each. `karl import gateway`, one sessions worker and one
ledger writer work as separate processes; time runs from the import's start to the last turn on disk. The
floor reads the same lines, decodes them, and writes and syncs one line a flow, in one process: about what
the daemon did. That daemon published 1,272 envelopes a second on an Apple M4; the figure is another
machine's and stands here as such.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.line import Took, cpu_us, end_workers, let_go, server_cpu_s, start_workers
from karl.stream.connect import connect
from karl.stream.server import Server

FLOWS, STEPS = 1000, 3
PUBLISHED = 1272.385
KINDS = ("captain_ask", "inject", "ntfy_push")


def write(folder: Path, flows: int) -> Path:
    """Write the day's file: start, steps and completion of one flow after the other."""
    path = folder / "events-2026-06-03.jsonl"
    seq = 0
    with path.open("w") as file:
        for flow in range(flows):
            ts = f"2026-06-03T{flow // 3600:02}:{flow // 60 % 60:02}:{flow % 60:02}Z"
            rows = [("flow:start", None, {"trigger_kind": "cron"})]
            for step in range(STEPS):
                kind = KINDS[step % 3]
                rows.append(("step:start", step, {"step_kind": kind}))
                end = {"step_kind": kind, "ok": True, "error": None, "duration_ms": 50 + step}
                rows.append(("step:complete", step, end))
            rows.append(("flow:complete", None, {"duration_ms": 200, "first_error": None}))
            for what, step, payload in rows:
                seq += 1
                line = {"seq": seq, "ts": ts, "type": what, "flow_id": f"flow-{flow:05d}", "payload": payload}
                file.write(json.dumps(line | ({} if step is None else {"step_idx": step})) + "\n")
    return path


def floor(path: Path, folder: Path) -> float:
    """Decode all lines, and write and sync a line a flow; gives seconds."""
    decode = msgspec.json.Decoder().decode
    started = time.perf_counter()
    fd = os.open(folder / "floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    flow: list[bytes] = []
    for line in path.open("rb"):
        flow.append(line)
        if decode(line)["type"] == "flow:complete":
            os.write(fd, b"".join(flow))
            os.fsync(fd)
            flow.clear()
    os.close(fd)
    return time.perf_counter() - started


def ours(url: str, events: Path, folder: Path, flows: int) -> Took:
    """Import with the real command, its start included, and the two real workers."""
    workers = start_workers(url, folder, flows)
    let_go(workers)
    server, children = server_cpu_s(url), children_cpu_s()
    environ = {**os.environ, "KARL_DATA_DIR": str(folder / "karl"), "KARL_REDIS_URL": url}
    started = time.perf_counter()
    command = [sys.executable, "-m", "karl.cli", "import", "gateway", str(events)]
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    spent = {"import": children_cpu_s() - children}
    assert workers["ledger"].stdout.readline() == b"done\n"
    seconds = time.perf_counter() - started
    spent |= end_workers(workers)
    return Took(seconds, spent | {"server": server_cpu_s(url) - server})


def children_cpu_s() -> float:
    """Give the CPU seconds of the processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(flows: int = FLOWS, rounds: int = 3) -> dict[str, float]:
    """Interleave rounds of both; gives medians. `floor` hangs on the disk's sync, ours nearly not."""
    found: list[Took] = []
    floors: list[float] = []
    with tempfile.TemporaryDirectory(prefix="karl-bench-") as name:
        folder = Path(name)
        (folder / "events").mkdir()
        path = write(folder / "events", flows)
        server = Server(folder / "redis")
        server.start()
        try:
            for number in range(rounds):
                connect(server.url).flushall()
                one = folder / str(number)
                one.mkdir()
                found.append(ours(server.url, folder / "events", one, flows))
                floors.append(floor(path, one))
        finally:
            server.stop()
    envelopes = flows * (2 + 2 * STEPS)
    floor_s, ours_s = statistics.median(floors), statistics.median(took.seconds for took in found)
    return {
        "envelopes": envelopes,
        "floor_per_s": envelopes / floor_s,
        "ours_per_s": envelopes / ours_s,
        "ratio": floor_s / ours_s,
        "published_per_s": PUBLISHED,
        **cpu_us(found, envelopes),
    }


def main() -> int:
    """Print the figures; exit 1 below what the daemon published."""
    found = measure()
    for name, value in found.items():
        print(f"{name:20} {value:14,.2f}")
    return 0 if found["ours_per_s"] > PUBLISHED else 1


if __name__ == "__main__":
    sys.exit(main())
