"""What the writer of a ledger lets its followers have, and what they have said that they keep.

    the writer: confirm(segment, length) --> whoever waits is woken --> ask(...) gives bytes up to there

Invariants:
- No byte is given that the writer has not confirmed, and none past a seal. So what a follower was given is
  in every later state of this ledger: whoever takes the folder over finds it on the disk.
- A follower's word counts only for a place where our own line has the hash that it names.
- What the writer does here costs the same however large the ledger is and however many follow.

Called from many threads: one confirms, others ask.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import msgspec

from karl.errors import LedgerForked, NotFound, Unreadable
from karl.ledger.files import open_segment
from karl.ledger.frame import Line
from karl.ledger.segments import chain_after, list_segments
from karl.replica.lines import line_before, whole_lines
from karl.replica.protocol import CHUNK_BYTES, Ahead, Asked, End, Listing, Part, start_of

#: Names of followers that are kept; one that was not heard for longest is forgotten for a new one.
FOLLOWERS_MAX = 64
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Follower(msgspec.Struct, frozen=True):
    """What a follower said last: every line up to `seq` is on its disk. `seen_s` is the source's clock."""

    name: str
    seq: int
    head: str
    seen_s: float


class Source:
    """The confirmed part of the ledger in one folder; `clock` gives seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        #: Guards what the writer says; nothing slow is done while it is held.
        self._news = threading.Condition()
        self._confirmed: tuple[str, int] | None = None
        self._closed = False
        #: Guards what is known of the segments and of the followers.
        self._lock = threading.Lock()
        self._parts: list[Part] = []
        self._starts: list[int] = []
        self._numbers: dict[str, int] = {}
        self._end: tuple[tuple[str, int], End] | None = None
        self._followers: dict[str, Follower] = {}
        #: The follower that is farthest; what it has may leave the stream.
        self.farthest: Follower | None = None

    def confirm(self, segment: str, length: int) -> None:
        """Say that all bytes up to here are on disk and count; for the writer alone."""
        with self._news:
            self._confirmed = (segment, length)
            self._news.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def followers(self) -> list[Follower]:
        """Give who follows, by name."""
        with self._lock:
            return sorted(self._followers.values(), key=lambda one: one.name)

    def listing(self) -> Listing:
        """Give all that is confirmed. Raises NotFound while nothing is, and LedgerDamaged."""
        with self._lock:
            return Listing(place_of(self._folder), self._look(), list(self._parts))

    def ask(self, asked: Asked) -> tuple[Ahead, bytes]:
        """Give whole lines from a place on, after a wait where there are none yet, and what lies ahead.

        Raises NotFound for a segment that does not count, LedgerForked when the asker's place is none of
        this ledger, and LedgerDamaged.
        """
        with self._lock:
            self._look()
            number = self._numbers.get(asked.segment)
            if number is None:
                raise NotFound(f"no segment {asked.segment} counts in this ledger")
            self._place(asked, number)
        self._wait(asked)
        with self._lock:
            ahead = self._ahead(asked.offset, number)
        with open_segment(self._folder, asked.segment) as file:
            return ahead, whole_lines(file, asked.offset, ahead.length, CHUNK_BYTES)

    def _wait(self, asked: Asked) -> None:
        """Wait until anything is confirmed beyond a place."""
        place = (asked.segment, asked.offset)
        with self._news:
            self._news.wait_for(lambda: self._closed or place < (self._confirmed or place), asked.wait_s)

    def _look(self) -> End:
        """Take in what was confirmed since the last look, and give the end."""
        confirmed = self._confirmed
        if confirmed is None:
            raise NotFound("no ledger is written here now")
        segment, length = confirmed
        last = self._parts[-1].segment if self._parts else ""
        if segment != last:
            self._add_parts(last, segment)
        self._parts[-1] = msgspec.structs.replace(self._parts[-1], length=length)
        if self._end is None or self._end[0] != confirmed:
            line = self._line_before(segment, length)
            self._end = (confirmed, End(line.seq, line.hash, line.time))
        return self._end[1]

    def _add_parts(self, last: str, newest: str) -> None:
        """Take in the segments after `last`, up to the newest that is confirmed."""
        names = [name for name in list_segments(self._folder) if name <= newest]
        for header in chain_after(self._folder, names, last):
            if self._parts and header.seal:
                self._parts[-1] = msgspec.structs.replace(self._parts[-1], length=header.seal.length)
            line = header.line
            self._numbers[line.segment] = len(self._parts)
            self._parts.append(Part(line.segment, 0, line.prev, line.seq))
        self._starts = list(accumulate((part.length for part in self._parts[:-1]), initial=0))

    def _ahead(self, offset: int, number: int) -> Ahead:
        end = self._look()
        total = self._starts[-1] + self._parts[-1].length
        following = self._parts[number + 1].segment if number + 1 < len(self._parts) else None
        return Ahead(end, total - self._starts[number] - offset, self._parts[number].length, following)

    def _place(self, asked: Asked, number: int) -> None:
        """Compare the asker's place with our own line there, and keep a follower's word."""
        length = self._parts[number].length
        if asked.offset > length:
            reason = f"the source has {length} bytes of it, the copy {asked.offset}"
            raise LedgerForked(asked.segment, min(length, asked.offset), reason)
        if asked.head is None:
            return
        try:
            seq, head = self._before(asked, number)
        except Unreadable as error:
            raise LedgerForked(asked.segment, asked.offset, "no line of the source ends there") from error
        if head != asked.head:
            reason = f"line {seq} of the source has another hash than the copy's last line"
            raise LedgerForked(asked.segment, asked.offset, reason)
        if asked.follower is not None:
            self._heard(Follower(asked.follower, seq, head, self._clock()))

    def _before(self, asked: Asked, number: int) -> tuple[int, str]:
        if asked.offset == 0:
            return start_of(self._parts[number])
        line = self._line_before(asked.segment, asked.offset)
        return line.seq, line.hash

    def _line_before(self, segment: str, offset: int) -> Line:
        with open_segment(self._folder, segment) as file:
            return line_before(file, segment, offset)

    def _heard(self, said: Follower) -> None:
        self._followers.pop(said.name, None)
        self._followers[said.name] = said
        if len(self._followers) > FOLLOWERS_MAX:
            del self._followers[next(iter(self._followers))]
        if self.farthest is None or said.seq >= self.farthest.seq:
            self.farthest = said


def place_of(folder: Path) -> str:
    """Name a folder on a machine: the same for every process that sees it, and for no other folder."""
    status = folder.stat()
    machine = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else socket.gethostname()
    return hashlib.sha256(f"{machine} {status.st_dev} {status.st_ino}".encode()).hexdigest()[:32]
