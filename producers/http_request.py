"""One HTTP/1.x request from a stream: as much of the protocol as agents and their libraries use.

Bodies come with a length or in chunks. Whatever is larger than its bound, or could be read in two ways (two
lengths, a length and chunks, folded headers), is refused: see BadRequest.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

#: Bytes of a request's line and headers together.
HEAD_MAX = 32 * 1024
#: Bytes of a line in a chunked body: a size, or a trailer.
_LINE_MAX = 4096
_TRAILERS_MAX = 64

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (\S{1,8192}) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}):(.*)", re.DOTALL)
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r?\n", re.DOTALL)
_NOT_IN_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class BadRequest(Exception):
    """Raised for a request that is refused; the connection can not be used after it."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Request:
    """A request's line and headers; header names are in lower case. `target` is as it was sent."""

    method: str
    target: str
    minor: int
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def keeps_alive(self) -> bool:
        """Say whether the client wants to send more on this connection."""
        wants = {word.strip().lower() for word in self.headers.get("connection", "").split(",")}
        return "close" not in wants and (self.minor == 1 or "keep-alive" in wants)

    @property
    def length(self) -> int | None:
        """The body's length in bytes; None when it comes in chunks. Raises BadRequest."""
        coding = self.headers.get("transfer-encoding")
        told = self.headers.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or told is not None:
                raise BadRequest(HTTPStatus.BAD_REQUEST, "a body is either chunked or has a length")
            return None
        if told is None:
            raise BadRequest(HTTPStatus.LENGTH_REQUIRED, "a body needs a Content-Length, or comes in chunks")
        if _LENGTH.fullmatch(told) is None:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "Content-Length is no number")
        return int(told)


async def read_head(reader: asyncio.StreamReader, first: bytes) -> Request:
    """Read a request up to its body, after its first byte.

    Raises BadRequest, and IncompleteReadError when the client goes before the end.
    """
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large") from None
    told, *lines = head.removesuffix(b"\r\n\r\n").lstrip(b"\r\n").split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(told)
    if line is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "not a request of HTTP/1.0 or HTTP/1.1")
    return Request(line[1].decode(), line[2].decode("latin-1"), int(line[3]), _headers(lines))


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None or _NOT_IN_VALUES.search(found[2]):
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a header is malformed")
        name, value = found[1].decode().lower(), found[2].strip(b" \t").decode("latin-1")
        if name in headers and name in {"content-length", "transfer-encoding", "host", "authorization"}:
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"{name} stands there twice")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def read_body(reader: asyncio.StreamReader, length: int | None, take: Callable[[int], None]) -> bytes:
    """Read a body of this length, or in chunks. `take` is told of bytes before they are read, and may raise.

    Raises BadRequest, and IncompleteReadError when the client goes before the end.
    """
    if length is not None:
        take(length)
        return await reader.readexactly(length)
    body = bytearray()
    while size := await _chunk_size(reader):
        take(size)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a chunk does not end where it says")
    for _ in range(_TRAILERS_MAX):
        if (await _line(reader)).strip() == b"":
            return bytes(body)
    raise BadRequest(HTTPStatus.BAD_REQUEST, "too many trailers")


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    found = _CHUNK_SIZE.fullmatch(await _line(reader))
    if found is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "a chunk's size is malformed")
    return int(found[1], 16)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        line = b""
    if not line or len(line) > _LINE_MAX:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "a line of the body is too long")
    return line
