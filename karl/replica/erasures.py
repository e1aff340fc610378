"""Erasing in a copy what was erased at its source: bodies that were copied before must go here too."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from karl.ledger.erase import Wanted, blank
from karl.ledger.frame import Line
from karl.ledger.latest import latest
from karl.schema.record import ErasedBody, ErasureBody

_erased = msgspec.json.Decoder(ErasedBody)
_erasure = msgspec.json.Decoder(ErasureBody)


def erasures_in(lines: list[Line]) -> list[str]:
    """Give the ids of the erasures that came to their end at the source, by these lines of its ledger."""
    return [_erased.decode(line.body).erasure for line in lines if line.kind == "erased"]


def erase_here(folder: Path, erasures: Collection[str]) -> int:
    """Take out here what erasures took out at the source; gives the number of lines. Again changes nothing.

    One whose beginning the copy does not have is left. The caller holds the folder (`rewrite.alone`).
    Raises LedgerDamaged and FsyncFailed.
    """
    left, count = set(erasures), 0
    for line in latest(folder) if left else ():
        if line.kind != "erasure" or (body := _erasure.decode(line.body)).id not in left:
            continue
        count += blank(folder, body.lines, Wanted(frozenset(body.sessions), body.before_ms))
        left.discard(body.id)
        if not left:
            break
    return count
