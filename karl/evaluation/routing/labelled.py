"""Reading labelled sets of prompts: who said what, and what it asked for.

A file is JSONL with `text` and `label` (also `intent`, `category`, `skill`), a CSV of the same, or one JSON
object with parts (`train`, `val`, `test`, `oos_train`, ...), each a list of [text, label], as CLINC150 comes.
`NAME_train`, `NAME_val` and `NAME_test` beside each other are parts of one set. A prompt labelled `oos`, or
whose `skill` is null, is out of scope: no skill is there for it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from karl.errors import KarlError, Unreadable

#: Labels of prompts that are out of scope.
STRANGE = frozenset({"oos", "out_of_scope", "out-of-scope", "ood"})
_TEXT = ("text", "utterance", "prompt", "query", "sentence")
_LABEL = ("label", "intent", "category", "skill")
_PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".json")
_NAMED = re.compile(
    r"(.*?)[._-]?(oos|ood)?[._-]?(train|validation|valid|val|dev|test)(?:[._-](val|test))?$", re.IGNORECASE
)
_LINE_MAX = 1 << 20


class Labelled(NamedTuple):
    """A prompt and what it asks for; an empty label: out of scope."""

    text: str
    label: str


class Problem(NamedTuple):
    """What could not be read; line 0: the file."""

    file: str
    line: int
    reason: str


@dataclass
class LabelledSet:
    """One set; a part may be empty. Each prompt is there once."""

    name: str
    parts: dict[str, list[Labelled]] = field(default_factory=lambda: {"train": [], "val": [], "test": []})


class Read(NamedTuple):
    """The sets that were read, by name, and what could not be."""

    sets: list[LabelledSet]
    problems: list[Problem]
    twice: int


def read(paths: list[Path]) -> Read:
    """Read files, and folders at any depth. Raises KarlError where there is no path."""
    sets: dict[str, LabelledSet] = {}
    problems: list[Problem] = []
    seen: dict[str, set[str]] = {}
    twice = 0
    for file in _files(paths):
        name, part = _named(file)
        found: list[tuple[str, Labelled]] = []
        for one in _from_file(file, part):
            if isinstance(one, Problem):
                problems.append(one)
            else:
                found.append(one)
        if not found:
            continue
        into = sets.setdefault(name, LabelledSet(name))
        known = seen.setdefault(name, set())
        for where, row in found:
            key = " ".join(row.text.lower().split())
            twice += key in known  # a prompt of the train part that is also in the test part tells nothing
            if key not in known:
                into.parts[where].append(row)
            known.add(key)
    return Read([sets[name] for name in sorted(sets)], problems, twice)


def _files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise KarlError(f"there is no {path}")
        inside = path.rglob("*") if path.is_dir() else [path]
        files += [one for one in sorted(inside) if one.is_file() and (one == path or one.suffix in _SUFFIXES)]
    # Train parts first: of a prompt that is in two parts, the first is kept.
    order = {"train": 0, "val": 1, "test": 2}
    return sorted(dict.fromkeys(files), key=lambda file: (order[_named(file)[1]], str(file)))


def _named(file: Path) -> tuple[str, str]:
    """Give the set and the part that a file's name says."""
    match = _NAMED.fullmatch(file.stem)
    if match is None:
        return file.stem, "train"
    if match[4]:  # clinc150_train_val: a file of several parts, which its own words tell apart
        return match[1] or file.parent.name, "train"
    return match[1] or file.parent.name, _PARTS[match[3].lower()]


def _from_file(file: Path, part: str) -> Iterator[tuple[str, Labelled] | Problem]:
    try:
        if file.suffix == ".csv":
            with file.open(encoding="utf-8-sig", newline="") as opened:
                rows = enumerate(csv.DictReader(opened), start=2)
                yield from _each(file, part, rows)
        elif file.suffix == ".json":
            yield from _document(file, part)
        else:
            with file.open(encoding="utf-8-sig") as opened:
                yield from _lines(file, part, opened)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        yield Problem(str(file), 0, str(error))


def _lines(file: Path, part: str, opened: Any) -> Iterator[tuple[str, Labelled] | Problem]:
    for number, line in enumerate(opened, start=1):
        if not line.strip():
            continue
        try:
            yield _row(json.loads(line[: _LINE_MAX + 1]), part)  # a longer one is no JSON any more
        except (ValueError, RecursionError, Unreadable) as error:
            yield Problem(str(file), number, str(error))


def _document(file: Path, part: str) -> Iterator[tuple[str, Labelled] | Problem]:
    document = json.loads(file.read_text("utf-8-sig"))
    if isinstance(document, list):
        yield from _each(file, part, enumerate(document, start=1))
        return
    if not isinstance(document, dict) or not all(isinstance(rows, list) for rows in document.values()):
        yield Problem(str(file), 0, "neither a list of prompts nor an object of parts")
        return
    for name, rows in document.items():
        where = _PARTS.get(name.lower().removeprefix("oos_").removesuffix("_oos"), "")
        if not where:
            yield Problem(str(file), 0, f"{name} is no part that is known: {', '.join(_PARTS)}")
            continue
        yield from _each(file, where, enumerate(rows, start=1), strange="oos" in name.lower())


def _each(
    file: Path, part: str, rows: Any, *, strange: bool = False
) -> Iterator[tuple[str, Labelled] | Problem]:
    for number, row in rows:
        try:
            where, one = _row(row, part)
            yield where, one._replace(label="") if strange else one
        except Unreadable as error:
            yield Problem(str(file), number, str(error))


def _row(row: Any, part: str) -> tuple[str, Labelled]:
    """Read one prompt. Raises Unreadable."""
    if isinstance(row, list) and len(row) == 2:
        text, label = row
    elif isinstance(row, dict):
        text = next((row[key] for key in _TEXT if row.get(key) is not None), None)
        label = next((row[key] for key in _LABEL if row.get(key) is not None), None)
        label = "oos" if label is None and "skill" in row else label
        part = _PARTS.get(str(row.get("split", "")).lower(), part)
    else:
        raise Unreadable("neither [text, label] nor an object with text and label")
    if not isinstance(text, str) or not isinstance(label, str) or not text.strip() or not label.strip():
        raise Unreadable("text and label must be there, as words")
    return part, Labelled(text, "" if label.strip().lower() in STRANGE else label.strip())
