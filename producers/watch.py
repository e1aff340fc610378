"""What the shipper's figures are asked of when somebody looks: the shipper, which knows them already."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from karl.metrics import table
from karl.metrics.metric import Sample

if TYPE_CHECKING:
    from karl.metrics.asked import Watch
    from producers.ship import Shipper
    from producers.spool import Depth


class Figures(NamedTuple):
    """What was done since the start, what waits, and for how many partitions events are held back."""

    totals: dict[str, int]
    redactions: dict[str, int]
    depth: Depth
    held_back: int


def of_shipper(shipper: Shipper, now_ns: Callable[[], int] = time.time_ns) -> list[Watch]:
    """Give what to ask of a shipper. The spool is as it was counted last, some seconds ago."""

    def figures() -> list[Sample]:
        seen = shipper.figures()
        return [
            Sample(table.SPOOL_FILES, seen.depth.files),
            Sample(table.SPOOL_BYTES, seen.depth.bytes),
            Sample(table.SPOOL_MAX_BYTES, shipper.spool_max_bytes),
            Sample(table.SPOOL_OLDEST, seen.depth.oldest_age_s(now_ns())),
            Sample(table.SPOOL_FULL, shipper.spool.is_full()),
            Sample(table.HELD_BACK, seen.held_back),
            Sample(table.SHIPPED, seen.totals.get("shipped", 0)),
            Sample(table.DEAD_LETTERS_TOTAL, seen.totals.get("dead", 0)),
            *(Sample(table.REDACTIONS, count, (rule,)) for rule, count in seen.redactions.items()),
        ]

    return [figures]
