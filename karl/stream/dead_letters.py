"""Dead letters: what could not be understood, kept with the reason until somebody looks.

A dead letter holds redacted data only. Its fields: `d` the data, `reason` why it is here, `where`
which stop of the line refused it, `node` the machine it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from karl.errors import LineDown, NotFound
from karl.stream import keys
from karl.stream.connect import command

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline


_ID = re.compile(r"([0-9]{1,2})/([0-9]{1,20}-[0-9]{1,20})", re.ASCII)
#: Letters fetched or dropped in one round trip.
_BATCH = 256


class DeadLetter(NamedTuple):
    """One dead letter; `id` is `partition/stream-id`."""

    id: str
    data: bytes
    reason: str
    where: str
    node: str

    @property
    def time_ms(self) -> int:
        """When it was buried, by the server's clock (Unix time, ms)."""
        return int(self.id.partition("/")[2].partition("-")[0])


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


def read(redis: Redis, *, page: int = _BATCH) -> Iterator[DeadLetter]:
    """Read all dead letters, partition by partition, oldest first. Raises LineDown."""
    with _answering():
        for partition in range(keys.PARTITIONS):
            start = "-"
            while rows := command(redis, "XRANGE", keys.dead_key(partition), start, "+", "COUNT", page):
                for row in rows:
                    yield _letter(partition, row)
                start = f"({rows[-1][0].decode()}"


def find(redis: Redis, ids: Sequence[str]) -> list[DeadLetter]:
    """Fetch the dead letters of these ids, in their order. Raises NotFound and LineDown."""
    found = []
    with _answering():
        for name in ids:
            partition, entry = _place(name)
            rows = command(redis, "XRANGE", keys.dead_key(partition), entry, entry)
            if not rows:
                raise NotFound(f"there is no dead letter {name}; `karl dead-letters list` names them")
            found.append(_letter(partition, rows[0]))
    return found


def drop(redis: Redis, ids: Iterable[str]) -> int:
    """Delete dead letters for good; gives how many there were. Raises NotFound and LineDown."""
    places = [_place(name) for name in ids]
    count = 0
    with _answering():
        for at in range(0, len(places), _BATCH):
            pipe = redis.pipeline(transaction=False)
            for partition, entry in places[at : at + _BATCH]:
                pipe.xdel(keys.dead_key(partition), entry)
            count += sum(pipe.execute())
    return count


def _place(name: str) -> tuple[int, str]:
    found = _ID.fullmatch(name)
    if found is None or int(found[1]) >= keys.PARTITIONS:
        raise NotFound(f"{name!r} is no id of a dead letter; `karl dead-letters list` gives them")
    return int(found[1]), found[2]


def _letter(partition: int, row: Sequence[Any]) -> DeadLetter:
    entry, flat = row
    letter = dict(zip(flat[::2], flat[1::2], strict=True))
    return DeadLetter(
        f"{partition}/{entry.decode()}",
        letter.get(b"d", b""),
        *(letter.get(name, b"").decode("utf-8", "replace") for name in (b"reason", b"where", b"node")),
    )


@contextmanager
def _answering() -> Iterator[None]:
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    try:
        yield
    except RedisError as error:
        raise LineDown(f"Redis does not answer: {error}; `karl up` starts the line") from error
