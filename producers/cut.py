"""Cut a redacted payload down to the caps, so that what was cut can still be told by length and hash.

A long string keeps its head and its tail, joined by `…[cut N chars sha256:16 hex]…`; N characters are
missing, and the hash is that of the whole (redacted) string.

Invariants:
- Fields that say which session, call or turn an event belongs to are kept as they are.
- What comes out is JSON of at most DEPTH_MAX levels, and cutting it again changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

#: Levels of nesting above which a value is kept as the text of its JSON.
DEPTH_MAX = 64
#: String caps tried in turn while an entry is too large, and list lengths after those.
SHORTER = (2048, 512, 128)
FEWER = (64, 16, 4)
#: Characters kept of a file that the agent read whole: it is on the disk, and was not the agent's work.
FILE_MAX = 1024
#: The longest that a protected field may be when nothing else is left to cut.
PROTECTED_MAX = 256
#: Characters kept of the JSON of a value that is replaced whole.
SUMMARY_MAX = 256

PROTECTED = frozenset(
    {
        "session_id",
        "sessionId",
        "conversation_id",
        "hook_event_name",
        "hookEventName",
        "hookName",
        "tool_name",
        "tool_use_id",
        "agent_id",
        "prompt_id",
        "cwd",
        "timestamp",
        "logged_at",
        "ts",
    }
)
#: Copies of whole files, and images.
_DROPPED = frozenset({"originalFile", "originalFileContents", "base64"})
_MARKER = re.compile(r"…\[cut [0-9]{1,20} (?:chars|items) sha256:[0-9a-f]{16}\]…")
_ELLIPSIS = "…"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Caps:
    """`string` in characters, `entry` in bytes of encoded JSON."""

    string: int = 8192
    entry: int = 64 * 1024


class TooLarge(ValueError):
    """Raised when even the protected fields alone are over the cap."""


def cut_text(text: str, limit: int) -> str:
    """Shorten a text to at most `limit` characters (or to the marker alone, where that is longer)."""
    if len(text) <= limit or _MARKER.fullmatch(text):
        return text
    room = max(0, limit - len(_marker(text, len(text))))
    head = (room + 1) // 2
    tail = len(text) - room + head
    return text[:head] + _marker(text, len(text) - room) + text[tail:]


def flatten(value: Any, depth: int = DEPTH_MAX) -> int:
    """Replace, in place, what lies deeper than `depth` levels by the text of its JSON; count them.

    To be done before redaction, which then sees that text. Raises RecursionError for what is too deep
    even to be written.
    """
    flattened = 0
    level = [value]
    for _ in range(depth - 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return 0
    for parent in level:
        for key, child in list(parent.items() if isinstance(parent, dict) else enumerate(parent)):
            if isinstance(child, dict | list) and child:
                parent[key] = _encode(child).decode()
                flattened += 1
    return flattened


def needs_cut(raw: bytes, caps: Caps) -> bool:
    """Say whether a payload with these raw bytes could have a string to cut; a no is certain.

    It is, because a name or a beginning looked for here stands in the bytes unless an escape hides it.
    """
    return len(raw) > caps.string or may_be_cut(raw)


def may_be_cut(raw: bytes) -> bool:
    """Say whether a payload, or one of several, could have a string to cut that is not longer than others."""
    # Spelled out, because every event passes here: a loop over the words costs as much as the rest.
    if b'"originalFile' in raw or b'"base64"' in raw or b"\\u00" in raw:
        return True
    return len(raw) > FILE_MAX and (b'"file"' in raw or b'"data:' in raw or b'"data"' in raw)


def cut(payload: dict[str, Any], caps: Caps) -> tuple[bytes, int]:
    """Cut a payload of at most DEPTH_MAX levels and encode it; gives the number of cuts.

    Raises TooLarge when it can not be made to fit.
    """
    first = _Cutter(caps.string)
    data = _encode(first.payload(payload)[0])
    if len(data) <= caps.entry:
        return data, first.cuts
    # Each value takes two bytes at least: so many of them can not be made to fit by shorter strings.
    strings_may_do = 2 * first.values <= caps.entry
    for attempt in _harder(caps, strings_may_do=strings_may_do):
        made, cuts = attempt(payload)
        data = _encode(made)
        if len(data) <= caps.entry:
            return data, cuts
    raise TooLarge(f"its ids and names alone are over {caps.entry} bytes")


def _harder(
    caps: Caps, *, strings_may_do: bool
) -> Iterator[Callable[[dict[str, Any]], tuple[dict[str, Any], int]]]:
    """Give what is tried in turn, each a harder cut than the one before."""
    for size in SHORTER:
        if size < caps.string and strings_may_do:
            yield _Cutter(size).payload
    for items in FEWER:
        yield _Cutter(min(SHORTER[-1], caps.string), items).payload
    yield _summaries
    yield _skeleton


class _Cutter:
    """One pass over a payload with one cap for strings, and one for lists and objects when not zero."""

    def __init__(self, string_max: int, items_max: int = 0) -> None:
        self.string_max = string_max
        self.items_max = items_max
        self.cuts = 0
        self.values = 0

    def payload(self, payload: dict[str, Any]) -> tuple[dict[str, Any], int]:
        made = {key: self._field(key, value) for key, value in payload.items()}
        return made, self.cuts

    def _field(self, key: str, value: Any) -> Any:
        return value if _is_protected(key, value) else self._value(value, key)

    def _value(self, value: Any, key: str = "") -> Any:
        self.values += 1
        if isinstance(value, str):
            dropped = key in _DROPPED or (len(value) > FILE_MAX and value.startswith("data:"))
            return self._text(value, 0 if dropped else self.string_max)
        if isinstance(value, list):
            return [self._value(item) for item in self._items(value)]
        if isinstance(value, dict):
            return self._members(self._fields(value), key)
        return value

    def _members(self, fields: dict[str, Any], key: str) -> dict[str, Any]:
        whole_file = key == "file" and "filePath" in fields
        image = fields.get("type") in ("image", "base64")
        made = {}
        for name, value in fields.items():
            short = self._text(name, self.string_max)
            if isinstance(value, str) and whole_file and name == "content":
                made[short] = self._text(value, min(FILE_MAX, self.string_max))
            elif isinstance(value, str) and image and name == "data" and len(value) > FILE_MAX:
                made[short] = self._text(value, 0)
            else:
                made[short] = self._value(value, name)
        return made

    def _text(self, text: str, limit: int) -> str:
        short = cut_text(text, limit)
        self.cuts += short is not text
        return short

    def _items(self, items: list[Any]) -> list[Any]:
        """Keep the first and the last items, with a marker between them."""
        if not 0 < self.items_max < len(items) - 1:
            return items
        self.cuts += 1
        head, tail = _ends(self.items_max, len(items))
        return [*items[:head], _items_marker(items[head:tail]), *items[tail:]]

    def _fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Keep the first and the last members, with a marker between them."""
        if not 0 < self.items_max < len(fields) - 1:
            return fields
        self.cuts += 1
        pairs = list(fields.items())
        head, tail = _ends(self.items_max, len(pairs))
        return dict([*pairs[:head], (_ELLIPSIS, _items_marker(pairs[head:tail])), *pairs[tail:]])


