"""Asking for a training: a data set is checked once more, put into Redis, and the job is asked for.

Invariants:
- What is sent is what the manifest says: each file's bytes are checked against it.
- Nothing that is held out today is trained with, whenever the data set was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from karl.errors import NotFound, Refused
from karl.jobs import table
from karl.jobs.table import Progress
from karl.learning import manifests
from karl.learning.marks import mark
from karl.schema.learning import Manifest, TrainingBody
from karl.stream import bundles
from karl.views.lineage import Lineage
from karl.views.routing import body_at
from workers.adapter_files import folder_of
from workers.datasets import check
from workers.embedding import Announced, announce

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Formats whose rows the trainer reads.
FORMATS = ("chatml", "completions")
#: Seconds for which a data set waits in Redis for who trains; what waits longer is asked for again.
TTL_S = 14 * 86_400


class DataSet(NamedTuple):
    """A data set on disk: its folder, the export's id, and its manifest."""

    folder: Path
    id: str
    manifest: Manifest


class Launched(NamedTuple):
    """A training that was asked for: the job, the bundle of its data, whether it did not wait already."""

    job: str
    bundle: str
    new: bool


def opened(folder: Path) -> DataSet:
    """Read a data set whose files are what its manifest says. Raises NotFound, Unreadable, Refused."""
    manifest = check(folder)
    return DataSet(folder, manifests.id_of(manifest), manifest)


def faults(manifest: Manifest) -> list[str]:
    """Say what keeps a data set from being trained with, as far as its manifest shows it."""
    said = []
    if manifest.format not in FORMATS:
        said.append(f"its format is {manifest.format}; {' and '.join(FORMATS)} can be trained with")
    said += [f"it has no {name}" for name in (manifests.TRAIN, manifests.VALID) if name not in manifest.files]
    if both := {name: count for name, count in manifest.contamination.items() if count}:
        said.append(f"rows were found on both sides of the split: {both}")
    return said


def held_by_now(settings: Settings, manifest: Manifest) -> list[str]:
    """Give the marks of sessions of a data set that are held out by now. Raises NotFound without views."""
    with Lineage(settings.views) as views:
        held = {mark(session) for session in views.held_out()}
    return sorted(held & {one for part in manifests.PARTS for one in manifest.sessions.get(part, ())})


def may_train(settings: Settings, found: DataSet) -> None:
    """Raise Refused for a data set that must not be trained with."""
    if said := faults(found.manifest):
        raise Refused(f"{found.folder} can not be trained with: {'; '.join(said)}; export it again")
    if held := held_by_now(settings, found.manifest):
        raise Refused(
            f"{len(held)} sessions of {found.folder} are held out by now ({', '.join(held[:3])}); export it "
            "again, which leaves them out"
        )


def arguments(found: DataSet, bundle: str, **more: object) -> table.Train:
    """Give the arguments of the job. Raises Refused for a recipe that can not be."""
    made = table.checked(table.find("train"), {"export": found.id, "data": bundle, **more})
    assert isinstance(made, table.Train)
    return made


def send(redis: Redis, files: Mapping[str, Path], progress: Progress | None = None) -> str:
    """Put a data set into Redis for who trains, and say so, for an erasure must find it; gives the bundle.

    Raises Refused, OSError, and the client's error.
    """
    bundle = bundles.put(redis, files, TTL_S, progress or bundles.untold)
    announce(redis, Announced(bundle, bundle=True))
    return bundle


def launch(redis: Redis, rq: Redis, found: DataSet, progress: Progress | None, **more: object) -> Launched:
    """Put a data set into Redis and ask for its training. Raises Refused, OSError, the client's error."""
    from karl.jobs import asking, gate  # noqa: PLC0415 - RQ loads when a job is asked for

    arguments(found, "0" * 64, **more)  # what can not be asked is refused before anything is sent
    files = {name: found.folder / name for name in (*found.manifest.files, manifests.NAME)}
    bundle = send(redis, files, progress)
    asked = gate.Asked(table.find("train"), arguments(found, bundle, **more))
    made = asking.enqueue(rq, asked)
    return Launched(made.id, bundle, made.new)


def fetched(settings: Settings, redis: Redis, name: str, progress: Progress | None) -> tuple[Path, str]:
    """Bring the adapter of a training to this machine; gives its folder and id.

    `name` is what `Lineage.training` takes; empty for the newest that made one. Raises NotFound, Unreadable.
    """
    with Lineage(settings.views) as views:
        rows = [views.training(name)] if name else [row for row in views.trainings(200) if row.adapter]
    if not rows or not rows[0].adapter:
        said = f"the training {name} made no adapter" if name else "no training has made an adapter yet"
        raise NotFound(f"{said}; `karl sft-status` lists trainings")
    body = body_at(settings.ledger, rows[0].place, TrainingBody)
    told = progress or bundles.untold
    return folder_of(settings, redis, body.adapter, body.parcel, told), body.adapter
