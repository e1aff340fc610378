"""The views: records a second, and what `karl status` and the next update cost as the ledger grows.

`python -m benchmarks.views` prints a table. Sizes are 1 thousand and 1 million records with small
bodies; a million take some minutes and 3 GB of disk in the temporary folder.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from karl.ledger.writer import Draft, Writer, newest_term
from karl.reward.score import score
from karl.schema.record import TrajectoryBody
from karl.schema.trajectory import Calls, Context, ToolCall, Trajectory
from karl.views.rebuild import Tail, rebuild
from karl.views.store import Store

ROUNDS = 15


def _drafts(start: int, count: int) -> list[Draft]:
    """Small trajectories: three calls, a prompt's event and another of 150 bytes, five turns a session."""
    calls = [ToolCall(tool_name=name, success=True, call_id=name) for name in ("Read", "Edit", "Bash")]
    reading = Trajectory(
        domain="shop",
        context=Context(prompt_text="make the next test pass", human_prompt=True),
        trajectory=Calls(
            events=calls, tool_sequence=[c.tool_name for c in calls], total_tools=3, successes=3
        ),
    )
    made = score(reading, version="1")
    drafts = []
    for n in range(start, start + count):
        session = f"{n // 5:08x}-session"
        events = [
            msgspec.Raw(
                b'{"id":"%b%020x","kind":"%b","session":"%b","payload":{}}'
                % (place, n * 2654435761 % (1 << 64), kind, session.encode())
            )
            for place, kind in ((b"ev0a", b"UserPromptSubmit"), (b"ev0b", b"Stop"))
        ]
        body = TrajectoryBody(
            id=f"traj_{n * 2654435761 % (1 << 64):016x}", session=session, turn=n % 5, closed_by="stop",
            fleet="default", node=f"node-{n % 16}", agent="claude-code", project=f"project-{n % 40}",
            time_ms=1_790_000_000_000 + n, trajectory=reading, score=made, events=events,
        )  # fmt: skip
        drafts.append(Draft("trajectory", msgspec.json.encode(body)))
    return drafts


def _append(ledger: Path, start: int, count: int) -> None:
    writer = Writer.open(
        ledger,
        term=newest_term(ledger) + 1,
        clock=lambda: datetime.now(UTC),
        segment_max_bytes=64 << 20,
        trusted=lambda: True,
    )
    for at in range(start, start + count, 2000):
        writer.append(_drafts(at, min(2000, start + count - at)))
    writer.close()


def _median_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent)


def _of_size(folder: Path, count: int) -> dict[str, float]:
    ledger, views = folder / "ledger", folder / "views" / "views.sqlite"
    _append(ledger, 0, count)
    began = time.perf_counter()
    rebuild(views, ledger, "1")
    found: dict[str, float] = {"rebuild_records_s": count / (time.perf_counter() - began)}

    environ = {**os.environ, "KARL_DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "karl.cli", "status", "--json"]
    subprocess.run(command, env=environ, capture_output=True, check=True)
    found["status_ms"] = _median_ms(
        lambda: subprocess.run(command, env=environ, capture_output=True, check=True)
    )

    store = Store(views, "1", ledger)
    tail = Tail(ledger, store.position)
    writer = Writer.open(
        ledger, term=newest_term(ledger) + 1, clock=lambda: datetime.now(UTC), segment_max_bytes=64 << 20,
        trusted=lambda: True,
    )  # fmt: skip
    fresh = iter(range(count, count + 10_000))

    def update() -> float:
        writer.append(_drafts(next(fresh), 1))
        began = time.perf_counter()
        before = tail.position
        store.apply(tail.batch(), before)
        return (time.perf_counter() - began) * 1000

    for _ in range(20):
        update()
    found["update_ms"] = statistics.median(update() for _ in range(200))
    found["idle_ms"] = _median_ms(tail.batch, 200)

    writer.append(_drafts(count + 20_000, 5000))
    began = time.perf_counter()
    before = tail.position
    while lines := tail.batch():
        store.apply(lines, before)
        before = tail.position
    found["catch_up_records_s"] = 5000 / (time.perf_counter() - began)
    writer.close()
    tail.close()
    store.close()
    return found


def measure(sizes: tuple[int, ...] = (1000, 1_000_000)) -> dict[str, Any]:
    """Give the figures for each size, and how much the largest costs over the smallest."""
    found: dict[str, Any] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="karl-views-") as folder:
            found[str(size)] = _of_size(Path(folder), size)
    few, many = found[str(sizes[0])], found[str(sizes[-1])]
    found["ratio"] = {name: many[name] / few[name] for name in ("status_ms", "update_ms", "idle_ms")}
    return found


if __name__ == "__main__":
    chosen = tuple(int(text) for text in sys.argv[1:]) or (1000, 1_000_000)
    for name, figures in measure(chosen).items():
        print(f"{name:>9}  " + "  ".join(f"{what} {value:,.2f}" for what, value in figures.items()))
