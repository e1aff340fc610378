"""What ledger records say of routing: skills, exemplars, routers, policy, predictions.

Each change is a record, so what was known at any time can be had again. `karl.schema.record` has the other
kinds; the kinds of these bodies are `skills`, `exemplar`, `router`, `routing` and `shadow`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: Where a skill or a rule is told of.
Origin = Literal["user", "project", "plugin", "file"]
#: How a prediction came about. Only a `live` one, made before anybody knew the truth, can be evidence.
ShadowSource = Literal["live", "replayed", "synthetic"]
#: What made a router.
RouterWhy = Literal["bootstrap", "centroids", "rebuild", "refresh", "refine", "snapshot"]
#: What was decided about routing.
RoutingAction = Literal[
    "use", "rollback", "promote", "force-promote", "demote", "override", "hybrid", "off", "on"
]
#: `off`: no prompt is predicted; `shadow`: nobody is told of a pick; `active`: agents are.
Mode = Literal["off", "shadow", "active"]
#: Which router decides about a skill.
Way = Literal["vector", "regex"]


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pattern (RE2, case ignored) that votes for a skill with `weight` where a prompt has it.

    With a `project` it counts for prompts of that project alone.
    """

    skill: str
    pattern: str
    project: str = ""
    weight: float = 1.0
    origin: Origin = "user"


class SkillEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A skill as its folder tells of it. `digest` is a sha256 of the file; `examples` are prompts in it.

    `model_invocable` is false where only a person may start it, `user_invocable` where no person may.
    """

    name: str
    description: str = ""
    when: str = ""
    examples: tuple[str, ...] = ()
    project: str = ""
    plugin: str = ""
    model_invocable: bool = True
    user_invocable: bool = True
    digest: str = ""


class SkillsBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """All skills and rules of one place; it takes the place of what was told of that place before.

    `place` names a folder or file on `node`, such as `~/.claude/skills`.
    """

    id: str
    place: str
    origin: Origin
    skills: tuple[SkillEntry, ...]
    node: str
    time_ms: int
    rules: tuple[Rule, ...] = ()


class ExemplarBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A prompt that somebody says asks for a skill; with `removed`, that it does not count any more.

    `contrast` names the skill that it is easily taken for, where it was made to tell the two apart.
    `skill` may be empty: then the prompt asks for none. `of` names the trajectory whose prompt is meant.
    """

    id: str
    skill: str
    text: str
    person: str
    time_ms: int
    removed: bool = False
    contrast: str = ""
    of: str = ""


class RouterBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A router that was trained: from what, how, and how well it does.

    `id` is the sha256 of its bytes (karl.routing.model). `sources` say what it was trained with, so that it
    can be trained again: `trajectory:ID:SKILL` (without a skill: one that asked for none), `exemplar:ID`,
    `skill:NAME:DIGEST`, 16 hex digits of the entry as it was encoded. `counts` are exemplars by
    skill. `measured` are figures over held-out exemplars, `drift` how far (1 - cosine) each skill's centroid
    moved from the router before it, `parent`.
    """

    id: str
    why: RouterWhy
    encoder: str
    encoder_version: str
    head: str
    seed: int
    skills: tuple[str, ...]
    counts: dict[str, int]
    sources: tuple[str, ...]
    measured: dict[str, float]
    drift: dict[str, float]
    bytes: int
    node: str
    time_ms: int
    label: str = ""
    parent: str = ""
    person: str = ""


class RoutingBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A decision about routing, and all of the policy that counts from then on.

    `action` says what was decided, `reason` why, `measured` and `checks` upon what; `forced` where checks
    said no. The rest is the policy (karl.routing.policy).
    """

    id: str
    action: RoutingAction
    mode: Mode
    router: str
    person: str
    node: str
    time_ms: int
    overrides: dict[str, Way] = {}
    ready: tuple[str, ...] = ()
    share: float = 1.0
    since_ms: int = 0
    reason: str = ""
    forced: bool = False
    measured: dict[str, float] = {}
    checks: dict[str, bool] = {}


class RankedSkill(msgspec.Struct, frozen=True, array_like=True):
    """A skill with its chance, 0 to 1."""

    skill: str
    chance: float


class ShadowBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What both routers said of one prompt, before anybody knew what it was for.

    `event` is the id of the prompt's event, whose time is `time_ms`; `made_ms` is when this was said.
    `regex` is the rules' pick; `ranked` are the vector router's best three, `fit` and `takes` whether it
    would take the first. `picked` is what the policy made of both. `rules` is the digest of the catalogue,
    `router` the id of the router; empty where there was none. `took_us` is the time of both, encoder
    included. `trajectory` is known where the prediction was made from the ledger.
    """

    event: str
    session: str
    fleet: str
    node: str
    agent: str
    project: str
    time_ms: int
    made_ms: int
    source: ShadowSource
    rules: str = ""
    router: str = ""
    encoder: str = ""
    regex: str | None = None
    ranked: tuple[RankedSkill, ...] = ()
    takes: bool = False
    fit: float | None = None
    picked: str | None = None
    took_us: int = 0
    trajectory: str | None = None
