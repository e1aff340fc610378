"""The follower: keeps a verified copy of the ledger on this machine, from a source's HTTP.

    asking: (segment, byte, head) --> check --> write, fdatasync --> asking from behind it

Invariants:
- The place that is asked from is on our disk: asking is what tells the source that it may let go.
- What does not go on from our last line is never written. It ends the process: a copy that differs from its
  source is for a person to look at.
- Nothing is kept but the copy: after a kill at any moment it goes on from its own newest segment.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from karl.errors import LedgerForked, LedgerHeld, Refused
from karl.ledger.segments import Cut
from karl.replica.client import Client, check_url
from karl.replica.copy import Copy, Mark, mark_of
from karl.replica.protocol import Asked, Listing
from karl.replica.rejoin import set_apart
from karl.replica.source import place_of
from workers.loop import every

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")

#: The longest that the source is asked to wait with its answer, in seconds.
WAIT_S = 1.0
#: Seconds between two words about how far it is, while it is behind.
TELL_S = 10.0

_log = logging.getLogger("karl")


def follow(
    folder: Path,
    source: str | None,
    token: str,
    *,
    node: str,
    since: str,
    rejoin: bool = False,
    set_aside: bool = False,
) -> FollowWorker:
    """Make a follower of `source`, or of the one that was followed before; it connects when it runs.

    With `rejoin` the folder may have a ledger of its own, and the source is asked at once; with `set_aside`
    what the source has not goes into .torn files. Raises Refused,
    LineDown, LedgerDamaged and FsyncFailed.
    """
    known = mark_of(folder) if source is None else None
    url = source or (known.source if known else None)
    if url is None:
        raise Refused(f"{folder} is no copy yet: say with --from which ledger it shall be a copy of")
    check_url(url)

    def connect() -> Client:
        return Client(url, token)

    apart: Callable[[], Sequence[Cut]] = tuple
    if rejoin:
        with connect() as client:
            listing = client.listing()
        _not_itself(listing, folder)
        if set_aside:
            apart = partial(set_apart, folder, listing)
    copy = Copy.open(folder, known or Mark(url.rstrip("/"), since), rejoin=rejoin, set_apart=apart)
    for cut in copy.cuts:
        _log.warning("follow: %d bytes of %s were set aside as %s", cut.bytes, cut.segment, cut.copy)
    return FollowWorker(connect, copy, folder, follower=_NOT_IN_NAMES.sub("_", node)[:64] or "unnamed")


class Behind(NamedTuple):
    """What a copy lacks of its source."""

    lines: int
    bytes: int


class FollowWorker:
    """Follows the source of `connect` into a copy."""

    name = "follow"

    def __init__(
        self,
        connect: Callable[[], Client],
        copy: Copy,
        folder: Path,
        *,
        follower: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._copy = copy
        self._folder = folder
        self._follower = follower
        self._client: Client | None = None
        self._due = every(TELL_S, clock)
        self._caught_up = False
        #: What was missing after the source's last answer; null before the first.
        self.behind: Behind | None = None

    @property
    def seq(self) -> int:
        """The copy's last line that is on disk."""
        return self._copy.position.seq

    def run_once(self, stop: threading.Event) -> None:
        """Fetch and keep one piece, or learn that there is none."""
        del stop
        client = self._client or self._begin()
        position = self._copy.position
        segment = position.segment or client.listing().segments[0].segment
        asked = Asked(segment, position.offset, position.head, WAIT_S, self._follower)
        ahead, data = client.ask(asked)
        if not data and ahead.next is not None:
            asked = asked._replace(segment=ahead.next, offset=0)
            ahead, data = client.ask(asked)
        if data:
            self._keep(client, asked, data)
        self.behind = Behind(ahead.end.seq - self.seq, ahead.behind - len(data))
        self._tell(ahead.end.seq, self.behind)

    def forget(self, *, defect: bool = False) -> None:
        """Let go of the connection; the copy stands where its disk stands."""
        del defect
        self._caught_up = False
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        """End; the folder stays a copy."""
        self.forget()
        self._copy.close()

    def _begin(self) -> Client:
        """Meet the source. Raises LineDown, and LedgerHeld when it is this very folder."""
        client = self._client = self._connect()
        _not_itself(client.listing(), self._folder)
        return client

    def _keep(self, client: Client, asked: Asked, data: bytes) -> None:
        """Bring what came to disk, when it goes on from what is there. Raises LedgerForked."""
        try:
            self._copy.take(asked.segment, data)
        except LedgerForked:
            # Bodies that the source erases in this moment give bytes that are half old: they come right.
            _, again = client.ask(asked)
            if again == data:
                raise
            self._copy.take(asked.segment, again)

    def _tell(self, last: int, behind: Behind) -> None:
        """Say how far it is, now and then."""
        if behind.lines and self._due():
            _log.info("follow: at line %d of %d, %d bytes behind", self.seq, last, behind.bytes)
        elif not behind.lines and not self._caught_up:
            self._caught_up = True
            _log.info("follow: the copy has all that there is, up to line %d", self.seq)


def _not_itself(listing: Listing, folder: Path) -> None:
    if folder.is_dir() and listing.place == place_of(folder):
        raise LedgerHeld(f"the source serves {folder} itself; a copy needs a folder of its own")
