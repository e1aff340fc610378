"""What a data set is made of: the chosen turns as rows, pairs or documents, laid aside on disk, and counted.

One pass over the views and the ledger; which part a session is in is decided from what was found here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from karl.export import atif, jsonl
from karl.export.budget import Budget, Fitting
from karl.export.clean import Cleaner
from karl.export.forms import read_back
from karl.export.options import DataSetOptions
from karl.export.pairs import pairs
from karl.export.pieces import LeftOut, Piece
from karl.export.rows import rows
from karl.export.selection import Group, Progress, Selection, Skip, without
from karl.export.spill import Spill
from karl.learning.repeats import said
from karl.learning.row import Row
from karl.learning.weights import masked
from karl.views.queries import TrajectoryRow
from karl.views.search import SEARCHED_MAX

OUTSIDE = "turns before the first line that was asked for (--from-seq)"
OTHER_VERSION = "turns that no score of this reward's version counts for (`karl backfill` makes one)"
FAILED = "steps that failed: history of others, no target (--no-mask)"
CORRECTED = "steps of corrected turns: no target (--no-mask)"
#: What a manifest counts as masked.
MASKED = (FAILED, CORRECTED)

_encode = msgspec.json.Encoder().encode


class Gathered(NamedTuple):
    """What was found: counts of what is there, and of what is not, by reason.

    `handed` has what each session's agent handed on to subagents.
    """

    counts: Counter[str]
    left_out: Counter[str]
    handed: dict[str, tuple[str, ...]]


class Gatherer:
    """Lays aside what a data set can have."""

    def __init__(
        self, how: DataSetOptions, selection: Selection, cleaner: Cleaner, budget: Budget | None
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self._how = how
        self._selection = selection
        self._cleaner = cleaner
        self._budget = budget
        self._handed: defaultdict[str, set[str]] = defaultdict(set)

    def gather(self, spill: Spill, progress: Progress) -> Gathered:
        """Go through all turns that are wanted. What can not be read is counted."""
        whole = self._how.has_pairs or self._how.format == "atif"
        groups = self._counted(self._selection.groups(progress, whole_sessions=whole))
        if self._how.has_rows:
            for group in groups:
                self._rows(group, spill)
        elif self._how.has_pairs:
            self._pairs(groups, spill)
        else:
            for group in groups:
                self._documents(group, spill)
        handed = {session: tuple(sorted(texts)) for session, texts in self._handed.items()}
        return Gathered(self.counts, self.left_out + self._selection.left_out, handed)

    def _counted(self, groups: Iterator[Group]) -> Iterator[Group]:
        last = ""
        for group in groups:
            session = group.turns[0].row.session
            self.counts["sessions"] += session != last
            last = session
            self.counts["trajectories"] += len(group.turns)
            calls = [
                made
                for turn in group.turns
                for one in turn.transcript.all
                for reply in one.replies
                for made in reply.calls
            ]
            self.counts["calls"] += len(calls)
            handed = (made.arguments.get("prompt") for made in calls)
            if texts := {text[:SEARCHED_MAX] for text in handed if isinstance(text, str)}:
                self._handed[session] |= texts
            yield group

    def _rows(self, group: Group, spill: Spill) -> None:
        (turn,) = group.turns
        how = self._how
        for row in rows(turn, how.detail, opening=group.opening, subagents=how.subagents):
            if isinstance(row, LeftOut):
                self.left_out[row.reason] += row.number
            elif how.mask and masked(row):
                self.left_out[CORRECTED if row.karl.corrected else FAILED] += 1
            elif (fitting := self._fitted(row)) is not None:
                of = turn.row
                fields = msgspec.to_builtins(fitting.row)
                self._lay(spill, of.session, of.advantage, fields, "rows", tokens=fitting.tokens)

    def _fitted(self, row: Row) -> Fitting | None:
        """Cut a row to what the model takes; count it where nothing can be cut."""
        if self._budget is None:
            return Fitting(row, 0, cut=False)
        fitting = self._budget.fit(row)
        if isinstance(fitting, LeftOut):
            self.left_out[fitting.reason] += fitting.number
            return None
        self.counts["rows with less history"] += fitting.cut
        return fitting

    def _pairs(self, groups: Iterator[Group], spill: Spill) -> None:
        for pair in pairs(groups, self._how.detail, self._budget):
            if isinstance(pair, LeftOut):
                self.left_out[pair.reason] += pair.number
                continue
            self.counts[f"pairs: {pair.why}"] += 1
            for line in pair.dpo() if self._how.format == "dpo" else pair.kto():
                self._lay(
                    spill,
                    pair.chosen.session,
                    0.0,
                    msgspec.to_builtins(line),
                    "rows",
                    other=pair.rejected.session,
                )

    def _documents(self, group: Group, spill: Spill) -> None:
        made = atif.pieces(group) if self._how.format == "atif" else jsonl.pieces(group)
        for piece in made:
            if isinstance(piece, Piece):
                self._lay(spill, piece.name, 0.0, msgspec.to_builtins(piece.data), "documents")
            else:
                self.left_out[piece.reason] += piece.number

    def _lay(
        self,
        spill: Spill,
        session: str,
        advantage: float,
        fields: dict[str, Any],
        what: str,
        *,
        other: str = "",
        tokens: int = 0,
    ) -> None:
        """Lay a line aside, without a secret that only shows in what was made of the facts."""
        fields = self._cleaner.made(fields)
        says = b"".join(said(row) for row in read_back(fields, self._how))
        spill.add(session, advantage, _encode(fields), said=says, other=other, tokens=tokens)
        self.counts[f"{what} found"] += 1


def skips(how: DataSetOptions, held_out: frozenset[str]) -> Skip:
    """Leave out what is held out, before the span, or scored by another version."""
    held = without(held_out)

    def skip(row: TrajectoryRow) -> str:
        if reason := held(row):
            return reason
        if row.place.seq < how.from_seq:
            return OUTSIDE
        return OTHER_VERSION if row.reward_version != how.reward_version else ""

    return skip
