"""The processes of a line: one list, for `karl up` and for everything else that starts them.

docker-compose.yml and the units in deploy/ run the same commands; tests hold them against this list.
"""

from __future__ import annotations

from typing import NamedTuple


class Process(NamedTuple):
    """One process: its name, the words after `karl`, and the seconds that it has for a clean end.

    `at_ledger` says that it belongs where the ledger is; `only_if` names the flag of Settings that it needs.
    """

    name: str
    words: tuple[str, ...]
    stop_s: float = 10.0
    at_ledger: bool = False
    only_if: str = ""


#: Workers of the other queues come and go with what waits there: idle, each would cost as much as this one.
JOBS = ("worker", "jobs", "default", "--also", "embed", "--also", "route", "--also", "centroids")

#: In the order in which they are ended: what one hands on, the next can still take.
LINE = (
    Process("ship", ("ship",)),
    Process("sessions", ("worker", "sessions")),
    Process("ledger", ("worker", "ledger"), stop_s=30.0, at_ledger=True),
    Process("views", ("worker", "views"), at_ledger=True),
    Process("jobs", JOBS, stop_s=20.0, at_ledger=True),
    Process("routing", ("routing", "serve"), only_if="routing_live"),
)


def metrics_port(base: int, name: str) -> int:
    """Give the port of a process of `karl up`, which has `base` itself: the next ones in the order of LINE.

    0 where there is none: without a base, for a name that is not of the line, and above the last port.
    """
    names = [process.name for process in LINE]
    port = base + 1 + names.index(name) if base and name in names else 0
    return port if port <= 65_535 else 0
