"""A gateway's events through KARL, beside the way of writing of the daemon that it supersedes, turn by turn.

That daemon (a compiled program) made one card of each flow, and for each card opened its store, locked it,
wrote the card token by token (847 writes a card, as counted by a tracer), synced and closed it; each pass
began with reading the event file and the store whole. `tokens` does just that, with cards that are made
beforehand: no parsing, no making of cards, no score. So it is about the best that this way of writing can
reach in any language: the loop adds a tenth of a microsecond to what the kernel takes for a write, while
that daemon's own work on a card was another 350. `cards` writes each card in one go, as that daemon could
after a mend; what remains is an open, a lock and a sync a card.

`ours` is the whole line: `karl import gateway` as a command, its start included, a server that syncs its
append-only file before it answers, a sessions worker and a ledger writer, until the last turn is in the
ledger on disk. All three read the same file, in turns, so that a disk's mood falls on each. CPU is that of
all processes from their start to their end, the server's among them.

    python -m benchmarks.daemon [FLOWS] [ROUNDS]        TMPDIR says on which disk
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.gateway import STEPS, children_cpu_s, ours, write
from benchmarks.line import Took, cpu_us
from karl.stream.server import Server

FLOWS = 4000
#: Bytes of a card, and writes that it took.
CARD_BYTES, CARD_WRITES = 2629, 847


class Cost(NamedTuple):
    """What a round took: seconds, and CPU seconds of all processes that took part."""

    seconds: float
    cpu_s: float
    ours: Took | None = None


def cards(events: Path) -> list[list[bytes]]:
    """Make a card for each flow of a file, in as many tokens as the daemon wrote it in."""
    made = []
    for line in events.open("rb"):
        envelope = json.loads(line)
        if envelope["type"] == "flow:complete":
            card = json.dumps({"id": envelope["flow_id"], "card": "x" * CARD_BYTES}).encode()[
                : CARD_BYTES - 1
            ]
            edges = [at * len(card) // (CARD_WRITES - 1) for at in range(CARD_WRITES)]
            tokens = [card[start:end] for start, end in pairwise(edges)]
            made.append([*tokens, b"\n"])
    return made


def daemon(events: Path, store: Path, made: Sequence[Sequence[bytes]]) -> Cost:
    """Be one pass of the daemon, but for all that it computed."""
    started, spent = time.perf_counter(), time.process_time()
    store.touch()
    store.read_bytes()  # the ids of the cards that it has
    for _ in events.open("rb"):
        pass
    for card in made:
        handle = os.open(store, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        for token in card:
            os.write(handle, token)
        os.fsync(handle)
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)
    return Cost(time.perf_counter() - started, time.process_time() - spent)


def line(events: Path, folder: Path, flows: int) -> Cost:
    """Bring the file in with the real processes, on a server of its own."""
    before = children_cpu_s()
    server = Server(folder / "redis")
    server.start()
    try:
        took = ours(server.url, events.parent, folder, flows)
    finally:
        server.stop()
    return Cost(took.seconds, children_cpu_s() - before, took)


def syncs(events: Path, folder: Path, flows: int) -> int | None:
    """Count how often our processes wait for the disk, in a round of its own under a tracer, where there is one."""
    tracer = shutil.which("strace")
    if tracer is None:
        return None
    counted = folder / "syncs"
    trace = [tracer, "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(counted)]
    ourselves = [sys.executable, "-m", "benchmarks.daemon", "ours", str(events), str(folder), str(flows)]
    if subprocess.run([*trace, *ourselves], check=False, stdout=subprocess.DEVNULL).returncode != 0:
        return None  # not everywhere may one process look into another
    return sum(b"sync(" in line for line in counted.open("rb"))


def measure(flows: int = FLOWS, rounds: int = 3) -> dict[str, float]:
    """Give envelopes a second, CPU microseconds an envelope, and the ratio of each round's pair (medians)."""
    found: dict[str, list[Cost]] = {"tokens": [], "cards": [], "ours": []}
    with tempfile.TemporaryDirectory(prefix="karl-bench-") as name:
        folder = Path(name)
        (folder / "events").mkdir()
        events = write(folder / "events", flows)
        split = cards(events)
        whole = [[b"".join(card)] for card in split]
        for number in range(rounds):
            one = folder / str(number)
            one.mkdir()
            turns: tuple[tuple[str, Callable[[], Cost]], ...] = (
                ("tokens", lambda one=one: daemon(events, one / "tokens.jsonl", split)),  # type: ignore[misc]
                ("cards", lambda one=one: daemon(events, one / "cards.jsonl", whole)),  # type: ignore[misc]
                ("ours", lambda one=one: line(events, one, flows)),  # type: ignore[misc]
            )
            for which, run in turns:
                found[which].append(run())
        (folder / "traced").mkdir()
        counted = syncs(events, folder / "traced", flows)
    envelopes = flows * (2 + 2 * STEPS)
    figures: dict[str, float] = {"envelopes": envelopes, "daemon_syncs": flows}
    figures |= {} if counted is None else {"ours_syncs": counted}
    for which, costs in found.items():
        figures[f"{which}_per_s"] = envelopes / statistics.median(cost.seconds for cost in costs)
        figures[f"{which}_cpu_us"] = statistics.median(cost.cpu_s for cost in costs) / envelopes * 1e6
    parts = cpu_us([cost.ours for cost in found["ours"] if cost.ours], envelopes)
    figures |= {f"ours_{name}": value for name, value in parts.items()}
    for which in ("tokens", "cards"):
        pairs = zip(found[which], found["ours"], strict=True)
        figures[f"ours_to_{which}"] = statistics.median(them.seconds / us.seconds for them, us in pairs)
    return figures


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        line(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        for figure, value in measure(*map(int, sys.argv[1:])).items():
            print(f"{figure:20} {value:14,.2f}")
