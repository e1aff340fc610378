"""What readers tell, made into events and folded as a sessions worker would."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec

from karl.schema.event import Event, decode_event, encode_event, event_id
from karl.schema.trajectory import Trajectory
from karl.session.fold import Carry, Held, Limits, OpenSession, Strays, Turn
from karl.session.turn import normalize_turn
from producers.envelope import EnvelopeMaker
from producers.transcripts.told import Format, Told

MAKER = EnvelopeMaker(node="n")


def told_in(fmt: Format, path: Path) -> list[Told]:
    return [item for item in fmt.read(path) if isinstance(item, Told)]


def events_of(fmt: Format, paths: Iterable[Path]) -> list[Event]:
    """Every event that the importer would send of some files, and the ends of their sessions."""
    events: dict[str, Event] = {}
    for path in paths:
        last: dict[str, Event] = {}
        for told in told_in(fmt, path):
            name = event_id("told", told.payload["session_id"], told.key)
            event = MAKER.of(told.payload, name=name, agent=fmt.agent, source="transcript")
            last.pop(event.session, None)
            last[event.session] = events.setdefault(event.id, event)
        for event in last.values():
            end = MAKER.end_of_import(event)
            events[end.id] = end
    return list(events.values())


def trajectories(fmt: Format, paths: Iterable[Path]) -> list[Trajectory]:
    """Every turn of some files, with what came after it had left and belongs to it."""
    sessions: dict[str, OpenSession] = {}
    turns: list[Turn] = []
    late: dict[str, list[Held]] = defaultdict(list)
    for number, event in enumerate(events_of(fmt, paths)):
        raw = encode_event(event)
        session = sessions.setdefault(
            event.session, OpenSession(event.session, Carry(), {}, Limits(turn_max_events=100_000))
        )
        for out in session.add(Held(f"{number + 1}-0", raw, decode_event(raw)), number):
            if isinstance(out, Turn):
                turns.append(out)
            elif isinstance(out, Strays) and out.of:
                late[out.of] += out.held
    whole = (msgspec.structs.replace(turn, held=(*turn.held, *late[turn.id])) for turn in turns)
    return [normalize_turn(turn) for turn in whole]
