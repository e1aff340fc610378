"""What is known of agents when their turns are scored: how long theirs usually are, and their calibrations.

    sessions workers -- counts of turns --> karl:usual         -- read now and then --> sessions workers
    a calibration    -- published ------->  karl:calibrations  --^

Invariants:
- Counting is adding: workers on several machines count side by side, in any order. A turn is counted once it
  was handed on: a worker that dies leaves a few uncounted, one that loses a partition may count a few that
  its next holder counts too. A count decides nothing but what is usual, and a backfill sets it right.
- Names come from agents: a name that is too long, or one name too many, is not counted.
- Both can be lost: the ledger has every calibration, and what is usual is counted again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from karl.reward.basis import Basis
from karl.reward.calibration import Calibration
from karl.reward.usual import Seen, Usual
from karl.stream import keys
from karl.stream.connect import command

if TYPE_CHECKING:
    from redis import Redis

#: More agents than this are nobody's fleet.
AGENTS_MAX = 1000
NAME_MAX = 200
#: The field of an agent's delivered turns; the others are numbers, the classes of length.
_DELIVERED = "delivered"

_decode = msgspec.json.Decoder(Calibration).decode


def read_bases(redis: Redis) -> dict[str, Basis]:
    """Give what is known of each agent by its name: two round trips. Raises the client's error."""
    usual = _usual(_hash(redis, keys.USUAL))
    calibrations = _calibrations(_hash(redis, keys.CALIBRATIONS))
    agents = usual.keys() | calibrations.keys()
    return {agent: Basis(usual.get(agent), calibrations.get(agent)) for agent in agents}


def count_turns(redis: Redis, known: Mapping[str, Basis], seen: Mapping[tuple[str, Seen], int]) -> None:
    """Add turns to what is usual for their agents: one round trip. Raises the client's error.

    `known` is what was read last; agents beyond AGENTS_MAX are not begun.
    """
    sums: Counter[tuple[str, str]] = Counter()
    for (agent, one), turns in seen.items():
        if len(agent) > NAME_MAX or (agent not in known and len(known) >= AGENTS_MAX):
            continue
        sums[agent, str(one.length)] += turns
        if one.delivered:
            sums[agent, _DELIVERED] += turns
    if not sums:
        return
    pipe = redis.pipeline(transaction=False)
    for (agent, field), turns in sums.items():
        pipe.hincrby(keys.USUAL, f"{field}|{agent}", turns)
    pipe.execute()


def replace_usual(redis: Redis, usual: Mapping[str, Usual]) -> None:
    """Put other counts in the place of what is there, for the agents named. Raises the client's error."""
    fields: dict[bytes | bytearray | memoryview | str | float, Any] = {}
    for agent, one in usual.items():
        if len(agent) <= NAME_MAX:
            fields |= {f"{length}|{agent}": turns for length, turns in one.lengths.items()}
            fields[f"{_DELIVERED}|{agent}"] = one.delivered
    names = {agent.encode("utf-8", "surrogatepass") for agent in usual}
    gone = [field for field in _hash(redis, keys.USUAL) if field.partition(b"|")[2] in names]
    pipe = redis.pipeline(transaction=True)
    if gone:
        pipe.hdel(keys.USUAL, *gone)
    if fields:
        pipe.hset(keys.USUAL, mapping=fields)
    pipe.execute()


def publish_calibration(redis: Redis, calibration: Calibration) -> None:
    """Have workers apply a calibration from now on. Raises the client's error."""
    redis.hset(keys.CALIBRATIONS, calibration.agent, msgspec.json.encode(calibration))


def withdraw_calibration(redis: Redis, agent: str) -> bool:
    """Have workers apply none for an agent; says whether there was one. Raises the client's error."""
    return bool(redis.hdel(keys.CALIBRATIONS, agent))


def _hash(redis: Redis, key: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = command(redis, "HGETALL", key)
    return found


def _usual(fields: Mapping[bytes, bytes]) -> dict[str, Usual]:
    lengths: dict[str, dict[int, int]] = {}
    delivered: dict[str, int] = {}
    for name, value in fields.items():
        field, _, agent = name.decode("utf-8", "replace").partition("|")
        if not value.isdigit():
            continue
        if field == _DELIVERED:
            delivered[agent] = int(value)
        elif field.isdecimal():
            lengths.setdefault(agent, {})[int(field)] = int(value)
    return {agent: Usual(counts, delivered.get(agent, 0)) for agent, counts in lengths.items()}


def _calibrations(fields: Mapping[bytes, bytes]) -> dict[str, Calibration]:
    found = {}
    for agent, data in fields.items():
        try:
            found[agent.decode("utf-8", "replace")] = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # another version's: the fixed weights count
    return found
