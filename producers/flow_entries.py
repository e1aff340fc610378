"""Facts of runs on their way: made into events some at a time, and sent with others of their session.

    facts -> events (redacted, cut, named) -> the lines of an entry for each session -> the sender

Invariants:
- Order within a session is kept; between sessions there is none.
- What is held is bounded in bytes and in events; `flush` and `send` leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable

from karl.errors import Unreadable
from karl.schema.event import Event, encode_event
from producers.flows import Fact, Source
from producers.importing import Sender

#: Facts that are looked through together for what must be redacted: one look costs as much as ten facts do.
_TOGETHER = 64
#: Events, and bytes of them, in one entry of a stream; bytes that may wait for others of their session.
ENTRY_EVENTS, ENTRY_BYTES, _WAITING_BYTES = 64, 64 * 1024, 4 << 20
#: Bytes of something broken that are kept.
_KEPT_MAX = 64 * 1024


class Entries:
    """What a batch of envelopes says. `last` has the last event of each session, until it is forgotten."""

    def __init__(
        self,
        sender: Sender,
        bury: Callable[[bytes, str, Source], None],
        *,
        agent: str,
        project: str,
    ) -> None:
        self.last: dict[str, Event] = {}
        self.made = 0
        self._sender = sender
        self._bury = bury
        self._agent = agent
        self._project = project
        self._facts: list[Fact] = []
        self._lines: dict[str, list[bytes]] = {}
        self._bytes = 0

    def add(self, facts: list[Fact]) -> None:
        """Take facts in. Raises LineDown where some of them had to be sent."""
        facts = self._facts + facts
        whole = len(facts) - len(facts) % _TOGETHER
        self._facts = facts[whole:]
        for at in range(0, whole, _TOGETHER):
            self._make(facts[at : at + _TOGETHER])
            if self._bytes >= _WAITING_BYTES:
                self._pack()
                self._sender.flush()

    def flush(self) -> None:
        """Send what there is. Raises LineDown."""
        self._make_all()
        self._sender.flush()

    def send(self) -> None:
        """Begin to send what there is (`Sender.send`). Raises LineDown for what went before."""
        self._make_all()
        self._sender.send()

    def drop(self) -> None:
        """Let go of what was not sent: it will be read again."""
        self._facts, self._lines, self._bytes = [], {}, 0
        self.last.clear()

    def _make_all(self) -> None:
        facts, self._facts = self._facts, []
        self._make(facts)
        self._pack()

    def _make(self, facts: list[Fact]) -> None:
        events = self._sender.envelopes.of_many(
            [(fact.payload, fact.name) for fact in facts],
            agent=self._agent,
            project=self._project,
            source="gateway",
        )
        for fact, event in zip(facts, events, strict=True):
            if isinstance(event, Unreadable):
                kept = repr(fact.payload)[:_KEPT_MAX].encode("utf-8", "replace")
                self._bury(kept, event.reason, fact.source)
                continue
            line = encode_event(event)
            self.last[event.session] = event
            self._lines.setdefault(event.session, []).append(line)
            self._bytes += len(line)
            self.made += 1

    def _pack(self) -> None:
        """Give the sender an entry for each session, or several."""
        waiting, self._lines, self._bytes = self._lines, {}, 0
        for session, lines in waiting.items():
            at = size = 0
            for number, line in enumerate(lines):
                if number - at >= ENTRY_EVENTS or size + len(line) > ENTRY_BYTES:
                    self._send(session, lines[at:number])
                    at, size = number, 0
                size += len(line)
            self._send(session, lines[at:])

    def _send(self, session: str, lines: list[bytes]) -> None:
        if lines:
            self._sender.events(session, lines)
            if self._sender.is_full:
                self._sender.flush()
