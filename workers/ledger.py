"""The ledger worker: the one process that appends, as long as it holds the lease.

    standing by --- lease acquired ---> writing --- lease lost / stopped ---> standing by / ended

Invariants:
- It reads the records streams from the ledger's own watermarks, never from a place kept elsewhere:
  what the ledger has is not written twice, what it lacks is still in the stream.
- A stream is trimmed only after fsync, and only while the lease is ours (checked inside Redis). With the last
  line that was settled so, the server remembers which folder is the ledger.
- What the server might still forget is not appended (`read_ahead.py`).
- Nothing is appended when our own clock can not vouch for the lease any more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from redis.exceptions import RedisError

from karl.errors import LeaseLost, LedgerHeld, Unreadable
from karl.ledger.writer import Draft, Writer, newest_term
from karl.metrics import table as metrics
from karl.replica.copy import refuse_copy
from karl.replica.lines import has_line
from karl.replica.serve import Served
from karl.stream import keys
from karl.stream.connect import command
from karl.stream.dead_letters import bury
from karl.stream.lease import Lease
from karl.stream.pace import Pace
from workers.loop import every
from workers.read_ahead import ReadAhead, hold_of
from workers.replication import LedgerHead, Passed, Replicas, Replication, read_head

if TYPE_CHECKING:
    from redis import Redis

#: Bytes of records that one group commit may hold, about.
BATCH_BYTES = 2 * 1024 * 1024
#: How long a read waits for the first record.
BLOCK_MS = 1000

#: Batches that a clean end still writes; what comes after them is the next holder's.
DRAIN_MAX = 100

#: Seconds for which a word about followers counts.
FOLLOWERS_TTL_S = 60

# A server that is full must let itself be emptied.
_TRIM = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('LEASELOST') end
redis.call('SET', KEYS[2], ARGV[2])
for i = 3, #KEYS do redis.call('XTRIM', KEYS[i], 'MINID', '=', ARGV[i]) end
return #KEYS - 2
"""

