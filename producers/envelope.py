"""Make an Event of what a hook left behind: read it, redact it, cut it, name it.

Invariants:
- Redaction comes before every cut, and both before anything is encoded.
- The same bytes under the same name give the same Event, byte for byte.
- What can not be read is Unreadable, with a reason that holds nothing of the payload.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from karl.errors import Unreadable
from karl.schema.event import IMPORT_END, Event, encode_event, event_id
from producers.cut import DEPTH_MAX, Caps, TooLarge, cut, cut_text, flatten, may_be_cut, needs_cut
from producers.denied_paths import DeniedPaths
from producers.project import project_of
from producers.redact import Redactor
from producers.times import time_of
from producers.values import TOO_MANY, has_too_many

if TYPE_CHECKING:
    from karl.settings import Settings

RAW_MAX = 64 * 1024 * 1024
_TOO_LARGE = f"larger than {RAW_MAX // 1024 // 1024} MiB"
SESSION_MAX = 256
KIND_MAX = 64
#: Characters of unreadable data that a dead letter keeps, and bytes of it that are looked at.
DEAD_MAX = 16 * 1024
_DEAD_READ_MAX = 4 * DEAD_MAX
#: The longest secret that may lie across the end of what is looked at, in characters.
_DEAD_EDGE = 8 * 1024

_SESSION = ("session_id", "sessionId", "conversation_id")
KIND_FIELDS = ("hook_event_name", "hookEventName", "hookName")
_VERSION = ("agent_version", "claude_code_version", "cursor_version", "cli_version")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BOM = b"\xef\xbb\xbf"
#: Every escape in JSON, so that `\\ud800` (a backslash and letters) is not taken for a surrogate.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL
)
#: What some loggers write for a surrogate; no UTF-8, but it spoils nothing else.
_ENCODED_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_LONE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode

#: Names an event by its session and its payload before redaction.
Naming = Callable[[str, dict[str, Any]], str]


@dataclass(frozen=True, slots=True)
class EnvelopeMaker:
    """Makes events for one fleet and node. Holds no state but what its parts have compiled."""

    node: str
    fleet: str = "default"
    caps: Caps = field(default_factory=Caps)
    redactor: Redactor = field(default_factory=Redactor)
    project: Callable[[str], str] = project_of
    paths: DeniedPaths = field(init=False)

    def __post_init__(self) -> None:
        """Take the path rules from the redactor's."""
        object.__setattr__(self, "paths", DeniedPaths(self.redactor.data))

    def make(
        self,
        raw: bytes,
        *,
        name: str | Naming,
        agent: str = "claude-code",
        time_ms: int | None = None,
        source: str = "hook",
    ) -> Event:
        """Make the event of one hook payload.

        `name` is its id, or what makes one of the session and the payload. `time_ms` is when the hook
        ran (Unix time, ms); without it the payload's own time counts. Raises Unreadable.
        """
        with _REASONS:
            payload = _object(raw)
            session = _session(payload)
            named = name if isinstance(name, str) else name(session, payload)
            return self._make(raw, payload, name=named, agent=agent, time_ms=time_ms, source=source)

    def of(
        self, payload: dict[str, Any], *, name: str, agent: str, time_ms: int | None = None, source: str
    ) -> Event:
        """Make the event of a payload that is read already and the maker's to change; as `make` otherwise."""
        with _REASONS:
            raw = _encode(payload)
            if len(raw) > RAW_MAX:
                raise Unreadable(_TOO_LARGE)
            return self._make(
                raw, payload, name=name, agent=agent, time_ms=time_ms, source=source, encoded=raw
            )

    def of_many(
        self, told: Sequence[tuple[dict[str, Any], str]], *, agent: str, project: str, source: str
    ) -> list[Event | Unreadable]:
        """Make the events of payloads and their names, each as `of` does; they are looked through together.

        They are all of one `project`. What can not be read has its reason in its place.
        """
        try:
            raws = [_encode(payload) for payload, _ in told]
        except (RecursionError, ValueError):
            raws = []  # one of them is odd: each for itself
        plain = self._plain(raws) if raws else [False] * len(told)
        made: list[Event | Unreadable] = []
        for number, (payload, name) in enumerate(told):
            try:
                if plain[number]:
                    event = self._event(
                        raws[number], payload, name=name, agent=agent, source=source, project=project
                    )
                else:
                    event = self.of(payload, name=name, agent=agent, source=source)
                    event = msgspec.structs.replace(event, project=project)
                made.append(event)
            except Unreadable as error:
                made.append(error)
        return made

    def _plain(self, raws: Sequence[bytes]) -> list[bool]:
        """Say of each payload whether it can go as it is: nothing in it to redact, to cut or to flatten."""
        together = b"\n".join(raws)
        if not self.redactor.suspicious(together) and not may_be_cut(together):
            return [self._is_small(raw) for raw in raws]
        half = len(raws) // 2
        return self._plain(raws[:half]) + self._plain(raws[half:]) if half else [False]

    def end_of_import(self, last: Event) -> Event:
        """Make the event that says that an imported session has no more events; named by its last one."""
        payload = _encode({"hook_event_name": IMPORT_END, "session_id": last.session})
        return msgspec.structs.replace(
            last,
            id=event_id("import-end", last.session, last.id),
            kind=IMPORT_END,
            payload=msgspec.Raw(payload),
            redactions={},
            cuts=0,
        )

    def dead(self, raw: bytes) -> bytes:
        """Give of unreadable bytes what a dead letter may keep: redacted text of at most 16 Ki characters."""
        text = _told(raw[:_DEAD_READ_MAX])
        # The quotes of JSON in a broken payload still say where a string ends.
        shown, _ = self.redactor.text(text)
        if self.paths.suspicious(text.encode()) and self.names_denied_path(text):
            shown = "[REDACTED:path]"
        if len(raw) >= _DEAD_READ_MAX:
            # Half a secret is no match, so the edge at which one may have been cut is left out.
            shown = f"{shown[:-_DEAD_EDGE]}…[{len(raw) - len(shown[:-_DEAD_EDGE])} more bytes not shown]"
        return cut_text(shown, DEAD_MAX).encode()

    def names_denied_path(self, text: str) -> bool:
        """Say whether an unreadable payload looks like one of a call on a file of secrets."""
        return any(self.paths.is_denied(word) for word in re.split(r"[\s\"'\\,;|&<>()=:{}\[\]]+", text))

    def _make(
        self,
        raw: bytes,
        payload: dict[str, Any],
        *,
        name: str,
        agent: str,
        time_ms: int | None,
        source: str,
        encoded: bytes | None = None,
    ) -> Event:
        """Make the event of a payload and its raw bytes; `encoded` are the payload's own, where known."""
        _session(payload)
        _kind(payload)  # both are asked again of what is left when the secrets are out
        cuts = 0
        redactions: dict[str, int] = {}
        if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX and (cuts := flatten(payload)):
            encoded = None
        if self.redactor.suspicious(raw):
            payload, redactions = self._redacted(raw, payload)
            encoded = None
        place = payload.get("cwd") or payload.get("git_repo")
        project = self.project(place) if isinstance(place, str) else ""
        event = self._event(
            b"{}", payload, name=name, agent=agent, source=source, project=project, time_ms=time_ms
        )
        event = msgspec.structs.replace(event, redactions=redactions) if redactions else event
        data, more = self._fitted(raw, payload, event, encoded)
        return msgspec.structs.replace(event, payload=msgspec.Raw(data), cuts=cuts + more)

    def _is_small(self, raw: bytes) -> bool:
        """Say whether a payload need not be cut for its size, nor flattened for its brackets."""
        size = len(raw)
        return (
            size <= self.caps.string
            and size + KIND_MAX * 64 <= self.caps.entry
            and raw.count(b"{") + raw.count(b"[") <= DEPTH_MAX
        )

    def _event(
        self,
        data: bytes,
        payload: dict[str, Any],
        *,
        name: str,
        agent: str,
        source: str,
        project: str,
        time_ms: int | None = None,
    ) -> Event:
        """Put a payload, whose JSON is `data`, into its envelope."""
        return Event(
            id=name,
            session=_session(payload),
            kind=_kind(payload),
            payload=msgspec.Raw(data),
            time_ms=time_of(payload) if time_ms is None else time_ms,
            source=source,
            fleet=self.fleet,
            node=self.node,
            agent=agent,
            agent_version=_version(payload),
            project=project,
        )

    def _redacted(self, raw: bytes, payload: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
        hidden: dict[str, int] = {}
        if self.paths.suspicious(raw):
            payload, hidden = self.paths.payload(payload)
        payload, found = self.redactor.payload(payload)
        return payload, dict(Counter(hidden) + Counter(found))

    def _fitted(
        self, raw: bytes, payload: dict[str, Any], event: Event, encoded: bytes | None
    ) -> tuple[bytes, int]:
        """Encode a payload, cut so that the whole entry fits."""
        if not needs_cut(raw, self.caps):
            data = _encode(payload) if encoded is None else encoded
            if len(data) + KIND_MAX * 64 <= self.caps.entry:
                return data, 0
        room = self.caps.entry - len(encode_event(event)) - len(',"cuts":123456789')
        return cut(payload, Caps(self.caps.string, room))


def envelope_maker(settings: Settings) -> EnvelopeMaker:
    """Build the maker of envelopes that the settings describe."""
    caps = Caps(settings.string_max_chars, settings.entry_max_kb << 10)
    return EnvelopeMaker(node=settings.node, fleet=settings.fleet, caps=caps)


def spool_id(node: str, name: str, mtime_ns: int, raw: bytes) -> str:
    """Name an event by the spool file it lay in."""
    return event_id(node, name, str(mtime_ns), hashlib.sha256(raw).digest())


@dataclass(slots=True)
class ImportNaming:
    """Names the events of one file, so that importing it again, or an overlapping one, gives equal ids.

    Equal payloads of one session are told apart by their order.
    """

    seen: Counter[bytes] = field(default_factory=Counter)

    def __call__(self, session: str, payload: dict[str, Any]) -> str:
        """Name the next event."""
        digest = hashlib.sha256(_encode_sorted(payload)).digest()
        ordinal = self.seen[digest]
        self.seen[digest] += 1
        return event_id("import", session, digest, str(ordinal))


def parse(raw: bytes) -> dict[str, Any]:
    """Read a payload as JSON, forgiving what agents get wrong. Raises Unreadable.

    Forgiven: a byte order mark, lone surrogates, escaped or encoded (they become U+FFFD), NaN and
    numbers out of range (they become null).
    """
    with _REASONS:
        return _object(raw)


def _told(raw: bytes) -> str:
    """Give unreadable bytes as a text; UTF-16 as what it says, as no rule finds words with zeros in them."""
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} or raw.count(0) * 4 > len(raw):
        is_big = raw[:2] == b"\xfe\xff" or raw[:1] == b"\0"
        return raw.decode("utf-16-be" if is_big else "utf-16-le", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def _object(raw: bytes) -> dict[str, Any]:
    payload = _json(raw)
    if not isinstance(payload, dict):
        raise Unreadable("not a JSON object")
    return payload


def _json(raw: bytes) -> Any:
    if len(raw) > RAW_MAX:
        raise Unreadable(_TOO_LARGE)
    raw = raw.removeprefix(_BOM)
    if not raw.strip():
        raise Unreadable("empty")
    if has_too_many(raw):
        raise Unreadable(TOO_MANY)
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raw = _ENCODED_SURROGATE.sub(b"\xef\xbf\xbd", raw)
        raw.decode()  # its error counts bytes from the beginning
        text = _ESCAPE.sub(_repaired, raw).decode()
        return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)


