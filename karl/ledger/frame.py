"""The frame: one line of the ledger as bytes, and back. docs/ledger-format.md gives every byte.

Invariants:
- A body's bytes go in and come out unchanged; nothing here encodes JSON of others.
- A line is valid only if it is, byte for byte, what `write_line` makes of its own members, or what
  `erase_line` makes of that.
- The chain is over everything but the body and its salt, for which a digest stands. So a body can be
  taken out, and neither the length of the line nor its hash changes.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from typing import NamedTuple

import msgspec

from karl.errors import Unreadable

FORMAT = 2

#: How many partitions the streams have: karl.stream.keys, which this room may not import.
PARTITIONS = 64

#: What stands for the hash of a predecessor that does not exist.
NO_HASH = "0" * 64

#: The kind of a segment's first line.
SEGMENT = "segment"

#: What a line's kind is read as when its body was taken out.
BLANK = "blank"

#: The salt of a line whose body was taken out. One that is drawn is never this.
NO_SALT = "0" * 32

_CRC_OPENS = b',"crc":"'
_SALT_OPENS = b',"salt":"'
_TAIL = len(b',"crc":"00000000"}')
_KIND = re.compile(r"[a-z_]+")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One valid line and where it lies: bytes `offset` to `end` of `segment`, its line end included.

    `hash` is what the next line has as `prev`. `source` is partition and stream id. `time` is ISO-8601 in
    UTC with milliseconds. When the body was taken out, `kind` is BLANK and `body` has no members.
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
    digest: str
    salt: str
    body: msgspec.Raw
    crc: str


_decoder = msgspec.json.Decoder(_Members)
_syntax = msgspec.json.Decoder(msgspec.Raw)


def draw_salt() -> str:
    """Draw a salt: 32 hexadecimal digits that nobody can guess."""
    return secrets.token_hex(16)


def write_line(
    body: bytes,
    *,
    seq: int,
    term: int,
    time: str,
    kind: str,
    source: tuple[int, str] | None,
    prev: str,
    salt: str,
) -> tuple[bytes, str]:
    """Give a line's bytes, its line end included, and the hash that the next line needs.

    `body` must have passed `check_body`, `kind` must have passed `check_kind`.
    """
    opening = _open_line(
        seq=seq, term=term, time=time, kind=kind, source=source, prev=prev, digest=_digest(salt, body)
    )
    return _close_line(opening, salt, body), hashlib.sha256(opening).hexdigest()


def read_line(data: bytes, segment: str, offset: int) -> Line:
    """Take one line apart; `data` is all of it, its line end included. Raises Unreadable with the reason."""
    members = _take_apart(data)
    body = bytes(members.body)
    erased = members.salt == NO_SALT
    if erased and body != _blank(len(body)):
        raise Unreadable("an erased line with a body")
    if not erased and members.digest != _digest(members.salt, body):
        raise Unreadable("the body is not the one that was written")
    opening = _opening_of(members)
    if _close_line(opening, members.salt, body) != data:
        raise Unreadable("not written as a writer would write it")
    return Line(
        seq=members.seq,
        term=members.term,
        time=members.time,
        kind=BLANK if erased else members.kind,
        source=members.source,
        prev=members.prev,
        body=members.body,
        hash=hashlib.sha256(opening).hexdigest(),
        segment=segment,
        offset=offset,
        end=offset + len(data),
    )


def erase_line(data: bytes) -> bytes:
    """Give a valid line without its body and salt, as long as it was. Raises Unreadable."""
    members = _take_apart(data)
    return _close_line(_opening_of(members), NO_SALT, _blank(len(bytes(members.body))))


def _take_apart(data: bytes) -> _Members:
    if not data.endswith(b"\n"):
        raise Unreadable("the line has no end")
    line = data[:-1]
    covered, tail = line[:-_TAIL], line[-_TAIL:]
    if not tail.startswith(_CRC_OPENS):
        raise Unreadable("not a line of the ledger: no checksum at its end")
    if tail != b',"crc":"%08x"}' % zlib.crc32(covered):
        raise Unreadable("the checksum does not fit the bytes")
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not a line of the ledger: {error}") from error


def _open_line(
    *, seq: int, term: int, time: str, kind: str, source: tuple[int, str] | None, prev: str, digest: str
) -> bytes:
    """Write what the chain covers."""
    origin = "null" if source is None else f'[{source[0]},"{source[1]}"]'
    return (
        f'{{"seq":{seq},"term":{term},"time":"{time}","kind":"{kind}",'
        f'"source":{origin},"prev":"{prev}","digest":"{digest}"'
    ).encode()


def _opening_of(members: _Members) -> bytes:
    return _open_line(
        seq=members.seq,
        term=members.term,
        time=members.time,
        kind=members.kind,
        source=members.source,
        prev=members.prev,
        digest=members.digest,
    )


def _close_line(opening: bytes, salt: str, body: bytes) -> bytes:
    covered = b'%b%b%b","body":%b' % (opening, _SALT_OPENS, salt.encode(), body)
    return b'%b,"crc":"%08x"}\n' % (covered, zlib.crc32(covered))


def _digest(salt: str, body: bytes) -> str:
    digest = hashlib.sha256(salt.encode())
    digest.update(body)
    return digest.hexdigest()


def _blank(size: int) -> bytes:
    """Give an object without members, so many bytes long: what stands where a body was."""
    return b"{" + b" " * (size - 2) + b"}"


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
    if not body.startswith(b"{"):
        raise Unreadable("the body is no JSON object")
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
