"""What the views tell: sessions, trajectories, counts, and what was said later, as values."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from karl.reward.baseline import NO_DATA_MEAN
from karl.schema.trajectory import Usage


class Counts(msgspec.Struct, frozen=True):
    """What the views hold; see COUNTERS in `karl.views.schema`."""

    records: int = 0
    trajectories: int = 0
    sessions: int = 0
    events: int = 0
    tool_calls: int = 0
    annotations: int = 0
    scores: int = 0
    duplicates: int = 0
    unreadable: int = 0
    orphans: int = 0
    probes: int = 0
    tokens_input: int = 0
    tokens_output: int = 0
    tokens_cache_read: int = 0
    tokens_cache_write: int = 0
    tokens_messages: int = 0


class SessionRow(msgspec.Struct, frozen=True):
    """One session. `reward` is the mean of its turns' current rewards; null without turns."""

    session: str
    fleet: str
    node: str
    agent: str
    project: str
    agent_version: str | None
    model: str | None
    started_ms: int
    last_ms: int
    turns: int
    events: int
    calls: int
    failures: int
    reward: float | None
    corrections: int
    ended: bool
    first_prompt: str | None
    tokens: Usage


class Place(NamedTuple):
    """Where a record lies in the ledger: bytes `offset` to `end` of `segment`."""

    seq: int
    segment: str
    offset: int
    end: int


class TrajectoryRow(msgspec.Struct, frozen=True):
    """One trajectory with its current score, which is in the record `score_seq`.

    `expected` is what this agent's reward is expected to be here, `advantage` the reward's distance from
    that, both as of now (karl.reward.baseline). Flags are null where nobody said, signals where they could
    not be observed. `made_by` names version, weights and calibration of the score (karl.views.columns);
    `runs` counts the runs of the turn's `task`, this one too.
    """

    id: str
    session: str
    turn: int
    place: Place
    fleet: str
    node: str
    agent: str
    project: str
    agent_version: str | None
    model: str | None
    started_ms: int
    time_ms: int
    duration_s: float | None
    closed_by: str
    domain: str
    skill: str | None
    prompt: str | None
    events: int
    calls: int
    failures: int
    flags: dict[str, bool | None]
    score_seq: int
    reward_version: str
    reward: float
    signals: dict[str, float | None]
    advantage: float
    tokens: Usage
    expected: float = NO_DATA_MEAN
    confidence: float | None = None
    calibration: str | None = None
    made_by: str = ""
    task: str | None = None
    runs: int = 0
    correction_score: float | None = None
    correction_classes: list[str] = []

    @property
    def known(self) -> dict[str, Any]:
        """Give all that somebody said of the outcome, as fields of `karl.schema.trajectory.Outcome`."""
        said: dict[str, Any] = {name: flag for name, flag in self.flags.items() if flag is not None}
        if self.correction_score is not None:
            said["correction_score"] = self.correction_score
        if self.correction_classes:
            said["correction_classes"] = self.correction_classes
        return said


class LaterRecord(msgspec.Struct, frozen=True):
    """An annotation or score that names a trajectory; `detector` and `by` are null for a score."""

    kind: Literal["annotation", "score"]
    place: Place
    time_ms: int
    reward_version: str
    reward: float
    by: str | None
    detector: str | None


class CalibrationRow(msgspec.Struct, frozen=True):
    """What was learned of one agent's outcomes, which is in the record at `place`."""

    id: str
    agent: str
    version: str
    applied: bool
    time_ms: int
    place: Place


class Said(NamedTuple):
    """What one detector said itself about a trajectory; `by` names what it was said by."""

    trajectory: str
    detector: str
    by: str
    time_ms: int
    flags: dict[str, bool]


class Found(NamedTuple):
    """What an id, or the beginning of one, means."""

    kind: Literal["session", "trajectory"]
    id: str
