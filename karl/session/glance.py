"""The payload fields that the fold looks at, read without decoding the rest.

Invariant: a payload that can not be read is no error; its event's kind and time still count.
"""

from __future__ import annotations

import msgspec

from karl.errors import Unreadable
from karl.schema.event import Event, Payload, decode_payload
from karl.session.emissions import Held


class Glance(msgspec.Struct, frozen=True, gc=False):
    """What the fold needs of a payload."""

    prompt: object = None
    prompt_id: object = None
    source: object = None
    agent_id: object = None
    tool_name: object = None
    tool_use_id: object = None
    model: object = None
    to_model: object = None
    permission_mode: object = None
    background_tasks: object = None


class _Response(msgspec.Struct, frozen=True):
    tool_response: object = None


class Flags(msgspec.Struct, frozen=True):
    """What a caller says of the turn before."""

    correction_detected: object = None
    redo_detected: object = None
    build_success: object = None
    session_continued: object = None


_glance = msgspec.json.Decoder(Glance).decode
_response = msgspec.json.Decoder(_Response).decode
_flags = msgspec.json.Decoder(Flags).decode
_NO_PAYLOAD = Payload()
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def glance(event: Event) -> Glance:
    """Read what the fold needs."""
    try:
        return _glance(event.payload)
    except _UNREADABLE:
        return Glance()


def payload_of(held: Held) -> Payload:
    """Read all that is understood of a payload; the second time it is known."""
    payload = held.payload
    if payload is None:
        try:
            payload = decode_payload(held.event)
        except Unreadable:
            payload = _NO_PAYLOAD  # its kind and time still count; the bytes stay in the record
        held.payload = payload
    return payload


def started_agent(event: Event) -> str | None:
    """Give the id of the subagent that a call's result says it started."""
    try:
        response = _response(event.payload).tool_response
    except _UNREADABLE:
        return None
    return text(response.get("agentId")) if isinstance(response, dict) else None


def flags(event: Event) -> dict[str, bool]:
    """Give the flags of an annotation that say something."""
    try:
        said = _flags(event.payload)
    except _UNREADABLE:
        return {}
    given = msgspec.structs.asdict(said)
    return {name: value for name, value in given.items() if isinstance(value, bool)}


def text(value: object) -> str | None:
    """Give a text that says something, else null."""
    return value if isinstance(value, str) and value else None
