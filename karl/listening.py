"""What every small HTTP server of ours does the same way: listening in a thread, ending, and keeping quiet.

The endpoint that takes agents' events is another matter (producers/http.py): it serves hundreds at once.

Invariants:
- It sleeps while nobody asks, and ends at once when it is told to.
- A client that goes away is no news; anything else that goes wrong is logged with where it did.
"""

from __future__ import annotations

import logging
import selectors
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, cast

_log = logging.getLogger("karl")


class Listener(ThreadingMixIn, TCPServer):
    """Listens from its making on; each client has a thread. Raises OSError when the address can not be had.

    `address` is host and port, or the path of a unix socket. `what` says in the log what could not be done.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16
    #: For a client that has gone between its coming and our answer.
    timeout = 0.1

    def __init__(
        self, address: tuple[str, int] | str, handler: type[BaseHTTPRequestHandler], what: str
    ) -> None:
        if isinstance(address, str):
            self.address_family = socket.AF_UNIX
        else:
            self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._what = what
        self._wake, self._waker = socket.socketpair()
        try:
            super().__init__(cast("tuple[str, int]", address), handler)  # a path, in its own family
        except BaseException:
            self._close_pair()
            raise

    def run(self, stop: threading.Event) -> None:
        """Answer until told to stop; sleeps while nobody asks."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while not stop.is_set():
                if any(key.fileobj is self for key, _ in selector.select()):
                    self.handle_request()
        self.server_close()
        self.let_go()
        self._close_pair()

    def stop(self) -> None:
        """Wake `run`, so that it looks at its `stop`."""
        try:
            self._waker.send(b"x")
        except OSError:
            return  # it has ended already

    def let_go(self) -> None:
        """Let go of clients that are still connected, at the end; by itself it lets them end."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away; anything else is ours."""
        del request, client_address
        if not isinstance(sys.exception(), OSError):
            _log.exception("%s", self._what)

    def _close_pair(self) -> None:
        self._wake.close()
        self._waker.close()


class BoundedListener(Listener):
    """The same for so many clients at one time: further ones are turned away."""

    def __init__(
        self, address: tuple[str, int] | str, handler: type[BaseHTTPRequestHandler], what: str, most: int
    ) -> None:
        self._clients = threading.BoundedSemaphore(most)
        super().__init__(address, handler, what)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, unless too many are connected."""
        if not self._clients.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._clients.release()


class Handler(BaseHTTPRequestHandler):
    """A client's requests, of which nothing is said."""

    def version_string(self) -> str:
        """Say no more than the product's name."""
        return "karl"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: being asked is no news."""


def shut(connection: socket.socket) -> None:
    """End a connection under whoever reads or writes it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended already
