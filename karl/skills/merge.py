"""All places' skills and rules as one catalogue: the nearest wins, then the latest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from karl.routing.policy import Catalogue
from karl.schema.routing import Origin, Rule, SkillEntry, SkillsBody
from karl.skills.places import AGENTS_FOLDERS

#: The nearest to the work first.
NEAREST: tuple[Origin, ...] = ("project", "user", "plugin", "file")


class Placed(NamedTuple):
    """A skill with the place that tells of it."""

    skill: SkillEntry
    place: str
    node: str
    origin: Origin


class Merged(NamedTuple):
    """The catalogue, where each of its skills is from, and what places further away say otherwise of one."""

    catalogue: Catalogue
    told: tuple[Placed, ...]
    hidden: tuple[Placed, ...]


def merged(bodies: Iterable[SkillsBody]) -> Catalogue:
    """Give the catalogue of places, the latest record of each, in any order; see `merge`."""
    return merge(bodies).catalogue


def merge(bodies: Iterable[SkillsBody]) -> Merged:
    """Put places together: one skill for a name and a project, of the nearest place, then of the latest.

    Of one user's folders the first of the agents' counts (karl.skills.places). Rules of all places stay, each
    once. The same places in any order give the same catalogue.
    """
    kept: dict[tuple[str, str], Placed] = {}
    hidden: list[Placed] = []
    rules: dict[tuple[str, str, str, float], Rule] = {}
    for body in sorted(bodies, key=_nearness):
        for rule in body.rules:
            rules.setdefault((rule.skill, rule.project, rule.pattern, rule.weight), rule)
        for skill in body.skills:
            told = Placed(skill, body.place, body.node, body.origin)
            first = kept.setdefault((skill.name, skill.project), told)
            if _says(first.skill) != _says(skill):
                hidden.append(told)
    ordered = tuple(kept[key] for key in sorted(kept))
    catalogue = Catalogue(
        tuple(told.skill for told in ordered),
        tuple(rules[key] for key in sorted(rules)),
    )
    return Merged(catalogue, ordered, tuple(hidden))


def _says(skill: SkillEntry) -> tuple[str, str, tuple[str, ...]]:
    """Give what a skill says of itself, wherever it stands."""
    return (skill.description, skill.when, skill.examples)


def _nearness(body: SkillsBody) -> tuple[int, int, int, str, str]:
    parts = PurePosixPath(body.place).parts
    agent = next((rank for rank, name in enumerate(AGENTS_FOLDERS) if name in parts), len(AGENTS_FOLDERS))
    return (NEAREST.index(body.origin), agent, -body.time_ms, body.place, body.node)
