"""GET /metrics, on a port of each process that was given one.

Invariants:
- Nothing here ends, stops or slows the process: a port that is taken is warned of and tried again, a silent
  client is left after seconds, and no more than a few are heard at a time: the oldest makes room.
- Without a port nothing is loaded and no thread runs.
- On a loopback address only a request that names this machine as host is answered: no page in a browser can
  read the figures through a name of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from karl.metrics.asked import Watch

if TYPE_CHECKING:
    from karl.metrics.endpoint import Endpoint

#: Seconds between two tries to get the port.
RETRY_S = 5.0

_log = logging.getLogger("karl")


class Who(NamedTuple):
    """Which process tells: its name as in `karl.metrics.table`, KARL's version, and the node."""

    process: str
    version: str
    node: str


class Place(NamedTuple):
    """Where a process tells its figures; port 0 for nowhere."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What is asked there."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/metrics"


@contextmanager
def telling(place: Place, who: Who, watchers: Callable[[], Sequence[Watch]] = tuple) -> Iterator[None]:
    """Tell figures meanwhile, in a thread of its own, when a port is set. Raises nothing of its own.

    `watchers` gives what is asked when somebody looks; it is called only when there is a port.
    """
    if not place.port:
        yield
        return
    server = _Server(place, who, watchers())
    server.start()
    try:
        yield
    finally:
        server.stop()


class _Server:
    """The thread that gets the port and answers on it."""

    def __init__(self, place: Place, who: Who, watchers: Sequence[Watch]) -> None:
        self._place = place
        self._who = who
        self._watchers = watchers
        self._stop = threading.Event()
        self._endpoint: Endpoint | None = None
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._endpoint:
            self._endpoint.stop()
        self._thread.join(1.0)

    def _run(self) -> None:
        # Loaded beside the work, not before it.
        from karl.metrics.endpoint import Endpoint  # noqa: PLC0415
        from karl.metrics.exposition import registry_of  # noqa: PLC0415

        process = self._who.process
        registry = registry_of(*self._who, self._watchers)
        warned = False
        while not self._stop.is_set():
            try:
                self._endpoint = Endpoint(self._place.host, self._place.port, registry)
            except OSError as error:
                if not warned:
                    _log.warning(
                        "%s: no metrics on %s: %s; trying again (KARL_METRICS_PORT, KARL_METRICS_HOST)",
                        process, self._place.url, error.strerror or error,
                    )  # fmt: skip
                warned = True
                self._stop.wait(RETRY_S)
                continue
            _log.info("%s: metrics on %s", process, self._place.url)
            self._endpoint.run(self._stop)
            return
