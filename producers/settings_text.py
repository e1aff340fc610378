"""Hooks inside the text of an agent's settings: found, added and removed without touching other bytes.

A settings file is JSON that people write by hand, so it is never parsed and printed again. Edits follow the
style around them: indentation, line ends, and whether things stand on one line. What was added last to a list
or an object is removed exactly; only an object that was empty before may come back without its inner blanks.

    {"hooks": {EVENT: [{"matcher": ..., "hooks": [{"type": "command", "command": ...}, ...]}, ...]}}
               event   group                      entry

An entry of ours runs a command, or posts to a `url`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from karl.errors import Refused
from producers.agents import Handler
from producers.hook import is_ours

_BLANK = re.compile(r"[ \t\r\n\ufeff]*")  # with the mark that some editors put before a file
_COMMENT = re.compile(r"/[/*]")
_STEP = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|[\]}]', re.DOTALL)
#: Levels of settings that can be edited; the reader of JSON ends at some hundred, here or in what edits.
_DEPTH_MAX = 100


@dataclass(frozen=True, slots=True)
class _Part:
    """A member of an object or an element of a list: where it starts and ends, and where its value starts."""

    key: str | None
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of ours. `way` leads to it from the root: each container's start, and the part in it."""

    event: str
    key: str  # "command" or "url"
    command: str  # or the url
    way: tuple[tuple[int, _Part], ...]
    span: tuple[int, int]  # of that value