_log = logging.getLogger("karl")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LedgerWorker:
    """Writes the ledger in `folder` from the records streams of `redis`."""

    name = "ledger"

    def __init__(
        self,
        redis: Redis,
        folder: Path,
        *,
        owner: str,
        lease_ttl_s: float,
        segment_max_bytes: int,
        node: str = "",
        served: Served | None = None,
        needs_follower: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._redis = redis
        self._folder = folder
        self._segment_max_bytes = segment_max_bytes
        self._clock = clock
        self._node = node
        self._lease = Lease(
            redis,
            key=keys.LEDGER_LEASE,
            term_key=keys.LEDGER_TERM,
            wake_key=keys.LEDGER_WAKE,
            owner=owner,
            ttl_s=lease_ttl_s,
            clock=monotonic,
        )
        self._lease_ttl_s = lease_ttl_s
        self._renewal_due = every(lease_ttl_s / 3, monotonic)
        # A wait for records that is as long as a short lease would lose it each time that none come.
        self._block_ms = max(1, min(BLOCK_MS, int(lease_ttl_s * 1000 / 3)))
        self._pace = Pace(bytes_max=BATCH_BYTES, entries_max=4096)
        self._ahead = ReadAhead[Draft](monotonic)
        self._replication = Replication(folder, served, needs_follower=needs_follower, clock=monotonic)
        self._writer: Writer | None = None
        self._standing_by = ""
        self._connection = 0
        #: Records on disk since this process took over.
        self.records = 0

    @property
    def holds(self) -> bool:
        """Say whether we may write now, by our own clock; from any thread."""
        return self._writer is not None and self._lease.trusted()

    @property
    def term(self) -> int:
        """The term that we hold or held last; 0 for none."""
        return self._lease.term

    @property
    def replicas(self) -> Replicas:
        """Say who follows, and what is held for them; from any thread."""
        return self._replication.seen()

    @property
    def seq(self) -> int:
        """The ledger's last line while we write; 0 while we do not."""
        writer = self._writer
        return writer.next_seq - 1 if writer else 0

    def run_once(self, stop: threading.Event) -> None:
        """Stand by, or write one batch."""
        writer = self._writer or self._take_over()
        if writer is None:
            return
        if self._renewal_due():
            self._lease.renew()
            self._tell_of_followers()
        wait_s = self._ahead.wait_s(self._block_ms / 1000)
        if self._ahead.full:
            stop.wait(wait_s)
        elif batch := self._read(writer, int(wait_s * 1000) or None):
            self._ahead.add(batch)
        if batch := self._ahead.due():
            self._append(writer, batch)
        self._let_go()

    def wake(self) -> None:
        """Let a read that waits for records return at once; from any thread."""
        try:
            if self._connection:
                self._redis.client_unblock(self._connection)
        except RedisError as error:  # then the wait takes as long as it takes
            _log.debug("ledger: the read could not be ended: %s", error)

    def forget(self, *, defect: bool = False) -> None:
        """Stop writing; the lease is left to expire if Redis can not be told."""
        del defect
        self._ahead.clear()
        self._replication.end()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def close(self) -> None:
        """Write what waits, then hand the lease over at once."""
        if self._writer is None:
            return
        try:
            for _ in range(DRAIN_MAX):
                if batch := self._read(self._writer):
                    self._ahead.add(batch)
                if batch := self._ahead.due():
                    self._append(self._writer, batch)
                else:
                    break
            self._writer.seal()
        finally:
            self.forget()
        self._lease.release()
        _log.info("ledger: released term %d", self._lease.term)

    def take_over_now(self) -> int:
        """Begin a term here and leave it at that; gives the term. Raises LedgerHeld when another writes.

        From now on a ledger that does not have this term's first line is refused.
        """
        writer = self._take_over()
        if writer is None:
            raise LedgerHeld(f"{self._standing_by} holds the ledger's lease; end it first")
        self._trim(Passed(writer.next_seq - 1, writer.head, {}))
        self.forget()
        self._lease.release()
        return self._lease.term

    def _open(self) -> Writer:
        """Open the ledger under our term. Raises LeaseLost when the folder knows a term as large."""
        try:
            return Writer.open(
                self._folder,
                term=self._lease.term,
                clock=self._clock,
                segment_max_bytes=self._segment_max_bytes,
                trusted=self._lease.trusted,
                attempts=50,  # a write in progress is over by then; a paused writer is fenced anyway
                pause=lambda: time.sleep(0.01),
            )
        except LedgerHeld as error:
            # A server that lost its last second gives a term out twice. The next one is above the folder's.
            self._lease.release()
            raise LeaseLost(f"{self._folder} (term {self._lease.term} was used before)") from error

    def _take_over(self) -> Writer | None:
        refuse_copy(self._folder)
        holder = self._lease.acquire(newest_term(self._folder))
        if holder is not None:
            if holder != self._standing_by:
                _log.info("ledger: standing by; %s holds the lease", holder)
                self._standing_by = holder
            self._lease.wait(self._lease_ttl_s / 10)
            return None
        self._standing_by = ""
        self._check_head()
        writer = self._open()
        self._writer = writer
        metrics.TAKEOVERS.add()
        if writer.recovery is not None:
            _log.warning("ledger: %s", writer.recovery)
        self._ahead.hold_s = hold_of(self._redis)
        self._connection = int(self._redis.client_id())
        self._lift_ids(writer.watermarks)
        self._wrote(writer, writer.watermarks)  # what was ledgered before, and not trimmed any more
        self._let_go()
        _log.info("ledger: writing term %d from record %d on", self._lease.term, writer.next_seq)
        return writer

    def _check_head(self) -> None:
        """Refuse a folder that lacks what has left the streams: it is not the ledger. Raises LedgerHeld."""
        known = read_head(self._redis.get(keys.LEDGER_HEAD))
        if known is None or has_line(self._folder, known.seq, known.hash):
            return
        self._lease.release()
        raise LedgerHeld(
            f"{self._folder} is not the ledger that was written last: line {known.seq} of term {known.term} "
            "is not in it. Where another machine has it, make this folder its copy: `karl worker follow "
            "--rejoin`. Where it is lost, `karl replica promote` on a follower's machine; or, with --force, "
            "here, to go on without those lines"
        )

    def _lift_ids(self, watermarks: dict[int, str]) -> None:
        """Make sure that ids given out from now on lie above what the ledger has.

        A server that lost its data, with a clock behind the old one's, would number new records below
        the watermark, and they would pass for old ones.
        """
        pipe = self._redis.pipeline(transaction=False)
        for partition, last in watermarks.items():
            pipe.xadd(keys.records_key(partition), {"k": "", "b": ""}, id=last)
        # A refusal is the normal case: the stream is ahead already. What goes in is trimmed right after.
        pipe.execute(raise_on_error=False)

    def _read(self, writer: Writer, block_ms: int | None = None) -> list[Draft]:
        after = writer.watermarks | self._ahead.read
        names = {keys.records_key(p).encode(): p for p in range(keys.PARTITIONS)}
        block = [] if block_ms is None else ["BLOCK", block_ms]
        ids = [after.get(p, "0") for p in names.values()]
        reply = command(self._redis, "XREAD", "COUNT", self._pace.count, *block, "STREAMS", *names, *ids)
        drafts = [
            _draft(names[stream], entry, dict(zip(flat[::2], flat[1::2], strict=True)))
            for stream, entries in reply or ()
            for entry, flat in entries
        ]
        self._pace.saw(len(reply or ()), len(drafts), sum(len(draft.body) for draft in drafts))
        return drafts

    def _append(self, writer: Writer, batch: list[Draft]) -> None:
        try:
            with metrics.APPEND_DURATION.timing():
                writer.append(batch)
        except Unreadable:
            self._append_readable(writer, batch)
        self.records += len(batch)
        metrics.LEDGERED_BYTES.add(sum(len(draft.body) for draft in batch))
        self._wrote(writer, {d.partition: str(d.stream_id) for d in batch if d.partition is not None})
        self._let_go()

    def _wrote(self, writer: Writer, upto: dict[int, str]) -> None:
        """Let followers have what is on disk, and remember what it settles."""
        length = (self._folder / writer.segment).stat().st_size
        self._replication.wrote(writer.segment, length, Passed(writer.next_seq - 1, writer.head, upto))

    def _let_go(self) -> None:
        if passed := self._replication.passed():
            self._trim(passed)

    def _tell_of_followers(self) -> None:
        if self._replication.is_served:
            said = msgspec.json.encode(self._replication.seen())
            self._redis.set(keys.LEDGER_FOLLOWERS, said, ex=FOLLOWERS_TTL_S)

    def _append_readable(self, writer: Writer, batch: list[Draft]) -> None:
        """Append one by one; what no writer of ours made goes to the dead letters."""
        for draft in batch:
            try:
                writer.append([draft])
            except Unreadable as error:
                pipe = self._redis.pipeline(transaction=False)
                bury(pipe, draft.body, error.reason, "ledger", self._node, partition=draft.partition or 0)
                pipe.execute()
                metrics.DEAD_LETTERS_TOTAL.add()

    def _trim(self, passed: Passed) -> None:
        """Take out of the records streams what is safe. Raises LeaseLost if the lease is not ours."""
        head = msgspec.json.encode(LedgerHead(passed.seq, passed.head, self._lease.term))
        names = [keys.LEDGER_LEASE, keys.LEDGER_HEAD, *(keys.records_key(p) for p in passed.upto)]
        bounds = [_after(entry) for entry in passed.upto.values()]
        try:
            self._redis.eval(_TRIM, len(names), *names, self._lease.token, head, *bounds)
        except Exception as error:
            if "LEASELOST" in str(error):
                raise LeaseLost(keys.LEDGER_LEASE) from error
            raise


def _draft(partition: int, entry: bytes, fields: dict[bytes, bytes]) -> Draft:
    """Give an entry as a draft; one that no worker of ours made becomes a draft that the writer refuses."""
    kind = fields.get(b"k", b"").decode("utf-8", "replace")
    return Draft(kind, fields.get(b"b", b""), partition, entry.decode())


def _after(entry: str) -> str:
    """Give the smallest id above an entry's."""
    ms, _, n = entry.partition("-")
    return f"{ms}-{int(n) + 1}"
