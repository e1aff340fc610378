"""One trajectory with its facts: the row from the views, the bodies from the ledger.

The views know where each record lies, so this reads exactly the lines that it shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from karl.schema.record import Score, TrajectoryBody
from karl.schema.trajectory import ToolCall
from karl.views.queries import LaterRecord, TrajectoryRow, Views
from karl.views.whole import assemble


class Detail(msgspec.Struct, frozen=True):
    """A trajectory: its row, its record's body, the score that counts now, and what was said later.

    Facts that came after the record was made are in the body with the others, and read with them.
    """

    row: TrajectoryRow
    body: TrajectoryBody
    score: Score
    later: list[LaterRecord]


def detail(views: Views, ledger: Path, trajectory: str) -> Detail:
    """Read one trajectory. Raises NotFound, and LedgerDamaged when its record is not where it was."""
    row = views.trajectory(trajectory)
    whole = assemble(ledger, views.parts(trajectory))
    return Detail(row, whole.body, whole.score, views.later(trajectory))


def call_tree(calls: Sequence[ToolCall]) -> Iterator[tuple[int, int, ToolCall]]:
    """Give each call as (depth, number, call): a subagent's calls right after the one that started it.

    Numbers count from 1 in the order in which the calls were made. A call whose parent is unknown,
    or comes after it, stands at the top.
    """
    numbers = {call.call_id or "": number for number, call in enumerate(calls)}
    children: dict[int, list[int]] = {}
    for number, call in enumerate(calls):
        parent = numbers.get(call.parent_call, -1) if call.parent_call else -1
        children.setdefault(parent if parent < number else -1, []).append(number)
    waiting = [(0, number) for number in reversed(children.get(-1, []))]
    while waiting:
        depth, number = waiting.pop()
        yield depth, number + 1, calls[number]
        waiting += [(depth + 1, child) for child in reversed(children.get(number, []))]
