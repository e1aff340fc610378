"""What ledger records say of learning: what was held out, exported, trained, judged, promoted and claimed.

They form one chain: an export names the ledger's lines, a training the export, an evaluation the export
and the trainings, a decision the evaluation, a claim any of them. Each step can be checked from the ledger
alone. `karl.schema.record` has the other kinds; the kinds of these bodies are `holdout`, `export`,
`training`, `evaluation`, `adapter`, `claim` and `synthetic`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

#: How a data set is parted: by time, the newest are kept from training; or by a seeded hash.
SplitWay = Literal["time", "hash"]
#: How a training ended.
TrainingEnd = Literal["done", "canceled", "failed"]
#: What an evaluation found: the primary contrast's interval is above 0, holds 0, or is below it.
Verdict = Literal["lift", "no lift", "harm"]
AdapterAction = Literal["promote", "rollback"]
#: What is claimed, which says how it is checked (karl.learning.claims).
ClaimKind = Literal["lift", "export", "training", "holdout", "free"]


class HoldoutBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sessions that no later export may train or validate with, and what was held out with them.

    `sessions` are whole ids. `way`, `seed` and `share` say how they were chosen; `groups` counts what they
    were before: sessions tied by near-duplicate prompts. With `released`, the one of that id counts no more.
    """

    id: str
    sessions: tuple[str, ...]
    way: SplitWay
    seed: int
    share: float
    groups: int
    reason: str
    person: str
    node: str
    time_ms: int
    released: str = ""


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """Lines of the ledger: first and last seq, and the hash of the last, which seals all before it."""

    from_seq: int
    to_seq: int
    head: str


class FileMade(msgspec.Struct, frozen=True):
    """A file of a data set: its size in bytes, the sha256 of them, and the rows in it."""

    bytes: int
    sha256: str
    rows: int


class Weighed(msgspec.Struct, frozen=True, omit_defaults=True):
    """How rows were weighted: w = min(w_max, exp(A / beta)), divided by their mean, or the tiers' copies.

    `ess` is the effective sample size (sum w)^2 / sum w^2 of `rows` rows; `masked` counts steps that are no
    target because they failed or were corrected; `copies` counts rows by how often they are there.
    """

    way: str
    beta: float
    w_max: float
    rows: int
    ess: float
    masked: int
    copies: dict[str, int] = {}


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that makes an export what it is; the same ledger lines and the same manifest give the same bytes.

    Nothing in it says when or where it was made. `command` makes it again. `options` are those that have an
    effect on the bytes, `filters` those that chose the trajectories. `split` counts groups and sessions by
    part. `held_out` are the ids of the holdouts that were honoured. `contamination` gives for each check how
    many rows it found on both sides: an export with any but 0 is refused. `sessions` are, by part, the first
    16 hex digits of the sha256 of each session's id, sorted.
    """

    form: int
    karl: str
    format: str
    command: str
    ledger: Span
    reward_version: str
    filters: dict[str, Any]
    options: dict[str, Any]
    split: dict[str, Any]
    held_out: tuple[str, ...]
    counts: dict[str, int]
    left_out: dict[str, int]
    redactions: dict[str, int]
    contamination: dict[str, int]
    weights: Weighed
    files: dict[str, FileMade]
    sessions: dict[str, tuple[str, ...]]


class ExportBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """An export as its manifest tells of it; `id` is the sha256 of the bytes of manifest.json."""

    id: str
    manifest: Manifest
    person: str
    node: str
    time_ms: int


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an adapter is trained: all that, with the data and the model, makes it what it is.

    `layers` counts from the last one, -1 for all. `max_tokens` is the longest row. `weighted` puts the rows'
    weights into the loss. Validation and a checkpoint come every `every` iterations; losses are measured over
    `valid_rows` rows at most, the same each time, 0 for all.
    """

    iters: int = 200
    batch: int = 4
    layers: int = 8
    rank: int = 8
    scale: float = 20.0
    dropout: float = 0.0
    learning_rate: float = 1e-4
    max_tokens: int = 512
    seed: int = 0
    weighted: bool = True
    every: int = 25
    valid_rows: int = 100


class Measured(msgspec.Struct, frozen=True, array_like=True):
    """Mean losses (nats a token) after so many iterations; null where there was none to measure."""

    iteration: int
    train_loss: float | None
    valid_loss: float | None


class TrainingBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """One training run, and the adapter that came of it.

    `export` is the id of the export, `model` the base model's name and `model_digest` the sha256 of its
    config and weights. `adapter` is the id of the adapter that was kept, the one of iteration `best` by
    validation; empty where there is none. `files` are its files with their sha256, `parcel` the bundle that
    carries them. `resumed` counts how often it went on from a checkpoint. `device` is what mlx ran on,
    `versions` those of python, mlx and mlx-lm. `seconds` is the time that it trained.
    """

    id: str
    export: str
    model: str
    model_digest: str
    recipe: Recipe
    ended: TrainingEnd
    device: str
    versions: dict[str, str]
    curve: tuple[Measured, ...]
    node: str
    started_ms: int
    time_ms: int
    adapter: str = ""
    best: int = 0
    files: dict[str, str] = {}
    bytes: int = 0
    parcel: str = ""
    rows: int = 0
    tokens: int = 0
    tokens_per_s: float = 0.0
    seconds: float = 0.0
    peak_mb: float = 0.0
    resumed: int = 0
    reason: str = ""
    job: str = ""
    label: str = ""
    person: str = ""


class ArmRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """One arm with one seed, judged over the held-out items in their order.

    `tools` and `targets` are a bit an item, the first item the highest of the first byte, in hex: whether
    the next tool was right, and the tool with its target. `nll` is the mean of each session (nats a token of
    the answer), in the order of `EvaluationBody.sessions`, absent for a count table.
    """

    seed: int
    tools: str
    targets: str
    nll: tuple[float, ...] = ()
    adapter: str = ""
    rows: int = 0
    ess: float = 0.0


class Arm(msgspec.Struct, frozen=True):
    """What was compared: `base`, `all`, `random`, `reward`, `advantage`, `bigram`, `majority`."""

    name: str
    runs: tuple[ArmRun, ...]


class Contrast(msgspec.Struct, frozen=True, omit_defaults=True):
    """The difference of two arms in one figure, with its 95 % interval."""

    name: str
    metric: str
    difference: float
    low: float
    high: float


class EvaluationBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Adapters of one recipe held against the arms that could explain their success, and the verdict.

    The verdict follows from the arms alone (karl.learning.lift computes all figures again from them).
    `items` counts held-out next actions, `sessions` those of each session in the order of the items.
    `guard` has the loss on plain instructions of each arm; `primary` is the contrast that decides.
    `holdouts` are the ids of the holdouts that the items come from, empty where the export's validation part
    was used. `labels` has for each tool a bit an item, as ArmRun's: whether it is the one that was right.
    `options` are those of the arms (karl.learning.arms).
    """

    id: str
    export: str
    model: str
    model_digest: str
    recipe: Recipe
    seeds: tuple[int, ...]
    items: int
    sessions: tuple[int, ...]
    arms: tuple[Arm, ...]
    primary: Contrast
    contrasts: tuple[Contrast, ...]
    guard: dict[str, float]
    verdict: Verdict
    why: str
    node: str
    time_ms: int
    holdouts: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    options: dict[str, float] = {}
    seconds: float = 0.0
    job: str = ""
    person: str = ""


class AdapterBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A decision about which adapter is in use; empty for none. `forced` where no evaluation earned it."""

    id: str
    action: AdapterAction
    adapter: str
    reason: str
    person: str
    node: str
    time_ms: int
    evaluation: str = ""
    forced: bool = False


class ClaimBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that is said of what was learned. Its status is never written down: records decide it.

    `of` names what it rests on: `evaluation`, `export`, `training`, `adapter`, `holdout` with their ids.
    With `withdrawn`, the claim of that id is not made any more.
    """

    id: str
    kind: ClaimKind
    text: str
    of: dict[str, str]
    person: str
    node: str
    time_ms: int
    boundary: str = ""
    withdrawn: str = ""


class SyntheticBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question and an answer that nobody asked and nobody gave: made from a commit, by a rule.

    `facts` are what of the diff the answer says, each checked against it. Never in an evaluation. With
    `removed`, the one of that id is not to be used any more.
    """

    id: str
    question: str
    answer: str
    repository: str
    commit: str
    files: tuple[str, ...]
    facts: tuple[str, ...]
    person: str
    node: str
    time_ms: int
    removed: bool = False
