"""The ledger's folder: its files by name, the headers of its segments, and which of them count.

A segment is sealed by the header of the next one. Following the seals back from the newest
segment gives the chain; a segment outside it was written by a process that had been replaced.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import msgspec

from karl.errors import LedgerDamaged, LedgerRewound, Unreadable
from karl.ledger.files import PACKED, open_segment
from karl.ledger.frame import FORMAT, PARTITIONS, SEGMENT, Line, read_line

LOCK = "LOCK"
#: Makes the folder a copy of another machine's ledger (karl/replica/copy.py).
FOLLOWER = "FOLLOWER"
#: Held by who makes segments anew.
ERASING = "ERASING"
#: Ends the name of a segment that is being made anew.
NEW = ".new"

_NAME = re.compile(r"(\d{10})-(\d{6})\.jsonl")
_TORN = re.compile(r"(\d{10})-(\d{6})\.jsonl\.torn-\d+")
_CLAIM = re.compile(rb"(\d{10})\n")
_HEADER_MAX = 1 << 20
#: More than a header has that tells of no cuts.
_HEADER_GUESS = 1 << 13


class Seal(msgspec.Struct, frozen=True):
    """How many bytes of a segment count, and the hash of the last line in them."""

    segment: str
    length: int
    head: str


class Cut(msgspec.Struct, frozen=True):
    """Bytes that recovery took out: where they lay, how many, and the file that has them now."""

    segment: str
    offset: int
    bytes: int
    copy: str


class HeaderBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a segment's first line says; each member is explained in docs/ledger-format.md."""

    format: int
    segment: str
    partitions: int
    records: int
    seals: list[Seal]
    watermarks: dict[int, str]
    cuts: list[Cut] = []


class Header(NamedTuple):
    """A segment's first line, decoded."""

    line: Line
    body: HeaderBody

    @property
    def seal(self) -> Seal | None:
        """The seal on the segment before; None in the ledger's first segment."""
        return self.body.seals[-1] if self.body.seals else None


_body_decoder = msgspec.json.Decoder(HeaderBody)


def segment_name(term: int, n: int) -> str:
    """Name the `n`th segment of a term."""
    return f"{term:010d}-{n:06d}.jsonl"


def term_of(name: str) -> int:
    """Read the term from a segment's name."""
    return int(name[:10])


def is_segment(name: str) -> bool:
    """Say whether a file name is a segment's."""
    return _NAME.fullmatch(name) is not None


def is_ours(name: str) -> bool:
    """Say whether a file name is of any kind that belongs into the folder."""
    segment = name.removesuffix(NEW).removesuffix(PACKED)
    return name in {LOCK, ERASING, FOLLOWER} or is_segment(segment) or is_torn(name)


def is_torn(name: str) -> bool:
    """Say whether a file name is that of bytes which recovery took out."""
    return _TORN.fullmatch(name) is not None


def list_segments(folder: Path) -> list[str]:
    """List the segments' names, oldest first; none when there is no folder."""
    try:
        names = {entry.name.removesuffix(PACKED) for entry in folder.iterdir()}
    except FileNotFoundError:
        return []
    return sorted(name for name in names if is_segment(name))


def claimed_terms(lock: bytes) -> list[int]:
    """Read the terms in the LOCK file; what a crash left half-written there is passed over."""
    return [int(term) for term in _CLAIM.findall(lock)]


def newest_term(folder: Path) -> int:
    """Give the largest term that was ever used here, 0 if none: the next lease's must be larger."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        return 0
    terms = [
        term_of(name) for name in names if is_segment(name.removesuffix(PACKED)) or _TORN.fullmatch(name)
    ]
    if LOCK in names:
        terms += claimed_terms((folder / LOCK).read_bytes())
    return max(terms, default=0)


def decode_header(line: Line) -> Header:
    """Read a segment's first line. Raises LedgerDamaged when it is not this segment's header."""
    try:
        body = _body_decoder.decode(line.body)
    except msgspec.MsgspecError as error:
        raise LedgerDamaged(line.segment, line.offset, f"the header can not be read: {error}") from error
    if body.format != FORMAT:
        reason = f"format {body.format}; this KARL reads format {FORMAT}"
    elif line.kind != SEGMENT or body.segment != line.segment:
        reason = f"the header is another segment's: {body.segment}"
    elif body.partitions != PARTITIONS:
        reason = f"the header counts {body.partitions} partitions, not {PARTITIONS}"
    elif line.term != term_of(line.segment):
        reason = f"the header has term {line.term}"
    elif any(not is_segment(seal.segment) or seal.segment >= line.segment for seal in body.seals):
        reason = "the header seals a segment that can not come before it"
    else:
        return Header(line, body)
    raise LedgerDamaged(line.segment, line.offset, reason)


def read_header(folder: Path, name: str) -> Header | None:
    """Read a segment's header; None while its line has no end (being written, or torn), or no file.

    Raises LedgerDamaged when the first line is whole and not a header.
    """
    try:
        with open_segment(folder, name) as file:
            data = file.read_at(0, _HEADER_GUESS)
            if b"\n" not in data:
                data = file.read_at(0, _HEADER_MAX)
    except FileNotFoundError:
        return None  # recovery set it aside since the folder was listed
    end = data.find(b"\n") + 1
    if not end and len(data) < _HEADER_MAX:
        return None
    data = data[: end or None]
    try:
        return decode_header(read_line(data, name, 0))
    except Unreadable as error:
        raise LedgerDamaged(name, 0, f"the segment's header: {error.reason}") from error


def newest_header(folder: Path, names: list[str]) -> Header | None:
    """Find the newest of these segments with a whole header. Raises LedgerDamaged."""
    for name in reversed(names):
        header = read_header(folder, name)
        if header:
            return header
    return None


def chain_after(folder: Path, names: list[str], stop: str) -> list[Header]:
    """List the headers of the segments that count and come after `stop`, oldest first.

    `names` is what the folder holds; an empty `stop` asks for the whole chain. Raises LedgerDamaged,
    and LedgerRewound when `stop` itself is not in the chain (any more).
    """
    headers: list[Header] = []
    header = newest_header(folder, names)
    while header and header.line.segment != stop:
        headers.append(header)
        before = header.seal.segment if header.seal else ""
        if before < stop:
            raise LedgerRewound(stop, 0, "no segment that counts names it as its predecessor")
        if before and before not in names:
            raise LedgerDamaged(before, 0, f"the segment is missing; {header.line.segment} names it")
        if before == stop:
            break
        header = read_header(folder, before)
        if header is None:
            raise LedgerDamaged(before, 0, "the segment's header is cut off")
    headers.reverse()
    return headers
