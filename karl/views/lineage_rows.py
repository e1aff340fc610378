"""What the views tell of learning, as values. `place` says where the record lies that has all of it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from karl.schema.learning import AdapterAction, ClaimKind, SplitWay, TrainingEnd, Verdict
from karl.views.rows import Place


class LearnedHead(NamedTuple):
    """The last ledger line that changes what an export holds: its seq and hash; 0 where there is none."""

    seq: int
    hash: str


class HoldoutRow(msgspec.Struct, frozen=True):
    """Sessions that were held out; `sessions` counts them. `released_by` is the record that ended it."""

    id: str
    way: SplitWay
    seed: int
    share: float
    groups: int
    sessions: int
    reason: str
    person: str
    node: str
    time_ms: int
    released_by: str
    place: Place

    @property
    def in_force(self) -> bool:
        """Say whether exports honour it."""
        return not self.released_by


class ExportRow(msgspec.Struct, frozen=True):
    """An export. `sessions` counts those in it, `ess` is the effective sample size of its weights.

    `head` is the hash of the line `to_seq`; `held_out` are the ids of the holdouts that it honoured.
    """

    id: str
    format: str
    reward_version: str
    from_seq: int
    to_seq: int
    head: str
    train_rows: int
    valid_rows: int
    sessions: int
    ess: float
    held_out: tuple[str, ...]
    command: str
    person: str
    node: str
    time_ms: int
    place: Place


class TrainingRow(msgspec.Struct, frozen=True):
    """A training run. `adapter` is empty where none came of it, `best_loss` null where none was measured."""

    id: str
    export: str
    model: str
    model_digest: str
    label: str
    adapter: str
    ended: TrainingEnd
    device: str
    iters: int
    seed: int
    best: int
    best_loss: float | None
    rows: int
    tokens_per_s: float
    seconds: float
    resumed: int
    job: str
    person: str
    node: str
    started_ms: int
    time_ms: int
    place: Place


class EvaluationRow(msgspec.Struct, frozen=True):
    """An evaluation as it was recorded: `contrast` is the primary one in `metric`, with its 95 % interval.

    What it says is computed again wherever something hangs on it (karl.learning.lift).
    """

    id: str
    export: str
    model: str
    model_digest: str
    verdict: Verdict
    contrast: str
    metric: str
    difference: float
    low: float
    high: float
    seeds: int
    items: int
    sessions: int
    holdouts: tuple[str, ...]
    why: str
    job: str
    person: str
    node: str
    time_ms: int
    place: Place


class DecisionRow(msgspec.Struct, frozen=True):
    """A decision about which adapter is in use; `adapter` is empty for none."""

    id: str
    action: AdapterAction
    adapter: str
    evaluation: str
    forced: bool
    reason: str
    person: str
    node: str
    time_ms: int
    place: Place


class ClaimRow(msgspec.Struct, frozen=True):
    """A claim. `withdrawn_by` is the id of the record that took it back, empty where it stands."""

    id: str
    kind: ClaimKind
    text: str
    of: dict[str, str]
    boundary: str
    person: str
    node: str
    time_ms: int
    withdrawn_by: str
    place: Place


class SyntheticRow(msgspec.Struct, frozen=True):
    """A synthetic question, its beginning; `files` and `facts` count what the record has."""

    id: str
    question: str
    repository: str
    commit: str
    files: int
    facts: int
    person: str
    node: str
    time_ms: int
    removed: bool
    place: Place
