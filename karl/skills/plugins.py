"""Skills and commands of agents' plugins, named `plugin:skill` as agents name them.

A plugin has a manifest, `.claude-plugin/plugin.json`; its skills are in `skills/`, its commands in
`commands/`, and where the manifest says. Which plugins are installed, `installed_plugins.json` says; without
it the newest version of each in the cache counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from karl.errors import Unreadable
from karl.schema.routing import Origin
from karl.skills.entry import Of, entry
from karl.skills.files import Walk, read_text, real
from karl.skills.folders import commands_below, read_in, skill_in, skills_below
from karl.skills.told import Problem, Told

MANIFEST = Path(".claude-plugin") / "plugin.json"
INSTALLED = "installed_plugins.json"
#: Bytes of a JSON file of an agent's.
_JSON_MAX = 8 << 20


class Install(NamedTuple):
    """A plugin that is installed: where, as what, and for which project's folder (empty: all)."""

    path: Path
    name: str
    project: str = ""


def read_plugins(walk: Walk, project_of: Callable[[str], str], origin: Origin) -> Iterator[Told]:
    """Read the skills of all plugins that are installed below a folder and enabled beside it."""
    inside = real(walk.root)
    for install in _installed(walk):
        path = install.path if install.path.is_absolute() else walk.root / install.path
        if not real(path).is_relative_to(inside):
            why = f"the plugin {install.name} is outside of the folder; name {path} to have it read"
            walk.problems.append(Problem(str(walk.root / INSTALLED), why, lost=True))
        elif not path.is_dir():
            why = f"the plugin {install.name} is installed at {path}, and not there"
            walk.problems.append(Problem(str(walk.root / INSTALLED), why, lost=True))
        else:
            project = project_of(install.project) if install.project else ""
            below = Walk(path)
            yield from read_plugin(below, install.name, Of(origin, project))
            walk.problems += below.problems


def read_plugin(walk: Walk, name: str, of: Of) -> Iterator[Told]:
    """Read one plugin's skills and commands; its manifest names it, if there is one."""
    manifest = _manifest(walk)
    given = manifest.get("name")
    of = of._replace(plugin=given if isinstance(given, str) and given.strip() else name)
    yield from skill_in(walk, of)
    for path in _paths(walk, manifest, "skills"):
        below = Walk(path)
        yield from skills_below(below, of)
        walk.problems += below.problems
    for path in _paths(walk, manifest, "commands"):
        if path.is_dir():
            below = Walk(path)
            yield from commands_below(below, of)
            walk.problems += below.problems
        else:
            yield from read_in(walk, path, path.stem, of, is_command=True)
    commands = manifest.get("commands")
    if isinstance(commands, Mapping):
        yield from _described(walk, commands, of)


def _manifest(walk: Walk) -> Mapping[str, Any]:
    path = walk.root / MANIFEST
    if not path.exists() or not real(path).is_relative_to(real(walk.root)):
        return {}
    return _json(walk, path)


