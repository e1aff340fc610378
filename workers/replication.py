"""What a ledger worker does for followers: serves them, and holds back what none of them has yet.

    written --> held (with `needs_follower`) --> a follower asks from behind it --> may leave the streams

Invariants:
- With `needs_follower`, records leave the streams only when a follower has said that they are on its disk;
  nothing else opens the gate, however long it takes.
- A follower that is away never holds up what is appended; the streams' own bounds do, in the end.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from karl.errors import LineDown
from karl.replica.serve import Served, Serving
from karl.stream import keys

#: Seconds without a follower's word after which that is warned of, and between two warnings.
SILENT_S, WARN_EVERY_S = 30.0, 60.0

_log = logging.getLogger("karl")


class Passed(NamedTuple):
    """What may leave the streams: up to line `seq` with hash `head`, and the last stream id by partition."""

    seq: int
    head: str
    upto: dict[int, str]


class LedgerHead(msgspec.Struct, frozen=True):
    """The ledger's last line that was settled, as the server remembers it (keys.LEDGER_HEAD)."""

    seq: int
    hash: str
    term: int


def read_head(said: object) -> LedgerHead | None:
    """Read what the server remembers; null when that is nothing. Raises LineDown."""
    if not isinstance(said, bytes):
        return None
    try:
        return msgspec.json.decode(said, type=LedgerHead)
    except msgspec.MsgspecError as error:
        raise LineDown(f"{keys.LEDGER_HEAD} is not what a writer says: {error}") from error


class _Held(NamedTuple):
    since: float
    passed: Passed


class Followed(msgspec.Struct, frozen=True):
    """One follower as the writer sees it: its last line, and when it was heard (Unix time in ms)."""

    name: str
    seq: int
    heard_ms: int


class Replicas(msgspec.Struct, frozen=True):
    """What the writer says of its followers, at `time_ms`; `held_s` is the age of the oldest of `held` lines.

    `needed`: lines leave the streams only when a follower has them (KARL_ACK=replica).
    """

    seq: int
    needed: bool
    held: int
    held_s: float
    time_ms: int
    followers: list[Followed]


class Replication:
    """A ledger worker's followers, from its taking over to its end."""

    def __init__(
        self,
        folder: Path,
        served: Served | None,
        *,
        needs_follower: bool,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._served = served
        self._needed = needs_follower
        self._clock = clock
        self._now = now
        self._serving: Serving | None = None
        self._held: deque[_Held] = deque()
        #: Since when the first of them is held; kept apart, since it is read from other threads.
        self._oldest: float | None = None
        self._warn_at = 0.0
        self._seq = 0

    def wrote(self, segment: str, length: int, passed: Passed) -> None:
        """Say what is on disk now: a segment up to `length`, and what it settles."""
        if self._served and self._serving is None:
            self._serving = Serving(self._folder, self._served)
        if self._serving:
            self._serving.source.confirm(segment, length)
        self._seq = passed.seq
        self._held.append(_Held(self._clock(), passed))

    def passed(self) -> Passed | None:
        """Give what may leave the streams now, and was not given before; null when nothing is new."""
        farthest = self._serving.source.farthest if self._serving else None
        reached = farthest.seq if farthest else -1
        upto: dict[int, str] = {}
        last: Passed | None = None
        while self._held and (not self._needed or self._held[0].passed.seq <= reached):
            last = self._held.popleft().passed
            upto |= last.upto
        self._oldest = self._held[0].since if self._held else None
        self._warn()
        return last._replace(upto=upto) if last else None

    def seen(self) -> Replicas:
        """Say who follows, and how much is held for them."""
        source = self._serving.source if self._serving else None
        followers = source.followers() if source else []
        oldest = self._oldest
        return Replicas(
            seq=self._seq,
            needed=self._needed,
            held=self._seq - max((one.seq for one in followers), default=0) if oldest is not None else 0,
            held_s=round(self._clock() - oldest, 3) if oldest is not None else 0.0,
            time_ms=int(self._now() * 1000),
            followers=[Followed(one.name, one.seq, int(one.seen_s * 1000)) for one in followers],
        )

    @property
    def is_served(self) -> bool:
        """Say whether followers can come at all."""
        return self._served is not None

    def end(self) -> None:
        """Serve nobody any more. What is held stays in the streams; the next writer's watermarks cover it."""
        if self._serving:
            self._serving.stop()
            self._serving = None
        self._held.clear()
        self._oldest = None
        self._warn_at = 0.0

    def _warn(self) -> None:
        now = self._clock()
        if not self._held or now - self._held[0].since < SILENT_S or now < self._warn_at:
            return
        self._warn_at = now + WARN_EVERY_S
        farthest = self._serving.source.farthest if self._serving else None
        who = f"{farthest.name} has line {farthest.seq}" if farthest else "none has asked yet"
        _log.warning(
            "ledger: no follower has the lines of the last %.0f s (%s; the last line is %d): they stay in "
            "the streams, as KARL_ACK=replica wants it; is `karl worker follow` at work?",
            now - self._held[0].since, who, self._seq,
        )  # fmt: skip
