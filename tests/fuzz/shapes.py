"""What must hold of any events, whatever their shapes: nothing raises, nothing is lost, all of it is JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from karl.ledger.frame import check_body
from karl.reward import v1
from karl.schema.event import decode_event
from karl.session.emissions import Carry, Duplicate, Emission, Held, Limits, Remark, Strays, Turn
from karl.session.fold import OpenSession
from workers.compose import Composer

_COMPOSER = Composer("1", v1.WEIGHTS)
_CARRY = msgspec.json.Decoder(Carry)


def everything_left(events: Sequence[bytes], limits: Limits = Limits(turn_max_events=30)) -> list[Emission]:
    """Fold encoded events as one session, compose each record, and check that every event left once."""
    session = OpenSession("s1", Carry(), {}, limits)
    out: list[Emission] = []
    for number, raw in enumerate(events):
        out += session.add(Held(f"{number + 1}-0", raw, decode_event(raw)), 1_700_000_000_000 + number)
        _CARRY.decode(msgspec.json.encode(session.carry))  # as the next worker would find it
    out += session.close("idle")
    for emission in out:
        carry = session.carry_of(emission) if isinstance(emission, Turn | Remark) else session.carry
        record = _COMPOSER.compose(carry, emission)
        if record is not None:
            check_body(record[1])
    assert sorted(left(out)) == sorted(f"{number + 1}-0" for number in range(len(events)))
    assert session.is_empty
    return out


def left(out: Iterable[Emission]) -> list[str | bytes]:
    """The entries that emissions are made of."""
    found: list[str | bytes] = []
    for emission in out:
        if isinstance(emission, Duplicate):
            found.append(emission.entry)
        elif isinstance(emission, Turn | Strays):
            found += [held.entry for held in emission.held]
    return found
