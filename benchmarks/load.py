"""The line under load: steadily, in a burst of ten times as much, and with a writer that stands still.

Real processes over an embedded server: a shipper, four sessions workers on 64 partitions, a writer, views.
Events come as files in the spool. Every process's memory is sampled, and what each stop says of its lag
is read from its metrics while it happens. At the end the ledger's events are counted from its files.

    python -m benchmarks.load [--rate EVENTS] [--seconds N] [--stall N] [--keep FOLDER]

The bounds of streams and waiting records are made small, so that back-pressure reaches the spool in
seconds and not in hours.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.feed import Feed
from benchmarks.real_line import RealLine, Use, lost_or_double, real_line

#: No process may hold more than this, in MB (10**6 bytes); nor grow by more than this beyond its steady use.
RSS_MAX_MB, GROWTH_MAX_MB = 256, 96
#: Seconds in which what was held up must have gone its way.
DRAIN_MAX_S = 120.0
STREAM_MAX = 60
RECORDS_MAX = 50
_START = f"import workers.sessions\nworkers.sessions.RECORDS_WAITING_MAX = {RECORDS_MAX}"
SHOWN = {
    "spool": "karl_spool_files",
    "held back": "karl_held_back_partitions",
    "lag": "karl_lag_entries",
    "pending": "karl_pending_entries",
    "paused": "karl_sessions_paused",
    "records": "karl_lag_records",
    "views": "karl_views_behind_lines",
}


class Moment(NamedTuple):
    """What one look saw."""

    at: float
    figures: dict[str, float]
    use: dict[str, Use]
    server: int


class Phase(NamedTuple):
    """A part of the run: its name and what was seen in it."""

    name: str
    moments: list[Moment]

    def highest(self, name: str) -> float:
        return max(moment.figures.get(name, 0.0) for moment in self.moments)


def watch(line: RealLine, seconds: float, name: str, until=lambda _moment: False) -> Phase:
    """Look twice a second, for so long or until something was seen."""
    phase = Phase(name, [])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        phase.moments.append(look(line))
        if until(phase.moments[-1]):
            break
        time.sleep(0.5)
    return phase


def look(line: RealLine) -> Moment:
    return Moment(time.monotonic(), line.figures(), line.use(), line.server_bytes())


def pressed(moment: Moment) -> bool:
    """Say whether back-pressure has gone all the way from the writer to the spool."""
    told = moment.figures
    return bool(
        told["karl_sessions_paused"]
        and told["karl_held_back_partitions"]
        and told["karl_spool_files"] > 5 * STREAM_MAX
    )


def load(
    folder: Path, *, rate: float, seconds: float, stall_s: float
) -> tuple[list[Phase], int, float, list[str]]:
    """Run; gives the phases, the events sent, the seconds of the drain, and what is wrong."""
    settings = {"KARL_STREAM_MAX_ENTRIES": str(STREAM_MAX)}
    with real_line(folder, settings=settings, start=_START) as line:
        feed = Feed(line.spool)
        feed.rate(rate)
        phases = [watch(line, seconds, "steady")]
        feed.rate(10 * rate)
        phases.append(watch(line, seconds / 4, "burst"))
        feed.rate(rate)
        phases.append(watch(line, DRAIN_MAX_S, "after it", _empty))
        line.pause("ledger")
        phases.append(watch(line, stall_s, "stalled", pressed))
        line.resume("ledger")
        sent = feed.stop()
        started = time.monotonic()
        phases.append(watch(line, DRAIN_MAX_S, "drain", lambda _moment: line.drained()))
        took = time.monotonic() - started
        wrong = _judge(line, phases)
        wrong += [f"{name} ended by itself with {code}" for name, code in line.ended().items()]
    return phases, sent, took, [*wrong, *lost_or_double(folder / "ledger", sent)]


def _empty(moment: Moment) -> bool:
    return moment.figures["karl_spool_files"] < 50 and moment.figures["karl_lag_entries"] < 500


def _judge(line: RealLine, phases: list[Phase]) -> list[str]:
    wrong = []
    by_name = {phase.name: phase for phase in phases}
    for name in line.pids:
        steady = median(moment.use[name].rss for moment in by_name["steady"].moments) / 1e6
        most = max(moment.use[name].rss for phase in phases for moment in phase.moments) / 1e6
        if most > RSS_MAX_MB or most - steady > GROWTH_MAX_MB:
            wrong.append(f"{name} held {most:.0f} MB ({steady:.0f} MB steadily)")
    if not pressed(by_name["stalled"].moments[-1]):
        wrong.append("a writer that stood still was not felt as far as the spool")
    if not line.drained():
        wrong.append(f"the line was not empty after {DRAIN_MAX_S:g} s")
    last = by_name["drain"].moments[-1].figures
    wrong += [f"{what} did not recede" for what in ("held back", "paused", "lag") if last[SHOWN[what]]]
    return wrong


def show(phases: list[Phase], names: list[str]) -> None:
    """Print two tables: what the line said of itself, and what its processes held."""
    print(
        f"{'most in a phase':16} {'seconds':>8} {'events/s':>9} " + " ".join(f"{what:>9}" for what in SHOWN)
    )
    for phase in phases:
        seconds = max(0.5, phase.moments[-1].at - phase.moments[0].at)
        ends = [phase.moments[at].figures["karl_shipped_events_total"] for at in (0, -1)]
        values = [phase.highest(name) for name in SHOWN.values()]
        print(
            f"{phase.name:16} {seconds:8.1f} {(ends[1] - ends[0]) / seconds:9.0f} "
            + " ".join(f"{value:9.0f}" for value in values)
        )
    print(f"\n{'MB: median, most':16} " + " ".join(f"{phase.name:>12}" for phase in phases))
    for name in [*names, "server's data"]:
        cells = []
        for phase in phases:
            held = [m.server if name == "server's data" else m.use[name].rss for m in phase.moments]
            cells.append(f"{median(held) / 1e6:6.1f}{max(held) / 1e6:6.1f}")
        print(f"{name:16} " + " ".join(f"{cell:>12}" for cell in cells))


def main(arguments: list[str] | None = None) -> int:
    """Run, report, and exit 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="load", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=150.0, help="events a second, steadily")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the steady phase")
    parser.add_argument(
        "--stall", type=float, default=90.0, help="seconds in which a stop must reach the spool"
    )
    parser.add_argument("--keep", type=Path, help="keep the line's folder here")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="karl-load-") as scratch:
        folder = (given.keep or Path(scratch)) / "data"
        phases, sent, took, wrong = load(folder, rate=given.rate, seconds=given.seconds, stall_s=given.stall)
    show(phases, list(phases[0].moments[0].use))
    print(f"\n{sent} events; the line was empty {took:.1f} s after the writer went on")
    for one in wrong:
        print(f"WRONG: {one}")
    print("nothing was lost, and every bound held" if not wrong else "something did not hold")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
