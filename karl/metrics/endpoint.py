"""The HTTP server of the figures; see `karl.metrics.serve` for what it promises."""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from karl.listening import Handler, Listener, shut

#: Seconds for which a client may be silent.
SILENCE_S = 5.0
#: Clients that are heard at a time; for a further one the oldest is cut off.
CLIENTS_MAX = 8

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Endpoint(Listener):
    """Listens from its making on. Raises OSError when the address can not be had."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self.registry = registry
        #: The names that may be asked for; null for all.
        self.names = _LOCAL_NAMES | {host.lower()} if _is_loopback(host) else None
        self._clients: dict[Any, None] = {}  # those that are heard, the oldest first
        super().__init__((host, port), _Handler, "the metrics could not be told")

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; who has been heard for longest makes room, when there is none."""
        self._clients[request] = None
        if len(self._clients) > CLIENTS_MAX:
            oldest = list(self._clients)[0]  # noqa: RUF015 - another thread may shorten what is walked
            self._clients.pop(oldest, None)
            shut(oldest)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._clients.pop(request, None)


class _Handler(Handler):
    """One request: GET /metrics, and nothing else."""

    timeout = SILENCE_S
    server: Endpoint

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        """Give the figures in the form that was asked for."""
        names = self.server.names
        if names is not None and _host_of(self.headers.get("Host", "")) not in names:
            self._answer(HTTPStatus.FORBIDDEN, b"the Host must name this machine\n")
        elif self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, b"the figures are at /metrics\n")
        else:
            encode, form = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, encode(self.server.registry), form)

    def do_HEAD(self) -> None:  # noqa: N802 - the library's name
        """Give what stands before the figures."""
        self.do_GET()

    def _answer(self, status: HTTPStatus, body: bytes, form: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", form)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_of(value: str) -> str:
    """Give the name of a Host header without its port."""
    name, colon, port = value.rpartition(":")
    return name.lower() if colon and port.isdigit() else value.lower()
