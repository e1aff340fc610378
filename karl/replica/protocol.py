"""What a ledger's source and its followers say to each other, over HTTP.

    GET /ledger/v1/segments                   Listing, as JSON
    GET /ledger/v1/segments/<name>?from=<byte>&head=<hash>&wait=<s>&follower=<name>
                                              bytes of a segment; the header Karl-Ledger has an Ahead

A request for bytes names the place where the asker stands: byte `from` of a segment, behind the line whose
hash is `head` (64 zeros at the ledger's start). With a follower's name it says also that all before that is
on its disk. The source answers 409 when no line of its own with that hash ends there: the two are not one.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec

from karl.errors import Unreadable
from karl.ledger.frame import NO_HASH
from karl.ledger.segments import is_segment

PREFIX = "/ledger/v1/segments"
#: The header of an answer with bytes that says what lies ahead: an Ahead, as JSON.
AHEAD = "Karl-Ledger"
#: Bytes of one answer, about: whole lines, and at least one.
CHUNK_BYTES = 4 << 20
#: The longest that a source lets an asker wait for news, in seconds.
WAIT_MAX_S = 20.0
#: What a follower may be called.
FOLLOWER_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

_HASH = re.compile(r"[0-9a-f]{64}")
_OFFSET = re.compile(r"[0-9]{1,15}")
_WAIT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3})?")


class End(msgspec.Struct, frozen=True):
    """The last line that its writer knows to be on disk: its seq, hash and time (ISO-8601, UTC)."""

    seq: int
    head: str
    time: str


class Part(msgspec.Struct, frozen=True):
    """One segment: how many of its bytes count, the hash of the line before it, and its first line's seq."""

    segment: str
    length: int
    prev: str
    first_seq: int


class Listing(msgspec.Struct, frozen=True):
    """What a source has. `place` is the same only for one folder on one machine."""

    place: str
    end: End
    segments: list[Part]


class Ahead(msgspec.Struct, frozen=True):
    """What lies before an asker: the ledger's end, the bytes from its place to there, and the next segment.

    `length` bytes of the asker's segment count; without a `next` there will be more.
    """

    end: End
    behind: int
    length: int
    next: str | None


class Asked(NamedTuple):
    """A request for bytes, as it was understood."""

    segment: str
    offset: int
    head: str | None
    wait_s: float
    follower: str | None


def target_of(asked: Asked) -> str:
    """Write a request's target."""
    query = {"from": str(asked.offset), "wait": f"{asked.wait_s:.3f}"}
    if asked.head is not None:
        query["head"] = asked.head
    if asked.follower is not None:
        query["follower"] = asked.follower
    return f"{PREFIX}/{asked.segment}?{urlencode(query)}"


def read_target(target: str) -> Asked | None:
    """Understand a request's target; null asks for the listing. Raises Unreadable."""
    path, _, query = target.partition("?")
    if path == PREFIX:
        return None
    segment = path.removeprefix(f"{PREFIX}/")
    if segment == path or not is_segment(segment):
        raise Unreadable(f"a segment is at {PREFIX}/<name>, and the list of them at {PREFIX}")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=8)
    except ValueError as error:
        raise Unreadable("the query can not be understood") from error
    words = dict(pairs)
    if len(words) != len(pairs) or words.keys() - {"from", "head", "wait", "follower"}:
        raise Unreadable("the query has from, head, wait and follower, each at most once")
    return Asked(
        segment,
        int(_fits(_OFFSET, words, "from") or 0),
        _fits(_HASH, words, "head"),
        min(float(_fits(_WAIT, words, "wait") or 0), WAIT_MAX_S),
        _fits(FOLLOWER_NAME, words, "follower"),
    )


def _fits(form: re.Pattern[str], words: dict[str, str], name: str) -> str | None:
    value = words.get(name)
    if value is not None and (form.fullmatch(value) is None or not value.isascii()):
        raise Unreadable(f"{name} is malformed")
    return value


def start_of(part: Part) -> tuple[int, str]:
    """Give seq and hash of the line before a segment; the ledger's first has 0 and zeros."""
    return part.first_seq - 1, part.prev if part.first_seq > 1 else NO_HASH
