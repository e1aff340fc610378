"""The rows that adapters are judged by: of an export's held-out sessions, made as its own rows were."""

from __future__ import annotations

from pathlib import Path

import msgspec

from karl.errors import NotFound, Refused
from karl.export.budget import Budget
from karl.export.clean import Cleaner
from karl.export.forms import row_of
from karl.export.gather import Gatherer, skips
from karl.export.moment import Moment, as_of
from karl.export.options import of_manifest
from karl.export.output import whole_file
from karl.export.selection import Selection
from karl.export.spill import Spill
from karl.learning.marks import mark
from karl.schema.learning import Manifest
from producers.redact import Redactor


def held_out_rows(
    views: Path, ledger: Path, manifest: Manifest, path: Path, *, budget: Budget | None = None
) -> int:
    """Write the rows of an export's held-out sessions to a file, as Row a line; gives how many.

    Where the export honoured no holdout, those of its validation part. Turns are chosen and rows made as the
    export's were, of the ledger as it was then; `budget` is that of its model, where it has one. Weights are
    1, no row is synthetic. A file that is there is replaced. Raises Refused for an export that has no rows,
    or whose sessions are not what they were, and NotFound where there is no row.
    """
    how = of_manifest(manifest)
    if not how.has_rows:
        raise Refused(f"an export as {how.format} has no rows that could be judged; export chatml")
    with as_of(views, ledger, how.to_seq, how.reward_version, bool) as moment:
        if moment.learned_head() != (manifest.ledger.to_seq, manifest.ledger.head):
            raise Refused(
                f"the ledger's line {manifest.ledger.to_seq} is not the one that the export was made from"
            )
        sessions = _sessions(moment, manifest)
        choice = how.choice._replace(sessions=tuple(sorted(sessions)), limit=None)
        cleaner = Cleaner(Redactor())
        selection = Selection(moment, ledger, choice, cleaner, skips(how, frozenset()))
        with Spill(path.with_name(f".{path.name}.rows.partial")) as spill:
            if sessions:
                Gatherer(how, selection, cleaner, budget).gather(spill, _say_nothing)
            if not len(spill):
                raise NotFound("no held-out session has a row that adapters could be judged by")
            with whole_file(path, force=True) as file:
                for at in range(len(spill)):
                    file.write(msgspec.json.encode(row_of(spill.read(at))) + b"\n")
            return len(spill)


def _sessions(moment: Moment, manifest: Manifest) -> frozenset[str]:
    """Name the sessions: those of the holdouts that were honoured, else those of the validation part."""
    if manifest.held_out:
        held = (moment.sessions_held_by(name) for name in manifest.held_out)
        there = {item.session for item in moment.items()}
        return frozenset(session for sessions in held for session in sessions if session in there)
    valid = frozenset(manifest.sessions["valid"])
    return frozenset(item.session for item in moment.items() if mark(item.session) in valid)


def _say_nothing(_session: str, _number: int) -> None:
    pass
