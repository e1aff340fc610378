"""Routers' files: kept by the sha256 of their bytes in the data folder, else fetched from Redis.

Invariants:
- A file is there whole or not at all, and is checked against its name when it is read.
- A file may be deleted at any time: the line, or the ledger (workers/centroids.py), gives it again.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from karl.errors import LineDown, NotFound
from workers.whole_files import write_whole

if TYPE_CHECKING:
    from redis import Redis

    from karl.routing.router import Router
    from karl.settings import Settings

_ID = re.compile(r"[0-9a-f]{64}")


def load(settings: Settings, redis: Redis | None, router: str) -> Router:
    """Give the router of an id: from its file, else from the line, whose bytes are kept then.

    Raises NotFound where neither has it, Unreadable for a router of a later form, LineDown, OSError.
    """
    from karl.routing.model import loads  # noqa: PLC0415 - numpy loads when needed

    return loads(data_of(settings, redis, router))


def data_of(settings: Settings, redis: Redis | None, router: str) -> bytes:
    """Give the bytes of a router. Raises as `load` does."""
    data = kept(settings, router)
    if data is None and redis is not None and _ID.fullmatch(router):
        data = _fetched(redis, router)
        if data is not None:
            keep(settings, data)
    if data is None:
        raise NotFound(
            f"the router {router[:12]} is not on this machine; `karl centroid-rollback {router[:12]}` makes "
            "it again where the ledger is"
        )
    return data


def kept(settings: Settings, router: str) -> bytes | None:
    """Give the bytes of a router that is kept here; null where it is not, or is damaged. Raises OSError."""
    if not _ID.fullmatch(router):
        return None
    try:
        data = (settings.routers / router).read_bytes()
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == router else None


def keep(settings: Settings, data: bytes) -> str:
    """Keep a router's bytes; gives its id. Raises OSError."""
    router = hashlib.sha256(data).hexdigest()
    write_whole(settings.routers / router, data)
    return router


def _fetched(redis: Redis, router: str) -> bytes | None:
    """Give the bytes that the line has; null where it has none. Raises LineDown, Unreadable."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    from karl.stream.routing import router_bytes  # noqa: PLC0415 - so does this

    try:
        return router_bytes(redis, router)
    except NotFound:
        return None
    except RedisError as error:
        raise LineDown(f"Redis does not answer: {error}; say it again") from error
