"""A ledger that was written here and is to become a copy: what its source does not have is set aside.

That is what a writer had written before it was lost, and nobody had copied. It counts no more: the source
went on without it. The bytes stay in `.torn` files, for a person to look at.
"""

from __future__ import annotations

from pathlib import Path

from karl.errors import Unreadable
from karl.ledger.files import is_packed, open_segment
from karl.ledger.recovery import copy_tail, cut_off, set_aside
from karl.ledger.rewrite import unpack
from karl.ledger.segments import Cut, list_segments
from karl.replica.lines import line_before
from karl.replica.protocol import Listing


def set_apart(folder: Path, listing: Listing) -> list[Cut]:
    """Set aside everything from the first byte on that is not the source's, and say what.

    A last segment that is shorter than the source's is left: whether it is its beginning shows when it is
    gone on with. Raises LedgerDamaged and FsyncFailed.
    """
    heads = [part.prev for part in listing.segments[1:]] + [listing.end.head]
    known = {part.segment: (part.length, head) for part, head in zip(listing.segments, heads, strict=True)}
    cuts: list[Cut] = []
    for name in list_segments(folder):
        length, head = known.get(name, (0, ""))
        shared = 0 if cuts else _shared(folder, name, length, head)
        if shared is not None:
            cuts.append(_cut(folder, name, shared))
    return cuts


def _shared(folder: Path, name: str, length: int, head: str) -> int | None:
    """Say how many bytes of a segment are the source's too, when that is not all of them."""
    with open_segment(folder, name) as file:
        size = file.size()
        if size < length:
            return None
        try:
            same = length > 0 and line_before(file, name, length).hash == head
        except Unreadable:
            same = False
    if not same:
        return 0
    return length if size > length else None


def _cut(folder: Path, name: str, start: int) -> Cut:
    if is_packed(folder, name):
        unpack(folder, name)
    path = folder / name
    size = path.stat().st_size
    if not start:
        return set_aside(path, size)
    cut = copy_tail(path, start, size)
    cut_off(folder, cut)
    return cut
