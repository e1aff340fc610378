"""Where skills and rules are looked for: folders that settings or a person name, and what stands beside them.

An agent keeps its user's skills in a folder of its own in the home folder (`~/.claude/skills`), and a
project's below the same name in the project (`.claude/skills`); commands and plugins stand beside them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from karl.errors import NotFound
from karl.schema.routing import Origin
from karl.skills.listed import ENDINGS
from karl.skills.plugins import INSTALLED, is_plugin
from karl.skills.told import Kind, Place

#: What agents call their folder, in a home folder and in a project.
AGENTS_FOLDERS = (
    ".claude",
    ".agents",
    ".codex",
    ".gemini",
    ".cursor",
    ".opencode",
    ".config/opencode",
    ".factory",
    ".goose",
    ".copilot",
    ".github",
    ".windsurf",
    ".amp",
    ".kiro",
    ".qwen",
)
#: What in it are skills, commands and plugins.
_KINDS: tuple[tuple[str, Kind], ...] = (
    ("skills", "skills"),
    ("skill", "skills"),
    ("commands", "commands"),
    ("command", "commands"),
    ("plugins", "plugins"),
)
#: A project's own file of rules.
PROJECT_RULES = Path(".karl") / "rules.toml"


def of_user(named: Iterable[Path], rules: Path, home: Path) -> list[Place]:
    """List the places of a user: what settings name, what agents keep beside it, and the file of rules.

    Of a folder such as `~/.claude/skills` all agents' folders in the same home folder are places.
    """
    found: list[Place] = []
    for path in named:
        found.append(of_path(path, home))
        if path.parent.name in AGENTS_FOLDERS:
            found += _of_agents(path.parent.parent, "user", "", home)
        elif path.name == "skills":
            found += _within(path.parent, "user", "", home)
    found.append(Place(rules, _shown(rules, home), "rules", "user"))
    return _each_once(found)


def of_project(folder: Path, project: str, home: Path) -> list[Place]:
    """List the places of a project: agents' folders in its folder, and its file of rules."""
    rules = folder / PROJECT_RULES
    own = Place(rules, _shown(rules, home), "rules", "project", project)
    return [*_of_agents(folder, "project", project, home), own]


def of_path(path: Path, home: Path) -> Place:
    """Say how a folder or file that somebody named is read. Raises NotFound for a file of no known kind."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - `absolute` keeps `..`, and links are to stay
    kind: Kind = "skills"
    origin: Origin = "user"
    if path.is_file():
        origin = "file"
        kind = "list"
        if path.suffix.lower() == ".toml" and path.stem.lower().startswith("rules"):
            kind, origin = "rules", "user"
        elif path.suffix.lower() == ".md":
            kind, origin = "commands", "user"
        elif path.suffix.lower() not in ENDINGS:
            raise NotFound(f"{path} is no file of skills; there are {', '.join(ENDINGS)} and .md")
    elif is_plugin(path):
        kind, origin = "plugin", "plugin"
    elif (path / INSTALLED).exists() or (path.name == "plugins" and (path / "cache").is_dir()):
        kind, origin = "plugins", "plugin"
    elif path.name == "commands":
        kind = "commands"
    return Place(path, _shown(path, home), kind, origin)


def _of_agents(top: Path, origin: Origin, project: str, home: Path) -> Iterator[Place]:
    for folder in AGENTS_FOLDERS:
        yield from _within(top / folder, origin, project, home)


def _within(folder: Path, origin: Origin, project: str, home: Path) -> Iterator[Place]:
    """List what an agent's folder may hold."""
    for name, kind in _KINDS:
        path = folder / name
        own: Origin = "plugin" if kind == "plugins" and origin == "user" else origin
        yield Place(path, _shown(path, home), kind, own, project)


def _each_once(places: Iterable[Place]) -> list[Place]:
    """Leave out a place that was listed before; what somebody named comes first."""
    return list({place.path: place for place in reversed(list(places))}.values())[::-1]


def _shown(path: Path, home: Path) -> str:
    """Name a path as people do: below the home folder with `~`."""
    below = f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
    return below.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
