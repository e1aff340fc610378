"""The shipper: takes events from the spool, redacts them, and puts them into the stream.

Invariants:
- A file leaves the spool only after Redis has answered that it has the event, which is kept
  aside until that server has had time to sync it (`resend.py`).
- Events of one session enter the stream in the order of their files; whatever holds one back holds
  back the younger ones of its partition.
- An event that is sent again has the id that it had before.
- One shipper per spool, by a lock on a file in it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

import karl
from karl.errors import LineDown, Refused, ServerSilent, Unreadable
from karl.metrics import table as metrics
from producers.envelope import EnvelopeMaker, envelope_maker, spool_id
from producers.push import BATCH_MAX, BATCH_MAX_BYTES, Parcel, Pushed, parcel_of, push, tell
from producers.quiet import Quiet
from producers.resend import Resend
from producers.spool import LOCK, SENT, Depth, Item, Spool
from producers.watch import Figures

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Seconds between two tries while Redis does not answer.
PAUSE_MIN_S, PAUSE_MAX_S = 0.1, 5.0
#: Seconds between two looks at the spool folder, while events come and while none do.
LOOK_BUSY_S, LOOK_IDLE_S = 0.05, 0.5
#: Seconds without an event after which the shipper looks less often.
BUSY_FOR_S = 2.0
#: Seconds after which held-back files are looked at again, and all files are.
RETRY_S, RESCAN_S = 1.0, 5.0
REPORT_MIN_S, REPORT_MAX_S = 5.0, 60.0
WARN_EVERY_S = 60.0
#: Share of the bound below which a full spool takes events again.
ROOM_AGAIN = 0.9
#: Folder times closer to now than this may still hide a change: clocks of file systems tick slowly.
_TICK_NS = 20_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shipped:
    """What one round did: events and dead letters sent, files left waiting, bytes, empty files removed.

    `refused` is what Redis said when it took none or not all of them.
    """

    count: int = 0
    dead: int = 0
    waiting: int = 0
    bytes: int = 0
    empty: int = 0
    refused: str = ""


@dataclass(slots=True)
class _Batch:
    """What one round has taken from the spool; `items` and `parcels` go together."""

    items: list[Item] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)
    redactions: list[dict[str, int]] = field(default_factory=list)
    empty: list[Item] = field(default_factory=list)
    bytes: int = 0

    def add(self, item: Item, parcel: Parcel, redactions: dict[str, int]) -> None:
        self.items.append(item)
        self.parcels.append(parcel)
        self.redactions.append(redactions)
        self.bytes += item.size


class Shipper:
    """The loop and its state; everything it must remember beyond its life is in the spool."""

    def __init__(
        self,
        spool: Spool,
        redis: Redis,
        envelopes: EnvelopeMaker,
        *,
        stream_max: int = 20_000,
        spool_max_bytes: int = 1 << 30,
        now_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.spool = spool
        self.redis = redis
        self.envelopes = envelopes
        self.stream_max = stream_max
        self.spool_max_bytes = spool_max_bytes
        self._now_ns = now_ns
        self._clock = clock
        self._jitter = jitter
        self._resend = Resend(spool.folder / SENT, redis, node=envelopes.node, clock=clock)
        self._lengths: dict[int, int] = {}
        self._closed: dict[int, float] = {}  # partition -> when to try it again
        self._held: dict[str, int] = {}  # file -> the partition that it waits for
        self._quiet = Quiet(clock)
        self._totals: Counter[str] = Counter()
        self._redactions: Counter[str] = Counter()
        self._trouble = ""
        self._reported: tuple[float, dict[str, object]] | None = None
        self._warned = self._counted = self._busy = float("-inf")
        self._last_depth = Depth(files=0, bytes=0, oldest_ns=None)

    @classmethod
    def of(cls, settings: Settings, redis: Redis) -> Shipper:
        """Build the shipper that the settings describe."""
        return cls(
            Spool(settings.spool),
            redis,
            envelope_maker(settings),
            stream_max=settings.stream_max_entries,
            spool_max_bytes=settings.spool_max_mb << 20,
        )

    def run(self, stop: threading.Event) -> None:
        """Ship until told to stop. Raises Refused when another shipper has this spool."""
        self.spool.prepare()
        with only_one(self.spool):
            pause = PAUSE_MIN_S
            while not stop.is_set():
                seen = self._folder_time()
                shipped = self._round()
                if shipped.refused and not shipped.count + shipped.dead:
                    stop.wait(pause * (0.5 + self._jitter()))
                    pause = min(2 * pause, PAUSE_MAX_S)
                    continue
                pause = PAUSE_MIN_S
                if shipped.count + shipped.dead:
                    self._busy = self._clock()
                if not shipped.count + shipped.dead + shipped.empty:
                    self._await_change(stop, seen, waiting=shipped.waiting)

    def run_once(self) -> Shipped:
        """Ship one batch of the oldest files that may go. Raises LineDown; then all files are there still."""
        self._resend.settle()
        self._open_again()
        batch = self._collect()
        pushed = self._push(batch.parcels)
        self._lengths.update(pushed.lengths)
        failed = {batch.parcels[at].partition for at in pushed.errors if not batch.parcels[at].reason}
        kept = set(pushed.errors) | {
            at for at, parcel in enumerate(batch.parcels) if not parcel.reason and parcel.partition in failed
        }
        sent = [at for at in range(len(batch.parcels)) if at not in kept]
        self._resend.keep([batch.parcels[at] for at in sent])
        self.spool.remove([*(batch.items[at] for at in sent), *batch.empty])
        again = self._clock() + RETRY_S  # the other partitions go on meanwhile
        self._closed.update(dict.fromkeys(failed, again))
        for at in kept:
            if batch.parcels[at].reason:
                self._quiet.look_later(batch.items[at], RETRY_S)
        return self._count(batch, sent, next(iter(pushed.errors.values()), ""))

    def report(self) -> None:
        """Tell Redis how this node does, when that has changed and not too often. Raises LineDown."""
        now = self._clock()
        if self._reported and now - self._reported[0] < REPORT_MIN_S:
            return
        depth = self._depth()
        state: dict[str, object] = {
            "shipped": self._totals["shipped"],
            "dead": self._totals["dead"],
            "empty": self._totals["empty"],
            "spool_files": depth.files,
            "spool_bytes": depth.bytes,
            "redactions": dict(sorted(self._redactions.items())),
            "version": karl.__version__,
        }
        if self._reported and state == self._reported[1] and now - self._reported[0] < REPORT_MAX_S:
            return
        body = msgspec.json.encode({"time_ms": self._now_ns() // 1_000_000, **state})
        tell(self.redis, self.envelopes.node, body)
        self._reported = (now, state)

    def check_bound(self) -> None:
        """Tell the hook when the spool is over its bound, and when there is room again."""
        size = self._depth().bytes
        if size > self.spool_max_bytes:
            with suppress(OSError):  # a disk without room even for that; shipping makes some
                self.spool.mark_full()
            if self._clock() - self._warned >= WARN_EVERY_S:
                self._warned = self._clock()
                _log.error(
                    "the spool %s holds %d MiB, more than KARL_SPOOL_MAX_MB allows: EVENTS ARE BEING LOST"
                    " until Redis takes those that wait (`karl status` shows what waits)",
                    self.spool.folder,
                    size >> 20,
                )
        elif size < ROOM_AGAIN * self.spool_max_bytes and self.spool.is_full():
            self.spool.clear_full()
            _log.warning("the spool %s has room again; the hook takes events", self.spool.folder)

    def figures(self) -> Figures:
        """Give what a look at this shipper tells, from any thread and at no cost."""
        return Figures(
            dict(self._totals), dict(self._redactions), self._last_depth, len(set(self._held.copy().values()))
        )

    # A round's parts.

    def _round(self) -> Shipped:
        self.check_bound()
        for name in self.spool.strangers():
            _log.warning("left alone in the spool: %s is no event", self.spool.folder / name)
        try:
            shipped = self.run_once()
            if not shipped.refused:
                self.report()
        except LineDown as error:
            shipped = Shipped(refused=str(error))
        self._say(shipped.refused)
        metrics.PUSHES_REFUSED.add(bool(shipped.refused))
        metrics.REDIS_UP.set(not shipped.refused)
        return shipped

    def _collect(self) -> _Batch:
        """Take the oldest files that may go, up to a batch of them."""
        batch = _Batch()
        items = self._scan()
        while self._quiet.release(self.spool.has_changed):  # it comes before what is younger
            items = self._scan()
        for item in items:
            if batch.parcels and batch.bytes + item.size > BATCH_MAX_BYTES:
                break
            self._take(item, batch)
        return batch

    def _scan(self) -> list[Item]:
        return self.spool.scan(BATCH_MAX, self._held.keys() | self._quiet.later())

    def _push(self, parcels: list[Parcel]) -> Pushed:
        watch = set(self._held.values()) - self._closed.keys()
        try:
            with metrics.PUSH_DURATION.timing() if parcels else nullcontext():
                over = self._resend.connection() if parcels or watch else None
                node = self.envelopes.node
                return push(self.redis, parcels, where="ship", node=node, watch=watch, over=over)
        except ServerSilent:  # one that refuses, because it is full or may not, has what it took before
            self._resend.doubt()
            raise

    def _take(self, item: Item, batch: _Batch) -> None:
        raw = self.spool.read(item)
        if raw is None:  # it is gone, or still being written
            self._quiet.look_later(item)
            return
        try:
            event = self.envelopes.make(
                raw,
                name=spool_id(self.envelopes.node, item.name, item.mtime_ns, raw),
                agent=item.agent,
                time_ms=item.mtime_ns // 1_000_000,
            )
        except Unreadable as error:
            if not self._quiet.is_settled(item):
                self._quiet.look_later(item)
            elif not raw.strip():
                batch.empty.append(item)
            else:
                batch.add(item, Parcel(self.envelopes.dead(raw), reason=error.reason), {})
            return
        parcel = parcel_of(event)
        if self._is_blocked(parcel.partition):
            self._held[item.name] = parcel.partition
        else:
            batch.add(item, parcel, event.redactions)

    def _is_blocked(self, partition: int) -> bool:
        return partition in self._closed or self._lengths.get(partition, 0) > self.stream_max

    def _open_again(self) -> None:
        now = self._clock()
        self._closed = {partition: at for partition, at in self._closed.items() if at > now}
        self._held = {name: held for name, held in self._held.items() if self._is_blocked(held)}

    def _count(self, batch: _Batch, sent: list[int], refused: str) -> Shipped:
        dead = sum(1 for at in sent if batch.parcels[at].reason)
        self._totals.update(shipped=len(sent) - dead, dead=dead, empty=len(batch.empty))
        size = sum(batch.items[at].size for at in sent)
        metrics.SHIPPED_BYTES.add(size)
        metrics.PUSHED_BYTES.add(sum(len(batch.parcels[at].data) for at in sent))
        for at in sent:
            self._redactions.update(batch.redactions[at])
        return Shipped(
            count=len(sent) - dead,
            dead=dead,
            waiting=len(self._held) + len(self._quiet) + len(batch.parcels) - len(sent),
            bytes=size,
            empty=len(batch.empty),
            refused=refused,
        )

    # The loop's parts.

    def _depth(self) -> Depth:
        """Count the spool, seldom enough that counting stays a small part of the work."""
        started = self._clock()
        if started >= self._counted:
            self._last_depth = self.spool.depth()
            took = self._clock() - started
            self._counted = started + max(REPORT_MIN_S, 20 * took)
        return self._last_depth

    def _folder_time(self) -> int:
        """Give the time of the folder's last change; 0 when that could hide a newer one."""
        try:
            changed = self.spool.folder.stat().st_mtime_ns
        except FileNotFoundError:
            return -1
        return changed if self._now_ns() - changed > _TICK_NS else 0

    def _await_change(self, stop: threading.Event, seen: int, *, waiting: int) -> None:
        started = self._clock()
        while not stop.wait(LOOK_BUSY_S if self._clock() - self._busy < BUSY_FOR_S else LOOK_IDLE_S):
            quiet = self._clock() - started
            changed = self._folder_time()  # 0 where it changes just now, as it always does while events come
            if quiet >= (RETRY_S if waiting else RESCAN_S) or not changed or changed != seen:
                return
            if self._quiet.is_due():
                return

    def _say(self, trouble: str) -> None:
        """Log a change between shipping and not shipping, once."""
        if trouble and not self._trouble:
            _log.error("events stay in the spool: %s", _advice(trouble))
        elif self._trouble and not trouble:
            _log.warning("events go to Redis again")
        self._trouble = trouble


