"""The second redaction: what is exported passes today's rules, whichever were in force when it was recorded.

Facts are cleaned, not documents: a command inside a JSON string inside a chat would hide from the rules.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from karl.errors import Unreadable
from karl.schema.event import decode_event, encode_event
from karl.schema.record import TrajectoryBody
from karl.schema.trajectory import Trajectory
from producers.redact import Redactor

_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Cleaner:
    """Redacts bodies; `counts` adds up what it took out, by rule id."""

    def __init__(self, redactor: Redactor) -> None:
        self.counts: Counter[str] = Counter()
        self._redactor = redactor

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
