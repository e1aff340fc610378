"""Synthetic rows beside those of the ledger: of the training part only, and never more than was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from karl.errors import LedgerRewound
from karl.export.options import DataSetOptions
from karl.learning.groups import Item
from karl.learning.row import Row
from karl.learning.synthetic.questions import Worked, apart, rows
from karl.schema.learning import SyntheticBody
from karl.views.lineage import Lineage
from karl.views.routing import body_at


def synthetic_rows(
    lineage: Lineage, ledger: Path, how: DataSetOptions, away: Sequence[Item], of_rows: int
) -> list[Row]:
    """Give the synthetic rows for so many others. `away` are the sessions that are not trained with.

    Left out is what was committed in a project after one of those began there: it may be its own work.
    """
    if not how.synthetic:
        return []
    bodies = []
    for row in lineage.synthetic():
        with suppress(LedgerRewound):  # it was erased
            bodies.append(body_at(ledger, row.place, SyntheticBody))
    worked = [Worked(item.project, item.started_ms) for item in away]
    return rows(apart(bodies, worked), how.synthetic, of_rows, how.split.seed)
