"""The sessions worker: events of the partitions it holds become scored trajectories.

Invariants:
- An event stays in the stream until the step that hands its record on: a worker that dies loses nothing.
- What is in memory is a copy: the stream, read again, gives the same records. Events that left already are
  known by their ids, stored in that same step, and left out.
- An entry that can not be understood goes to the dead letters with its reason, in that same step.
- An entry of several events is needed as long as one of them is.
- Prompts are put up for routing, where it is on, before their turn is handed on, and hold up nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from karl.errors import Unreadable
from karl.metrics import table as metrics
from karl.reward.usual import Seen
from karl.schema.event import decode_events
from karl.session.emissions import Carry, Duplicate, Emission, Held, Limits, Remark, Turn, marks_of
from karl.session.fold import OpenSession
from karl.stream.basis import count_turns, read_bases
from karl.stream.depths import records_waiting
from karl.stream.pace import Pace
from karl.stream.partitions import NO_ENTRY, Carried, DeadEntry, Entry, HandOn, Partitions, after, order_of
from workers.compose import Composer, bare_facts
from workers.loop import attempt, every
from workers.prompts import Prompts

if TYPE_CHECKING:
    from redis import Redis

#: Bytes of events that one round may read, about.
BATCH_BYTES = 2 * 1024 * 1024
#: How long a read waits for the first event, at most.
BLOCK_MS = 500
#: Seconds between two looks at what is known of agents.
LEARN_S = 30.0
#: Records waiting for the ledger above which no more events are read.
RECORDS_WAITING_MAX = 20_000

_log = logging.getLogger("karl")

_encode_carry = msgspec.json.Encoder().encode
_decode_carry = msgspec.json.Decoder(Carry).decode


@dataclass(slots=True)
class _Partition:
    """The open sessions of one partition, and the last entry read.

    `trimmed` is where its stream was trimmed, `shown` where the consumer group was moved to.
    """

    sessions: dict[str, OpenSession] = field(default_factory=dict)
    last: bytes = b""
    trimmed: bytes = b""
    shown: bytes = b""

    @property
    def open_events(self) -> int:
        """Count the entries held."""
        return sum(session.open_events for session in self.sessions.values())

    def put_away(self, names: Iterable[str]) -> None:
        """Let go of sessions that hold nothing; their next event fetches what they carry."""
        for name in names:
            if self.sessions[name].is_empty:
                del self.sessions[name]

    def first_needed(self) -> bytes:
        """Give the id before which no entry is needed any more."""
        firsts = [entry for session in self.sessions.values() for entry in session.first_entries]
        first = min(map(order_of, firsts)) if firsts else after(order_of(self.last))
        return b"%d-%d" % first


class SessionsWorker:
    """Folds the events of leased partitions; `now` gives Unix time in milliseconds."""

    name = "sessions"

    def __init__(
        self,
        redis: Redis,
        composer: Composer,
        limits: Limits,
        *,
        owner: str,
        lease_ttl_s: float,
        carry_ttl_ms: int,
        open_max_events: int,
        node: str,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._redis = redis
        self._composer = composer
        self._limits = limits
        self._open_max_events = open_max_events
        self._node = node
        self._now = now
        self._partitions = Partitions(redis, owner, lease_ttl_s, monotonic, carry_ttl_ms=carry_ttl_ms)
        self._lease_ttl_s = lease_ttl_s
        # A wait for events that is as long as a short lease would lose it each time that none come.
        self._block_ms = max(1, min(BLOCK_MS, int(lease_ttl_s * 1000 / 3)))
        self._monotonic = monotonic
        self._balance_due = every(lease_ttl_s / 3, monotonic)
        self._learn_due = every(LEARN_S, monotonic)
        self._sweep_due = every(min(1.0, limits.idle_ms / 4000), monotonic)
        self._pace = Pace(bytes_max=BATCH_BYTES, entries_max=4096)
        self._held: dict[int, _Partition] = {}
        self._ahead: dict[int, list[Entry]] = {}  # read, not yet folded
        self._work: dict[int, HandOn] = {}  # folded, not yet handed on
        self._exchange = ThreadPoolExecutor(1, thread_name_prefix="exchange")
        self._seen: Counter[tuple[str, Seen]] = Counter()  # of turns handed on, not yet told
        self._paused = False
        self._careful = False
        self._shared: set[str | bytes] = set()  # entries of the present batch that hold several events
        self._prompts = Prompts()

    @property
    def held(self) -> list[int]:
        """The partitions that are read here now; from any thread."""
        return sorted(self._held)

    def run_once(self, stop: threading.Event) -> None:
        """Balance when due, fold a batch while the one before it is handed on and the next one is read."""
        if self._balance_due():
            self._settle()
            self._balance()
        if self._learn_due():
            self._learn()
        self._follow_leases()
        if self._paused or not self._held:
            self._settle()
            stop.wait(self._block_ms / 1000)
        else:
            self._advance()
        if self._sweep_due():
            self._settle()
            self._sweep()

    def forget(self, *, defect: bool = False) -> None:
        """Drop all open sessions; they are read again from the stream.

        After a defect of ours they are read with care: an event that fails goes to the dead letters.
        """
        self._held.clear()
        self._ahead = {}
        self._work = {}
        self._composer.take_seen()  # what was not handed on is composed again
        self._careful = defect
        # Due at once: leases may have gone to others meanwhile.
        self._balance_due = every(self._lease_ttl_s / 3, self._monotonic)

    def close(self) -> None:
        """Release the partitions; open turns stay in the stream for the next holder."""
        self.forget()
        self._exchange.shutdown()
        self._tell()
        self._partitions.leave()

    def _advance(self) -> None:
        batch = self._ahead or self._read(self._block_ms)
        self._ahead = {}
        if not batch:
            return
        # While we compute, the server works: half of the time is its own. Handing on comes before
        # reading on, one after the other, so partitions are only ever used by one thread.
        work, self._work = self._work, {}
        seen = self._composer.take_seen()
        exchange = self._exchange.submit(self._hand_on_and_read, work)
        try:
            with metrics.FOLD_DURATION.timing():
                self._work = self._fold(batch)
        finally:
            lost, self._ahead = exchange.result()
        self._seen += seen
        self._settled(work, lost)
        if not self._ahead:
            self._settle()

    def _hand_on_and_read(self, work: dict[int, HandOn]) -> tuple[list[int], dict[int, list[Entry]]]:
        lost = self._hand_on(work) if work else []
        return lost, self._read(0)

    def _settle(self) -> None:
        """Hand on everything that was folded."""
        work, self._work = self._work, {}
        seen = self._composer.take_seen()
        if work:
            self._settled(work, self._hand_on(work))
            self._seen += seen

    def _hand_on(self, work: dict[int, HandOn]) -> list[int]:
        self._prompts.put_up(self._redis)
        with metrics.HAND_ON_DURATION.timing():
            lost = self._partitions.hand_on(work)
        gone = [leaving for partition, leaving in work.items() if partition not in lost]
        metrics.RECORDS_OUT.add(sum(len(leaving.records) for leaving in gone))
        metrics.RECORDS_OUT_BYTES.add(sum(len(body) for leaving in gone for _, body in leaving.records))
        metrics.DEAD_LETTERS_TOTAL.add(sum(len(leaving.dead) for leaving in gone))
        metrics.PARTITIONS_LOST.add(len(lost))
        return lost

    def _settled(self, work: dict[int, HandOn], lost: list[int]) -> None:
        """Put away sessions whose carry is now stored, and drop partitions that were not ours any more."""
        for partition in lost:
            _log.warning("sessions: partition %d was taken over by another worker", partition)
            self._drop(partition)
        for partition, leaving in work.items():
            held = self._held.get(partition)
            newer = self._work.get(partition)
            unsettled = {one.session for one in newer.carried} if newer else set()
            if held is not None:
                held.put_away({one.session for one in leaving.carried} - unsettled)

    def _read(self, block_ms: int) -> dict[int, list[Entry]]:
        entries = self._prompts.read_behind(self._partitions, self._pace.count, block_ms)
        batches = entries.values()
        size = sum(len(entry.data) for batch in batches for entry in batch)
        self._pace.saw(len(entries), sum(map(len, batches)), size)
        metrics.EVENTS_READ_BYTES.add(size)
        return entries

    def _balance(self) -> None:
        gained, lost = self._partitions.balance()
        if gained or lost:
            _log.info("sessions: %d partitions gained, %d given up", len(gained), len(lost))
        for partition in lost:
            self._drop(partition)
        self._prompts.look(self._redis)
        self._mind_the_ledger()

    def _learn(self) -> None:
        """Tell what was seen of agents' turns, and learn what all workers saw."""
        self._composer.bases = read_bases(self._redis)
        self._tell()

    def _tell(self) -> None:
        seen, self._seen = self._seen, Counter()
        count_turns(self._redis, self._composer.bases, seen)

    def _mind_the_ledger(self) -> None:
        """Stop reading while too many records wait for the ledger: back-pressure reaches the spool so."""
        waiting = records_waiting(self._redis)  # all of them: the bound is the line's, not each worker's
        if self._paused != (waiting > RECORDS_WAITING_MAX):
            self._paused = not self._paused
            metrics.PAUSED.set(self._paused)
            what = "pausing" if self._paused else "going on"
            _log.warning("sessions: %d records wait for the ledger; %s", waiting, what)

    def _follow_leases(self) -> None:
        """Drop what is not ours any more, and read from its beginning what has become ours."""
        owned = self._partitions.owned
        for partition in self._held.keys() - set(owned):
            self._drop(partition)
        if gained := [partition for partition in owned if partition not in self._held]:
            self._partitions.start_over(gained)
            self._held.update({partition: _Partition() for partition in gained})

    def _drop(self, partition: int) -> None:
        for state in (self._held, self._ahead, self._work):
            state.pop(partition, None)

    def _fold(self, batch: dict[int, list[Entry]]) -> dict[int, HandOn]:
        """Fold entries into their sessions; gives what leaves because of them."""
        work: dict[int, HandOn] = {}
        self._shared.clear()
        ours = {p: entries for p, entries in batch.items() if p in self._held}
        readable = {p: self._readable(p, entries, work) for p, entries in ours.items()}
        metrics.EVENTS_READ.add(sum(map(len, readable.values())))
        self._open_sessions(readable)
        now = self._now()
        for partition, events in readable.items():
            held = self._held[partition]
            touched: dict[str, bytearray] = {}
            leaving = work.setdefault(partition, HandOn())
            for one in events:
                session = held.sessions[one.event.session]
                emissions = self._add(session, one, now, leaving) if self._careful else session.add(one, now)
                if emissions:
                    self._collect(session, emissions, leaving, touched)
            self._prompts.saw(events, now)
            self._relieve(held, leaving, touched)
            self._carry(held, leaving, touched)
            held.last = batch[partition][-1].id
            self._partitions.folded(partition, len(batch[partition]))
        return {p: w for p, w in work.items() if w.records or w.dead}

    def _add(self, session: OpenSession, one: Held, now: int, leaving: HandOn) -> list[Emission]:
        """Fold an event in that may be the one which our code failed on."""
        emissions = attempt("fold an event", lambda: session.add(one, now))
        if isinstance(emissions, Exception):
            reason = f"could not be folded: {emissions!r}"
            # An entry that others came in stays in the stream for them, and leaves it with them.
            entry = NO_ENTRY if one.entry in self._shared else one.entry
            leaving.dead.append(DeadEntry(entry, one.raw, reason, "sessions", self._node))
            return []
        return emissions

    def _readable(self, partition: int, entries: Iterable[Entry], work: dict[int, HandOn]) -> list[Held]:
        readable: list[Held] = []
        for entry in entries:
            try:
                events = decode_events(entry.data)
            except Unreadable as error:
                leaving = work.setdefault(partition, HandOn())
                # The entry leaves the stream, so all of it is kept; each line can be replayed for itself.
                leaving.dead += [
                    DeadEntry(entry.id, line, error.reason, "sessions", self._node)
                    for line in entry.data.split(b"\n")
                ]
                continue
            readable += [Held(entry.id, raw, event) for raw, event in events]
            if len(events) > 1:
                self._shared.add(entry.id)
        return readable

    def _open_sessions(self, batch: dict[int, list[Held]]) -> None:
        """Fetch what new sessions carry from earlier turns, all in one round trip."""
        wanted = [
            (partition, session)
            for partition, events in batch.items()
            for session in dict.fromkeys([held.event.session for held in events])
            if session not in self._held[partition].sessions
        ]
        for (partition, session), (carry, seen) in zip(wanted, self._partitions.carried(wanted), strict=True):
            self._held[partition].sessions[session] = OpenSession(
                session, _decode_carry(carry) if carry else Carry(), marks_of(seen), self._limits
            )

    def _collect(
        self,
        session: OpenSession,
        emissions: Iterable[Emission],
        leaving: HandOn,
        touched: dict[str, bytearray],
    ) -> None:
        """Turn what a session let go into what leaves the partition."""
        for emission in emissions:
            if isinstance(emission, Duplicate):
                self._prompts.repeated(emission)
                continue
            marks = touched.setdefault(session.session, bytearray())
            leaving.records += self._composed(session, emission)
            if not isinstance(emission, Remark):
                marks += emission.marks

    def _composed(self, session: OpenSession, emission: Emission) -> list[tuple[str, bytes]]:
        """Give an emission's record; a turn that can not be read is kept as bare facts."""
        carry = session.carry_of(emission) if isinstance(emission, Turn | Remark) else session.carry
        record = attempt("compose a record", lambda: self._composer.compose(carry, emission))
        if isinstance(record, Exception):
            record = bare_facts(emission)
        return [record] if record else []

    def _relieve(self, held: _Partition, leaving: HandOn, touched: dict[str, bytearray]) -> None:
        """Close the longest open turns when a partition holds too many events: memory is bounded."""
        total = held.open_events
        while total > self._open_max_events:
            longest = max(held.sessions.values(), key=lambda s: s.open_events)
            total -= longest.open_events
            self._collect(longest, longest.close("size"), leaving, touched)

    def _carry(self, held: _Partition, leaving: HandOn, touched: dict[str, bytearray]) -> None:
        for name, marks in touched.items():
            session = held.sessions[name]
            leaving.carried.append(Carried(name, _encode_carry(session.carry), bytes(marks)))

    def _sweep(self) -> None:
        """Close what has been silent for too long, and trim what nobody needs."""
        now = self._now()
        for partition, held in self._held.items():
            if not held.last:
                continue
            leaving = HandOn()
            touched: dict[str, bytearray] = {}
            for session in list(held.sessions.values()):
                self._collect(session, session.idle(now), leaving, touched)
            self._carry(held, leaving, touched)
            held.put_away(held.sessions.keys() - touched.keys())
            bound = held.first_needed()
            if bound != held.trimmed:
                leaving.trim = held.trimmed = bound
            if held.last != held.shown:
                leaving.folded = held.shown = held.last
            if leaving.records or leaving.trim or leaving.folded:
                self._work[partition] = leaving
        self._settle()
