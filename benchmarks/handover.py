"""How long nobody writes: from the end of one writer to the first bytes of the next, as real processes.

Clean: SIGTERM to the writer while a standby waits; measured from the moment at which the lease is given back, and
from the signal. Crash: SIGKILL; the promise is the lease's life and a second. The floor of a crash is the
lease's life itself: before it ends nobody may write.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from karl.ledger.segments import list_segments
from karl.stream import keys
from karl.stream.connect import connect
from karl.stream.server import Server

CLEAN, CRASHES = 30, 8
LEASE_S = 1.0


class Writers:
    """Ledger workers over one folder, one of which writes."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        self.environment = clean | {
            "KARL_DATA_DIR": str(folder),
            "KARL_REDIS_URL": url,
            "KARL_LEASE_TTL_S": str(LEASE_S),
            "KARL_LOG_LEVEL": "ERROR",
        }
        self.redis = connect(url, name="karl-bench")
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "karl.cli", "worker", "ledger"], env=self.environment
        )
        self.running[process.pid] = process

    def writing(self) -> int:
        """Give the process id of the one that holds the lease, 0 without one."""
        token = (self.redis.get(keys.LEDGER_LEASE) or b"").decode()
        return int(token.split(":")[1]) if token else 0

    def await_ready(self) -> int:
        """Wait until one writes and another stands by; gives the writer."""
        while True:
            waiting = [
                c
                for c in self.redis.client_list()
                if c["name"].startswith("karl-ledger") and c["cmd"] == "blpop"
            ]
            if waiting and (pid := self.writing()):
                return pid
            time.sleep(0.005)

    def end(self, how: signal.Signals) -> tuple[float, float]:
        """End the writer; give seconds without a writer, from the lease's end and from the signal."""
        pid = self.await_ready()
        before = list_segments(self.folder / "ledger")
        started = time.perf_counter()
        os.kill(pid, how)
        given_back = 0.0
        while list_segments(self.folder / "ledger") == before or not self._has_header():
            if not given_back and self.writing() != pid:
                given_back = time.perf_counter()
            time.sleep(0.0005)
        now = time.perf_counter()
        self.running.pop(pid).wait()
        self.start()
        return now - (given_back or now), now - started

    def _has_header(self) -> bool:
        return (self.folder / "ledger" / list_segments(self.folder / "ledger")[-1]).stat().st_size > 0

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
        self.redis.close()


def main() -> int:
    """Print the figures; exit 1 where a promise is not kept in the median."""
    with tempfile.TemporaryDirectory(prefix="karl-bench-") as scratch:
        server = Server(Path(scratch) / "server")
        server.start()
        writers = Writers(Path(scratch) / "data", server.url)
        try:
            writers.start()
            writers.start()
            clean = [writers.end(signal.SIGTERM) for _ in range(CLEAN)]
            crash = [writers.end(signal.SIGKILL)[1] for _ in range(CRASHES)]
        finally:
            writers.close()
            server.stop()
    free = sorted(1000 * free for free, _ in clean)
    whole = sorted(1000 * whole for _, whole in clean)
    print(
        f"clean, from the lease's end:  median {statistics.median(free):.1f} ms, largest {free[-1]:.1f} ms of {CLEAN}"
    )
    print(
        f"clean, from the signal:       median {statistics.median(whole):.1f} ms, largest {whole[-1]:.1f} ms"
    )
    print(f"crash, lease of {LEASE_S:g} s:        median {statistics.median(crash):.2f} s, largest {max(crash):.2f} s of {CRASHES}"
          f" ({statistics.median(crash) / LEASE_S:.2f} of the lease)")  # fmt: skip
    return int(statistics.median(whole) > 50 or statistics.median(crash) > LEASE_S + 1)


if __name__ == "__main__":
    sys.exit(main())