@contextmanager
def only_one(spool: Spool) -> Iterator[None]:
    """Hold a spool for one shipper. Raises Refused when another process holds it, or nobody can."""
    try:
        handle = os.open(spool.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(
            f"the spool {spool.folder} can not be written to: {error.strerror}; what waits there is shipped "
            "once it can, or set KARL_SPOOL_DIR"
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"another `karl ship` empties {spool.folder}; end it first, or set KARL_SPOOL_DIR"
            ) from None
        yield
    finally:
        os.close(handle)


#: What to do about what Redis says, by words of its message.
_ADVICE = {
    "maxmemory": "start more workers, or give it more memory",
    "read only replica": "point KARL_REDIS_URL at the primary",
    "Authentication required": "put the password into KARL_REDIS_URL",
    "username-password": "the password in KARL_REDIS_URL is wrong",
    "no permissions": "give its user XADD, XLEN and HSET on karl:*",
    "loading": "it has just started, and will take them in a moment",
    "MISCONF": "it can not write to its own disk",
    "WRONGTYPE": "something else has a key of KARL's; use another database",
}


def _advice(trouble: str) -> str:
    """Add to what Redis said what to do about it."""
    found = next((advice for words, advice in _ADVICE.items() if words in trouble), "")
    return f"{trouble} ({found})" if found else trouble
