"""Encoders that are slow to load, once a run; a service that gives vectors, on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from karl.encoders.choose import Wanted, missing, open_encoder
from karl.encoders.encoder import Encoder

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


class Service:
    """Answers as `answer` says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Answer = lambda body: (200, {"embedding": [3.0, 4.0]})
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.asked.append(body)
                service.headers.append(dict(self.headers))
                status, answer = service.answer(body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                if status in {301, 302, 307}:
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/embed"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


def _opened(name: str) -> Encoder:
    if extra := missing(name):
        pytest.skip(f"the extra {extra} is not installed")
    return open_encoder(Wanted(name=name))


@pytest.fixture(scope="session")
def static() -> Encoder:
    return _opened("static")


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    return _opened("minilm")
