"""What was found last when somebody looked whether routing has earned its promotion: for figures, in Redis.

It decides nothing, and is made anew at the next look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from karl.errors import Unreadable
from karl.stream import keys
from karl.stream.connect import command
from karl.stream.routing import is_on

if TYPE_CHECKING:
    from redis import Redis

_FIELD = "judged"


class Judged(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many checks are `missing`, and the figures that they went by (`karl.routing.promotion`)."""

    missing: int
    measured: dict[str, float]
    time_ms: int


def publish_judged(redis: Redis, judged: Judged) -> None:
    """Leave what was found; not where routing is off. Raises the client's error."""
    if is_on(redis):
        redis.hset(keys.ROUTING, _FIELD, msgspec.json.encode(judged))


def read_judged(redis: Redis) -> Judged | None:
    """Give what was found last. Raises Unreadable for another version's, and the client's error."""
    data = command(redis, "HGET", keys.ROUTING, _FIELD)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=Judged)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"what was found of routing was left by another version of KARL: {error}") from error
