"""An evaluation as it was recorded, from the ledger or from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from karl.errors import KarlError, NotFound
from karl.schema.learning import EvaluationBody

if TYPE_CHECKING:
    from pathlib import Path

    from karl.settings import Settings

LATEST = "latest"


class _Document(msgspec.Struct):
    """A ledger line, or what `karl sft-eval --json` prints: the record stands in it."""

    body: EvaluationBody | None = None
    record: EvaluationBody | None = None


def recorded(settings: Settings, name: str) -> EvaluationBody:
    """Give an evaluation by its id or the beginning of it, or the latest. Raises NotFound, KarlError."""
    from karl.views.lineage import Lineage  # noqa: PLC0415 - SQLite loads when it is asked
    from karl.views.routing import body_at  # noqa: PLC0415

    with Lineage(settings.views) as views:
        if name == LATEST:
            rows = views.evaluations(1)
            if not rows:
                raise NotFound("there is no evaluation yet; `karl sft-eval DIR` makes one")
            row = rows[0]
        else:
            row = views.evaluation(name)
    return body_at(settings.ledger, row.place, EvaluationBody)


def read(path: Path) -> EvaluationBody:
    """Read an evaluation from a file: a record's body, a line of the ledger, or what `--json` printed.

    Raises KarlError.
    """
    data = path.read_bytes()
    try:
        document = msgspec.json.decode(data, type=_Document)
        found = document.body or document.record
        return found if found is not None else msgspec.json.decode(data, type=EvaluationBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise KarlError(f"{path} holds no evaluation: {error}") from None
