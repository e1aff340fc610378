"""A place read: its skills, its rules, and what was wrong. Nothing that is read is ever run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from karl.schema.routing import Rule, SkillEntry
from karl.skills.entry import Of
from karl.skills.files import Walk
from karl.skills.folders import commands_below, name_of, read_in, skills_below
from karl.skills.listed import read_list
from karl.skills.plugins import read_plugin, read_plugins
from karl.skills.rules_file import read_rules
from karl.skills.told import Place, PlaceTold, Problem, Told

#: Skills of one place that count.
SKILLS_MAX = 50_000


def read_place(place: Place, project_of: Callable[[str], str], others: Sequence[Path] = ()) -> PlaceTold:
    """Read a place; never fails: what can not be read is told, and the rest stays.

    `project_of` names the project of a folder, for plugins that are for one; `others` are the other places
    that are read, so that a link into one of these needs no word. Of two skills of one name the first counts.
    """
    # Somebody named the place itself, so that it may be a link; nothing below it is followed out of it.
    path = place.path.resolve() if place.path.is_symlink() and place.path.is_file() else place.path
    if not path.exists():
        return PlaceTold(place, is_there=False)
    if place.kind == "rules":
        read = read_rules(path, origin=place.origin, project=place.project)
        return PlaceTold(place, True, (), read.rules, read.problems)
    if place.kind == "list":
        listed = read_list(path, origin=place.origin, project=place.project)
        return _gathered(place, listed.skills, listed.rules, listed.problems)
    walk = Walk(path, tuple(others))
    told = tuple(_skills(walk, place, project_of))
    return _gathered(place, told, (), walk.problems)


def _skills(walk: Walk, place: Place, project_of: Callable[[str], str]) -> Iterator[Told]:
    of = Of(place.origin, place.project)
    if walk.root.is_file():
        yield from _one_file(walk, of)
    elif place.kind == "commands":
        yield from commands_below(walk, of)
    elif place.kind == "plugin":
        yield from read_plugin(walk, name_of(walk.root), of)
    elif place.kind == "plugins":
        yield from read_plugins(walk, project_of, place.origin)
    else:
        yield from skills_below(walk, of)


def _one_file(walk: Walk, of: Of) -> Iterator[Told]:
    """Read the one file that somebody named: a skill's, or a command."""
    path = walk.root
    is_skill = path.name.lower() == "skill.md"
    name = name_of(path.parent) if is_skill else path.stem
    yield from read_in(walk, path, name, of, is_command=not is_skill)


def _gathered(
    place: Place, told: Sequence[Told], rules: Iterable[Rule], problems: Iterable[Problem]
) -> PlaceTold:
    """Put a place's skills together, each name of a project once."""
    skills: dict[tuple[str, str], SkillEntry] = {}
    voting = dict.fromkeys(rules)
    all_problems = list(problems)
    for one in told:
        key = (one.skill.name, one.skill.project)
        all_problems += one.problems
        if key in skills:
            where = one.problems[0].where if one.problems else str(place.path)
            all_problems.append(Problem(where, f"{one.skill.name} is there twice; the first counts"))
        elif len(skills) < SKILLS_MAX:
            skills[key] = one.skill
            voting.update(dict.fromkeys(one.rules))
    if len(told) > SKILLS_MAX:
        why = f"{len(told):,} skills; the first {SKILLS_MAX:,} count"
        all_problems.append(Problem(str(place.path), why, lost=True))
    return PlaceTold(place, True, tuple(skills.values()), tuple(voting), tuple(all_problems))
