"""The second redaction: what is exported passes today's rules, whichever were in force when it was recorded.

Facts are cleaned, not documents: a command inside a JSON string inside a chat would hide from the rules.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any

import msgspec

from karl.errors import Unreadable
from karl.schema.event import decode_event, encode_event
from karl.schema.record import TrajectoryBody
from karl.schema.trajectory import Trajectory
from producers.redact import Redactor

_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
#: Messages that are remembered: a row has those of the rows before it.
_SEEN_MAX = 20_000
#: What JSON has in it.
_JSON_SIGNS = ('{"', "[", "{}")


class _Seen:
    """What was looked at lately and is clean, by its digest."""

    def __init__(self) -> None:
        self._known: dict[bytes, None] = {}

    def has(self, raw: bytes) -> bool:
        return blake2b(raw, digest_size=16).digest() in self._known

    def add(self, raw: bytes) -> None:
        if len(self._known) >= _SEEN_MAX:
            self._known.clear()
        self._known[blake2b(raw, digest_size=16).digest()] = None


def _unfolded(value: Any) -> Any:
    """Give a value in which a text, or a line of one, that is JSON is what it says."""
    if isinstance(value, dict):
        return {name: _unfolded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_unfolded(item) for item in value]
    if not isinstance(value, str) or not any(sign in value for sign in _JSON_SIGNS):
        return value
    found: list[Any] = []
    rest: list[str] = []
    for line in value.split("\n"):
        read = _json_of(line.removeprefix("assistant: ")) if line.endswith(("}", "]")) else None
        (rest if read is None else found).append(line if read is None else _unfolded(read))
    return ["\n".join(rest), *found] if found else value


def _json_of(line: str) -> Any:
    """Read an object or a list; null where a line is none."""
    if not line.startswith(("{", "[")):
        return None
    try:
        return _any(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class Cleaner:
    """Redacts bodies; `counts` adds up what it took out, by rule id."""

    def __init__(self, redactor: Redactor) -> None:
        self.counts: Counter[str] = Counter()
        self._redactor = redactor
        self._seen, self._read = _Seen(), _Seen()

    def clean(self, body: TrajectoryBody) -> TrajectoryBody:
        """Give a body without secrets; the same one where there are none."""
        events = [self._event(raw) for raw in body.events]
        reading = self._object(_encode(body.trajectory))
        if reading is None and all(new is old for new, old in zip(events, body.events, strict=True)):
            return body
        trajectory = body.trajectory if reading is None else msgspec.convert(reading, Trajectory)
        return msgspec.structs.replace(body, events=events, trajectory=trajectory)

    def about(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Redact what is said about a trajectory: names of projects and machines."""
        found, counts = self._redactor.payload(fields)
        self.counts.update(counts)
        return found

    def made(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Redact what was made of facts, message by message: those of a row were in the row before, too."""
        return {
            name: [self._part(name, item) for item in value]
            if isinstance(value, list)
            else self._part(name, value)
            for name, value in fields.items()
        }

    def _part(self, name: str, value: Any) -> Any:
        part = {name: value}
        if self._seen.has(raw := _encode(part)):
            return value
        fields = self._object(raw)
        if fields is None:
            self._seen.add(raw)
            return value
        return fields[name]

    def is_clean(self, fields: dict[str, Any]) -> bool:
        """Say whether the rules find nothing in what was written; JSON in its texts is read as what it says.

        A rule for texts would take the escapes of JSON in a text for a part of what stands there.
        """
        return all(
            self._is_clean({name: item})
            for name, value in fields.items()
            for item in (value if isinstance(value, list) else (value,))
        )

    def _is_clean(self, part: dict[str, Any]) -> bool:
        raw = _encode(part)
        if self._read.has(raw):
            return True
        if self._redactor.suspicious(raw) and self._redactor.payload(_unfolded(part))[1]:
            return False
        self._read.add(raw)
        return True

    def _event(self, raw: msgspec.Raw) -> msgspec.Raw:
        try:
            event = decode_event(bytes(raw))
        except Unreadable:
            return raw  # nobody reads it: it is in no document
        payload = self._object(bytes(event.payload))
        if payload is None:
            return raw
        return msgspec.Raw(
            encode_event(msgspec.structs.replace(event, payload=msgspec.Raw(_encode(payload))))
        )

    def _object(self, raw: bytes) -> dict[str, Any] | None:
        """Give a JSON object redacted; null where there was nothing to redact."""
        if not self._redactor.suspicious(raw):
            return None
        try:
            fields = _any(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None  # as above
        if not isinstance(fields, dict):
            return None
        found, counts = self._redactor.payload(fields)
        self.counts.update(counts)
        return found if counts else None
