"""What stands above a skill's text: found, and read as YAML, or line by line where it is none."""

from __future__ import annotations

import re
import tomllib
from typing import Any, NamedTuple

from karl.errors import Unreadable
from karl.skills.plain_yaml import read_yaml

#: Characters of front-matter; what is longer is read line by line up to here.
FRONT_MAX = 65_536

_FENCE = re.compile(r"(?:-{3,}|\+{3})[ \t]*")
#: A sentence that begins with "Note:" goes on with the field above it.
_KEY = re.compile(r"([a-z_][\w.-]{0,63}|Name|Description)[ \t]*:(?:[ \t]+(.*)|)")
_ITEM = re.compile(r"[ \t]*-(?:[ \t]+(.*)|)")
_BLOCK = re.compile(r"([|>])[-+0-9]{0,2}(?:[ \t]+#.*)?")


class FrontMatter(NamedTuple):
    """Fields as they were written, the text below them, and what was wrong."""

    fields: dict[str, Any]
    body: str
    problems: tuple[str, ...] = ()


def read_front_matter(text: str) -> FrontMatter:
    """Take a file's text apart; never fails. Without front-matter all of it is the body."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    first = next((place for place, line in enumerate(lines) if line.strip()), 0)
    fence = lines[first].rstrip()
    if not _FENCE.fullmatch(fence):
        return FrontMatter({}, text)
    ends = {"+++"} if fence == "+++" else {fence, "---", "..."}
    last = next((place for place in range(first + 1, len(lines)) if lines[place].rstrip() in ends), None)
    if last is None:
        return _unclosed(lines[first + 1 :])
    front, body = "\n".join(lines[first + 1 : last]), "\n".join(lines[last + 1 :])
    fields, problems = _toml(front) if fence == "+++" else _fields(front)
    return FrontMatter(fields, body, problems)


def _unclosed(lines: list[str]) -> FrontMatter:
    """Read what looks like fields up to the first empty line or heading, which begins the text."""
    last = next(
        (place for place, line in enumerate(lines) if not line.strip() or line.startswith("#")), len(lines)
    )
    fields = by_line("\n".join(lines[:last]))
    return FrontMatter(fields, "\n".join(lines[last:]), ("the front-matter has no closing ---",))


def _toml(front: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    try:
        return tomllib.loads(front), ()
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return by_line(front), (f"the front-matter is not TOML ({error}); read line by line",)


def _fields(front: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    if len(front) > FRONT_MAX:
        why = f"the front-matter has more than {FRONT_MAX:,} characters"
        return by_line(front[:FRONT_MAX]), (f"{why}; its beginning was read line by line",)
    try:
        read = read_yaml(front)
    except Unreadable as error:
        return by_line(front), (f"the front-matter is not YAML: {error.reason}; read line by line",)
    if read.value is None:
        return {}, ()
    if not isinstance(read.value, dict):
        return by_line(front), ("the front-matter has no fields; read line by line",)
    return read.value, tuple(f"the field {key} is there twice; the last counts" for key in read.twice)


def by_line(front: str) -> dict[str, Any]:
    """Read `key: value` lines for what somebody meant: colons in values, lists and blocks below a key."""
    fields: dict[str, Any] = {}
    key, own, below = "", "", list[str]()
    for line in [*front.split("\n"), "end:"]:
        found = _KEY.fullmatch(line.rstrip())
        if found is None:
            below.append(line)
            continue
        if key and key not in fields:
            fields[key] = _meant(own, below)
        key, own, below = found[1], (found[2] or "").strip(), []
    return fields


def _meant(own: str, below: list[str]) -> Any:
    """Give the value of a key, from what stands beside it and the lines below it."""
    if block := _BLOCK.fullmatch(own):
        lines = [line.strip() for line in below]
        return ("\n" if block[1] == "|" else " ").join(lines).strip()
    lines = [line for line in below if line.strip() and not line.lstrip().startswith("#")]
    if not own and lines and _ITEM.match(lines[0]):
        return _items(lines)
    if not lines and own.startswith("[") and own.endswith("]"):
        return [item for part in own[1:-1].split(",") if (item := _unquoted(part.strip()))]
    return _unquoted(" ".join([own, *(line.strip() for line in lines)]).strip())


def _items(lines: list[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        if found := _ITEM.fullmatch(line.rstrip()):
            items.append(_unquoted((found[1] or "").strip()))
        else:
            items[-1] = f"{items[-1]} {line.strip()}".strip()
    return [item for item in items if item]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        inner = text[1:-1]
        return inner.replace("''", "'") if text[0] == "'" else inner.replace('\\"', '"')
    return text
