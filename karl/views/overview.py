"""Where the ledger and the views stand, at a cost that does not depend on their size."""

from __future__ import annotations

from pathlib import Path

import msgspec

from karl.errors import KarlError, NotFound
from karl.ledger.files import stored_size
from karl.ledger.reader import head
from karl.ledger.segments import list_segments
from karl.views.queries import Counts, Views


class LedgerState(msgspec.Struct, frozen=True):
    """The ledger's last line, how many records there are, and the bytes of the folder's segments."""

    seq: int
    head: str
    segment: str
    term: int
    time: str
    records: int
    bytes: int


class ViewsState(msgspec.Struct, frozen=True):
    """The last line that the views took in; `behind` counts the ledger's lines after it."""

    seq: int
    segment: str
    offset: int
    behind: int


class Overview(msgspec.Struct, frozen=True):
    """What is recorded. A part is null when it does not exist or can not be read; `notes` say why."""

    counts: Counts
    ledger: LedgerState | None
    views: ViewsState | None
    notes: list[str]


def overview(ledger: Path, views: Path) -> Overview:
    """Look at a ledger's folder and a views file, neither of which need exist."""
    notes: list[str] = []
    # The views first: the ledger only grows, so `behind` is never negative without a reason.
    counts, position = Counts(), None
    try:
        with Views(views) as opened:
            counts, position = opened.counts(), opened.position()
    except NotFound:
        pass
    except KarlError as error:
        notes.append(str(error))
    state = None
    try:
        state = _ledger_state(ledger)
    except KarlError as error:
        notes.append(f"the ledger's end can not be read: {error}")
    shown = None
    if position:
        behind = max(0, state.seq - position.seq) if state else 0
        shown = ViewsState(position.seq, position.segment, position.offset, behind)
    elif state and not notes:
        notes.append(
            "there are no views of this ledger yet; `karl up` makes them, and so does `karl rebuild`"
        )
    if not state and not position and not notes:
        notes.append("nothing recorded yet; run `karl hooks install`, then `karl up`")
    return Overview(counts, state, shown, notes)


def _ledger_state(folder: Path) -> LedgerState | None:
    last = head(folder)
    if not last.seq:
        return None
    size = sum(stored_size(folder, name) for name in list_segments(folder))
    return LedgerState(last.seq, last.hash, last.segment, last.term, last.time, last.records, size)
