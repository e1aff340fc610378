"""Skills that labelled prompts are held against: what they say of themselves, by the names of the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from karl.errors import KarlError
from karl.evaluation.routing.labelled import LabelledSet, Problem
from karl.routing.exemplars import said_by
from karl.routing.router import Exemplar
from karl.schema.routing import SkillEntry
from karl.skills.places import of_path
from karl.skills.read import read_place


class Catalogue(msgspec.Struct, frozen=True):
    """Each skill's own words, by its name, and what could not be read."""

    skills: Mapping[str, Sequence[Exemplar]]
    problems: Sequence[Problem] = ()

    @property
    def names(self) -> frozenset[str]:
        """Give the skills' names."""
        return frozenset(self.skills)


def read_skills(paths: Iterable[Path], home: Path) -> Catalogue:
    """Read skills from lists and folders; of one name, the first counts. Raises KarlError for no path."""
    found: dict[str, Sequence[Exemplar]] = {}
    problems: list[Problem] = []
    for path in paths:
        if not path.exists():
            raise KarlError(f"there is no {path}")
        told = read_place(of_path(path, home), lambda _folder: "")
        problems += [Problem(one.where, 0, one.why) for one in told.problems if one.lost]
        for entry in told.skills:
            found.setdefault(entry.name, own_words(entry))
    return Catalogue(found, problems)


def own_words(entry: SkillEntry) -> list[Exemplar]:
    """Give what a skill says of itself, not cut yet."""
    return [Exemplar(entry.name, piece.text, piece.kind) for piece in said_by(entry)]


def plain_words(words: Iterable[Exemplar]) -> list[Exemplar]:
    """Give one text of each skill, for plain centroids: its description as it is, else its name."""
    whole: dict[str, Exemplar] = {}
    for one in words:
        if one.kind == "description" or (one.kind == "name" and one.skill not in whole):
            whole[one.skill] = one
    return [one._replace(kind="prompt") for one in whole.values()]


def named(given: LabelledSet, skills: frozenset[str]) -> LabelledSet:
    """Give a set whose labels are skills' names; `plugin:name` and `name` may stand for each other.

    Labels that are no skill stay as they are.
    """
    call = _calls(skills)
    parts = {
        part: [row._replace(label=call(row.label)) for row in rows] for part, rows in given.parts.items()
    }
    return LabelledSet(given.name, parts)


def _calls(skills: frozenset[str]) -> Callable[[str], str]:
    by_last: dict[str, list[str]] = {}
    for name in sorted(skills):
        by_last.setdefault(name.rpartition(":")[2].casefold(), []).append(name)

    def call(label: str) -> str:
        if not label or label in skills:
            return label
        alike = by_last.get(label.rpartition(":")[2].casefold(), [])
        return alike[0] if len(alike) == 1 else label

    return call
