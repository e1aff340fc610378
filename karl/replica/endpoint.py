"""The HTTP server of a ledger's source: answers followers, each in a thread of its own.

Invariants:
- Nobody is told anything without the token, compared in constant time.
- A client that is slow, silent or greedy costs nobody else anything: connections, the time for a request, for
  an answer and without either, and the bytes of an answer have bounds.
- Nothing but GET is understood, and a name is a segment's name before any file is looked for.
"""

from __future__ import annotations

import hmac
import io
import logging
import socket
import ssl
import time
from http import HTTPStatus
from typing import Any

import msgspec

from karl.errors import LedgerDamaged, LedgerForked, NotFound, Unreadable
from karl.listening import BoundedListener, Handler, shut
from karl.replica.protocol import AHEAD, read_target
from karl.replica.serve import Tls
from karl.replica.source import Source

#: Seconds for the greeting of TLS, for a request's line and headers, and without any request.
GREETING_S, HEAD_S, IDLE_S = 5.0, 5.0, 60.0
#: Seconds in which an answer has to be taken.
ANSWER_S = 60.0
#: Clients that are connected at one time; further ones are turned away.
CLIENTS_MAX = 32

_log = logging.getLogger("karl")


class Endpoint(BoundedListener):
    """Listens from its making on. Raises OSError when the address, or a file of `tls`, can not be had."""

    def __init__(self, host: str, port: int, source: Source, token: str, tls: Tls | None = None) -> None:
        self.source = source
        self.authorization = f"Bearer {token}".encode()
        self.tls = _context(tls) if tls else None
        #: The connections, as their handlers use them.
        self.open: set[socket.socket] = set()
        super().__init__((host, port), _Handler, "a follower could not be answered", CLIENTS_MAX)

    def let_go(self) -> None:
        """Cut everybody off: nobody is answered after the end."""
        for connection in list(self.open):
            shut(connection)


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    return context


class _Timed(io.RawIOBase):
    """What a client sends; each request has until `until`, in monotonic seconds, to be whole."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has come. Raises TimeoutError past the time."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(Handler):
    """The requests of one connection."""

    protocol_version = "HTTP/1.1"
    server: Endpoint
    connection: socket.socket

    def setup(self) -> None:
        """Greet. Raises OSError when the client can not do so in time."""
        self.connection = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.tls:
            self.connection.settimeout(GREETING_S)
            self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.server.open.add(self.connection)
        self._timed = _Timed(self.connection)
        self._known = False
        self._heard = io.BufferedReader(self._timed)
        self.rfile = self._heard
        self.wfile = io.BytesIO()

    def finish(self) -> None:
        """Let go of the connection, and of what TLS holds besides the socket."""
        self.server.open.discard(self.connection)
        self.rfile.close()
        if self.connection is not self.request:
            self.connection.close()

    def handle_one_request(self) -> None:
        """Wait for a request, hear it in time, answer it in time."""
        # Who has not shown the token yet holds a place for as short as can be.
        self._timed.until = time.monotonic() + (IDLE_S if self._known else HEAD_S)
        self.wfile = io.BytesIO()
        self.close_connection = True
        if not self._heard.peek(1):
            return
        self._timed.until = time.monotonic() + HEAD_S
        super().handle_one_request()
        self.connection.settimeout(ANSWER_S)
        self.connection.sendall(self.wfile.getbuffer())

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        """Give the listing, or bytes of a segment."""
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self._say(HTTPStatus.BAD_REQUEST, "a GET has no body here")
            return
        given = (self.headers.get("Authorization") or "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self.server.authorization):
            self._say(HTTPStatus.UNAUTHORIZED, "the token is not this ledger's")
            return
        self._known = True
        try:
            asked = read_target(self.path)
            if asked is None:
                listing = msgspec.json.encode(self.server.source.listing())
                self._answer(HTTPStatus.OK, listing, {"Content-Type": "application/json"})
                return
            ahead, data = self.server.source.ask(asked)
            named = {AHEAD: msgspec.json.encode(ahead).decode(), "Content-Type": "application/octet-stream"}
            self._answer(HTTPStatus.OK, data, named)
        except Unreadable as error:
            self._say(HTTPStatus.BAD_REQUEST, error.reason)
        except NotFound as error:
            self._say(HTTPStatus.NOT_FOUND, str(error))
        except LedgerForked as error:
            told = {"segment": error.segment, "offset": error.offset, "reason": error.reason}
            self._answer(HTTPStatus.CONFLICT, msgspec.json.encode(told), {"Content-Type": "application/json"})
        except (LedgerDamaged, OSError) as error:
            _log.error("a follower could not be answered: %s", error)
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def _say(self, status: HTTPStatus, text: str) -> None:
        self.close_connection = True
        more = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
        self._answer(status, f"{text}\n".encode(), {"Content-Type": "text/plain; charset=utf-8", **more})

    def _answer(self, status: HTTPStatus, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
