"""Record: what a ledger line says, by kind. The line's own format is `karl.ledger.frame`.

Every event that entered the stream is in the `events` of exactly one record body, either a
`trajectory` (it belongs to a turn) or an `events` record (it belongs to none: a notification
between turns, a result that came after its turn had closed). Nothing is ever changed: what is
learned later about a trajectory is a new record that names it. Bodies of records about routing are in
`karl.schema.routing`, of those about learning in `karl.schema.learning`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from karl.schema.learning import (
    AdapterBody,
    ClaimBody,
    EvaluationBody,
    ExportBody,
    HoldoutBody,
    SyntheticBody,
    TrainingBody,
)
from karl.schema.routing import ExemplarBody, RouterBody, RoutingBody, ShadowBody, SkillsBody
from karl.schema.trajectory import ClosedBy, Outcome, Trajectory

#: What the `annotation_status` of an annotation's outcome says of it: it holds all that is known by then, or
#: only what its detector found itself.
ALL_KNOWN, OBSERVED = "annotated", "observed"

#: The kinds of record that workers write; `segment` is the ledger's own (its segment headers).
RecordKind = Literal[
    "trajectory",
    "events",
    "annotation",
    "score",
    "calibration",
    "skills",
    "exemplar",
    "router",
    "routing",
    "shadow",
    "holdout",
    "export",
    "training",
    "evaluation",
    "adapter",
    "claim",
    "synthetic",
    "erasure",
    "erased",
    "segment",
]


class Score(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reward in [0, 1] with its six signals in [0, 1] and their components.

    Signals are unrounded, so that a change of one outcome gives the very score that a full
    re-score would; `reward` is rounded to four decimals. `version` names the code that made it.
    A signal that could not be observed is not there; `observed` says how much of a signal was, from 0 to 1,
    where that is less than 1, and `confidence` how much of the whole. `calibration` is the id of the one that
    was applied.
    """

    version: str
    reward: float
    signals: dict[str, float]
    components: dict[str, float]
    weights: dict[str, float]
    observed: dict[str, float] = {}
    confidence: float | None = None
    calibration: str | None = None


class TrajectoryBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A closed turn: facts (`events`, each an encoded Event), our reading of them, and its score.

    `turn` counts from 0 within the session. `closed_by` says what ended the turn.
    """

    id: str
    session: str
    turn: int
    closed_by: ClosedBy
    fleet: str
    node: str
    agent: str
    project: str
    time_ms: int
    trajectory: Trajectory
    score: Score
    events: list[msgspec.Raw]
    agent_version: str | None = None
    model: str | None = None


class EventsBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Facts that are in no trajectory's record. `after` is the last trajectory before them, if any.

    `of` names the trajectory that they belong to when they came after its record was made: a late
    result, or what a transcript tells of a turn that hooks had recorded. Whoever reads that trajectory
    reads them with it. `ended` says that the agent's session ended with them.
    """

    session: str
    fleet: str
    node: str
    agent: str
    project: str
    time_ms: int
    events: list[msgspec.Raw]
    after: str | None = None
    ended: bool = False
    of: str | None = None


class AnnotationBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a later event, or a person, said about an earlier trajectory, and the score that follows from it.

    Of a person's word (`karl annotate`) `person` says whose it was, and `note` why. `skill` is the one that
    the prompt was for, an empty text for none, null where nobody spoke of it.
    """

    trajectory: str
    session: str
    by: str
    detector: str
    outcome: Outcome
    score: Score
    time_ms: int
    person: str = ""
    note: str = ""
    skill: str | None = None


class ScoreBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A re-score of one trajectory, by another version or after a change of weights."""

    trajectory: str
    session: str
    score: Score
    time_ms: int


class CalibrationBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was learned of one agent's outcomes over the reward's `version`, and how it was judged.

    `intercept`, `terms` and `middle` are the model's (`karl.reward.calibration`). `applied` says whether
    scores are to be made with it, `why` gives the reason. `runs` turns were learned from, in `groups`
    sessions or tasks, `resolved` of which got their task done; `known` counts what said so. `measured` are
    the figures of the cross-validation. The latest one of an agent and a version counts, also when it is not
    applied.
    """

    id: str
    agent: str
    version: str
    intercept: float
    terms: dict[str, float]
    middle: dict[str, float]
    applied: bool
    why: str
    runs: int
    resolved: int
    groups: int
    known: dict[str, int]
    measured: dict[str, float]
    time_ms: int


class ErasureBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """That the bodies of earlier records were taken out: which, why, and on whose word.

    `lines` are spans of the ledger's seq, first and last. `sessions` are the agents' ids of those whose
    erasure was asked for; `before_ms` (Unix time) where everything before a time was.
    """

    id: str
    lines: list[tuple[int, int]]
    records: int
    bytes: int
    by: str
    node: str
    time_ms: int
    sessions: list[str] = []
    before_ms: int | None = None
    reason: str = ""


class ErasedBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """That an erasure (its id) came to its end on this node: no body of its lines is left there."""

    erasure: str
    node: str
    time_ms: int


#: The body of each kind.
BODIES: dict[RecordKind, type[msgspec.Struct]] = {
    "trajectory": TrajectoryBody,
    "events": EventsBody,
    "annotation": AnnotationBody,
    "score": ScoreBody,
    "calibration": CalibrationBody,
    "skills": SkillsBody,
    "exemplar": ExemplarBody,
    "router": RouterBody,
    "routing": RoutingBody,
    "shadow": ShadowBody,
    "holdout": HoldoutBody,
    "export": ExportBody,
    "training": TrainingBody,
    "evaluation": EvaluationBody,
    "adapter": AdapterBody,
    "claim": ClaimBody,
    "synthetic": SyntheticBody,
    "erasure": ErasureBody,
    "erased": ErasedBody,
}
