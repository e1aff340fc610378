"""Dead letters: what could not be understood, kept with the reason until somebody looks.

A dead letter holds redacted data only. Its fields: `d` the data, `reason` why it is here, `where`
which stop of the line refused it, `node` the machine it came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from karl.errors import LineDown
from karl.stream import keys
from karl.stream.connect import command

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline


class DeadLetter(NamedTuple):
    """One dead letter; `id` is `partition/stream-id`."""

    id: str
    data: bytes
    reason: str
    where: str
    node: str


def fields(data: bytes, reason: str, where: str, node: str) -> dict[str, bytes | str]:
    """Give the fields of a dead letter's entry."""
    return {"d": data, "reason": reason, "where": where, "node": node}


def bury(pipe: Pipeline, data: bytes, reason: str, where: str, node: str, *, partition: int = 0) -> None:
    """Add one dead letter to a pipeline. `data` must be redacted already."""
    letter: dict[Any, Any] = dict(fields(data, reason, where, node))
    pipe.xadd(keys.dead_key(partition), letter)


def count(redis: Redis) -> int:
    """Count the dead letters of all partitions in one round trip."""
    pipe = redis.pipeline(transaction=False)
    for partition in range(keys.PARTITIONS):
        pipe.xlen(keys.dead_key(partition))
    return sum(pipe.execute())


def read(redis: Redis, *, page: int = 256) -> Iterator[DeadLetter]:
    """Read all dead letters, partition by partition, oldest first. Raises LineDown."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    try:
        yield from _read(redis, page)
    except RedisError as error:
        raise LineDown(f"Redis does not answer: {error}; `karl up` starts the line") from error


def _read(redis: Redis, page: int) -> Iterator[DeadLetter]:
    for partition in range(keys.PARTITIONS):
        start = "-"
        while rows := command(redis, "XRANGE", keys.dead_key(partition), start, "+", "COUNT", page):
            for entry, flat in rows:
                letter = dict(zip(flat[::2], flat[1::2], strict=True))
                yield DeadLetter(
                    f"{partition}/{entry.decode()}",
                    letter.get(b"d", b""),
                    letter.get(b"reason", b"").decode("utf-8", "replace"),
                    letter.get(b"where", b"").decode("utf-8", "replace"),
                    letter.get(b"node", b"").decode("utf-8", "replace"),
                )
            start = f"({rows[-1][0].decode()}"