def _summaries(payload: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Replace every large field by an object that says what was there."""
    made, cuts = {}, 0
    for key, value in payload.items():
        text = "" if _is_protected(key, value) else _encode(value).decode()
        made[key] = {"cut": cut_text(text, SUMMARY_MAX)} if len(text) > SUMMARY_MAX else value
        cuts += len(text) > SUMMARY_MAX
    return made, cuts


def _skeleton(payload: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Keep the protected fields alone."""
    made: dict[str, Any] = {
        key: cut_text(value, PROTECTED_MAX) if isinstance(value, str) else value
        for key, value in payload.items()
        if _is_protected(key, value)
    }
    rest = [pair for pair in payload.items() if pair[0] not in made]
    return {**made, _ELLIPSIS: _items_marker(rest)}, 1


def _is_protected(key: str, value: Any) -> bool:
    return key in PROTECTED and not isinstance(value, dict | list)


def _children(parent: Any) -> Iterator[Any]:
    values = parent.values() if isinstance(parent, dict) else parent
    return (value for value in values if isinstance(value, dict | list))


def _ends(kept: int, length: int) -> tuple[int, int]:
    head = (kept + 1) // 2
    return head, length - (kept - head)


def _marker(text: str, missing: int) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"…[cut {missing} chars sha256:{digest}]…"


def _items_marker(items: list[Any]) -> str:
    digest = hashlib.sha256(_encode(items)).hexdigest()[:16]
    return f"…[cut {len(items)} items sha256:{digest}]…"
