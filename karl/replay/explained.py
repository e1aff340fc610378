"""A trajectory's score, explained: each signal's share, what it was made of, and what changed it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import msgspec

from karl.ledger.reader import read_at
from karl.reward.evidence import Part, evidence
from karl.schema.record import AnnotationBody, TrajectoryBody
from karl.schema.trajectory import Outcome
from karl.views.detail import Detail
from karl.views.queries import LaterRecord
from karl.views.schema import FLAGS

#: Components agree with their evidence within this.
_SAME = 1e-9


class Explained(msgspec.Struct, frozen=True):
    """One signal: `contribution` is weight times value, what it adds to the reward."""

    signal: str
    value: float
    weight: float
    contribution: float
    formula: str
    parts: list[Part]


class Step(msgspec.Struct, frozen=True):
    """How the score came to be: the record's own, then each change. `said` holds the flags that were said.

    `late` is the last step where facts that came after the record were read with it.
    """

    what: Literal["record", "annotation", "score", "late"]
    seq: int
    time_ms: int
    version: str
    reward: float
    by: str | None = None
    detector: str | None = None
    said: dict[str, bool] = {}


class Explanation(msgspec.Struct, frozen=True):
    """The score that counts, taken apart. `agrees`: the evidence comes to the components of the score.

    Where it does not, `parts` tell what today's reading of the facts would give. `gap` is the reward,
    which is rounded to four decimals, less the sum of the contributions.
    """

    trajectory: str
    session: str
    turn: int
    version: str
    reward: float
    advantage: float
    domain: str
    agrees: bool
    gap: float
    signals: list[Explained]
    history: list[Step]


def explain(whole: Detail, ledger: Path) -> Explanation:
    """Explain the score that counts. Raises LedgerDamaged when a record is not where it was."""
    row, score = whole.row, whole.score
    said = {name: flag for name, flag in row.flags.items() if flag is not None}
    reading = whole.body.trajectory
    known = msgspec.structs.replace(reading, outcome=msgspec.structs.replace(reading.outcome, **said))
    found = evidence(known, score.version)
    signals = [
        Explained(
            signal=name,
            value=value,
            weight=score.weights.get(name, 0.0),
            contribution=score.weights.get(name, 0.0) * value,
            formula=found[name].formula if name in found else "",
            parts=found[name].parts if name in found else [],
        )
        for name, value in score.signals.items()
    ]
    told = {part.component: part.value for one in found.values() for part in one.parts}
    agrees = told.keys() == score.components.keys() and all(
        math.isclose(told[name], value, abs_tol=_SAME) for name, value in score.components.items()
    )
    return Explanation(
        trajectory=row.id,
        session=row.session,
        turn=row.turn,
        version=score.version,
        reward=score.reward,
        advantage=row.advantage,
        domain=row.domain,
        agrees=agrees,
        gap=score.reward - math.fsum(one.contribution for one in signals),
        signals=signals,
        history=_history(whole, ledger),
    )


def _history(whole: Detail, ledger: Path) -> list[Step]:
    row = whole.row
    place = row.place
    record = _record(read_at(ledger, place.segment, place.offset, place.end).body)
    own = record.score
    said = _said(record.trajectory.outcome)
    steps = [Step("record", place.seq, row.time_ms, own.version, own.reward, said=said)]
    steps += [_later(one, ledger) for one in whole.later]
    if len(whole.body.events) > len(record.events):
        steps.append(Step("late", row.score_seq, row.time_ms, whole.score.version, whole.score.reward))
    return steps


def _later(one: LaterRecord, ledger: Path) -> Step:
    line = read_at(ledger, one.place.segment, one.place.offset, one.place.end)
    said = _said(_annotation(line.body).outcome) if one.kind == "annotation" else {}
    return Step(
        what=one.kind,
        seq=one.place.seq,
        time_ms=one.time_ms,
        version=one.reward_version,
        reward=one.reward,
        by=one.by,
        detector=one.detector,
        said=said,
    )


def _said(outcome: Outcome) -> dict[str, bool]:
    flags = {name: getattr(outcome, name) for name in FLAGS}
    return {name: flag for name, flag in flags.items() if flag is not None}


_record = msgspec.json.Decoder(TrajectoryBody).decode
_annotation = msgspec.json.Decoder(AnnotationBody).decode
