"""What reading gives: a skill with its rules, a place with its skills, and what was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from karl.schema.routing import Origin, Rule, SkillEntry

#: How a place is read: folders of skills or of slash commands, of one or of all plugins, a list, rules.
Kind = Literal["skills", "commands", "plugin", "plugins", "list", "rules"]


class Problem(NamedTuple):
    """Something wrong at a file or folder; `lost`: because of it, something written there does not count."""

    where: str
    why: str
    lost: bool = False


class Place(NamedTuple):
    """A folder or file that tells of skills or rules; `name` is how records and people call it."""

    path: Path
    name: str
    kind: Kind
    origin: Origin
    project: str = ""


class Told(NamedTuple):
    """A skill, its rules, and what was wrong with its file."""

    skill: SkillEntry
    rules: tuple[Rule, ...]
    problems: tuple[Problem, ...]


class PlaceTold(NamedTuple):
    """All that a place tells. `is_there`: the place was found, and may be empty."""

    place: Place
    is_there: bool = True
    skills: tuple[SkillEntry, ...] = ()
    rules: tuple[Rule, ...] = ()
    problems: tuple[Problem, ...] = ()
