"""One decision at a time: a claim in Redis, held from the look at what counts until the record is sent.

Invariants:
- Of several who decide about the same thing, one does; the others are refused, and look again.
- A claim ends by itself: whoever is paused past its end finds out before the record is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from karl.errors import Refused

if TYPE_CHECKING:
    from redis import Redis

#: For how long nobody else decides: longer than the line is waited for.
CLAIM_MS = 60_000


@contextmanager
def claimed(redis: Redis, key: str, token: str, about: str) -> Iterator[None]:
    """Hold the claim `key` as `token`; `about` names what is decided.

    Raises Refused while another holds it.
    """
    if not redis.set(key, token, nx=True, px=CLAIM_MS):
        raise Refused(f"somebody else decides {about} just now; look at it and say it again in a minute")
    try:
        yield
    finally:
        _let_go(redis, key, token)


def still_ours(redis: Redis, key: str, token: str) -> None:
    """Raises Refused where the claim ran out meanwhile."""
    if redis.get(key) != token.encode():
        raise Refused("the line took too long, and somebody else may decide now; say it again")


def _let_go(redis: Redis, key: str, token: str) -> None:
    """Take the claim away where it is still ours."""
    from redis.exceptions import WatchError  # noqa: PLC0415 - the client is loaded by who connects

    with redis.pipeline() as pipe:
        pipe.watch(key)  # type: ignore[no-untyped-call]
        if pipe.get(key) != token.encode():
            return
        pipe.multi()
        pipe.delete(key)
        try:
            pipe.execute()
        except WatchError:
            return  # it ran out in this moment, and is another's
