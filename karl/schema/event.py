"""Event: what an agent's hook said, in the envelope that the shipper gave it.

Invariants:
- `id` is made by the producer and is the same each time that the same fact is sent again.
- `payload` is one JSON object on one line, redacted and capped, otherwise as the agent wrote it.
- Bytes that decode as an Event re-encode to the same bytes: the ledger keeps what the stream held.
"""

from __future__ import annotations

import hashlib

import msgspec

from karl.errors import Unreadable

#: Sent by an importer after a session's last event: whoever folds it need not wait for more.
IMPORT_END = "ImportEnd"

#: A model's response with its tokens: only transcripts tell of it (producers.transcripts.told).
ASSISTANT_MESSAGE = "AssistantMessage"

#: What a program that drives an agent says of the turn before: four flags, each may be missing.
ANNOTATION = "Annotation"

#: What KARL's own endpoint tells of a prompt for which it would name a skill, and whether it did (karl.live).
SKILL_SUGGESTED = "SkillSuggested"

#: The `source` of events that a transcript told; hooks may have told of the same facts.
TRANSCRIPT = "transcript"


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One fact about one agent session.

    `kind` is the agent's own `hook_event_name`, kept as it came even when we do not know it.
    `time_ms` is Unix time in milliseconds, null when the source has no clock (imported payloads).
    `redactions` counts what was taken out, by rule id; `cuts` counts shortened strings.
    """

    id: str
    kind: str
    session: str
    payload: msgspec.Raw
    time_ms: int | None = None
    source: str = "hook"
    fleet: str = "default"
    node: str = ""
    agent: str = "claude-code"
    agent_version: str | None = None
    project: str = ""
    redactions: dict[str, int] = {}
    cuts: int = 0


class Payload(msgspec.Struct, frozen=True, gc=False):
    """The fields of a hook payload that KARL understands; anything else stays in the bytes.

    Types are as loose as the agents are: a field of an unexpected shape must not make the event
    unreadable, so whoever reads one checks it. Source: Claude Code's hooks reference.
    """

    hook_event_name: object = None
    session_id: object = None
    cwd: object = None
    permission_mode: object = None
    prompt_id: object = None
    prompt: object = None
    tool_name: object = None
    tool_input: object = None
    tool_response: object = None
    tool_use_id: object = None
    duration_ms: object = None
    error: object = None
    is_interrupt: object = None
    reason: object = None
    source: object = None
    model: object = None
    agent_id: object = None
    agent_type: object = None
    last_assistant_message: object = None
    background_tasks: object = None
    stop_hook_active: object = None
    command_name: object = None
    expansion_type: object = None
    skill_domain: object = None
    outcome_signals: object = None
    message_id: object = None
    text: object = None
    usage: object = None
    logged_at: object = None
    timestamp: object = None


#: Levels of an envelope: those of a payload, which the shipper keeps to 64, and its own.
LEVELS_MAX = 100
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))

_event_decoder = msgspec.json.Decoder(Event)
_payload_decoder = msgspec.json.Decoder(Payload)
_encoder = msgspec.json.Encoder()


def decode_event(data: bytes) -> Event:
    """Read an envelope. Raises Unreadable with the reason.

    What would spoil the record that it becomes a part of, and with it the other events of its turn, is
    refused here: a line end, and more levels than whoever reads that record may be able to follow.
    """
    data = bytes(data)  # a Raw is none, whatever its type says
    if b"\n" in data:
        raise Unreadable("not an event envelope: it has a line end in it")
    return _of_line(data)


def decode_events(data: bytes) -> list[tuple[bytes, Event]]:
    """Read what an entry of a stream holds: an envelope, or several, one a line; gives each with its bytes.

    Raises Unreadable with the reason when one of them is none.
    """
    if b"\n" not in data:
        return [(data, _of_line(data))]
    lines = data.split(b"\n")
    if data.count(b"{") + data.count(b"[") > LEVELS_MAX:
        return [(line, _of_line(line)) for line in lines]
    decode = _event_decoder.decode
    try:  # together they have no more levels than one may have
        return [(line, decode(line)) for line in lines]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not an event envelope: {error}") from error


def _of_line(line: bytes) -> Event:
    try:
        event = _event_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not an event envelope: {error}") from error
    if line.count(b"{") + line.count(b"[") > LEVELS_MAX and _is_deeper(line, LEVELS_MAX):
        raise Unreadable(f"not an event envelope: it has more than {LEVELS_MAX} levels")
    return event


def encode_event(event: Event) -> bytes:
    """Write an envelope as one line of JSON without a line end."""
    return _encoder.encode(event)


def decode_payload(event: Event) -> Payload:
    """Read the known fields of an event's payload. Raises Unreadable with the reason."""
    try:
        return _payload_decoder.decode(event.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not a payload object: {error}") from error


def event_id(*parts: str | bytes) -> str:
    """Name a fact by what makes it that fact: the same parts give the same 24-character id.

    Parts are length-prefixed before hashing, so no two different lists run together.
    """
    framed = b""
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        framed += len(data).to_bytes(8, "big") + data
    return "ev" + hashlib.sha256(framed).hexdigest()[:22]


def _is_deeper(data: bytes, levels: int) -> bool:
    """Say whether a JSON document has more levels, by taking off the innermost ones that many times."""
    texts = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    left = b"".join(texts[::2]).translate(None, _NO_BRACKETS)
    for _ in range(levels):
        if not left:
            return False
        left = left.replace(b"{}", b"0").replace(b"[]", b"0").replace(b"0", b"")  # one level, not two
    return bool(left)
