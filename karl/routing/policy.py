"""What decides which router is listened to, and the catalogue that both route to. Plain values.

The rules' pick and the vector router's choice go into `decide`; what comes out is one skill, or none.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from karl.schema.routing import Mode, Rule, SkillEntry, Way

if TYPE_CHECKING:
    from karl.routing.router import Choice


class Policy(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which router counts: `ready` are the skills that the vector router has earned, `overrides` win.

    In the mode `shadow` nobody is told of a pick, in `off` none is made. In `active`, `share` of the sessions
    are told; the others are compared with. `since_ms` is when that mode began. `id` is the decision's.
    """

    mode: Mode = "shadow"
    router: str = ""
    overrides: dict[str, Way] = {}
    ready: tuple[str, ...] = ()
    share: float = 1.0
    since_ms: int = 0
    id: str = ""

    def way(self, skill: str) -> Way:
        """Say which router decides about a skill."""
        return self.overrides.get(skill) or ("vector" if skill in self.ready else "regex")


class Catalogue(msgspec.Struct, frozen=True, omit_defaults=True):
    """All skills there are, by name, and all rules."""

    skills: tuple[SkillEntry, ...] = ()
    rules: tuple[Rule, ...] = ()

    @property
    def digest(self) -> str:
        """Give 16 hex digits that say which rules and skills these are."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    @property
    def names(self) -> frozenset[str]:
        """Give the skills' names."""
        return frozenset(skill.name for skill in self.skills)


def decide(policy: Policy, regex: str | None, choice: Choice | None) -> str | None:
    """Pick a skill: the vector router's where it takes one that is its to decide, else the rules'."""
    vector = choice.ranked[0].skill if choice and choice.takes and choice.ranked else None
    if vector is not None and policy.way(vector) == "vector":
        return vector
    return regex if regex is not None and policy.way(regex) == "regex" else None