def parse(text: str, where: str) -> object:
    """Read settings. Raises Refused with line and column when they are not plain JSON."""
    try:
        value: object = json.loads(text.lstrip("\ufeff"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise Refused(_explain(text.lstrip("\ufeff"), error, where)) from error
    except (RecursionError, ValueError) as error:
        raise Refused(f"{where} is not plain JSON: {error}; KARL leaves it as it is") from error
    if _depth(text) > _DEPTH_MAX:
        raise Refused(f"{where} has more than {_DEPTH_MAX} levels; KARL leaves it as it is")
    return value


def _depth(text: str) -> int:
    depth = deepest = 0
    for found in _STEP.finditer(text):
        if not found[0].startswith('"'):
            depth += 1 if found[1] else -1
            deepest = max(deepest, depth)
    return deepest


def parse_settings(text: str, where: str) -> dict[str, Any]:
    """Read settings whose hooks are as agents want them; any others they would ignore as a whole.

    Raises Refused, saying what is wrong and where.
    """
    value = parse(text, where)
    if not isinstance(value, dict):
        raise Refused(f"{where}: settings must be a JSON object; KARL leaves it as it is")
    hooks = value.get("hooks", {})
    if not isinstance(hooks, dict):
        raise Refused(f'{where}: "hooks" must be an object; mend it and run the command again')
    for event, groups in hooks.items():
        if not isinstance(groups, list):
            raise Refused(f"{where}: hooks.{event} must be a list; mend it and run the command again")
        for at, group in enumerate(groups):
            if not (isinstance(group, dict) and isinstance(group.get("hooks"), list)):
                what = f"{where}: hooks.{event}[{at}]"
                raise Refused(f'{what} must be an object with a list of "hooks"; mend it and run again')
    _check_keys(text, where)
    return value


def _check_keys(text: str, where: str) -> None:
    """Raise Refused when "hooks" or an event stands there twice: only the last of them would count."""
    root = _blank_end(text, 0)
    hooks = list(_named(text, root, "hooks"))
    keys = ["hooks"] * len(hooks) + [part.key for found in hooks for part in _parts(text, found.value)]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise Refused(f'{where}: "{twice}" stands there twice; remove one and run the command again')


def ours(text: str) -> Iterator[Found]:
    """Find every entry of ours, in any version, in the order of the text."""
    root = _blank_end(text, 0)
    for hooks in _named(text, root, "hooks"):
        for event in _parts(text, hooks.value):
            for group in _parts(text, event.value):
                for inner in _named(text, group.value, "hooks"):
                    way = ((root, hooks), (hooks.value, event), (event.value, group))
                    yield from _entries(text, inner, way)


def with_hook(text: str, handlers: Mapping[str, Handler]) -> str:
    """Subscribe to events, each by its handler.

    Old entries are mended in place, those that are too much are dropped, and the rest is added.
    """
    text = _settle(text, handlers)
    there = {found.event for found in ours(text)}
    root = _blank_end(text, 0)
    groups = {event: {"hooks": [handler]} for event, handler in handlers.items() if event not in there}
    if groups and not list(_named(text, root, "hooks")):
        return _add(text, root, {event: [group] for event, group in groups.items()}, "hooks")
    for event, group in groups.items():
        (hooks,) = _named(text, root, "hooks")
        known = next(_named(text, hooks.value, event), None)
        place = (hooks.value, [group], event) if known is None else (known.value, group, None)
        text = _add(text, *place)
    return text


def without_hook(text: str) -> str:
    """Remove every entry of ours, with the groups, lists and objects that it leaves empty."""
    while (found := next(ours(text), None)) is not None:
        text = _remove(text, found)
    return text


def _settle(text: str, handlers: Mapping[str, Handler]) -> str:
    """Bring the entries that are there to one current entry for each wanted event."""
    while True:
        seen: set[str] = set()
        for found in ours(text):
            handler = handlers.get(found.event)
            if handler is None or found.event in seen:
                text = _remove(text, found)
                break
            seen.add(found.event)
            if found.command != handler.get(found.key):
                text = _mend(text, found, handler)
                break
        else:
            return text


def _mend(text: str, found: Found, handler: Handler) -> str:
    """Put a handler in the place of an entry; of one of the same sort, only what it runs is changed."""
    if found.key in handler:
        start, end = found.span
        return text[:start] + json.dumps(handler[found.key], ensure_ascii=False) + text[end:]
    container, entry = found.way[-1]
    lead = text[container + 1 : _blank_end(text, container + 1)]
    indent = lead.rpartition("\n")[2] if "\n" in lead else None
    return text[: entry.start] + _print(text, handler, None, indent) + text[entry.end :]


def _entries(text: str, inner: _Part, way: tuple[tuple[int, _Part], ...]) -> Iterator[Found]:
    event = way[1][1].key or ""
    for entry in _parts(text, inner.value):
        for member in _parts(text, entry.value):
            if member.key not in ("command", "url"):
                continue
            command = _decoder.raw_decode(text, member.value)[0]
            if is_ours(command):
                span = (member.value, member.end)
                yield Found(event, member.key, command, (*way, (inner.value, entry)), span)
                break


def _remove(text: str, found: Found) -> str:
    """Cut an entry out, or the outermost thing that holds nothing else."""
    level = len(found.way) - 1
    while level and len(_parts(text, found.way[level][0])) == 1:
        level -= 1
    container, part = found.way[level]
    parts = _parts(text, container)
    at = parts.index(part)
    if len(parts) == 1:
        return text[: container + 1] + text[_blank_end(text, part.end) :]
    if at == len(parts) - 1:
        return text[: parts[at - 1].end] + text[part.end :]
    return text[: part.start] + text[parts[at + 1].start :]


def _add(text: str, container: int, value: object, key: str | None = None) -> str:
    """Put a value at the end of a list, or of an object under `key`, in the style of what is there."""
    parts = _parts(text, container)
    if parts:
        end, lead = parts[-1].end, text[container + 1 : parts[0].start]
        if "\n" in lead:
            indent = lead.rpartition("\n")[2]
            return text[:end] + "," + _line_end(text) + indent + _print(text, value, key, indent) + text[end:]
        gap = "" if _is_tight(text) else " "
        return text[:end] + "," + gap + _print(text, value, key) + text[end:]
    end = _blank_end(text, container + 1)
    if _is_one_line(text):
        return text[: container + 1] + _print(text, value, key) + text[end:]
    outer = _indent_of(text, container)
    indent = outer + _unit(text)
    body = _line_end(text) + indent + _print(text, value, key, indent) + _line_end(text) + outer
    return text[: container + 1] + body + text[end:]


def _print(text: str, value: object, key: str | None, indent: str | None = None) -> str:
    """Print a value, over several lines when they have an indentation to start from."""
    separators = (",", ":") if _is_tight(text) else None
    if indent is None:
        shown = json.dumps(value, ensure_ascii=False, separators=separators or (", ", ": "))
        colon = ":" if separators else ": "
    else:
        lines = json.dumps(value, ensure_ascii=False, indent=_unit(text)).split("\n")
        shown, colon = (_line_end(text) + indent).join(lines), ": "
    return shown if key is None else json.dumps(key) + colon + shown


def _parts(text: str, container: int) -> list[_Part]:
    """List what an object or a list holds; nothing when the value at `container` is neither."""
    parts: list[_Part] = []
    if text[container] not in "{[":
        return parts
    at = _blank_end(text, container + 1)
    while text[at] not in "}]":
        start, key = at, None
        if text[container] == "{":
            key, at = _decoder.raw_decode(text, at)
            at = _blank_end(text, _blank_end(text, at) + 1)
        end = _decoder.raw_decode(text, at)[1]
        parts.append(_Part(key, start, at, end))
        at = _blank_end(text, end)
        if text[at] == ",":
            at = _blank_end(text, at + 1)
    return parts


def _named(text: str, container: int, key: str) -> Iterator[_Part]:
    return (part for part in _parts(text, container) if part.key == key)


def _blank_end(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _first_lead(text: str) -> str | None:
    """Give the blanks before the first member of the settings, None when they are empty."""
    root = _blank_end(text, 0)
    parts = _parts(text, root)
    return text[root + 1 : parts[0].start] if parts else None


def _is_one_line(text: str) -> bool:
    lead = _first_lead(text)
    return lead is not None and "\n" not in lead


def _is_tight(text: str) -> bool:
    """Say whether the file is printed without blanks after colons, on one line."""
    first = next(iter(_parts(text, _blank_end(text, 0))), None)
    return first is not None and _is_one_line(text) and text[first.value - 1] == ":"


def _unit(text: str) -> str:
    """Give one step of indentation: that of the first member of the settings; two blanks when unknown."""
    lead = _first_lead(text) or ""
    return (lead.rpartition("\n")[2] if "\n" in lead else "") or "  "


def _indent_of(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def _explain(text: str, error: json.JSONDecodeError, where: str) -> str:
    place = f"{where} line {error.lineno}, column {error.colno}"
    if _COMMENT.match(text, error.pos):
        return f"{place}: a comment, which KARL can not edit around; remove it and run the command again"
    return f"{place}: not JSON ({error.msg}); mend it and run the command again"
