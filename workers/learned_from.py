"""What was learned from sessions, or copied to be learned from: adapters, and data sets of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from karl.errors import KarlError
from karl.learning import manifests
from karl.learning.marks import mark
from karl.views.lineage import Lineage
from workers.proofs import Proofs

if TYPE_CHECKING:
    from pathlib import Path

    from karl.settings import Settings


class LearnedFrom(msgspec.Struct, frozen=True):
    """Data sets here that have rows of sessions, and the adapters that were trained with them."""

    folders: list[str]
    adapters: list[str]


def learned_from(settings: Settings, sessions: Iterable[str]) -> LearnedFrom:
    """Find what was made of sessions: in the folders of exports and of runs, and by the ledger's trainings.

    Without views no adapter is known. What was exported to elsewhere is not looked for.
    """
    marks = {mark(session) for session in sessions}
    places = [*settings.exports.glob("*"), *settings.runs.glob("*/data"), *settings.runs.glob("*/*/data")]
    folders = sorted(str(place) for place in places if _has(place, marks))
    try:
        with Lineage(settings.views) as views:
            proofs = Proofs(settings, views)
            rows = [row for row in views.adapters() if marks & (proofs.sessions_of(row.export) or set())]
    except KarlError:
        rows = []
    return LearnedFrom(folders, sorted({row.adapter for row in rows}))


def _has(folder: Path, marks: set[str]) -> bool:
    path = folder / manifests.NAME
    try:
        manifest = manifests.read(path.read_bytes(), str(path))
    except (OSError, KarlError):
        return False
    return any(marks & set(manifest.sessions.get(part, ())) for part in manifests.PARTS)
