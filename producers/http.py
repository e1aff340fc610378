"""The endpoint on 127.0.0.1 of `karl ship`, for agents that post their events instead of running a command.

    POST /v1/events/<agent>    one hook payload, or an array of them; 200 without a body

Invariants:
- An event that was answered with 200 is in the spool, as the hook would have left it: the process may be
  killed after that. Where the hook would do nothing (`karl disable`, a full spool), so does this, with 200.
- Whoever posts has the token, and names this machine as host: no other user and no page in a browser can.
- A client that is slow, silent or greedy costs nobody else anything: time, connections and memory have
  bounds.
- Nothing here ends or stops the shipper; without the port or the token it ships what the hook leaves.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import msgspec

from karl import tokens
from karl.errors import Refused
from karl.settings import Settings
from producers.hook import AGENT_NAME
from producers.http_request import HEAD_MAX, BadRequest, Request, read_body, read_head
from producers.spool import READ_MAX_BYTES, Spool
from producers.spool_writer import leave

HOST = "127.0.0.1"
#: Bytes of one body; a larger event would be refused by the shipper.
BODY_MAX = READ_MAX_BYTES - 1
#: Events of one array: each costs some hundred bytes of memory beside its own, and a file.
MEMBERS_MAX = 100_000
TOKEN_FILE = "http.token"  # noqa: S105 - the name of one
#: Seconds for a request's headers, for its body, and without any request on a connection.
HEAD_S, BODY_S, IDLE_S = 5.0, 30.0, 60.0
CONNECTIONS_MAX = 256
#: Bytes of bodies in memory at one time.
HELD_MAX = 4 * BODY_MAX
#: Seconds between two tries to get the port.
RETRY_S = 5.0
#: Seconds that what is under way has to end in when the shipper stops.
STOP_S = 2.0
#: Seconds for which a client that was refused may go on sending until it reads the answer.
LINGER_S = 2.0
#: Files between two looks at the other connections.
_TURN = 64

_TARGET = re.compile(rf"/v1/events/({AGENT_NAME})")
_BLANK = b" \t\r\n\xef\xbb\xbf"

_log = logging.getLogger(__name__)
_members = msgspec.json.Decoder(list[msgspec.Raw]).decode


def token_of(settings: Settings) -> str:
    """Give the token that posts are checked against; it is made where there is none. Raises Refused."""
    return tokens.token_of(settings.http_token, "KARL_HTTP_TOKEN", settings.data_dir / TOKEN_FILE)


def is_listening(port: int) -> bool:
    """Say whether something on this machine takes connections at this port."""
    if not port:
        return False
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


@contextmanager
def taking_posts(settings: Settings) -> Iterator[None]:
    """Take events over HTTP meanwhile, in a thread of its own, when a port is set.

    What keeps it from that is logged; nothing is raised.
    """
    if not settings.http_port:
        yield
        return
    try:
        spool = Spool(settings.spool)
        spool.prepare()
        endpoint = Endpoint(spool, settings.http_port, token_of(settings))
    except (Refused, OSError) as error:
        _log.error("no events are taken over HTTP: %s", error)
        yield
        return
    thread = threading.Thread(target=endpoint.run, name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        endpoint.stop()
        thread.join(2 * STOP_S)


class Endpoint:
    """The server; `run` serves until `stop` is called from another thread."""

    def __init__(self, spool: Spool, port: int, token: str) -> None:
        self._spool = spool
        self._port = port
        self._token = f"Bearer {token}".encode()
        self._hosts = {name for host in (HOST, "localhost") for name in (host, f"{host}:{port}")}
        self._connections = 0
        self._held = 0
        #: Connections without a request that is allowed, the longest first, and whether they had one before.
        self._idle: dict[asyncio.StreamWriter, bool] = {}
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None

    def run(self) -> None:
        """Serve; waits for the port while somebody else has it."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._stopped.set()
        if self._loop is not None and self._ended is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._ended.set)

    async def _serve(self) -> None:
        self._ended, self._loop = asyncio.Event(), asyncio.get_running_loop()
        if self._stopped.is_set():
            return
        server = await self._listen(self._ended)
        if server is None:
            return
        _log.info("events are taken at http://%s:%d/v1/events/<agent>", HOST, self._port)
        await self._ended.wait()
        for listening in server.sockets:
            self._loop.remove_reader(listening.fileno())
        await asyncio.sleep(0.02)  # a connection accepted in this very moment would trip over a closed server
        server.close()
        for writer in self._idle:
            writer.transport.abort()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        if under_way:
            await asyncio.wait(under_way, timeout=STOP_S)

    async def _listen(self, ended: asyncio.Event) -> asyncio.Server | None:
        said = False
        while not ended.is_set():
            try:
                return await asyncio.start_server(
                    self._connected, HOST, self._port, limit=HEAD_MAX, backlog=CONNECTIONS_MAX
                )
            except OSError as error:
                if not said:
                    _log.error(
                        "no events are taken over HTTP: port %d of %s is not to be had (%s); events of"
                        " the hook are shipped all the same, and the port is tried again",
                        self._port,
                        HOST,
                        os.strerror(error.errno) if error.errno else error,
                    )
                said = True
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), RETRY_S)
        return None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends, or is not worth more."""
        self._connections += 1
        try:
            # A client that is gone, or too slow, gets no answer: nothing was promised to it.
            with suppress(OSError, EOFError, TimeoutError):
                if self._connections > CONNECTIONS_MAX and self._idle:
                    self._make_room()
                elif self._connections > CONNECTIONS_MAX:
                    await _answer(writer, HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", keep=False)
                    return
                self._idle[writer] = False
                while await self._one(reader, writer):
                    self._idle[writer] = True
        finally:
            self._connections -= 1
            self._idle.pop(writer, None)
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await writer.wait_closed()
            writer.transport.abort()  # where the client does not take the answer

    def _make_room(self) -> None:
        """End who has said nothing, or not shown the token, for the longest: anybody may connect."""
        strangers = (writer for writer, was_allowed in self._idle.items() if not was_allowed)
        writer = next(strangers, None) or next(iter(self._idle))
        del self._idle[writer]
        writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one request; says whether another may follow."""
        try:
            request = await _head(reader)
            if request is None:
                return False
            agent, length = self._allowed(request)
            self._idle.pop(writer, None)
            if request.headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self._event(reader, agent, length)
        except BadRequest as refusal:
            self._idle[writer] = False
            await _answer(writer, refusal.status, refusal.reason, keep=False)
            await _linger(reader, writer)
            return False
        await _answer(writer, HTTPStatus.OK, "", keep=request.keeps_alive)
        return request.keeps_alive

    def _allowed(self, request: Request) -> tuple[str, int | None]:
        """Give whose event it is and how long; before any of its body is read. Raises BadRequest."""
        if request.headers.get("host", "").lower() not in self._hosts:
            raise BadRequest(HTTPStatus.FORBIDDEN, f"the Host must be {HOST}:{self._port}")
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), self._token):
            raise BadRequest(HTTPStatus.UNAUTHORIZED, f"the token is not that of {TOKEN_FILE}")
        found = _TARGET.fullmatch(request.path)
        if found is None:
            raise BadRequest(HTTPStatus.NOT_FOUND, "events go to /v1/events/<agent>")
        if request.method != "POST":
            raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, "events are posted")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the event uncompressed")
        length = request.length
        if length is not None and length > BODY_MAX:
            raise _TOO_LARGE
        return found[1], length

    async def _event(self, reader: asyncio.StreamReader, agent: str, length: int | None) -> None:
        """Read a body and leave what it holds in the spool. Raises BadRequest."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if taken + size > BODY_MAX:
                raise _TOO_LARGE
            if self._held + size > HELD_MAX:
                raise BadRequest(HTTPStatus.SERVICE_UNAVAILABLE, "too much at once; send it again")
            taken += size
            self._held += size

        try:
            async with asyncio.timeout(BODY_S):
                body = await read_body(reader, length, take)
            await self._leave(agent, _payloads(body))
        finally:
            self._held -= taken

    async def _leave(self, agent: str, payloads: list[bytes]) -> None:
        for at, payload in enumerate(payloads):
            try:
                leave(self._spool.folder, agent, payload)
            except OSError as error:
                _log.warning("an event that was posted could not be kept: %s", error)
                raise BadRequest(
                    HTTPStatus.SERVICE_UNAVAILABLE, f"the spool can not be written to: {error.strerror}"
                ) from error
            if at % _TURN == _TURN - 1:
                await asyncio.sleep(0)


_TOO_LARGE = BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {BODY_MAX >> 20} MiB")
_TOO_MANY = BadRequest(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an array has at most {MEMBERS_MAX:,} events; send it in parts"
)


async def _head(reader: asyncio.StreamReader) -> Request | None:
    """Read a request up to its body; null when the client goes without one."""
    async with asyncio.timeout(IDLE_S):
        first = await reader.read(1)
    if not first:
        return None
    async with asyncio.timeout(HEAD_S):
        return await read_head(reader, first)


def _payloads(body: bytes) -> list[bytes]:
    """Give the payloads of a body: itself, or what its array holds. Whether each is one, the shipper says."""
    shown = body.lstrip(_BLANK)
    if not shown:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the body is empty")
    if not shown.startswith(b"["):
        return [body]
    try:
        if shown.count(b",") >= MEMBERS_MAX:
            _count(shown)
        return [bytes(member) for member in _members(shown)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(HTTPStatus.BAD_REQUEST, f"the array is not JSON: {error}") from error


def _count(array: bytes) -> None:
    """Raise for too many members, or for others than objects, before they fill the memory."""
    seen = 0

    class Member(msgspec.Struct):
        def __post_init__(self) -> None:
            nonlocal seen
            seen += 1
            if seen > MEMBERS_MAX:
                raise _TOO_MANY

    msgspec.json.Decoder(list[Member]).decode(array)


async def _answer(writer: asyncio.StreamWriter, status: HTTPStatus, text: str, *, keep: bool) -> None:
    body = f"{text}\n".encode() if text else b""
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Length: {len(body)}",
        f"Connection: {'keep-alive' if keep else 'close'}",
    ]
    if body:
        lines += ["Content-Type: text/plain; charset=utf-8"]
    if status is HTTPStatus.UNAUTHORIZED:
        lines += ["WWW-Authenticate: Bearer"]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines += ["Allow: POST"]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    async with asyncio.timeout(HEAD_S):
        await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let a client that still sends come to the answer: closed at once, the connection would be reset."""
    if writer.can_write_eof():
        writer.write_eof()
    async with asyncio.timeout(LINGER_S):
        while await reader.read(1 << 16):
            pass
