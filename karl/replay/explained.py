"""A trajectory's score, explained: each signal's share, what it was made of, and what changed it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from karl.ledger.reader import read_at
from karl.reward.evidence import PRIOR, Evidence, Part, evidence, shares
from karl.reward.score import CHANCE
from karl.reward.signal import SIGNALS
from karl.schema.record import AnnotationBody, Score, TrajectoryBody
from karl.schema.trajectory import Outcome
from karl.views.detail import Detail
from karl.views.queries import LaterRecord
from karl.views.schema import FLAGS

#: Components agree with their evidence within this.
_SAME = 1e-9
#: Of a version of which nothing is known.
_UNTOLD = Evidence("", [])
_NOTHING_SAID = Outcome()
#: What a prior is of.
_UNKNOWN = 0.5


class Explained(msgspec.Struct, frozen=True):
    """One signal: `contribution` is share times value, what it adds to the reward.

    `share` is its weight against those of all that was observed, `observed` how much of it was (0 to 1).
    Value and contribution are null for a signal that could not be observed; `left_out` says why, or which
    parts of it were not. One that a calibration read has the share 0: its chance has it.
    """

    signal: str
    value: float | None
    weight: float
    share: float
    contribution: float | None
    formula: str
    parts: list[Part]
    observed: float = 1.0
    left_out: list[str] = []


class Added(msgspec.Struct, frozen=True):
    """What adds to a reward beside the signals: the `prior`, or the `chance`.

    The prior is a little of what is unknown, with which a score begins; the chance that the task got done is
    what a calibration made of all signals but the outcome.
    """

    what: Literal["prior", "chance"]
    value: float
    share: float
    contribution: float


class Step(msgspec.Struct, frozen=True):
    """How the score came to be: the record's own, then each change. `said` holds the flags that were said.

    `sure` is how strong a correction was (0 to 1) and `classes` what kind, where a detector said so; `person`
    and `note` are those of a person's own word, as is `skill`, empty for none. `late` is the last step where
    facts that came after the record were read with it.
    """

    what: Literal["record", "annotation", "score", "late"]
    seq: int
    time_ms: int
    version: str
    reward: float
    by: str | None = None
    detector: str | None = None
    said: dict[str, bool] = {}
    sure: float | None = None
    classes: list[str] = []
    person: str = ""
    note: str = ""
    skill: str | None = None


class Explanation(msgspec.Struct, frozen=True):
    """The score that counts, taken apart. `agrees`: the evidence comes to the components of the score.

    Where it does not, `parts` tell what today's reading of the facts would give. `gap` is the reward,
    which is rounded to four decimals, less the sum of the contributions. `confidence` is how much of what
    counts was observed, `unobserved` says that nothing was; `calibration` is the id of one that was applied.
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
    confidence: float | None = None
    added: list[Added] = []
    calibration: str | None = None
    unobserved: bool = False


def explain(whole: Detail, ledger: Path) -> Explanation:
    """Explain the score that counts. Raises LedgerDamaged when a record is not where it was."""
    row, score = whole.row, whole.score
    reading = whole.body.trajectory
    known = msgspec.structs.replace(reading, outcome=msgspec.structs.replace(reading.outcome, **row.known))
    found, shared = evidence(known, score), shares(score)
    signals = list(_signals(score, found, shared))
    added = list(_added(score, shared))
    together = math.fsum(
        [*(one.contribution or 0.0 for one in signals), *(one.contribution for one in added)]
    )
    return Explanation(
        trajectory=row.id,
        session=row.session,
        turn=row.turn,
        version=score.version,
        reward=score.reward,
        advantage=row.advantage,
        domain=row.domain,
        agrees=_agrees(score, found),
        gap=score.reward - together,
        signals=signals,
        history=_history(whole, ledger),
        confidence=score.confidence,
        added=added,
        calibration=score.calibration,
        unobserved=not any(one.share for one in signals) and CHANCE not in shared,
    )


def _signals(score: Score, found: dict[str, Evidence], shared: dict[str, float]) -> Iterator[Explained]:
    """Give the signals in their order, with those that are not in the score."""
    for name in sorted(score.signals.keys() | found.keys(), key=SIGNALS.index):
        value, share = score.signals.get(name), shared.get(name, 0.0)
        told = found.get(name, _UNTOLD)
        yield Explained(
            signal=name,
            value=value,
            weight=score.weights.get(name, 0.0),
            share=share,
            contribution=None if value is None else share * value,
            formula=told.formula,
            parts=told.parts,
            observed=score.observed.get(name, 1.0) if value is not None else 0.0,
            left_out=told.left_out,
        )


def _added(score: Score, shared: dict[str, float]) -> Iterator[Added]:
    if PRIOR in shared:
        yield Added("prior", _UNKNOWN, shared[PRIOR], shared[PRIOR] * _UNKNOWN)
    if CHANCE in shared:
        chance = score.components[CHANCE]
        yield Added("chance", chance, shared[CHANCE], shared[CHANCE] * chance)


def _agrees(score: Score, found: dict[str, Evidence]) -> bool:
    """Say whether the evidence comes to the components of the score, but for what a calibration gave."""
    told = {part.component: part.value for one in found.values() for part in one.parts}
    made = {name: value for name, value in score.components.items() if name != CHANCE}
    return told.keys() == made.keys() and all(
        math.isclose(told[name], value, abs_tol=_SAME) for name, value in made.items()
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
    word = _annotation(line.body) if one.kind == "annotation" else None
    outcome = word.outcome if word else _NOTHING_SAID
    return Step(
        what=one.kind,
        seq=one.place.seq,
        time_ms=one.time_ms,
        version=one.reward_version,
        reward=one.reward,
        by=one.by,
        detector=one.detector,
        said=_said(outcome),
        sure=outcome.correction_score,
        classes=outcome.correction_classes,
        person=word.person if word else "",
        note=word.note if word else "",
        skill=word.skill if word else None,
    )


def _said(outcome: Outcome) -> dict[str, bool]:
    flags = {name: getattr(outcome, name) for name in FLAGS}
    return {name: flag for name, flag in flags.items() if flag is not None}


_record = msgspec.json.Decoder(TrajectoryBody).decode
_annotation = msgspec.json.Decoder(AnnotationBody).decode
