"""Skills written as people and tools write them."""

from __future__ import annotations

from pathlib import Path

from karl.schema.routing import SkillEntry
from karl.skills.places import of_path
from karl.skills.read import read_place
from karl.skills.told import PlaceTold, Problem


def skill(folder: Path, name: str, text: str, file: str = "SKILL.md") -> Path:
    """Write one skill's file."""
    path = folder / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def fields(**given: str) -> str:
    """Give front-matter of fields, and a text below it."""
    lines = "".join(f"{name}: {value}\n" for name, value in given.items())
    return f"---\n{lines}---\n\n# A heading\n\nThe text.\n"


def read(path: Path) -> PlaceTold:
    """Read what a person names."""
    return read_place(of_path(path, Path("/home/nobody")), lambda folder: Path(folder).name)


def only(told: PlaceTold) -> SkillEntry:
    """Give the one skill that there is."""
    assert len(told.skills) == 1, told
    return told.skills[0]


def whys(problems: tuple[Problem, ...]) -> str:
    return "; ".join(problem.why for problem in problems)