class _Reasons:
    """Turns what the libraries raise into Unreadable, with a reason that shows no data."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        match error:
            case UnicodeDecodeError():
                raise Unreadable(f"not UTF-8 at byte {error.start}") from None
            case RecursionError():
                raise Unreadable("nested too deep") from None
            case json.JSONDecodeError():
                raise Unreadable(f"not JSON: {error.msg} (character {error.pos})") from None
            case TooLarge():
                raise Unreadable(f"too large: {error}") from None
            case ValueError():  # int() of a number with thousands of digits
                raise Unreadable(f"not JSON: {type(error).__name__}") from None


_REASONS = _Reasons()


def _repaired(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if _LONE.fullmatch(match[0]) else match[0]


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _first(payload: dict[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if name in payload:
            return payload[name]
    return None


@lru_cache(maxsize=64)  # the same few names stand in each event of a session
def _has_control(name: str) -> bool:
    return _CONTROL.search(name) is not None


def _session(payload: dict[str, Any]) -> str:
    session = payload["session_id"] if "session_id" in payload else _first(payload, _SESSION)
    if not isinstance(session, str) or not session:
        raise Unreadable("no session_id")
    if len(session) > SESSION_MAX or _has_control(session):
        raise Unreadable(f"session_id has control characters or more than {SESSION_MAX} characters")
    return session


def _kind(payload: dict[str, Any]) -> str:
    kind = payload["hook_event_name"] if "hook_event_name" in payload else _first(payload, KIND_FIELDS)
    if not isinstance(kind, str) or not kind:
        raise Unreadable("no hook_event_name")
    if len(kind) > KIND_MAX or _has_control(kind):
        raise Unreadable(f"hook_event_name has control characters or more than {KIND_MAX} characters")
    return kind


def _version(payload: dict[str, Any]) -> str | None:
    version = _first(payload, _VERSION)
    return version[:KIND_MAX] if isinstance(version, str) else None
