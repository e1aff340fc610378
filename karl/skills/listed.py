"""Skills from one file that lists them: JSON lines, JSON or TOML, a skill each with its name and fields.

Fields are those of front-matter (`name`, `description`, `when_to_use`, `triggers`, ...), and `project` and
`plugin`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from karl.errors import Unreadable
from karl.schema.routing import Origin, Rule
from karl.skills.entry import NAME_MAX, Of, clean, entry
from karl.skills.files import read_text
from karl.skills.rules_file import rules_of
from karl.skills.told import Problem, Told

#: Bytes of such a file.
FILE_MAX = 128 << 20
#: Endings of the files that list skills.
ENDINGS = (".jsonl", ".ndjson", ".json", ".toml")
_NAMES = ("name", "skill", "id")


class Read(NamedTuple):
    """What a file lists, and what was wrong with the file."""

    skills: tuple[Told, ...] = ()
    rules: tuple[Rule, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_list(path: Path, *, origin: Origin, project: str = "") -> Read:
    """Read a file of skills; a row that is none is a problem, and the others stay."""
    try:
        text = read_text(path, FILE_MAX)
        read = Read() if text.is_cut else _read(path, text.text, origin, project)
    except (Unreadable, tomllib.TOMLDecodeError, msgspec.DecodeError, RecursionError) as error:
        return Read((), (), (Problem(str(path), f"no skill can be read: {error}", lost=True),))
    if text.is_cut:
        return Read((), (), (Problem(str(path), f"it has more than {FILE_MAX:,} bytes", lost=True),))
    return read


def _read(path: Path, text: str, origin: Origin, project: str) -> Read:
    problems: list[Problem] = []
    rules: Any = []
    ending = path.suffix.lower()
    if ending == ".toml":
        given: Any = tomllib.loads(text)
    else:
        lines = text.split("\n")
        given = (
            _lines(path, lines, problems)
            if ending in (".jsonl", ".ndjson")
            else _whole(path, lines, problems)
        )
    if isinstance(given, Mapping) and not isinstance(given.get("name"), str):
        rules = given.get("rules", given.get("rule", []))
        given = given.get("skills", given.get("skill", _by_name(given)))
    rows = _by_name(given) if isinstance(given, Mapping) else given if isinstance(given, list) else []
    read = rules_of(rules, str(path), origin=origin, project=project)
    told = tuple(_told(path, rows, origin, project, problems))
    return Read(told, read.rules, (*problems, *read.problems))


def _whole(path: Path, lines: list[str], problems: list[Problem]) -> Any:
    """Read JSON; lines of JSON too, as they come under this ending."""
    try:
        return msgspec.json.decode("\n".join(lines).encode("utf-8", "replace"))
    except msgspec.DecodeError:
        found = _lines(path, lines, problems)
        if not found:
            problems.clear()
            raise
        return found


def _lines(path: Path, lines: Iterable[str], problems: list[Problem]) -> list[Any]:
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(msgspec.json.decode(line.encode("utf-8", "replace")))
            except (msgspec.DecodeError, RecursionError) as error:
                problems.append(Problem(f"{path}:{number}", f"no JSON: {error}", lost=True))
    return rows


def _by_name(given: Mapping[str, Any]) -> list[Any]:
    """Read skills from an object of them: {name: description}, or {name: {fields}}."""
    if isinstance(given.get("name"), str):
        return [given]
    return [
        {"name": name, **(value if isinstance(value, Mapping) else {"description": value})}
        for name, value in given.items()
        if isinstance(value, str | Mapping) and name not in ("rule", "rules", "skill", "skills")
    ]


def _told(
    path: Path, rows: list[Any], origin: Origin, project: str, problems: list[Problem]
) -> Iterator[Told]:
    for number, row in enumerate(rows, 1):
        where = f"{path}, skill {number}"
        fields = row if isinstance(row, Mapping) else {}
        name = next((clean(fields[key], NAME_MAX) for key in _NAMES if isinstance(fields.get(key), str)), "")
        if not name:
            problems.append(Problem(where, "it has no name", lost=True))
            continue
        own, plugin = (_text(fields.get(key)) for key in ("project", "plugin"))
        digest = hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()
        of = Of(origin, project or own, plugin)
        # The list's name is the one, whatever agents could call it: it has no folder that would name it.
        yield entry({**fields, "name": name}, "", otherwise="", of=of, digest=digest, where=where)


def _text(value: Any) -> str:
    return clean(value, NAME_MAX) if isinstance(value, str) else ""
