"""What recording costs a Python agent: calls a second of the four calls, each an event in the spool.

The floor is a file of the same size made and written by bare system calls: the least that leaving an event can
cost. A round is one session: a beginning, three calls of tools and an end. The goal is what a recorder
reached that rewrote one JSON file a session. Floor and calls run in turn, so that noise falls on both alike.

    python -m benchmarks.python_api [SESSIONS]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from karl import append_tool_event, flush_session, init_session_buffer

GOAL_CALLS_S = 1_034
SETS = 25


def measure(sessions: int = 60) -> dict[str, float]:
    """Give the medians: calls a second of the floor, of one thread, and the microseconds of one call."""

    def session(name: str) -> None:
        init_session_buffer(name, prompt_text="Make the tests pass", cwd="/home/dev/shop")
        for _ in range(3):
            append_tool_event(name, "Bash", {"command": "pytest -q"}, success=True, exit_code=0)
        flush_session(name)

    floors, calls = [], []
    for _ in range(SETS):
        with tempfile.TemporaryDirectory(prefix="karl-python-") as folder:
            os.environ["KARL_DATA_DIR"] = folder
            session("first")
            size = max(path.stat().st_size for path in (Path(folder) / "spool").iterdir())
            floors.append(_rate(lambda at, size=size, folder=folder: _bare(folder, at, size), sessions))
            calls.append(_rate(lambda at: session(f"s{at}"), sessions))
            left = len(list((Path(folder) / "spool").iterdir()))
            if left != 5 * (sessions + 1):
                raise RuntimeError(f"{left} events were left, not {5 * (sessions + 1)}")
    floor, rate = statistics.median(floors), statistics.median(calls)
    ratio = statistics.median(one / other for one, other in zip(floors, calls, strict=True))
    return {"floor_s": floor, "calls_s": rate, "call_us": 1e6 / rate, "ratio": ratio}


def _rate(session: Callable[[int], None], sessions: int) -> float:
    start = time.perf_counter()
    for at in range(sessions):
        session(at)
    return 5 * sessions / (time.perf_counter() - start)


def _bare(folder: str, at: int, size: int) -> None:
    for number in range(5):
        handle = os.open(f"{folder}/{at}-{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(handle, b"x" * size)
        os.close(handle)


def main() -> None:
    """Print the table."""
    for name in [name for name in os.environ if name.startswith("KARL_")]:
        del os.environ[name]  # not KARL's own settings: KARL_DISABLE would make it very fast
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    print(f"bare files      {found['floor_s']:9,.0f} /s")
    print(
        f"the four calls  {found['calls_s']:9,.0f} /s  {found['call_us']:.0f} us each, {found['ratio']:.1f} x the floor"
    )
    print(f"goal: more than {GOAL_CALLS_S:,} /s")


if __name__ == "__main__":
    main()
