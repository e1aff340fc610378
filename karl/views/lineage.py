"""What the views tell of learning: holdouts, exports, trainings, evaluations, decisions, claims.

    with Lineage(path) as views:
        row = views.training("3f2a")
        body = body_at(ledger, row.place, TrainingBody)

Bodies are read from the ledger with `karl.views.routing.body_at`, which raises LedgerRewound where one was
erased.
"""

# ruff: noqa: S608 - what is put into the SQL here are names of our own columns; values are bound
from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from karl.errors import KarlError, NotFound
from karl.learning.marks import mark
from karl.ledger.frame import NO_HASH
from karl.views.lineage_rows import (
    ClaimRow,
    DecisionRow,
    EvaluationRow,
    ExportRow,
    HoldoutRow,
    LearnedHead,
    SyntheticRow,
    TrainingRow,
)
from karl.views.queries import Views
from karl.views.rows import Place

__all__ = [
    "ClaimRow",
    "DecisionRow",
    "EvaluationRow",
    "ExportRow",
    "HoldoutRow",
    "LearnedHead",
    "Lineage",
    "SyntheticRow",
    "TrainingRow",
]

T = TypeVar("T", bound=msgspec.Struct)

#: Ids that an error about an ambiguous one lists, and the digits of each.
_CANDIDATES, _DIGITS = 8, 16
_LAST = "\U0010ffff"

_ENDED_BY = "coalesce((SELECT id FROM {0} e WHERE e.{1} = {0}.id ORDER BY seq LIMIT 1), '') AS {2}"
#: Columns of a row that are no columns of its table, and one whose name is a word of SQL's.
_MADE = {
    "released_by": _ENDED_BY.format("holdouts", "released", "released_by"),
    "withdrawn_by": _ENDED_BY.format("claims", "withdrawn", "withdrawn_by"),
    "commit": '"commit"',
}


class _Table(NamedTuple):
    """Where rows of one shape are, which of the table's rows are such, and what lists them."""

    name: str
    where: str
    listed: str


_TABLES: dict[type[msgspec.Struct], _Table] = {
    HoldoutRow: _Table("holdouts", "released = ''", "`karl holdout list` lists them"),
    ExportRow: _Table("exports", "1", "`karl export` makes them"),
    TrainingRow: _Table("trainings", "1", "`karl sft-status` lists them"),
    EvaluationRow: _Table("evaluations", "1", "`karl sft-eval` makes them"),
    DecisionRow: _Table("adapter_decisions", "1", "`karl adapters show` tells them"),
    ClaimRow: _Table("claims", "withdrawn = ''", "`karl claims list` lists them"),
    SyntheticRow: _Table("synthetic", "1", "`karl synth-qa --list` lists them"),
}
#: Columns that hold JSON, and those that hold a flag.
_JSON, _FLAGS = frozenset({"held_out", "holdouts", "of"}), frozenset({"forced", "removed"})


