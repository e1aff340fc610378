"""What imports put into the streams, read back and folded as a sessions worker would."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from redis import Redis

from karl.schema.event import Event, decode_event
from karl.schema.trajectory import Trajectory
from karl.session.fold import Carry, Emission, Held, Limits, OpenSession, Strays, Turn
from karl.session.turn import normalize_turn
from karl.stream import keys


def sent(redis: Redis) -> list[tuple[str, bytes, Event]]:
    """Every entry of the streams, each partition's in order."""
    entries = []
    for partition in range(keys.PARTITIONS):
        for entry, fields in redis.xrange(keys.events_key(partition)):
            entries.append((entry.decode(), fields[1], decode_event(fields[1])))
    return entries


def folded(redis: Redis) -> dict[str, list[Emission]]:
    """What leaves each session."""
    sessions: dict[str, OpenSession] = {}
    out: dict[str, list[Emission]] = defaultdict(list)
    for number, (entry, raw, event) in enumerate(sent(redis)):
        session = sessions.get(event.session)
        if session is None:
            session = sessions[event.session] = OpenSession(event.session, Carry(), {}, Limits())
        out[event.session] += session.add(Held(entry, raw, event), number)
    return dict(out)


def trajectories(redis: Redis) -> list[Trajectory]:
    """Every turn, with what came after it had left and belongs to it."""
    emissions = [one for emissions in folded(redis).values() for one in emissions]
    late: dict[str, list[Held]] = defaultdict(list)
    for one in emissions:
        if isinstance(one, Strays) and one.of:
            late[one.of] += one.held
    whole = (
        msgspec.structs.replace(one, held=(*one.held, *late[one.id]))
        for one in emissions
        if isinstance(one, Turn)
    )
    return [normalize_turn(one) for one in whole]
