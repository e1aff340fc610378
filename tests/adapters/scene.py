"""The whole chain over a real line: sessions, a holdout, an export, a training, an evaluation, adapters' files."""

from __future__ import annotations

import itertools
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis

from karl.learning import manifests
from karl.learning.marks import mark
from karl.schema.learning import (
    AdapterBody,
    Arm,
    EvaluationBody,
    ExportBody,
    HoldoutBody,
    Manifest,
    Recipe,
    Span,
    TrainingBody,
)
from karl.schema.record import RecordKind
from karl.settings import Settings
from karl.views.lineage import Lineage
from karl.views.rebuild import begin
from tests.lift import planted
from tests.views import learned, ledgers
from tests.workers.conftest import Line
from workers.adapter_files import FILES, id_of, keep
from workers.doors import Doors
from workers.proofs import Proofs
from workers.records import LEARNING, Outgoing, send

TRAIN, VALID = ("t1", "t2", "t3"), ("v1", "v2")
HELD = tuple(f"h{number}" for number in range(12))
#: An effect that twelve sessions show.
LIFT = 0.5
MODEL = "12" * 32


class Scene:
    """Records go through the line as always; files lie where a node would keep them."""

    def __init__(self, line: Line, redis: Redis, settings: Settings) -> None:
        self.line = line
        self.redis = redis
        self.settings = settings
        self._clock = itertools.count(1_790_000_000_000, 1000)
        settings.views.parent.mkdir(parents=True)
        begin(settings.views, "2")

    @property
    def doors(self) -> Doors:
        """Doors whose waiting lets the line move."""
        return Doors(
            self.settings, self.redis, now_ms=lambda: next(self._clock), wait=lambda _s: self.catch_up()
        )

    @property
    def views(self) -> Lineage:
        return Lineage(self.settings.views)

    def catch_up(self) -> None:
        self.line.catch_up(self.settings.views, "2")

    def send(self, kind: RecordKind, *bodies: msgspec.Struct) -> None:
        send(self.redis, [Outgoing(kind, LEARNING, one) for one in bodies], lambda _s: self.catch_up())
        self.catch_up()

    def sessions(self, *names: str) -> None:
        """Close a turn in each session."""
        drafts = [ledgers.trajectory(name, 0) for name in names]
        self.send("trajectory", *(msgspec.convert(msgspec.json.decode(one.body), dict) for one in drafts))

    def holdout(self, *sessions: str, name: str = "hold1", **facts: Any) -> str:
        body = msgspec.json.decode(learned.holdout(name, *sessions).body, type=HoldoutBody)
        self.send("holdout", msgspec.structs.replace(body, **facts))
        return name

    def export(self, **facts: Any) -> ExportBody:
        """Record an export of what the ledger has by now."""
        with self.views as views:
            seq, head = views.learned_head()
        made: Manifest = learned.manifest(TRAIN, VALID, ledger=Span(1, seq, head), **facts)
        body = ExportBody(manifests.id_of(made), made, "ann", "n1", next(self._clock))
        self.send("export", body)
        return body

    def training(self, export: str, word: str = "one", **facts: Any) -> TrainingBody:
        """Record a training, and keep the files of its adapter here."""
        folder = self.settings.data_dir / f"made-{word}"
        folder.mkdir()
        for name in FILES:
            (folder / name).write_bytes(f"{name} of {word}\n".encode() * 200)
        adapter = keep(self.settings, folder)
        files = {name: _sha256(folder / name) for name in FILES}
        assert id_of(files) == adapter
        more = {"files": files, "model_digest": MODEL, "recipe": Recipe(iters=20, every=20), **facts}
        draft = learned.training(f"run-{word}", export, adapter, **more)
        body = msgspec.json.decode(draft.body, type=TrainingBody)
        self.send("training", body)
        return body

    def evaluation(
        self, export: str, adapter: str, effect: float = LIFT, *, name: str = "ev1", **facts: Any
    ) -> EvaluationBody:
        """Record an evaluation in which the adapter stands in the judged arm, with an effect that is planted."""
        body = _planted(effect)
        arms = tuple(_naming(arm, adapter) for arm in body.arms)
        values = {"id": name, "export": export, "model_digest": MODEL, "arms": arms, **facts}
        body = msgspec.structs.replace(body, **values)
        self.send("evaluation", body)
        return body

    def earned(self, effect: float = LIFT) -> TrainingBody:
        """The whole chain: an adapter that has earned its promotion if `effect` is large enough."""
        self.sessions(*TRAIN, *VALID)
        held = self.holdout(*HELD)
        export = self.export(held_out=(held,))
        made = self.training(export.id)
        self.evaluation(export.id, made.adapter, effect, holdouts=(held,))
        return made

    def decisions(self) -> list[AdapterBody]:
        records = self.line.records("adapter")
        return [
            msgspec.convert({k: v for k, v in one.items() if k != "kind"}, AdapterBody) for one in records
        ]

    def proofs(self, views: Lineage) -> Proofs:
        return Proofs(self.settings, views)


@lru_cache
def _planted(effect: float) -> EvaluationBody:
    return planted.evaluation(effect, items=48, sessions=len(HELD), seed=1)


def _naming(arm: Arm, adapter: str) -> Arm:
    if arm.name != "advantage":
        return arm
    first, *rest = arm.runs
    return Arm(arm.name, (msgspec.structs.replace(first, adapter=adapter), *rest))


def _sha256(path: Path) -> str:
    from karl.stream.bundles import digest_of

    return digest_of(path)


__all__ = ["HELD", "MODEL", "TRAIN", "VALID", "Scene", "mark"]
