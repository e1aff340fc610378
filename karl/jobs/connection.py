"""A client of the server that the jobs are in, for who asks it something and goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from karl.errors import LineDown
from karl.stream.connect import connect

if TYPE_CHECKING:
    from redis import Redis


@contextmanager
def asking(url: str, name: str) -> Iterator[Redis]:
    """Give a client, and close it. Raises LineDown for what the client raises meanwhile."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    redis = connect(url, name=name)
    try:
        yield redis
    except RedisError as error:
        raise LineDown(f"the Redis of the jobs does not answer, or refuses: {error}") from error
    finally:
        redis.close()
