"""What `karl up` costs while no agent works: memory and CPU of all its processes together.

Memory is PSS (a page that several processes share counts for each in part), beside RSS (counted whole
for each). CPU is what the kernel charged over the window, and wake-ups are voluntary context switches:
how often a process that has nothing to do looks anyway. Linux only: it reads /proc.

    python -m benchmarks.idle [SECONDS]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from karl.errors import LineDown
from karl.stream.connect import connect
from karl.stream.facts import facts
from karl.stream.server import embedded_url

GOAL_MB = 250
GOAL_CPU_PERCENT = 1.0
#: Seconds for the line to come up, and then to go from busy to idle waits.
READY_S, SETTLE_S = 60.0, 5.0


def measure(seconds: float = 20.0) -> dict[str, dict[str, float]]:
    """Give, by process and in all, PSS and RSS in MB (10**6 bytes), CPU in % of a core, wake-ups a second."""
    with tempfile.TemporaryDirectory(prefix="karl-idle-") as folder:
        data = Path(folder)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        up = subprocess.Popen(
            [sys.executable, "-P", "-m", "karl.cli", "up"],
            env={**clean, "KARL_DATA_DIR": folder},
            stderr=subprocess.DEVNULL,
        )
        try:
            _await_line(data)
            time.sleep(SETTLE_S)
            return _measure(up.pid, seconds)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)


def _measure(pid: int, seconds: float) -> dict[str, dict[str, float]]:
    before = {process: _spent(process) for process in _family(pid)}
    start = time.perf_counter()
    time.sleep(seconds)
    window = time.perf_counter() - start
    rows: dict[str, dict[str, float]] = {}
    for process, (cpu, wakes) in before.items():
        cpu_now, wakes_now = _spent(process)
        row = rows.setdefault(
            _name(process), dict.fromkeys(("pss_mb", "rss_mb", "cpu_percent", "wakes"), 0.0)
        )
        for key, value in _memory(process).items():
            row[key] += value
        row["cpu_percent"] += 100 * (cpu_now - cpu) / window
        row["wakes"] += (wakes_now - wakes) / window
    rows["in all"] = {key: sum(row[key] for row in rows.values()) for key in next(iter(rows.values()))}
    return rows


def _await_line(data: Path) -> None:
    """Wait until every process of the line has taken its place."""
    redis = connect(embedded_url(data), name="karl-idle")
    deadline = time.monotonic() + READY_S
    try:
        while time.monotonic() < deadline:
            try:
                now = facts(redis)
            except LineDown:
                pass
            else:
                views = (data / "views" / "views.sqlite").exists()
                if now.partitions_held == 64 and now.ledger_lease and now.nodes and views:
                    return
            time.sleep(0.1)
    finally:
        redis.close()
    raise RuntimeError(f"`karl up` was not ready within {READY_S:g} s")


def _family(pid: int) -> list[int]:
    """List a process and all its descendants."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(_fields(stat.read_text())[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    family = [pid]
    for member in family:  # grows while it is walked
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _fields(stat: str) -> list[str]:
    """Give the fields after the name, which may hold spaces: state, parent, ..."""
    return stat.rpartition(")")[2].split()


def _spent(pid: int) -> tuple[float, int]:
    """Give a process's CPU seconds so far, and how often it went to sleep (all threads)."""
    ticks = sum(map(int, _fields(Path(f"/proc/{pid}/stat").read_text())[11:13]))
    wakes = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        line = next(ln for ln in status.read_text().splitlines() if ln.startswith("voluntary_ctxt_switches"))
        wakes += int(line.split()[1])
    return ticks / os.sysconf("SC_CLK_TCK"), wakes


def _memory(pid: int) -> dict[str, float]:
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kib = {words[0]: int(words[1]) for words in lines}
    return {"pss_mb": kib["Pss:"] * 1024 / 1e6, "rss_mb": kib["Rss:"] * 1024 / 1e6}


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    if "karl.cli" in words:
        rest = words[words.index("karl.cli") + 1 :]
        return " ".join(word for word in rest if word and not word.startswith("--"))
    return "server's guard" if words[0].endswith("sh") else "server"


def main() -> int:
    """Print the table; the exit code is 1 when a goal is missed."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    rows = measure(seconds)
    print(f"{'process':18} {'PSS MB':>8} {'RSS MB':>8} {'CPU %':>7} {'wake-ups/s':>11}")
    for name, row in rows.items():
        print(
            f"{name:18} {row['pss_mb']:8.1f} {row['rss_mb']:8.1f} {row['cpu_percent']:7.2f} {row['wakes']:11.1f}"
        )
    total = rows["in all"]
    print(f"goals: {GOAL_MB} MB of PSS, {GOAL_CPU_PERCENT:g} % of a core")
    return 0 if total["pss_mb"] <= GOAL_MB and total["cpu_percent"] <= GOAL_CPU_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
