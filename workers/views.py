"""The views worker: follows the ledger and keeps the views beside it up to date.

    opening --- views that fit ---> following --- replaced / rewound / damaged views ---> opening

Invariants:
- Its only memory is the position inside the views: it may be killed at any moment.
- When there is nothing new, a round is a listing of the ledger's folder and a stat of the views.
- Views that do not fit the ledger or this version are made anew; a damaged ledger ends the process.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from karl.errors import KarlError, LedgerRewound
from karl.metrics import table as metrics
from karl.views.rebuild import Tail, begin, rebuild
from karl.views.store import Moved, Store, ViewsBlocked, ViewsUnusable, identity

#: Waits between looks at the ledger, in seconds: from the first to the last while nothing comes.
WAIT_MIN_S = 0.05
WAIT_MAX_S = 0.5
#: Wait between attempts while the views can not be written, in seconds.
BLOCKED_S = 2.0

_log = logging.getLogger("karl")


class _Stopped(KarlError):
    """Raised inside a rebuild when the process shall end: the old views stay."""


class ViewsWorker:
    """Keeps the views at `path` equal to the ledger in `ledger`."""

    name = "views"

    def __init__(self, path: Path, ledger: Path, reward_version: str) -> None:
        self._path = path
        self._ledger = ledger
        self._reward_version = reward_version
        self._store: Store | None = None
        self._tail: Tail | None = None
        self._wait_s = WAIT_MIN_S
        self._ready = False
        self._blocked = False

    @property
    def path(self) -> Path:
        """Where the views are."""
        return self._path

    @property
    def seq(self) -> int:
        """The last line that the views took in; 0 while there are none."""
        store = self._store
        return store.position.seq if store else 0

    def run_once(self, stop: threading.Event) -> None:
        """Take in one batch, or wait a little when there is none."""
        try:
            if self.advance():
                self._wait_s = WAIT_MIN_S
                self._blocked = False
            else:
                stop.wait(self._wait_s)
                self._wait_s = min(WAIT_MAX_S, 1.5 * self._wait_s)
        except Moved:
            self.forget()
        except (LedgerRewound, ViewsUnusable) as error:
            _log.warning("views: %s; making them anew", error)
            self._rebuild(stop)
        except ViewsBlocked as error:
            if not self._blocked:
                _log.warning("views: %s; trying again", error)
            self._blocked = True
            self.forget()
            stop.wait(BLOCKED_S)

    def advance(self) -> bool:
        """Take in one batch of lines; False when there is nothing new."""
        store, tail = self._opened()
        before = tail.position
        lines = tail.batch()
        if ended := next((line for line in lines if line.kind == "erased"), None):
            raise LedgerRewound(ended.segment, ended.offset, "bodies were erased")
        if lines:
            with metrics.VIEWS_DURATION.timing():
                complaints = store.apply(lines, before)
            metrics.VIEWS_LINES.add(len(lines))
            self._report(complaints)
        return bool(lines)

    def forget(self, *, defect: bool = False) -> None:
        """Close the views and the ledger; the next round opens them again."""
        del defect  # the position in the views is all there is to start over from
        if self._tail:
            self._tail.close()
        if self._store:
            self._store.close()
        self._tail = self._store = None

    def close(self) -> None:
        """End."""
        self.forget()

    def _opened(self) -> tuple[Store, Tail]:
        if self._store and self._store.replaced():
            _log.info("views: other views are in place; going on with them")
            self.forget()
        if not self._store or not self._tail:
            if identity(self._path) is None:
                begin(self._path, self._reward_version)
            self._store = Store(self._path, self._reward_version, self._ledger)
            self._tail = Tail(self._ledger, self._store.position)
            if not self._ready:
                _log.info("views: ready, at line %d of %s", self._store.position.seq, self._ledger)
                self._ready = True
        return self._store, self._tail

    def _rebuild(self, stop: threading.Event) -> None:
        def unless_stopped(_seq: int) -> None:
            if stop.is_set():
                raise _Stopped("told to stop")

        self.forget()
        try:
            report = rebuild(self._path, self._ledger, self._reward_version, unless_stopped)
        except _Stopped:
            return
        metrics.VIEWS_REBUILDS.add()
        self._report(report.complaints)
        _log.info("views: made anew from %d records", report.records)

    def _report(self, complaints: list[str]) -> None:
        metrics.VIEWS_COMPLAINTS.add(len(complaints))
        for complaint in complaints:
            _log.error("views: %s", complaint)
