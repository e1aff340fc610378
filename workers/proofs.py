"""What a claim about learning rests on, looked up: records of the ledger, and files that are on this machine.

What can not be read is part of the answer: a record whose body was erased or damaged, a file that is another.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from karl.errors import KarlError, LedgerError
from karl.learning import claims, lift, manifests
from karl.learning.marks import mark
from karl.learning.proof import Check, Files, HoldoutFacts, Known, Status, Used
from karl.ledger.latest import line_of
from karl.schema.learning import ClaimKind, EvaluationBody, ExportBody, TrainingBody
from karl.stream.bundles import digest_of
from karl.views.lineage import Lineage
from karl.views.routing import body_at
from workers import datasets
from workers.adapter_files import id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from karl.settings import Settings
    from karl.views.lineage import ClaimRow, EvaluationRow, TrainingRow
    from karl.views.rows import Place

T = TypeVar("T")
_NOT_THERE = "the ledger has no such record"


class _Placed(Protocol):
    """A row that says where its record lies."""

    @property
    def place(self) -> Place: ...


class Judged(msgspec.Struct, frozen=True):
    """A claim's checks, and the status that follows."""

    status: Status
    checks: list[Check]
    known: Known


class Proofs:
    """Looks up what claims rest on, over views that are open; what is asked twice is read once."""

    def __init__(self, settings: Settings, views: Lineage) -> None:
        self._settings = settings
        self._views = views
        self._sessions: dict[str, frozenset[str] | None] = {}

    def judge(self, claim: ClaimRow) -> Judged:
        """Give the status of a claim. Raises OSError where files can not be read."""
        known = self.known(claim.kind, claim.of)
        found = claims.checks(claim.kind, known)
        return Judged(claims.status(claim.kind, found), found, known)

    def known(self, kind: ClaimKind, of: Mapping[str, str]) -> Known:
        """Look up what a claim of a kind about `of` rests on."""
        if kind == "lift":
            return self.of_evaluation(of.get("evaluation", ""), of)
        if kind == "training":
            return self._of_training(of.get("training", ""))
        if kind == "export":
            return self._with_export(Known(of=of), of.get("export", ""), files=True)
        if kind == "holdout":
            return self._of_holdout(of)
        return Known(of=of, missing=self._missing(of))

    def of_evaluation(self, evaluation: str, of: Mapping[str, str] = {}) -> Known:
        """Look up all that an evaluation rests on; `of` is what else a claim names."""
        missing: dict[str, str] = {}
        body = self._body("evaluation", evaluation, self._views.evaluation, EvaluationBody, missing)
        known = Known(of={**of, "evaluation": evaluation}, missing=missing, evaluation=body)
        if body is None:
            return known
        known = self._with_export(known, body.export)
        adapters = sorted({run.adapter for arm in body.arms for run in arm.runs if run.adapter})
        trainings = {one: self._training_of(one, missing) for one in adapters}
        known = self._with_adapters(known, [one for one in trainings.values() if one is not None])
        return msgspec.structs.replace(known, holdouts=self._held(body.holdouts), look=self._look(evaluation))

    def _look(self, evaluation: str) -> int:
        """Number an evaluation among those that could have said lift of sessions which it has too."""
        rows = [row for row in reversed(self._views.evaluations(-1)) if row.seeds >= lift.SEEDS_MIN]
        this = next((at for at, row in enumerate(rows) if row.id == evaluation), None)
        return 1 if this is None else 1 + sum(_same_sessions(rows[this], row) for row in rows[:this])

    def export(self, export: str) -> ExportBody | None:
        """Give an export's record; null where there is none to read."""
        return self._body("export", export, self._views.export, ExportBody, {})

    def training(self, row: TrainingRow) -> TrainingBody:
        """Give a training's record. Raises LedgerDamaged, LedgerRewound."""
        return body_at(self._settings.ledger, row.place, TrainingBody)

    def sessions_of(self, export: str) -> frozenset[str] | None:
        """Give the marks of the sessions that an export has; null where its record can not be read."""
        if export not in self._sessions:
            made = self.export(export)
            parts = made.manifest.sessions if made is not None else {}
            of = frozenset(one for part in manifests.PARTS for one in parts.get(part, ()))
            self._sessions[export] = of if made is not None else None
        return self._sessions[export]

    @cached_property
    def used(self) -> list[Used]:
        """Every training so far, and the sessions that it used."""
        rows = self._views.trainings(-1)
        return [Used(row.id, row.export, self.sessions_of(row.export)) for row in rows]

    def _of_training(self, training: str) -> Known:
        missing: dict[str, str] = {}
        body = self._body("training", training, self._views.training, TrainingBody, missing)
        known = Known(of={"training": training}, missing=missing)
        if body is None:
            return known
        known = self._with_adapters(self._with_export(known, body.export), [body] if body.adapter else [])
        return msgspec.structs.replace(known, trainings={body.adapter: body})

    def _of_holdout(self, of: Mapping[str, str]) -> Known:
        named = [of["holdout"]] if of.get("holdout") else [row.id for row in self._views.holdouts()]
        return Known(of=of, missing=self._missing(of), holdouts=self._held(named), used=self.used)

    def _with_export(self, known: Known, export: str, *, files: bool = False) -> Known:
        """Add an export, and the line of this ledger that it ends with."""
        missing = dict(known.missing)
        body = self._body("export", export, self._views.export, ExportBody, missing)
        line = ""
        if body is not None:
            try:
                found = line_of(self._settings.ledger, body.manifest.ledger.to_seq)
            except LedgerError as error:
                missing["ledger"] = str(error)
            else:
                line = found.hash if found is not None else ""
        return msgspec.structs.replace(
            known,
            of={**known.of, "export": export},
            missing=missing,
            export=body,
            line=line,
            export_files=self._export_files(export) if files and body is not None else Files(here=False),
        )

    def _with_adapters(self, known: Known, bodies: Iterable[TrainingBody]) -> Known:
        of = {body.adapter: body for body in bodies}
        return msgspec.structs.replace(
            known,
            trainings=of,
            names={adapter: id_of(body.files) if body.files else "" for adapter, body in of.items()},
            files={adapter: files_here(self._settings, body) for adapter, body in of.items()},
        )

    def _export_files(self, export: str) -> Files:
        folder = self._settings.exports / export
        if not folder.is_dir():
            return Files(here=False)
        try:
            manifest = datasets.check(folder)
        except KarlError as error:
            return Files(here=True, wrong=str(error))
        same = manifests.id_of(manifest) == export
        return Files(here=True, wrong="" if same else f"{folder} has the manifest of another export")

    def _held(self, names: Iterable[str]) -> dict[str, HoldoutFacts]:
        found = {}
        for name in names:
            if (row := self._row(self._views.holdout, name)) is not None:
                sessions = self._views.sessions_held_by(row.id)
                found[row.id] = HoldoutFacts(frozenset(map(mark, sessions)), row.released_by)
        return found

    def _training_of(self, adapter: str, missing: dict[str, str]) -> TrainingBody | None:
        return self._body("adapter", adapter, self._views.training, TrainingBody, missing)

    def _missing(self, of: Mapping[str, str]) -> dict[str, str]:
        """Say which records of those that are named are not there."""
        ask: dict[str, Callable[[str], object]] = {
            "evaluation": self._views.evaluation,
            "export": self._views.export,
            "training": self._views.training,
            "adapter": self._views.training,
            "holdout": self._views.holdout,
        }
        return {
            f"{name} {id_}": _NOT_THERE
            for name, id_ in of.items()
            if name not in ask or self._row(ask[name], id_) is None
        }

    @staticmethod
    def _row(ask: Callable[[str], T], id_: str) -> T | None:
        """Give the row of exactly this id: what a claim names is whole, a beginning is nothing."""
        try:
            row = ask(id_)
        except KarlError as error:
            if isinstance(error, LedgerError):
                raise
            return None
        return row if id_ in {getattr(row, "id", ""), getattr(row, "adapter", "")} else None

    def _body(
        self,
        kind: str,
        id_: str,
        ask: Callable[[str], _Placed],
        shape: type[T],
        missing: dict[str, str],
    ) -> T | None:
        row = self._row(ask, id_)
        if row is None:
            missing[f"{kind} {id_}"] = _NOT_THERE
            return None
        try:
            return body_at(self._settings.ledger, row.place, shape)
        except (LedgerError, msgspec.MsgspecError) as error:
            missing[f"{kind} {id_}"] = f"its record can not be read: {error}"
            return None


def _same_sessions(one: EvaluationRow, other: EvaluationRow) -> bool:
    """Say whether two were judged by sessions of one holdout, or by those of one validation part."""
    if one.holdouts or other.holdouts:
        return not set(one.holdouts).isdisjoint(other.holdouts)
    return one.export == other.export


def files_here(settings: Settings, body: TrainingBody) -> Files:
    """Hold the files of an adapter that are on this machine against the record of its training."""
    folder = settings.adapters / body.adapter
    if not folder.is_dir():
        return Files(here=False)
    for name, digest in sorted(body.files.items()):
        path = folder / Path(name).name
        if not path.is_file():
            return Files(here=True, wrong=f"{name} is missing in {folder}")
        if (found := digest_of(path)) != digest:
            return Files(here=True, wrong=f"{name} has the sha256 {found[:12]}, not {digest[:12]}")
    return Files(here=True)
