"""Find JSON objects in bytes: one a line, several, over many lines, torn, with rubbish between them.

Invariant: what is broken is given with the line that it begins on, and does not spoil its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import msgspec

from producers.envelope import KIND_FIELDS, RAW_MAX
from producers.values import has_too_many

#: Bytes read at once of a file whose lines are longer.
_CHUNK = 4 * 1024 * 1024
#: Bytes of something broken that are kept.
_BROKEN_MAX = 64 * 1024
#: What may stand between two objects: white space, array signs, NUL bytes of a torn write, a byte order mark.
BETWEEN = b" \t\r\n,[]\x00\x0b\x0c\xef\xbb\xbf"
_PLAIN = re.compile(rb'["{}\[\]\n]')
_IN_TEXT = re.compile(rb'["\\\n]')
_OPENS = {b"}": ord("{"), b"]": ord("[")}
#: White space between two tokens that is looked back over.
_TAIL = 4096

_raw = msgspec.json.Decoder(msgspec.Raw).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Piece(NamedTuple):
    """One object and the line that it begins on; `time_ms` is the time that its wrapper gave it."""

    data: bytes
    line: int
    time_ms: int | None = None


class Broken(NamedTuple):
    """Something that is no object, the line that it begins on, and why."""

    data: bytes
    line: int
    reason: str


class Scanner:
    """Finds JSON objects in bytes that come in chunks, and where broken ones must end.

    A line end inside a text, or an object where none can begin, ends what went before as broken.
    """

    def __init__(self, line: int = 1) -> None:
        """Begin; what comes first stands on `line`."""
        self._line = line
        self._begun = line
        self._data = bytearray()  # of the object that has begun
        self._open = bytearray()  # its brackets that are open
        self._in_text = False
        self._stray = bytearray()  # what lies between objects
        self._fresh = True  # a line begins here

    def whole_line(self, chunk: bytes) -> list[Piece | Broken]:
        """Give the object that a line is, in the usual case; nothing leaves the line to `feed`.

        A payload that begins a line and fills it also ends what an earlier line began and never closed.
        """
        fresh, self._fresh = self._fresh, chunk.endswith(b"\n")
        if not fresh or len(chunk) >= _CHUNK or (self._open and not chunk.startswith(b"{")):
            return []
        data = chunk.strip(BETWEEN)
        if not data.startswith(b"{") or not _is_json(data) or (self._open and not is_payload(members(data))):
            return []
        before = [self._broken(b"", "it ends before its end")] if self._open else []
        self._line += self._fresh
        return [*before, Piece(data, self._line - self._fresh)]

    def feed(self, chunk: bytes) -> Iterator[Piece | Broken]:
        """Take more bytes, that do not end in a backslash; gives what they complete."""
        start = at = 0  # what lies before `start` is taken
        while match := (_IN_TEXT if self._in_text else _PLAIN).search(chunk, at):
            here, at = match.span()
            sign = match[0]
            found: Piece | Broken | None = None
            if self._in_text:
                at += sign == b"\\"
                self._in_text = sign == b"\\"
                if sign == b"\n":
                    found, start = self._broken(chunk[start:here], "its line ends inside a text"), at
            elif self._open:
                found, start = self._inside(sign, chunk, start, here)
            elif sign in b"{\n":
                found, start = self._between(chunk[start:here]), here if sign == b"{" else at
                self._begin(sign)
            if found:
                yield found
            self._line += sign == b"\n"
        yield from self._keep(chunk[start:])

    def end(self) -> Iterator[Broken]:
        """Give what the file ends with, if that is no object."""
        last = self._broken(b"", "it ends before its end") if self._open else self._between(b"")
        if last:
            yield last

    def _begin(self, sign: bytes) -> None:
        if sign == b"{":
            self._begun = self._line
            self._open += sign

    def _inside(self, sign: bytes, chunk: bytes, start: int, here: int) -> tuple[Piece | Broken | None, int]:
        """Follow a sign inside an object; gives what it completes, and where the untaken bytes begin."""
        if sign == b"{" and not self._may_open(chunk, start, here):
            broken = self._broken(chunk[start:here], "it ends before its end")
            self._begin(sign)
            return broken, here
        if sign in b"{[":
            self._open += sign
        elif sign == b'"':
            self._in_text = True
        elif sign in b"}]":
            if self._open[-1] != _OPENS[sign]:
                return self._broken(chunk[start : here + 1], "its brackets do not match"), here + 1
            self._open.pop()
            if not self._open:
                return self._piece(chunk[start : here + 1]), here + 1
        return None, start

    def _may_open(self, chunk: bytes, start: int, here: int) -> bool:
        """Say whether an object may begin here: after a colon, or in an array."""
        at = here - 1
        while at >= start and chunk[at] in b" \t\r\n":
            at -= 1
        before = chunk[at : at + 1] if at >= start else bytes(self._data[-_TAIL:].rstrip()[-1:])
        return before == b":" if self._open[-1:] == b"{" else before in (b",", b"[")

    def _piece(self, more: bytes) -> Piece:
        piece = Piece(bytes(self._data + more), self._begun)
        self._data.clear()
        return piece

    def _broken(self, more: bytes, reason: str) -> Broken:
        data = bytes((self._data + more)[:_BROKEN_MAX])
        self._data.clear()
        self._open.clear()
        self._in_text = False
        return Broken(data, self._begun, reason)

    def _between(self, more: bytes) -> Broken | None:
        data = bytes(self._stray + more).strip(BETWEEN)
        self._stray.clear()
        return Broken(data[:_BROKEN_MAX], self._line, "it is no JSON object") if data else None

    def _keep(self, rest: bytes) -> Iterator[Broken]:
        if not self._open:
            self._stray += rest[: _BROKEN_MAX - len(self._stray)]
        elif len(self._data) + len(rest) > RAW_MAX:
            yield self._broken(rest, f"it is larger than {RAW_MAX >> 20} MiB")
        else:
            self._data += rest


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """Give a file line by line, long lines in pieces that never end in a backslash."""
    while chunk := file.readline(_CHUNK):
        while chunk.endswith(b"\\") and (more := file.read(1)):
            chunk += more
        yield chunk


def members(data: bytes) -> dict[str, Any]:
    """Give the members of an object, undecoded; none when it can not be read, or has too many."""
    if has_too_many(data):
        return {}
    try:
        return _members(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def is_payload(fields: dict[str, Any]) -> bool:
    """Say whether an object's members name it a hook's payload."""
    return any(name in fields for name in KIND_FIELDS)


def _is_json(data: bytes) -> bool:
    try:
        _raw(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
