"""Which events are prompts to be routed: what a person asks of an agent just now.

A transcript's prompts, and imported ones, are told after the fact: a prediction about them is no evidence.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from karl.routing.text import asked
from karl.schema.event import Event, Payload
from karl.session.emissions import Duplicate, Held
from karl.session.glance import glance
from karl.session.moments import moment
from karl.session.prompts import prompt_kind
from karl.stream.prompts import Prompt, encode_prompt, putting
from karl.stream.routing import is_on

if TYPE_CHECKING:
    from redis import Redis

    from karl.stream.partitions import Entry, Partitions

#: The `source` of events that hooks told as they happened.
LIVE = "hook"

_log = logging.getLogger("karl")


class Prompts:
    """Prompts of folded events, until they are put up for routing; of none while routing is off.

    Invariants:
    - A prompt that was handed on before is not put up again: what its turn was for is known by now.
    - A server that takes no prompts costs a warning, and nothing else.
    """

    def __init__(self) -> None:
        self._on = False
        self._commands: deque[Sequence[Any]] = deque()  # filled by one thread, emptied by another
        self._again: set[tuple[str | bytes, str]] = set()  # of the present batch
        self._complaint = ""

    def look(self, redis: Redis) -> None:
        """See whether routing is on. Raises the client's error."""
        self._on = is_on(redis)

    def repeated(self, one: Duplicate) -> None:
        """Hear that an event has come before."""
        if self._on:
            self._again.add((one.entry, one.event))

    def saw(self, events: Iterable[Held], now_ms: int) -> None:
        """Take the prompts of events that were folded."""
        if self._on:
            self._commands.extend(putting(data) for data in prompts_of(events, now_ms, self._again))
            self._again.clear()

    def read_behind(self, partitions: Partitions, count: int, block_ms: int) -> dict[int, list[Entry]]:
        """Put up what has gathered, and read on: one round trip. Raises as Partitions.read does.

        What is not known to have arrived is put up again: one event's prompts count once.
        """
        commands = self._gathered()
        entries = partitions.read(count, block_ms, commands)
        self._went(commands, partitions.refused)
        return entries

    def put_up(self, redis: Redis) -> None:
        """Put up what has gathered, on its own: a turn that is about to leave may hold some of it.

        Raises the client's error when no answer comes.
        """
        commands = self._gathered()
        if not commands:
            return
        pipe = redis.pipeline(transaction=False)
        for one in commands:
            pipe.execute_command(*one)  # type: ignore[no-untyped-call]
        replies = pipe.execute(raise_on_error=False)
        self._went(commands, [reply for reply in replies if isinstance(reply, Exception)])

    def _gathered(self) -> list[Sequence[Any]]:
        return [self._commands[at] for at in range(len(self._commands))]

    def _went(self, commands: Sequence[Sequence[Any]], refused: Sequence[Exception]) -> None:
        for _ in commands:
            self._commands.popleft()
        if refused and self._on:
            self._on = False
            if str(refused[0]) != self._complaint:
                self._complaint = str(refused[0])
                _log.warning("sessions: prompts are not routed: %s", refused[0])


def prompts_of(
    events: Iterable[Held], now_ms: int, again: Collection[tuple[str | bytes, str]] = ()
) -> list[bytes]:
    """Give the prompts among events, encoded; those in `again` (entry, event's id) came before."""
    found = (
        prompt_of(held.event, now_ms)
        for held in events
        if held.event.source == LIVE and (held.entry, held.event.id) not in again
    )
    return [encode_prompt(prompt) for prompt in found if prompt is not None]


def prompt_of(event: Event, now_ms: int) -> Prompt | None:
    """Give the prompt that an event tells of; null where it is none of a person, or says nothing."""
    if moment(event.kind) != "UserPromptSubmit":
        return None
    seen = glance(event)
    written_by = Payload(agent_id=seen.agent_id, source=seen.source)
    if not isinstance(seen.prompt, str) or prompt_kind(seen.prompt, written_by) != "human":
        return None
    text = asked(seen.prompt)
    if not text:
        return None
    return Prompt(
        event=event.id,
        session=event.session,
        text=text,
        time_ms=now_ms if event.time_ms is None else event.time_ms,
        fleet=event.fleet,
        node=event.node,
        agent=event.agent,
        project=event.project,
    )
