"""What a record of learning says, in one sentence: the part of `karl.replay.news` that is about adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from karl.counted import many
from karl.schema.learning import (
    AdapterBody,
    ClaimBody,
    EvaluationBody,
    ExportBody,
    HoldoutBody,
    SyntheticBody,
    TrainingBody,
)

#: Digits of an id that are told.
_ID = 12
_TEXT_MAX = 400

_holdout = msgspec.json.Decoder(HoldoutBody).decode
_export = msgspec.json.Decoder(ExportBody).decode
_training = msgspec.json.Decoder(TrainingBody).decode
_evaluation = msgspec.json.Decoder(EvaluationBody).decode
_adapter = msgspec.json.Decoder(AdapterBody).decode
_claim = msgspec.json.Decoder(ClaimBody).decode
_synthetic = msgspec.json.Decoder(SyntheticBody).decode


def _of_holdout(data: msgspec.Raw) -> dict[str, Any]:
    body = _holdout(data)
    if body.released:
        says = f"holdout {body.released[:_ID]} counts no more"
    else:
        says = f"{many(len(body.sessions), 'session')} held out of training ({body.way})"
    return {"about": body.released or body.id, "says": says + _because(body.reason), **_whose(body)}


def _of_export(data: msgspec.Raw) -> dict[str, Any]:
    body = _export(data)
    made = body.manifest
    rows = ", ".join(f"{many(file.rows, 'row')} in {name}" for name, file in sorted(made.files.items()))
    lines = f"lines {made.ledger.from_seq:,} to {made.ledger.to_seq:,}"
    return {"about": body.id, "says": f"export {body.id[:_ID]} of {lines}: {rows}", **_whose(body)}


def _of_training(data: msgspec.Raw) -> dict[str, Any]:
    body = _training(data)
    losses = [one.valid_loss for one in body.curve if one.valid_loss is not None]
    made = [f"{body.model} with export {body.export[:_ID]} on {body.device}"]
    if body.adapter:
        made.append(f"adapter {body.adapter[:_ID]} of iteration {body.best:,}")
    if losses:
        made.append(f"best loss in validation {min(losses):.4f}")
    says = f"training {body.label or body.id[:_ID]} {body.ended}: {', '.join(made)}{_because(body.reason)}"
    return {"about": body.id, "says": says, **_whose(body)}


def _of_evaluation(data: msgspec.Raw) -> dict[str, Any]:
    body = _evaluation(data)
    one = body.primary
    figure = f"{one.name} in {one.metric} {one.difference:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"
    over = f"{many(body.items, 'held-out action')}, {many(len(body.seeds), 'seed')}"
    says = f"evaluation {body.id[:_ID]} of export {body.export[:_ID]}: {body.verdict}, {figure} over {over}"
    return {"about": body.id, "says": says, **_whose(body)}


def _of_decision(data: msgspec.Raw) -> dict[str, Any]:
    body = _adapter(data)
    forced = " although checks said no" if body.forced else ""
    now = f"adapter {body.adapter[:_ID]} is in use" if body.adapter else "no adapter is in use"
    says = f"{body.action}{forced}: {now}{_because(body.reason)}"
    return {"about": body.adapter or body.id, "says": says, **_whose(body)}


def _of_claim(data: msgspec.Raw) -> dict[str, Any]:
    body = _claim(data)
    if body.withdrawn:
        return {"about": body.withdrawn, "says": f"claim {body.withdrawn[:_ID]} withdrawn", **_whose(body)}
    return {"about": body.id, "says": f"claim ({body.kind}): {body.text[:_TEXT_MAX]}", **_whose(body)}


def _of_synthetic(data: msgspec.Raw) -> dict[str, Any]:
    body = _synthetic(data)
    what = f"synthetic question about {body.repository} {body.commit[:_ID]}"
    says = f"no {what} any more" if body.removed else what
    return {"about": body.id, "prompt": body.question[:_TEXT_MAX], "says": says, **_whose(body)}


_Signed = HoldoutBody | ExportBody | TrainingBody | EvaluationBody | AdapterBody | ClaimBody | SyntheticBody


def _whose(body: _Signed) -> dict[str, str | None]:
    return {"node": body.node, "by": body.person or None}


def _because(reason: str) -> str:
    return f": {reason[:_TEXT_MAX]}" if reason else ""


#: Gives members of News, by the kind of record.
READERS: dict[str, Callable[[msgspec.Raw], dict[str, Any]]] = {
    "holdout": _of_holdout,
    "export": _of_export,
    "training": _of_training,
    "evaluation": _of_evaluation,
    "adapter": _of_decision,
    "claim": _of_claim,
    "synthetic": _of_synthetic,
}
