"""The processes of a line: one list, for `karl up` and for everything else that starts them.

docker-compose.yml and the units in deploy/ run the same commands; tests hold them against this list.
"""

from __future__ import annotations

from typing import NamedTuple


class Process(NamedTuple):
    """One process: its name, the words after `karl`, and the seconds that it has for a clean end.

    `at_ledger` says that it belongs where the ledger is.
    """

    name: str
    words: tuple[str, ...]
    stop_s: float = 10.0
    at_ledger: bool = False


#: In the order in which they are ended: what one hands on, the next can still take.
LINE = (
    Process("ship", ("ship",)),
    Process("sessions", ("worker", "sessions")),
    Process("ledger", ("worker", "ledger"), stop_s=30.0, at_ledger=True),
    Process("views", ("worker", "views"), at_ledger=True),
)
