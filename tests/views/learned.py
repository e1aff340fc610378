"""Records of learning, small and whole, for the tests of what the views and the claims tell of it."""

from __future__ import annotations

from typing import Any

import msgspec

from karl.learning.marks import mark
from karl.ledger.writer import Draft
from karl.schema.learning import (
    AdapterBody,
    Arm,
    ArmRun,
    ClaimBody,
    Contrast,
    EvaluationBody,
    ExportBody,
    FileMade,
    HoldoutBody,
    Manifest,
    Measured,
    Recipe,
    Span,
    SyntheticBody,
    TrainingBody,
    Weighed,
)
from karl.schema.record import RecordKind
from tests.views.ledgers import START_MS

SIGNED: dict[str, Any] = {"person": "ann", "node": "n1", "time_ms": START_MS}


def draft(kind: RecordKind, body: msgspec.Struct) -> Draft:
    return Draft(kind, msgspec.json.encode(body))


def holdout(name: str, *sessions: str, **facts: Any) -> Draft:
    values = {"way": "time", "seed": 7, "share": 0.2, "groups": len(sessions), "reason": "to judge by"}
    return draft("holdout", HoldoutBody(id=name, sessions=sessions, **{**values, **SIGNED, **facts}))


def release(name: str, of: str) -> Draft:
    return holdout(name, reason="no longer", released=of)


def manifest(
    train: tuple[str, ...] = ("s1", "s2"), valid: tuple[str, ...] = ("s3",), **facts: Any
) -> Manifest:
    """The manifest of an export whose parts hold these sessions."""
    values: dict[str, Any] = {
        "form": 1, "karl": "0", "format": "chatml", "command": "karl export --format chatml --output DIR",
        "ledger": Span(1, 9, "ab" * 32), "reward_version": "2", "filters": {}, "options": {"detail": "brief"},
        "split": {"way": "time"}, "held_out": (), "counts": {"rows": 6}, "left_out": {}, "redactions": {},
        "contamination": {"sessions": 0}, "weights": Weighed("awr", 1.0, 5.0, 4, 3.2, 1),
        "files": {"train.jsonl": FileMade(9, "cd" * 32, 4), "valid.jsonl": FileMade(5, "ef" * 32, 2)},
        "sessions": {"train": tuple(sorted(map(mark, train))), "valid": tuple(sorted(map(mark, valid)))},
    }  # fmt: skip
    return Manifest(**{**values, **facts})


def export(name: str, made: Manifest | None = None, **facts: Any) -> Draft:
    return draft("export", ExportBody(name, made or manifest(), **{**SIGNED, **facts}))


def training(name: str, of: str, adapter: str = "", **facts: Any) -> Draft:
    values: dict[str, Any] = {
        "export": of, "model": "tiny", "model_digest": "12" * 32, "recipe": Recipe(iters=20), "ended": "done",
        "device": "cpu", "versions": {"mlx": "0"},
        "curve": (Measured(0, None, 3.5), Measured(10, 3.0, 2.5), Measured(20, 2.0, 2.75)),
        "node": "n1", "started_ms": START_MS, "time_ms": START_MS + 1000, "adapter": adapter, "best": 10,
    }  # fmt: skip
    return draft("training", TrainingBody(id=name, **{**values, **facts}))


def evaluation(name: str, of: str, adapters: dict[str, tuple[str, ...]], **facts: Any) -> Draft:
    """An evaluation with one run a seed for each adapter of an arm; its figures are told, not computed."""
    primary = Contrast("advantage - random", "targets", 0.1, 0.02, 0.18)
    arms = tuple(
        Arm(arm, tuple(ArmRun(seed, "80", "80", adapter=one) for seed, one in enumerate(of)))
        for arm, of in adapters.items()
    )
    values: dict[str, Any] = {
        "export": of, "model": "tiny", "model_digest": "12" * 32, "recipe": Recipe(iters=20),
        "seeds": (0, 1, 2, 3, 4), "items": 4, "sessions": (2, 2), "primary": primary,
        "contrasts": (primary,), "guard": {"base": 3.0}, "verdict": "lift", "why": "it is above 0",
        "node": "n1", "time_ms": START_MS, "arms": arms,
    }  # fmt: skip
    return draft("evaluation", EvaluationBody(id=name, **{**values, **facts}))


def decided(name: str, adapter: str, action: Any = "promote", **facts: Any) -> Draft:
    values = {"action": action, "adapter": adapter, "reason": "it lifts", **SIGNED}
    return draft("adapter", AdapterBody(id=name, **{**values, **facts}))


def claim(name: str, kind: Any = "free", text: str = "it is so", **facts: Any) -> Draft:
    return draft("claim", ClaimBody(**{"id": name, "kind": kind, "text": text, "of": {}, **SIGNED, **facts}))


def synthetic(name: str, **facts: Any) -> Draft:
    values: dict[str, Any] = {
        "question": "what changed?", "answer": "this", "repository": "shop", "commit": "c1",
        "files": ("a.py",), "facts": ("x was added", "y was added"), **SIGNED,
    }  # fmt: skip
    return draft("synthetic", SyntheticBody(id=name, **{**values, **facts}))
