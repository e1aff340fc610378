"""What a tool answered, as the text that a model reads.

Hooks carry a tool's response as an object of the tool's own; where it holds the text that the agent showed to
its model, that text is given, else the object as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from karl.schema.event import Payload
from karl.session.vocabulary import clean_text, json_safe

#: Where tools put the text that they answer with, best first.
_TEXTS = ("content", "llmContent", "output", "result", "text", "message")
#: What a shell's answer tells besides, where there was no output.
_BESIDE = ("backgroundTaskId", "returnCodeInterpretation")
#: Parts of an answer that are no text.
_PICTURES = frozenset({"image", "image_url", "input_image", "resource", "audio", "document"})


def answer_of(payload: Payload) -> str:
    """Give the text of a result, of a failure or of a refusal; empty where there is none."""
    for value in (payload.tool_response, payload.error, payload.reason):
        if value is not None:
            return clean_text(_text(value))
    return ""


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_part(item) for item in value)
    if isinstance(value, Mapping):
        return _of_object(value)
    return as_json(value)


def _of_object(value: Mapping[str, Any]) -> str:
    streams = [value.get(name) for name in ("stdout", "stderr")]
    if any(isinstance(stream, str) for stream in streams):
        output = [stream for stream in streams if isinstance(stream, str) and stream]
        return "\n".join(output or [f"{name}: {value[name]}" for name in _BESIDE if value.get(name)])
    if isinstance(value.get("structuredPatch"), list):
        return _patch(value)
    file = value.get("file")
    if isinstance(file, Mapping) and isinstance(file.get("content"), str):
        return str(file["content"])
    for name in _TEXTS:
        said = value.get(name)
        if said and isinstance(said, str | list):
            return _text(said)
    names = value.get("filenames")
    if isinstance(names, list) and names:
        return "\n".join(_part(name) for name in names)
    return "" if value.get("output") == "" else as_json(value)


def _patch(value: Mapping[str, Any]) -> str:
    """Write an edit's answer as a patch; whole files, before and after, are in the call's arguments."""
    lines = [" ".join(str(value[name]) for name in ("type", "filePath") if value.get(name))]
    for hunk in value["structuredPatch"]:
        if isinstance(hunk, Mapping) and isinstance(hunk.get("lines"), list):
            old, new = (f"{hunk.get(side + 'Start')},{hunk.get(side + 'Lines')}" for side in ("old", "new"))
            lines += [f"@@ -{old} +{new} @@", *(str(line) for line in hunk["lines"])]
    return "\n".join(lines)


def _part(item: object) -> str:
    if isinstance(item, Mapping):
        if isinstance(item.get("text"), str):
            return str(item["text"])
        kind = item.get("type")
        if isinstance(kind, str) and kind in _PICTURES:
            return f"[{kind}]"
    return item if isinstance(item, str) else as_json(item)


def as_json(value: object) -> str:
    """Give any value as JSON on one line; what JSON can not hold is replaced, as in the ledger."""
    return msgspec.json.encode(json_safe(value)).decode()
