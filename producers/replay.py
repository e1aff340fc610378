"""Dead letters made events again: for a fold that was mended, or a KARL that reads more than it did.

Invariants:
- A letter is deleted when Redis has its event, and not before; one that is replayed twice, because its
  end was not seen, adds nothing: its event's id hangs on the letter's.
- What still can not be read stays where it is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from karl.errors import Unreadable
from karl.schema.event import Event, decode_event, event_id
from karl.stream.dead_letters import DeadLetter, drop
from producers.envelope import EnvelopeMaker, envelope_maker
from producers.importing import Sender

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings


@dataclass(slots=True)
class ReplayReport:
    """What a replay did; `by_reason` counts the letters that stay."""

    replayed: int = 0
    stay: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)


def replay(
    redis: Redis,
    settings: Settings,
    letters: Iterable[DeadLetter],
    progress: Callable[[object, int], None] = lambda _letter, _count: None,
    *,
    agent: str = "claude-code",
    wait: Callable[[float], None] = time.sleep,
) -> ReplayReport:
    """Send dead letters on their way again. `agent` is whose hook a raw payload is taken for.

    Waits while a stream is over its bound. Raises LineDown; what was not answered stays a dead letter.
    """
    sender = Sender(redis, envelope_maker(settings), settings.stream_max_entries, wait)
    report = ReplayReport()
    sent: list[str] = []

    def settle() -> None:
        sender.flush()
        report.replayed += drop(redis, sent)
        sent.clear()

    for letter in letters:
        try:
            sender.event(event_of(letter, sender.envelopes, agent))
        except Unreadable as error:
            report.stay += 1
            report.by_reason[error.reason] += 1
            continue
        sent.append(letter.id)
        if sender.is_full:
            settle()
            progress(letter.id, report.replayed)
    settle()
    return report


def event_of(letter: DeadLetter, envelopes: EnvelopeMaker, agent: str) -> Event:
    """Make the event of a dead letter: an event as it was, or a hook's payload. Raises Unreadable."""
    if letter.where == "ledger":
        raise Unreadable("a record, whose events are in the ledger or lost: look at it, and drop it")
    if letter.where == "sessions":
        return decode_event(letter.data)
    name = event_id("dead-letter", letter.id, "")
    event = envelopes.make(letter.data, name=name, agent=agent, source="replay")
    return event if event.time_ms is not None else msgspec.structs.replace(event, time_ms=letter.time_ms)
