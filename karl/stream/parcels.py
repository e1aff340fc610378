"""Bytes on their way from one machine to another, in Redis, named by the sha256 of what is in them.

Invariants:
- What is given back is what was put in: a parcel whose bytes do not fit its name is never handed out.
- No parcel is larger than LARGEST, and no command carries more than PIECE of one. A reader asks for no more
  than that, whatever lies there.
- A parcel that nobody lets go is not shortened: putting it in again never makes its life shorter.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from karl.errors import NotFound, Refused, Unreadable
from karl.stream.keys import parcel_key

if TYPE_CHECKING:
    from redis import Redis

#: Bytes of one parcel at most, and of one command that carries a part of it.
LARGEST, PIECE = 64 << 20, 1 << 20
#: Days for which what waits for a job, or for who trains, is kept.
USUAL_TTL_S = 7 * 86_400

_DIGEST = re.compile(r"[0-9a-f]{64}")


def name_of(data: bytes) -> str:
    """Give the name of a parcel: the sha256 of its bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def put(redis: Redis, data: bytes, *, ttl_s: int | None) -> str:
    """Put bytes in, to expire after `ttl_s` seconds, or never; gives their name.

    Raises Refused when they are more than LARGEST, and the client's error.
    """
    if len(data) > LARGEST:
        raise Refused(
            f"{len(data):,} bytes are too many for one parcel of {LARGEST >> 20} MiB; make smaller ones"
        )
    digest = name_of(data)
    key = parcel_key(digest)
    left_ms: Any = redis.pttl(key)
    life_ms = None if ttl_s is None or left_ms == -1 else max(ttl_s * 1000, left_ms)
    pipe = redis.pipeline()
    pipe.set(key, data[:PIECE])
    for start in range(PIECE, len(data), PIECE):
        pipe.append(key, data[start : start + PIECE])
    if life_ms is not None:
        pipe.pexpire(key, life_ms)
    pipe.execute()
    return digest


def get(redis: Redis, digest: str) -> bytes:
    """Give a parcel's bytes.

    Raises NotFound when there is none of this name, Unreadable when other bytes lie there, and the client's
    error.
    """
    key = _key(digest)
    size: Any = redis.strlen(key)
    if not size and digest != name_of(b""):
        raise NotFound(f"the parcel {digest[:12]} is not in Redis; it has expired, or was never put there")
    if size > LARGEST:
        raise Unreadable(f"the parcel {digest[:12]} has {size:,} bytes, more than any that was put there")
    pieces: list[Any] = [
        redis.getrange(key, start, min(start + PIECE, size) - 1) for start in range(0, size, PIECE)
    ]
    data = b"".join(pieces)
    if name_of(data) != digest:
        raise Unreadable(f"the parcel {digest[:12]} has other bytes than were put there")
    return data


def is_there(redis: Redis, digest: str) -> bool:
    """Say whether there is a parcel of this name. Raises NotFound for what names none."""
    return bool(redis.exists(_key(digest)))


def refresh(redis: Redis, digest: str, ttl_s: int) -> bool:
    """Have a parcel last for `ttl_s` seconds from now at least; false when there is none."""
    key = _key(digest)
    left_ms: Any = redis.pttl(key)
    if 0 <= left_ms < ttl_s * 1000:
        redis.pexpire(key, ttl_s * 1000)
    return bool(left_ms != -2)


def outlasts(redis: Redis, digest: str, ttl_s: int) -> bool:
    """Say whether a parcel will be there for more than `ttl_s` seconds from now."""
    left_ms: Any = redis.pttl(_key(digest))
    return bool(left_ms == -1 or left_ms > ttl_s * 1000)


def let_go(redis: Redis, digest: str, ttl_s: int) -> None:
    """Let a parcel expire after `ttl_s` seconds; 0 takes it away at once."""
    redis.pexpire(_key(digest), ttl_s * 1000)


def _key(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise NotFound(f"{digest[:80]!r} names no parcel: expected 64 hex digits")
    return parcel_key(digest)
