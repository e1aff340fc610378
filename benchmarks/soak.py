"""The line for a long time under an even load: what grows with time alone is a leak.

Real processes over an embedded server: a shipper, two sessions workers, a writer, views. Each one's memory
and open files, the server's data, and the bytes on disk by folder are sampled; growth is the median slope
over the last two thirds, when everything has taken its place. The server remembers every session for
KARL_SESSION_TTL_DAYS (here 1.5 KB each, and some 40 bytes an event), so its growth is held against the events.

    python -m benchmarks.soak [--minutes N] [--rate EVENTS] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.feed import Feed
from benchmarks.real_line import RealLine, Use, lost_or_double, real_line, slope

#: Growth that counts as flat: bytes a minute of a process's memory, files a minute, and bytes of the server's
#: data for an event (its ids and names, 16 bytes each, and a fiftieth of its session).
RSS_MAX = 400_000.0
FDS_MAX = 0.5
SERVER_MAX = 128.0
#: Bytes a minute by which what is neither ledger, views nor the server's file may grow.
ELSEWHERE_MAX = 20_000.0
#: Bytes by which the views' memory grows until SQLite's cache of pages is full (karl/views/store.py).
VIEWS_CACHE = 18 * 1024 * 1024
DRAIN_MAX_S = 60.0


class Sample(NamedTuple):
    """What one look saw; `disk` has bytes by folder, `server` those of the server's data."""

    at: float
    use: dict[str, Use]
    server: int
    disk: dict[str, int]
    events: float
    waiting: float


class Growth(NamedTuple):
    """Something's median, its most, and its growth a minute over the last two thirds."""

    name: str
    median: float
    most: float
    a_minute: float


class Soak(NamedTuple):
    """What a run came to."""

    samples: list[Sample]
    growths: list[Growth]
    sent: int
    wrong: list[str]


def soak(folder: Path, *, seconds: float, rate: float, every_s: float, say=lambda _text: None) -> Soak:
    """Run for so long; `say` is told how it goes, once a minute."""
    with real_line(folder, workers=2, settings={}) as line:
        feed = Feed(line.spool)
        feed.rate(rate)
        samples = list(_samples(line, seconds, every_s, say))
        sent = feed.stop()
        drained = _await(line.drained, DRAIN_MAX_S)
        wrong = [f"{name} ended by itself with {code}" for name, code in line.ended().items()]
    wrong += [] if drained else [f"the line was not empty {DRAIN_MAX_S:g} s after the last event"]
    growths = _growths(samples)
    return Soak(
        samples,
        growths,
        sent,
        [*wrong, *_too_much(growths, samples), *lost_or_double(folder / "ledger", sent)],
    )


def _samples(line: RealLine, seconds: float, every_s: float, say: Callable[[str], None]):
    started = time.monotonic()
    told = 0
    while (now := time.monotonic() - started) < seconds:
        figures = line.figures()
        waiting = figures["karl_spool_files"] + figures["karl_lag_entries"] + figures["karl_lag_records"]
        events = figures["karl_shipped_events_total"]
        yield Sample(now, line.use(), line.server_bytes(), disk(line.folder), events, waiting)
        if now // 60 >= told:
            told += 1
            say(f"{now / 60:4.0f} min  {events:8.0f} events, {waiting:5.0f} under way")
        time.sleep(every_s)


def disk(folder: Path) -> dict[str, int]:
    """Count the bytes of each folder in a line's, and of the files beside them."""
    sums = {"ledger": 0, "views": 0, "redis": 0, "elsewhere": 0}
    for path in folder.rglob("*"):
        first = path.relative_to(folder).parts[0]
        try:
            if path.is_file():
                sums[first if first in sums else "elsewhere"] += path.stat().st_size
        except FileNotFoundError:
            continue  # a spool's file
    return sums


def _growths(samples: list[Sample]) -> list[Growth]:
    settled = samples[len(samples) // 3 :]
    times = [sample.at for sample in settled]

    def growth(name: str, value: Callable[[Sample], float]) -> Growth:
        values = [value(sample) for sample in settled]
        return Growth(name, median(values), max(values), 60 * slope(times, values))

    return [
        *(growth(f"memory of {name}", lambda s, n=name: s.use[n].rss) for name in samples[0].use),
        *(growth(f"files of {name}", lambda s, n=name: s.use[n].fds) for name in samples[0].use),
        growth("the server's data", lambda s: s.server),
        *(growth(f"disk: {name}", lambda s, n=name: s.disk[n]) for name in samples[0].disk),
        growth("events", lambda s: s.events),
    ]


def _too_much(growths: list[Growth], samples: list[Sample]) -> list[str]:
    by_name = {growth.name: growth.a_minute for growth in growths}
    bounds = {
        "memory of": RSS_MAX,
        "files of": FDS_MAX,
        "the server's data": SERVER_MAX * max(1.0, by_name["events"]),
        "disk: elsewhere": ELSEWHERE_MAX,
        # The server's own memory holds its data and room for it.
        "memory of server": RSS_MAX + 2 * SERVER_MAX * max(1.0, by_name["events"]),
    }
    wrong = []
    for name, grown in by_name.items():
        bound = bounds.get(name) or next((b for start, b in bounds.items() if name.startswith(start)), None)
        if name == "memory of views" and _grown(samples, "views") < VIEWS_CACHE:
            continue
        if bound is not None and grown > bound:
            wrong.append(f"{name} grows by {grown:,.0f} a minute; {bound:,.0f} is allowed")
    if samples[-1].waiting > 0.5 * by_name["events"] + 1000:
        wrong.append(
            f"{samples[-1].waiting:.0f} events and records were under way at the end: too much for this machine"
        )
    return wrong


def _grown(samples: list[Sample], process: str) -> int:
    held = [sample.use[process].rss for sample in samples]
    return max(held) - held[0]


def _await(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def show(done: Soak) -> None:
    """Print the table."""
    print(f"\n{'':24} {'median':>14} {'most':>14} {'growth a minute':>16}")
    for growth in done.growths:
        unit = 1 if growth.name.startswith(("files", "events")) else 1e6
        shown = (growth.median / unit, growth.most / unit, growth.a_minute / unit)
        form = "{:14.0f} {:14.0f} {:16.2f}" if unit == 1 else "{:11.2f} MB {:11.2f} MB {:13.3f} MB"
        print(f"{growth.name:24} " + form.format(*shown))
    by_name = {growth.name: growth.a_minute for growth in done.growths}
    events = max(1.0, by_name["events"])
    grown = ", ".join(f"{by_name[f'disk: {name}'] / events:.0f} {name}" for name in ("ledger", "views"))
    kept = by_name["the server's data"] / events
    print(f"bytes for an event: {grown}, {kept:.0f} the server's data")


def main(arguments: list[str] | None = None) -> int:
    """Run, report, and exit 1 when something grew."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=100.0, help="events a second")
    parser.add_argument("--keep", type=Path, help="keep the line's folder here")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="karl-soak-") as scratch:
        done = soak(
            (given.keep or Path(scratch)) / "data",
            seconds=60 * given.minutes,
            rate=given.rate,
            every_s=min(2.0, given.minutes),
            say=lambda text: print(text, flush=True),
        )
    show(done)
    print(f"{done.sent} events")
    for one in done.wrong:
        print(f"WRONG: {one}")
    print("flat, and nothing was lost" if not done.wrong else "not flat")
    return 1 if done.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
