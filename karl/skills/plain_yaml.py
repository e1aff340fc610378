"""The YAML of front-matter, as texts, lists and mappings alone.

Nothing is made of a value but text: `on`, `1.0` and dates stay what somebody wrote. Tags are passed over, so
that nothing is ever built from them; aliases are refused, so that a short text can not become a huge value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from karl.errors import Unreadable

#: Levels and values above which a text is no front-matter.
DEPTH_MAX, VALUES_MAX = 16, 20_000
#: What stands for no value, when it stands there unquoted.
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class Read(NamedTuple):
    """A value, and the keys that are in one mapping twice: the last one counts."""

    value: Any
    twice: tuple[str, ...] = ()


def read_yaml(text: str) -> Read:
    """Read one document: texts, lists, mappings with texts as keys, None. Raises Unreadable."""
    import yaml  # noqa: PLC0415 - loaded where front-matter is read

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    twice: list[str] = []
    try:
        events = iter(yaml.parse(text, Loader=loader))
        next(events)  # the stream's start
        if isinstance(next(events), yaml.StreamEndEvent):
            return Read(None)
        value = _value(events, twice)
        next(events)  # the document's end
        if not isinstance(next(events), yaml.StreamEndEvent):
            raise Unreadable("there is more than one document")
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_told(error)) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise Unreadable(" ".join(str(error).split())[:200]) from None
    return Read(value, tuple(twice))


class _Open(NamedTuple):
    """A list or mapping that has not ended; `key` holds the key that waits for its value."""

    made: Any
    key: list[Any]


def _value(events: Iterator[Any], twice: list[str]) -> Any:
    """Give the next whole value. A stack instead of recursion: hostile depth is a fault, not a crash."""
    import yaml  # noqa: PLC0415

    stack: list[_Open] = []
    for count, event in enumerate(events):
        if count > VALUES_MAX:
            raise Unreadable(f"more than {VALUES_MAX:,} values")
        if isinstance(event, yaml.AliasEvent):
            raise Unreadable(f"the alias *{event.anchor}; aliases are not followed")
        if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            if len(stack) >= DEPTH_MAX:
                raise Unreadable(f"more than {DEPTH_MAX} levels")
            stack.append(_Open([] if isinstance(event, yaml.SequenceStartEvent) else {}, []))
            continue
        made = _scalar(event) if isinstance(event, yaml.ScalarEvent) else stack.pop().made
        if not stack:
            return made
        _put(stack[-1], made, twice)
    raise Unreadable("it ends too early")


def _scalar(event: Any) -> str | None:
    if not event.style and event.value in _NULLS:  # plain: None, or an empty text of the faster reader
        return None
    return str(event.value)


def _put(into: _Open, made: Any, twice: list[str]) -> None:
    if isinstance(into.made, list):
        into.made.append(made)
    elif into.key:
        key = into.key.pop()
        if key in into.made:
            twice.append(key)
        into.made[key] = made
    elif isinstance(made, str):
        into.key.append(made)
    else:
        raise Unreadable("a key that is no text")


def _told(error: Any) -> str:
    where = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
    return f"{error.problem or error.context or 'not YAML'}{where}"