def _json(walk: Walk, path: Path) -> Mapping[str, Any]:
    """Read a JSON object; an empty one, with a problem told, where there is none."""
    try:
        value = msgspec.json.decode(read_text(path, _JSON_MAX).text)
    except (Unreadable, msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        walk.problems.append(Problem(str(path), f"it can not be read: {error}", lost=True))
        return {}
    if isinstance(value, dict):
        return value
    walk.problems.append(Problem(str(path), "it is no JSON object", lost=True))
    return {}


def _paths(walk: Walk, manifest: Mapping[str, Any], what: str) -> Iterator[Path]:
    """Give the folders and files of a plugin's skills or commands, each once, none of them outside of it."""
    given = manifest.get(what)
    named = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    seen: set[Path] = set()
    inside = real(walk.root)
    for name in [what, *(one for one in named if isinstance(one, str) and "\x00" not in one)]:
        path = walk.root / name
        target = real(path)
        if target in seen or any(target.is_relative_to(one) for one in seen):
            continue
        if not target.is_relative_to(inside):
            why = f"{what} names {name!r}, which is outside of the plugin"
            walk.problems.append(Problem(str(walk.root / MANIFEST), why, lost=True))
        elif path.exists():
            seen.add(target)
            if target != inside:
                yield path
        elif name != what:
            why = f"{what} names {name!r}, which is not there"
            walk.problems.append(Problem(str(walk.root / MANIFEST), why, lost=True))


def _described(walk: Walk, commands: Mapping[str, Any], of: Of) -> Iterator[Told]:
    """Read commands that a manifest describes: {name: {source | content, description}}."""
    inside = real(walk.root)
    where = str(walk.root / MANIFEST)
    for name, given in commands.items():
        if not isinstance(given, Mapping):
            walk.problems.append(Problem(where, f"the command {name} is no object", lost=True))
            continue
        source = given.get("source")
        if (
            isinstance(source, str)
            and "\x00" not in source
            and real(walk.root / source).is_relative_to(inside)
        ):
            yield from read_in(walk, walk.root / source, name, of, is_command=True)
            continue
        content = given.get("content")
        body = content if isinstance(content, str) else ""
        fields = {key: value for key, value in given.items() if key != "name"}
        digest = hashlib.sha256(msgspec.json.encode(given)).hexdigest()
        yield entry(fields, body, otherwise=name, of=of, digest=digest, where=where)


def _installed(walk: Walk) -> list[Install]:
    """List what is installed, and not switched off in the settings beside the folder."""
    listed = walk.root / INSTALLED
    found = _listed(_json(walk, listed)) if listed.exists() else _cached(walk)
    off = _switched_off(walk)
    return [install for key, install in found if key not in off]


def _listed(given: Mapping[str, Any]) -> list[tuple[str, Install]]:
    """Read which plugins are installed: one place each, or several in newer files."""
    plugins = given.get("plugins", given)
    found = []
    for key, places in plugins.items() if isinstance(plugins, Mapping) else ():
        for place in places if isinstance(places, list) else [places]:
            path = place.get("installPath") if isinstance(place, Mapping) else None
            if isinstance(path, str) and path and "\x00" not in path:
                project = place.get("projectPath")
                named = Install(
                    Path(path), key.partition("@")[0], project if isinstance(project, str) else ""
                )
                if (key, named) not in found:
                    found.append((key, named))
    return sorted(found, key=lambda one: (one[0], one[1].project, str(one[1].path)))


def _cached(walk: Walk) -> list[tuple[str, Install]]:
    """Find plugins where agents keep them, `cache/MARKETPLACE/PLUGIN/VERSION`, or right in the folder."""
    found = []
    for market in _folders(walk, walk.root / "cache"):
        for plugin in _folders(walk, market):
            versions = _folders(walk, plugin)
            if versions:
                newest = max(versions, key=lambda path: _version(path.name))
                found.append((f"{plugin.name}@{market.name}", Install(newest, plugin.name)))
    here = [path for path in _folders(walk, walk.root) if (path / MANIFEST).exists()]
    return [*found, *((path.name, Install(path, path.name)) for path in here)]


def _folders(walk: Walk, path: Path) -> list[Path]:
    folder = walk.look(path) if path.is_dir() and not path.is_symlink() else None
    return [folder.path / name for name in folder.folders] if folder else []


def _version(name: str) -> list[tuple[int, int, str]]:
    """Order versions by their numbers, so that 1.10 comes after 1.9."""
    parts = re.findall(r"\d+|[^\d.]+", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def _switched_off(walk: Walk) -> frozenset[str]:
    off: dict[str, bool] = {}
    for name in ("settings.json", "settings.local.json"):
        path = walk.root.parent / name
        enabled = _json(walk, path).get("enabledPlugins") if path.exists() else None
        if isinstance(enabled, Mapping):
            off.update({key: value is False for key, value in enabled.items()})
    return frozenset(key for key, is_off in off.items() if is_off)


def is_plugin(path: Path) -> bool:
    """Say whether a folder is a plugin."""
    return (path / MANIFEST).is_file()
