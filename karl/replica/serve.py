"""Serving a ledger to its followers while its writer writes, in a thread of its own.

Invariants:
- The port is held only while this process writes: another writer on this machine finds it free.
- Nothing here ends or stops the writer: a port that is taken is warned of and tried again.
"""

from __future__ import annotations

import logging
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from karl.replica.source import Source

if TYPE_CHECKING:
    from karl.replica.endpoint import Endpoint

#: Seconds between two tries to get the port.
RETRY_S = 1.0

_log = logging.getLogger("karl")


class Tls(NamedTuple):
    """Files in PEM: the certificate with its chain, and its key."""

    certificate: Path
    key: Path


class Served(NamedTuple):
    """Where a ledger is served, and what followers prove themselves with."""

    host: str
    port: int
    token: str
    tls: Tls | None = None


class Serving:
    """The thread that gets the port and answers on it; `source` is what is served."""

    def __init__(self, folder: Path, at: Served) -> None:
        self.source = Source(folder)
        self._at = at
        self._stop = threading.Event()
        self._endpoint: Endpoint | None = None
        self._thread = threading.Thread(target=self._run, name="replica", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that was got; 0 until then."""
        return int(self._endpoint.server_address[1]) if self._endpoint else 0

    def stop(self) -> None:
        """End it; gives the port back."""
        self._stop.set()
        self.source.close()
        if self._endpoint:
            self._endpoint.stop()
        self._thread.join(2.0)

    def _run(self) -> None:
        from karl.replica.endpoint import Endpoint  # noqa: PLC0415 - loaded beside the work, not before it

        host, port, token, tls = self._at
        warned = False
        while not self._stop.is_set():
            try:
                self._endpoint = Endpoint(host, port, self.source, token, tls)
            except OSError as error:
                if not warned:
                    _log.error(
                        "ledger: nobody can follow at %s:%d: %s; trying again (KARL_LEDGER_PORT, _HOST)",
                        host, port, error.strerror or error,
                    )  # fmt: skip
                warned = True
                self._stop.wait(RETRY_S)
                continue
            scheme = "https" if tls else "http"
            _log.info("ledger: followers copy it from %s://%s:%d", scheme, host, port)
            if not (tls or is_loopback(host)):
                _log.warning(
                    "ledger: what followers copy, and the token, cross the network in the clear; "
                    "set KARL_LEDGER_TLS_CERT and KARL_LEDGER_TLS_KEY, or put a proxy with TLS before it"
                )
            self._endpoint.run(self._stop)
            return


def is_loopback(host: str) -> bool:
    """Say whether an address, or name, is of this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
