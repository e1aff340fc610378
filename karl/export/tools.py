"""The tools that a conversation could use: as the session told them, else as far as its calls show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from karl.export.conversation import Made
from karl.session.vocabulary import json_safe

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def definitions(told: Sequence[Mapping[str, Any]], calls: Iterable[Made]) -> list[dict[str, Any]]:
    """Give definitions as the chat formats have them: what was told in its order, then what was only used."""
    known = {name: tool for item in told if (tool := _told(item)) and (name := tool["function"]["name"])}
    seen: dict[str, dict[str, set[str]]] = {}
    for call in calls:
        keys = seen.setdefault(call.name, {})
        for key, value in call.arguments.items():
            keys.setdefault(key, set()).add(_TYPES.get(type(value), ""))
    derived = [_derived(name, seen[name]) for name in sorted(seen) if name not in known]
    return [*known.values(), *derived]


def _told(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read a definition in any of the shapes that agents have for them."""
    inner = next((item[key] for key in ("function", "schema") if isinstance(item.get(key), Mapping)), item)
    name = inner.get("name") or item.get("name")
    if not isinstance(name, str):
        return None
    schema = inner.get("parameters") or inner.get("input_schema") or inner.get("inputSchema")
    about = inner.get("description") or item.get("description")
    return _function(
        name,
        about if isinstance(about, str) else "",
        dict(schema) if isinstance(schema, Mapping) else {"type": "object", "properties": {}},
    )


def _derived(name: str, keys: Mapping[str, set[str]]) -> dict[str, Any]:
    """Make a definition that allows all that was seen, and anything else."""
    properties = {key: _property(types) for key, types in sorted(keys.items())}
    return _function(name, "", {"type": "object", "properties": properties, "additionalProperties": True})


def _property(types: set[str]) -> dict[str, Any]:
    """Name the type of a parameter, where only one was seen."""
    only = next(iter(types)) if len(types) == 1 else ""
    return {"type": only} if only else {}


def _function(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "description": description, "parameters": parameters}
    made: dict[str, Any] = json_safe({"type": "function", "function": function})
    return made
