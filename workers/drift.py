"""What the retrain trigger looks at: the turns that a training's data was made of, and those since.

Invariants:
- Sessions that are held out are not looked at: not even whether to train anew depends on them.
- A turn counts with the score that it has now; only scores of one version are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from karl.errors import LedgerDamaged, LedgerRewound, NotFound
from karl.learning.drift import Advice, Drift, Turn, advise, drift_of
from karl.learning.marks import mark
from karl.ledger.reader import read_at
from karl.schema.learning import ExportBody, Manifest
from karl.views.filter import Filter
from karl.views.lineage import Lineage
from karl.views.routing import body_at

if TYPE_CHECKING:
    from pathlib import Path

    from karl.settings import Settings
    from karl.views.lineage_rows import TrainingRow
    from karl.views.rows import TrajectoryRow

#: Filters of an export that say which turns there are; any other chose among them.
_PLACES = frozenset({"fleet", "node", "agent", "project", "since", "until"})

#: Told how many turns were read, of how many, and the session.
Progress = Callable[[int, int, object], None]


class Report(msgspec.Struct, frozen=True):
    """Which training is looked at, what there is since, and what to do.

    `is_current` says that its adapter is in use. `by_span` says that the export chose by more than where
    turns are from, so that all turns of its span stand for it. `other_versions` counts turns that another
    version of the reward scored, `damaged` those that can not be read. `drift` is null where nothing was
    trained.
    """

    advice: Advice
    training: str = ""
    adapter: str = ""
    label: str = ""
    is_current: bool = False
    export: str = ""
    to_seq: int = 0
    reward_version: str = ""
    by_span: bool = False
    other_versions: int = 0
    damaged: int = 0
    drift: Drift | None = None


class _Counts(msgspec.Struct):
    tool_counts: dict[str, int] = {}


class _Reading(msgspec.Struct):
    trajectory: _Counts = msgspec.field(default_factory=_Counts)


class _Body(msgspec.Struct):
    """What of a trajectory's record counts its tools; the rest is not decoded."""

    trajectory: _Reading


_body = msgspec.json.Decoder(_Body).decode


class _Looked(NamedTuple):
    """Turns of the training's data, those after its span, and what was left out."""

    before: list[Turn]
    since: list[Turn]
    other_versions: int
    damaged: int


def look(settings: Settings, progress: Progress | None = None, *, seed: int = 0) -> Report:
    """Look what there is since the training in use, or the last one. Raises NotFound without views."""
    with Lineage(settings.views) as views:
        training = _training(views)
        if training is None:
            count = views.counts().trajectories
            said = f"no training is in the ledger, which has {count:,} turns; `karl sft-ready` says more"
            return Report(Advice("nothing trained yet", [], [said]))
        manifest = _manifest(views, settings.ledger, training.export)
        looked = _look(views, settings.ledger, manifest, progress)
        current = views.current()
    drift = drift_of(looked.before, looked.since, seed)
    return Report(
        advise(drift),
        training.id,
        training.adapter,
        training.label,
        training.adapter == current,
        training.export,
        manifest.ledger.to_seq,
        manifest.reward_version,
        _chose(manifest),
        looked.other_versions,
        looked.damaged,
        drift,
    )


def _training(views: Lineage) -> TrainingRow | None:
    """Give the training whose adapter is in use, else the last one that gave an adapter."""
    current = views.current()
    if current:
        try:
            return views.training(current)
        except NotFound:
            current = ""  # promoted by force, and trained where this ledger is not: the last one made here
    return next((row for row in views.trainings(-1) if row.adapter), None)


def _manifest(views: Lineage, ledger: Path, export: str) -> Manifest:
    try:
        return body_at(ledger, views.export(export).place, ExportBody).manifest
    except (NotFound, LedgerRewound):
        raise NotFound(
            f"the record of export {export[:16]} is not in the ledger any more: what was trained with is not "
            "known; export and train again"
        ) from None


def _chose(manifest: Manifest) -> bool:
    return not _PLACES.issuperset(manifest.filters)


def _look(views: Lineage, ledger: Path, manifest: Manifest, progress: Progress | None) -> _Looked:
    which = _where(manifest.filters)
    trained = frozenset(manifest.sessions.get("train", ()))
    held_out, total = views.held_out(), views.fitting(which)
    by_span, until_ms = _chose(manifest), _until_ms(manifest)
    looked = _Looked([], [], 0, 0)
    others = damaged = 0
    for count, row in enumerate(views.walk(which), 1):
        if progress:
            progress(count, total, row.session)
        was = row.place.seq <= manifest.ledger.to_seq and row.time_ms < until_ms
        if row.session in held_out or row.place.seq < manifest.ledger.from_seq:
            continue
        if was and not by_span and mark(row.session) not in trained:
            continue  # it was kept to validate with
        if row.reward_version != manifest.reward_version:
            others += 1
            continue
        try:
            turn = _turn(ledger, row)
        except (LedgerDamaged, LedgerRewound):
            damaged += 1  # one bad record must not keep the others from being looked at
            continue
        (looked.before if was else looked.since).append(turn)
    return looked._replace(other_versions=others, damaged=damaged)


def _until_ms(manifest: Manifest) -> float:
    """Give the time (Unix, ms) from which on turns were not wanted, though the ledger had them."""
    until = manifest.filters.get("until")
    return datetime.fromisoformat(until).timestamp() * 1000 if isinstance(until, str) else math.inf


def _where(filters: Mapping[str, Any]) -> Filter:
    """Give what of an export's filters holds for turns that came later, too."""
    kept = {name: filters[name] for name in ("fleet", "node", "agent", "project") if name in filters}
    return Filter(**kept)


def _turn(ledger: Path, row: TrajectoryRow) -> Turn:
    line = read_at(ledger, row.place.segment, row.place.offset, row.place.end)
    tools = _body(line.body).trajectory.trajectory.tool_counts
    return Turn(row.session, row.agent, row.domain, row.reward, tools)
