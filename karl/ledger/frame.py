"""The frame: one line of the ledger as bytes, and back. docs/ledger-format.md gives every byte.

Invariants:
- A body's bytes go in and come out unchanged; nothing here encodes JSON of others.
- A line is valid only if it is, byte for byte, what `write_line` makes of its own members.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import NamedTuple

import msgspec

from karl.errors import Unreadable

FORMAT = 1

#: How many partitions the streams have: karl.stream.keys, which this room may not import.
PARTITIONS = 64

#: What stands for the hash of a predecessor that does not exist.
NO_HASH = "0" * 64

#: The kind of a segment's first line.
SEGMENT = "segment"

_CRC_OPENS = b',"crc":"'
_TAIL = len(b',"crc":"00000000"}')
_KIND = re.compile(r"[a-z_]+")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One valid line and where it lies: bytes `offset` to `end` of `segment`, its line end included.

    `hash` is the SHA-256 of the line, which the next line has as `prev`. `source` is partition and
    stream id. `time` is ISO-8601 in UTC with milliseconds.
    """

    seq: int
    term: int
    time: str
    kind: str
    source: tuple[int, str] | None
    prev: str
    body: msgspec.Raw
    hash: str
    segment: str
    offset: int
    end: int


class StreamId(NamedTuple):
    """A stream entry's id, ordered as Redis orders it."""

    ms: int
    n: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.n}"


class _Members(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seq: int
    term: int
    time: str
    kind: str
    source: tuple[int, str] | None
    prev: str
    body: msgspec.Raw
    crc: str


_decoder = msgspec.json.Decoder(_Members)
_syntax = msgspec.json.Decoder(msgspec.Raw)


def write_line(
    body: bytes, *, seq: int, term: int, time: str, kind: str, source: tuple[int, str] | None, prev: str
) -> tuple[bytes, str]:
    """Give a line's bytes, its line end included, and the hash that the next line needs.

    `body` must have passed `check_body`, `kind` must have passed `check_kind`.
    """
    origin = "null" if source is None else f'[{source[0]},"{source[1]}"]'
    opening = (
        f'{{"seq":{seq},"term":{term},"time":"{time}","kind":"{kind}",'
        f'"source":{origin},"prev":"{prev}","body":'
    )
    covered = opening.encode() + body
    line = b'%b,"crc":"%08x"}' % (covered, zlib.crc32(covered))
    return line + b"\n", hashlib.sha256(line).hexdigest()


def read_line(data: bytes, segment: str, offset: int) -> Line:
    """Take one line apart; `data` is all of it, its line end included. Raises Unreadable with the reason."""
    if not data.endswith(b"\n"):
        raise Unreadable("the line has no end")
    line = data[:-1]
    covered, tail = line[:-_TAIL], line[-_TAIL:]
    if not tail.startswith(_CRC_OPENS):
        raise Unreadable("not a line of the ledger: no checksum at its end")
    if tail != b',"crc":"%08x"}' % zlib.crc32(covered):
        raise Unreadable("the checksum does not fit the bytes")
    try:
        members = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not a line of the ledger: {error}") from error
    again, digest = write_line(
        bytes(members.body),
        seq=members.seq,
        term=members.term,
        time=members.time,
        kind=members.kind,
        source=members.source,
        prev=members.prev,
    )
    if again != data:
        raise Unreadable("not written as a writer would write it")
    return Line(
        seq=members.seq,
        term=members.term,
        time=members.time,
        kind=members.kind,
        source=members.source,
        prev=members.prev,
        body=members.body,
        hash=digest,
        segment=segment,
        offset=offset,
        end=offset + len(data),
    )


def misfit(line: Line, *, seq: int, prev: str, term: int) -> str | None:
    """Say why a valid line can not follow the line `seq` whose hash is `prev`; None when it can."""
    if line.term != term:
        return f"its term is {line.term}, its segment's is {term}"
    if line.seq != seq + 1:
        return f"its seq is {line.seq} after {seq}"
    if line.prev != prev:
        return "it names another predecessor than the line before it"
    return None


def check_body(body: bytes) -> None:
    """Refuse a body that would spoil the line that it is put into. Raises Unreadable."""
    if b"\n" in body:
        raise Unreadable("the body has a line end in it")
    try:
        body.decode()
        _syntax.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON: {error}") from error


def check_kind(kind: str) -> None:
    """Refuse a kind that is not a plain word, or the ledger's own. Raises Unreadable."""
    if kind == SEGMENT:
        raise Unreadable("only the ledger itself writes records of kind segment")
    if not _KIND.fullmatch(kind):
        raise Unreadable(f"a record's kind is a word of a to z and _, not {kind!r}")


def read_stream_id(text: bytes | str) -> StreamId:
    """Read `ms-n`. Raises Unreadable."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    ms, _, n = data.partition(b"-")
    if not (ms.isdigit() and n.isdigit()):
        raise Unreadable(f"a stream id looks like 1690000000000-0, not {text!r}")
    return StreamId(int(ms), int(n))