class Lineage(Views):
    """The views, asked about learning. Raises NotFound when there are none yet."""

    def learned_head(self) -> LearnedHead:
        """Give the last line that changes what an export holds.

        That is the last of any kind but `export`, `training`, `evaluation`, `adapter`, `claim`, `shadow` and
        `erased`, that was understood, and that is not `karl doctor`'s.
        """
        rows = self._all("SELECT seq, hash FROM learned")
        return LearnedHead(*rows[0]) if rows else LearnedHead(0, NO_HASH)

    def holdouts(self, *, released: bool = False) -> list[HoldoutRow]:
        """List the holdouts in force, oldest first; with `released` those too that count no more."""
        rows = self._newest(HoldoutRow)[::-1]
        return [row for row in rows if released or row.in_force]

    def holdout(self, name: str) -> HoldoutRow:
        """Give one holdout, by its id or the beginning of it. Raises what `export` does."""
        return self._one(HoldoutRow, name)

    def held_out(self) -> frozenset[str]:
        """Give the sessions that are held out: those of the holdouts in force."""
        rows = self._all(
            "SELECT DISTINCT session FROM held_sessions WHERE holdout NOT IN "
            "(SELECT released FROM holdouts WHERE released <> '')"
        )
        return frozenset(row[0] for row in rows)

    def sessions_held_by(self, holdout: str) -> frozenset[str]:
        """Give the sessions of one holdout, whether it is in force or not."""
        rows = self._all("SELECT session FROM held_sessions WHERE holdout = ?", (holdout,))
        return frozenset(row[0] for row in rows)

    def marks(self) -> frozenset[str]:
        """Give the marks (karl.learning.marks) of all sessions that the ledger still has."""
        return frozenset(mark(row[0]) for row in self._ask("SELECT session FROM sessions", ()))

    def exports(self, limit: int = 50) -> list[ExportRow]:
        """List the records of exports, the newest first."""
        return self._newest(ExportRow, limit)

    def export(self, name: str) -> ExportRow:
        """Give the newest record of an export, by its id or the beginning of it.

        Raises NotFound, and KarlError with the candidates when several ids begin so.
        """
        return self._one(ExportRow, name)

    def trainings(self, limit: int = 50, *, export: str | None = None) -> list[TrainingRow]:
        """List training runs, the newest first; those of one export where it is named whole."""
        return self._newest(TrainingRow, limit, *_of_export(export))

    def adapters(self, limit: int = -1) -> list[TrainingRow]:
        """List the training runs that gave an adapter, the newest first."""
        return self._newest(TrainingRow, limit, "adapter <> ''")

    def training(self, name: str) -> TrainingRow:
        """Give the newest training run of this adapter, label or id, or whose adapter or id begins so.

        Raises NotFound, and KarlError with the candidates when several begin so.
        """
        for column in ("adapter", "label"):
            for row in self._newest(TrainingRow, 1, f"{column} = ? AND {column} <> ''", (name,)):
                return row
        begins = (name, name, name + _LAST)
        rows = self._all(
            "SELECT id, adapter FROM trainings WHERE id = ? OR adapter > ? AND adapter < ?", begins
        )
        adapters = sorted({row["adapter"] for row in rows})
        if not name or not rows or name in {row["id"] for row in rows}:
            return self._one(TrainingRow, name)
        if len(adapters) > 1:
            raise _several(adapters, name)
        return self.training(adapters[0])

    def evaluations(self, limit: int = 50, *, export: str | None = None) -> list[EvaluationRow]:
        """List evaluations, the newest first; those of one export where it is named whole."""
        return self._newest(EvaluationRow, limit, *_of_export(export))

    def evaluation(self, name: str) -> EvaluationRow:
        """Give one evaluation, by its id or the beginning of it. Raises what `export` does."""
        return self._one(EvaluationRow, name)

    def evaluations_of(self, adapter: str, *, arm: str = "") -> list[EvaluationRow]:
        """List the evaluations that judged an adapter, in one arm if it is named, the newest first."""
        where = "id IN (SELECT evaluation FROM evaluated WHERE adapter = ? AND ? IN (arm, ''))"
        return self._newest(EvaluationRow, -1, where, (adapter, arm))

    def decisions(self, limit: int = 50) -> list[DecisionRow]:
        """List what was decided about which adapter is in use, the newest first."""
        return self._newest(DecisionRow, limit)

    def current(self) -> str:
        """Give the id of the adapter that is in use; empty for none."""
        rows = self.decisions(1)
        return rows[0].adapter if rows else ""

    def claims(self, *, withdrawn: bool = False) -> list[ClaimRow]:
        """List the claims that stand, oldest first; with `withdrawn` those too that were taken back."""
        rows = self._newest(ClaimRow)[::-1]
        return [row for row in rows if withdrawn or not row.withdrawn_by]

    def claim(self, name: str) -> ClaimRow:
        """Give one claim, by its id or the beginning of it. Raises what `export` does."""
        return self._one(ClaimRow, name)

    def synthetic(self, limit: int = -1, *, removed: bool = False) -> list[SyntheticRow]:
        """List synthetic questions, the newest first; with `removed` those too that are not to be used."""
        return self._newest(SyntheticRow, limit, "1" if removed else "removed = 0")

    def _newest(
        self, shape: type[T], limit: int = -1, where: str = "1", values: Sequence[Any] = ()
    ) -> list[T]:
        sql = f"{_select(shape)} AND {where} ORDER BY seq DESC LIMIT ?"
        return [_row(shape, row) for row in self._all(sql, (*values, limit))]

    def _one(self, shape: type[T], name: str) -> T:
        for row in self._newest(shape, 1, "id = ?", (name,)):
            return row
        rows = self._all(f"{_select(shape)} AND id > ? AND id < ? ORDER BY seq DESC", (name, name + _LAST))
        if not rows or not name:
            thing = shape.__name__.removesuffix("Row").lower()
            raise NotFound(f"no {thing} has an id that begins with {name!r}; {_TABLES[shape].listed}")
        ids = sorted({row["id"] for row in rows})
        if len(ids) > 1:
            raise _several(ids, name)
        return _row(shape, rows[0])


def _select(shape: type[msgspec.Struct]) -> str:
    names = [name for name in shape.__struct_fields__ if name != "place"]
    columns = ", ".join([*Place._fields, *(_MADE.get(name, name) for name in names)])
    return f"SELECT {columns} FROM {_TABLES[shape].name} WHERE {_TABLES[shape].where}"


def _of_export(export: str | None) -> tuple[str, tuple[str, ...]]:
    return ("export = ?", (export,)) if export is not None else ("1", ())


def _several(ids: Sequence[str], name: str) -> KarlError:
    shown = ", ".join(one[:_DIGITS] for one in ids[:_CANDIDATES])
    more = ", …" if len(ids) > _CANDIDATES else ""
    return KarlError(f"several ids begin with {name!r}: {shown}{more}; give more of one")


def _row(shape: type[T], row: sqlite3.Row) -> T:
    known = dict(zip(row.keys(), row, strict=True))
    place = tuple(known.pop(name) for name in Place._fields)
    for name, value in known.items():
        if name in _FLAGS:
            known[name] = bool(value)
        elif name in _JSON:
            known[name] = msgspec.json.decode(value)
    return msgspec.convert({**known, "place": place}, shape)
