"""From ledger lines to the rows of learning; see `karl.views.project`, whose invariants hold here too.

- Records that refer to each other may come in any order: none changes another's row.
- The last line that changes what an export holds is kept, so that records about exports, trainings and
  adapters do not change the next export of the same turns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from karl.ledger.frame import BLANK, SEGMENT, Line
from karl.schema.learning import (
    AdapterBody,
    ClaimBody,
    EvaluationBody,
    ExportBody,
    HoldoutBody,
    SyntheticBody,
    TrainingBody,
)
from karl.views.columns import COUNT_MAX, fit, place, short

#: Kinds of lines that leave what an export holds as it is.
_CHANGE_NOTHING = frozenset(
    {"export", "training", "evaluation", "adapter", "claim", "shadow", "erased", SEGMENT, BLANK}
)


class Learning:
    """Rows of learning on their way into the tables."""

    def __init__(self, execute: Callable[..., Any], counts: Counter[str]) -> None:
        """Take the statement runner, and the counters, of a batch of lines."""
        self._sql = execute
        self._counts = counts
        self._last: Line | None = None

    def see(self, line: Line) -> None:
        """Take note of a line of any kind that was understood."""
        if line.kind not in _CHANGE_NOTHING:
            self._last = line

    def finish(self) -> None:
        """Write down the last line that changes what an export holds, if there was one."""
        if self._last is not None:
            self._sql("DELETE FROM learned")
            self._sql("INSERT INTO learned VALUES (?, ?)", (self._last.seq, self._last.hash))

    def holdout(self, line: Line, body: HoldoutBody) -> None:
        """Take what was held out, or that it counts no more."""
        how = (body.way, fit(body.seed), body.share, fit(body.groups), len(body.sessions), body.reason)
        row = (line.seq, *place(line), body.id, *how, *_whose(body), body.released)
        if self._once("holdouts", row):
            for session in body.sessions:
                self._sql("INSERT OR IGNORE INTO held_sessions VALUES (?, ?)", (session, body.id))

    def export(self, line: Line, body: ExportBody) -> None:
        """Take the record of an export."""
        made = body.manifest
        span = (fit(made.ledger.from_seq), fit(made.ledger.to_seq), made.ledger.head)
        rows = [
            sum(fit(file.rows, COUNT_MAX) for name, file in made.files.items() if name.startswith(part))
            for part in _PARTS
        ]
        sessions = len({one for part in made.sessions.values() for one in part})
        held_out = msgspec.json.encode(made.held_out).decode()
        what = (*rows, sessions, _number(made.weights.ess), held_out, made.command)
        row = (line.seq, *place(line), body.id, made.format, made.reward_version, *span, *what)
        self._add("exports", (*row, *_whose(body)))

    def training(self, line: Line, body: TrainingBody) -> None:
        """Take a training run; one that is there already counts once.

        A run that ended without an adapter may be asked for again, under its id: then the last word counts.
        """
        losses = [one.valid_loss for one in body.curve if one.valid_loss is not None]
        losses = [loss for loss in losses if math.isfinite(loss)]
        of = (body.export, body.model, body.model_digest, body.label, body.adapter, body.ended, body.device)
        how = (fit(body.recipe.iters), fit(body.recipe.seed), fit(body.best), min(losses, default=None))
        ran = (fit(body.rows), _number(body.tokens_per_s), _number(body.seconds), fit(body.resumed), body.job)
        row = (line.seq, *place(line), body.id, *of, *how, *ran, body.person, body.node)
        self._sql("DELETE FROM trainings WHERE id = ? AND adapter = ''", (body.id,))
        self._once("trainings", (*row, fit(body.started_ms), fit(body.time_ms)))

    def evaluation(self, line: Line, body: EvaluationBody) -> None:
        """Take an evaluation, and which adapters it judged; one that is there already counts once."""
        of = (body.export, body.model, body.model_digest, body.verdict)
        primary = body.primary
        interval = (_number(primary.difference), _number(primary.low), _number(primary.high))
        over = (len(body.seeds), fit(body.items), len(body.sessions))
        rest = (msgspec.json.encode(body.holdouts).decode(), body.why, body.job, *_whose(body))
        row = (line.seq, *place(line), body.id, *of, primary.name, primary.metric, *interval, *over, *rest)
        if not self._once("evaluations", row):
            return
        for arm in body.arms:
            for run in arm.runs:
                if run.adapter:
                    judged = (run.adapter, body.id, arm.name, fit(run.seed))
                    self._sql("INSERT OR IGNORE INTO evaluated VALUES (?, ?, ?, ?)", judged)

    def adapter(self, line: Line, body: AdapterBody) -> None:
        """Take a decision; one that is there already counts once."""
        what = (body.id, body.action, body.adapter, body.evaluation, body.forced, body.reason)
        self._once("adapter_decisions", (line.seq, *place(line), *what, *_whose(body)))

    def claim(self, line: Line, body: ClaimBody) -> None:
        """Take a claim, or that one is not made any more."""
        of = msgspec.json.encode(body.of, order="sorted").decode()
        what = (body.id, body.kind, body.text, of, body.boundary, *_whose(body), body.withdrawn)
        self._once("claims", (line.seq, *place(line), *what))

    def synthetic(self, line: Line, body: SyntheticBody) -> None:
        """Take what was said last of a synthetic question."""
        what = (short(body.question) or "", body.repository, body.commit, len(body.files), len(body.facts))
        row = (body.id, line.seq, *place(line), *what, *_whose(body), body.removed)
        self._sql(f"INSERT OR REPLACE INTO synthetic VALUES ({_marks(row)})", row)  # noqa: S608 - marks only

    def _once(self, table: str, row: Sequence[Any]) -> bool:
        """Put a row in; say whether its id was not there before."""
        added = self._add(table, row)
        if not added:
            self._counts["duplicates"] += 1
        return added

    def _add(self, table: str, row: Sequence[Any]) -> bool:
        sql = f"INSERT OR IGNORE INTO {table} VALUES ({_marks(row)})"  # noqa: S608 - a table of ours
        return bool(self._sql(sql, row).rowcount)


#: How the names of a data set's files begin whose rows are counted, in the order of their columns.
_PARTS = ("train.", "valid.")

_Signed = HoldoutBody | ExportBody | EvaluationBody | AdapterBody | ClaimBody | SyntheticBody


def _whose(body: _Signed) -> tuple[str, str, int]:
    return body.person, body.node, fit(body.time_ms)


def _number(value: float) -> float:
    """Give a number as a column that is never null holds it: SQLite has no NaN."""
    return value if math.isfinite(value) else 0.0


def _marks(row: Sequence[Any]) -> str:
    return ", ".join("?" * len(row))


#: What is done with the body of each kind of record of learning.
READERS: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[Learning, Line, Any], None]]] = {
    "holdout": (msgspec.json.Decoder(HoldoutBody), Learning.holdout),
    "export": (msgspec.json.Decoder(ExportBody), Learning.export),
    "training": (msgspec.json.Decoder(TrainingBody), Learning.training),
    "evaluation": (msgspec.json.Decoder(EvaluationBody), Learning.evaluation),
    "adapter": (msgspec.json.Decoder(AdapterBody), Learning.adapter),
    "claim": (msgspec.json.Decoder(ClaimBody), Learning.claim),
    "synthetic": (msgspec.json.Decoder(SyntheticBody), Learning.synthetic),
}
