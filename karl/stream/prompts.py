"""Prompts on their way to the job that predicts what they ask for: a stream with one consumer group.

    put --- read by a worker ---> pending --- its prediction is on its way ---> acknowledged and deleted
                 ^-------------------- its worker was silent for long ---------------'

Invariants:
- A prompt leaves the stream once its prediction was handed on; a reader that is killed leaves it pending, and
  the next one claims it. So a prompt may be predicted twice, and never not at all.
- The stream is bounded: past PROMPTS_MAX the oldest prompts go without a prediction.
- The texts in it are what the line's events hold, redacted; an erasure takes them out (`drop`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from karl.errors import Unreadable
from karl.stream import keys
from karl.stream.connect import command

if TYPE_CHECKING:
    from redis import Redis

#: Prompts that may wait, about.
PROMPTS_MAX = 10_000
#: Entries that are looked at in one round trip when some are to be dropped.
_LOOKED_AT = 1000


class Prompt(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A person's prompt that waits for a prediction.

    `event` is the id of its event, whose time is `time_ms` (Unix time). `text` is what
    karl.routing.text.asked gives of it.
    """

    event: str
    session: str
    text: str
    time_ms: int
    fleet: str = "default"
    node: str = ""
    agent: str = ""
    project: str = ""


class Waiting(NamedTuple):
    """An entry of the stream; `data` is an encoded Prompt."""

    id: bytes
    data: bytes


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Prompt)


def encode_prompt(prompt: Prompt) -> bytes:
    """Write a prompt as one line of JSON."""
    return _encode(prompt)


def decode_prompt(data: bytes) -> Prompt:
    """Read a prompt. Raises Unreadable with the reason."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not a prompt: {error}") from error


def putting(data: bytes) -> tuple[str | bytes | int, ...]:
    """Give the command that puts an encoded prompt on the stream, for whoever has a pipeline."""
    return "XADD", keys.PROMPTS, "MAXLEN", "~", PROMPTS_MAX, "*", "d", data


def take(redis: Redis, consumer: str, count: int, block_ms: int) -> list[Waiting]:
    """Give prompts that nobody has yet, once there are some; waits for `block_ms` (0: not at all).

    Raises the client's error.
    """
    from redis.exceptions import ResponseError  # noqa: PLC0415 - the client is loaded by who connects

    block = ["BLOCK", block_ms] if block_ms else []
    words = ["XREADGROUP", "GROUP", keys.PROMPTS_GROUP, consumer, "COUNT", count, *block]
    try:
        reply = command(redis, *words, "STREAMS", keys.PROMPTS, ">")
    except ResponseError as error:
        if "NOGROUP" not in str(error):
            raise
        _make_group(redis)
        return []
    return [Waiting(entry, flat[1]) for _, rows in reply or () for entry, flat in rows]


def claim(redis: Redis, consumer: str, count: int, silent_ms: int) -> list[Waiting]:
    """Give prompts that somebody took at least `silent_ms` ago and did not finish.

    Raises the client's error.
    """
    from redis.exceptions import ResponseError  # noqa: PLC0415 - the client is loaded by who connects

    try:
        reply: Any = redis.xautoclaim(
            keys.PROMPTS, keys.PROMPTS_GROUP, consumer, silent_ms, start_id="0-0", count=count
        )
    except ResponseError as error:
        if "NOGROUP" not in str(error):
            raise
        _make_group(redis)
        return []
    return [Waiting(entry, fields.get(b"d", b"")) for entry, fields in reply[1] if fields]


def deliveries(redis: Redis, entries: Sequence[Waiting]) -> list[int]:
    """Say how often each entry was given to somebody. Raises the client's error."""
    pipe = redis.pipeline(transaction=False)
    for entry in entries:
        pipe.xpending_range(keys.PROMPTS, keys.PROMPTS_GROUP, min=entry.id, max=entry.id, count=1)
    return [found[0]["times_delivered"] if found else 0 for found in pipe.execute()]


def done(redis: Redis, entries: Sequence[Waiting]) -> None:
    """Let prompts leave, whose predictions are on their way. Raises the client's error."""
    if not entries:
        return
    ids = [entry.id for entry in entries]
    pipe = redis.pipeline(transaction=True)
    pipe.xack(keys.PROMPTS, keys.PROMPTS_GROUP, *ids)
    pipe.xdel(keys.PROMPTS, *ids)
    pipe.execute()


def drop(redis: Redis, tells: Callable[[Prompt], bool]) -> int:
    """Delete the prompts that `tells` says yes to, and what is none; gives how many.

    Raises the client's error.
    """
    dropped, start = 0, b"-"
    while rows := command(redis, "XRANGE", keys.PROMPTS, start, "+", "COUNT", _LOOKED_AT):
        gone = [entry for entry, flat in rows if _is_told(flat[1], tells)]
        if gone:
            dropped += int(command(redis, "XDEL", keys.PROMPTS, *gone))
        start = b"(" + rows[-1][0]
    return dropped


def _is_told(data: bytes, tells: Callable[[Prompt], bool]) -> bool:
    try:
        return tells(decode_prompt(data))
    except Unreadable:
        return True


def _make_group(redis: Redis) -> None:
    from redis.exceptions import ResponseError  # noqa: PLC0415 - the client is loaded by who connects

    try:
        redis.xgroup_create(keys.PROMPTS, keys.PROMPTS_GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
