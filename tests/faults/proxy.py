"""A wire between the line and its server that breaks: in the middle of a reply, in one direction, or slowly."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
from pathlib import Path

_CHUNK = 65536
#: How often a wire that carries nothing looks whether it shall.
_LOOK_S = 0.02


class Proxy:
    """Carries bytes between clients on one unix socket and the server on another, in threads of this process."""

    def __init__(self, listen: Path, server: Path) -> None:
        self._server = server
        self._wires: set[_Wire] = set()
        self._lock = threading.Lock()
        self._budget = -1
        self.delay_s = 0.0
        self.deaf: frozenset[str] = (
            frozenset()
        )  # "up": what clients say is held back; "down": what the server says
        self.cuts = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(listen))
        self._listener.listen(64)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut_reply_after(self, count: int) -> None:
        """Carry so many more bytes of replies, then reset the connection that the last of them went to."""
        self._budget = count

    def cut_all(self, *, keep: float = 0.0, chance: random.Random | None = None) -> None:
        """Reset all connections, or each with a likelihood of 1 - `keep`."""
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            if chance is None or chance.random() >= keep:
                wire.reset()

    def stall(self, direction: str) -> None:
        """Hold back what goes in one direction until `heal`; the sender is not told."""
        self.deaf = frozenset({direction})

    def heal(self, *, late: bool = False) -> None:
        """Carry everything again. What a stalled direction held back is lost with its connection, or comes late."""
        self.delay_s = 0.0
        self._budget = -1
        if self.deaf and not late:
            self.cut_all()
        self.deaf = frozenset()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()
        self.cut_all()
        for wire in list(self._wires):
            wire.join()

    def take(self, wanted: int) -> int:
        """Say how many bytes of a reply may pass now."""
        with self._lock:
            if self._budget < 0:
                return wanted
            allowed = min(wanted, self._budget)
            self._budget -= allowed
            if allowed < wanted:
                self._budget = -1
                self.cuts += 1
            return allowed

    def gone(self, wire: _Wire) -> None:
        with self._lock:
            self._wires.discard(wire)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                if not selector.select(0.05):
                    continue
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._server))
                except OSError:
                    server.close()
                    client.close()
                    continue
                wire = _Wire(self, client, server)
                with self._lock:
                    self._wires.add(wire)
                wire.start()


class _Wire(threading.Thread):
    """One connection: bytes both ways, in order."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        super().__init__(daemon=True)
        self._proxy = proxy
        self._client = client
        self._server = server

    def run(self) -> None:
        with selectors.DefaultSelector() as selector, self._client, self._server:
            selector.register(self._client, selectors.EVENT_READ, "up")
            selector.register(self._server, selectors.EVENT_READ, "down")
            with contextlib.suppress(OSError):
                while self._carry(selector):
                    pass
        self._proxy.gone(self)

    def reset(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _carry(self, selector: selectors.BaseSelector) -> bool:
        """Carry what is there; False when the connection is over."""
        for key, _ in selector.select(0.5):
            if key.data in self._proxy.deaf:
                threading.Event().wait(_LOOK_S)
                continue
            data = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
            if not data:
                return False
            if self._proxy.delay_s:
                threading.Event().wait(self._proxy.delay_s)
            passes = self._proxy.take(len(data)) if key.data == "down" else len(data)
            (self._client if key.data == "down" else self._server).sendall(data[:passes])
            if passes < len(data):
                return False
        return True
