"""The local endpoint that a hook asks: a unix socket in the data folder, which one user alone can reach.

    POST /v1/route/<agent>    a UserPromptSubmit payload; 200 with what the agent is told, or 204

Invariants:
- Whatever comes, the answer is short and whole, or there is none: the hook prints it as it is.
- A client that is slow or greedy is left alone after SILENCE_S; more than CLIENTS_MAX are turned away.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

import msgspec

from karl.listening import BoundedListener, Handler
from producers.hook import AGENT_NAME

#: Seconds for which a client may be silent; the hook is gone long before.
SILENCE_S = 1.0
CLIENTS_MAX = 16
#: Bytes of a payload; who pastes more has said what he wants at the beginning, and waits for no answer.
BODY_MAX = 256 * 1024

_TARGET = re.compile(rf"/v1/route/({AGENT_NAME})")
_LENGTH = re.compile(r"[0-9]{1,9}")

#: Gives what to tell an agent, by its name and the payload; empty for nothing.
Ask = Callable[[str, bytes], bytes]


class Endpoint(BoundedListener):
    """Listens at a path from its making on. Raises OSError when it can not be had."""

    def __init__(self, path: str, ask: Ask) -> None:
        self.ask = ask
        super().__init__(path, _Handler, "a hook could not be answered", CLIENTS_MAX)


class _Handler(Handler):
    """One request: a hook asks once, and goes."""

    timeout = SILENCE_S
    server: Endpoint

    def do_POST(self) -> None:  # noqa: N802 - the library's name
        """Answer a hook."""
        found = _TARGET.fullmatch(self.path)
        length = self.headers.get("Content-Length", "")
        if found is None or _LENGTH.fullmatch(length) is None:
            self._end(HTTPStatus.BAD_REQUEST)
            return
        if int(length) > BODY_MAX:
            self._end(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length))
        try:
            said = self.server.ask(found[1], body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._end(HTTPStatus.BAD_REQUEST)
            return
        self._end(HTTPStatus.OK if said else HTTPStatus.NO_CONTENT, said)

    def _end(self, status: HTTPStatus, body: bytes = b"") -> None:
        head = f"HTTP/1.0 {status.value} {status.phrase}\r\n"
        if status is not HTTPStatus.NO_CONTENT:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.wfile.write(head.encode() + b"\r\n" + body)  # in one piece, so that nobody prints half of it
