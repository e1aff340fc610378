"""What an agent's hooks would have said of a gateway's envelopes: a run is a turn, its steps are calls."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from producers.times import moment_of

START, STEP, STEP_END, END = "flow:start", "step:start", "step:complete", "flow:complete"
#: Characters of a flow's name in its session's id.
_NAME_MAX = 80
#: A step's kind that is words of letters, each with few digits at its end; it is never longer than that.
_KIND_MAX = 300
_PLAIN_KIND = re.compile(r"[A-Za-z]{1,24}[0-9]{0,3}(?:[^0-9A-Za-z]{1,3}[A-Za-z]{1,24}[0-9]{0,3}){0,9}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_WORD = re.compile(r"[^0-9A-Za-z]+")

_encode = msgspec.json.Encoder(order="sorted").encode


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A moment: Unix time in ms, and the number that the gateway counts by; null where not known."""

    time_ms: int | None
    seq: int | None

    def is_before(self, other: Order) -> bool:
        """Say whether this is known to be earlier: by time, or within a moment by number."""
        if self.time_ms is not None and other.time_ms is not None and self.time_ms != other.time_ms:
            return self.time_ms < other.time_ms
        return self.seq is not None and other.seq is not None and self.seq < other.seq


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """One line of a gateway's file; any field may be missing or of any kind. `more` has all others."""

    seq: Any = None
    ts: Any = None
    type: Any = None
    flow_id: Any = None
    step_idx: Any = None
    payload: Any = None
    more: dict[str, Any] = {}

    @classmethod
    def of(cls, said: dict[str, Any]) -> Envelope:
        """Read a line's object, which becomes the envelope's."""
        take = said.pop
        made = cls(
            take("seq", None),
            take("ts", None),
            take("type", None),
            take("flow_id", None),
            take("step_idx", None),
            take("payload", None),
            said,
        )
        made.__dict__["order"] = _order(made)  # at once: a first question takes a lock
        return made

    @cached_property  # asked half a dozen times of each envelope
    def order(self) -> Order:
        """When it was written."""
        return _order(self)

    @property
    def flow(self) -> str:
        """The name of its flow."""
        return self.flow_id if isinstance(self.flow_id, str) else _encode(self.flow_id).decode()

    @property
    def fields(self) -> dict[str, Any]:
        """Its payload, empty when that is none."""
        return self.payload if isinstance(self.payload, dict) else {}

    @property
    def content(self) -> bytes:
        """All that it says, in one form whatever the order and the spaces of the line."""
        return _encode(self)

    @property
    def step(self) -> str:
        """Which step of its run it is of: its index, else its kind."""
        return str(self.fields.get("step_kind") if self.step_idx is None else self.step_idx)[:_NAME_MAX]

    @property
    def took_ms(self) -> float | None:
        """How long it says that something took."""
        took = self.fields.get("duration_ms")
        return took if isinstance(took, int | float) and not isinstance(took, bool) else None


def _order(envelope: Envelope) -> Order:
    return Order(moment_of(envelope.ts), envelope.seq if type(envelope.seq) is int else None)


def session_of(flow: str, name: str) -> str:
    """Name the session of a run by its flow and the name of the envelope that begins it."""
    plain = _CONTROL.sub("", flow)
    if len(plain) > _NAME_MAX:  # half a name might hold half a secret, which no rule would know
        plain = hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"flow:{plain}:{name[2:14]}"


def said_of(envelope: Envelope, session: str, call: str, summary: str) -> list[dict[str, Any]]:
    """Give the hooks' payloads. `call` names its step's call, `summary` is what a completion sums up."""
    common: dict[str, Any] = {"session_id": session}
    if envelope.ts is not None:
        common["timestamp"] = envelope.ts
    gateway: dict[str, Any] = {} if envelope.seq is None else {"seq": envelope.seq}
    gateway["type"] = envelope.type
    if envelope.step_idx is not None:
        gateway["step_idx"] = envelope.step_idx
    gateway |= envelope.more
    said = _said(envelope, call, summary)
    return [{**common, **payload, "gateway": gateway} for payload in said]


def _said(envelope: Envelope, call: str, summary: str) -> tuple[dict[str, Any], ...]:
    given = envelope.fields
    if envelope.type == STEP:
        tool = _tool(given.get("step_kind"))
        asked = {"tool_name": tool, "tool_input": given, "tool_use_id": call}
        return ({"hook_event_name": "PreToolUse", **asked},)
    if envelope.type == STEP_END:
        return ({"tool_name": _tool(given.get("step_kind")), "tool_use_id": call, **_ended(given)},)
    if envelope.type == END:
        return (_completed(given, summary),)
    if envelope.type == START:
        prompt = f"{given.get('trigger_kind') or 'unknown'}:{envelope.flow}"
        expansion = {"expansion_type": "slash_command", "command_name": f"flow:{envelope.flow}"}
        return (
            {"hook_event_name": "UserPromptExpansion", **expansion, "prompt": prompt},
            {"hook_event_name": "UserPromptSubmit", "prompt": prompt, "source": "system", "flow": given},
        )
    kind = _CONTROL.sub("", str(envelope.type))[:48]
    return ({"hook_event_name": f"Flow:{kind}", "flow": envelope.payload},)


def summed_up(envelope: Envelope) -> str:
    """Give a step's end as a line of its run's summary."""
    given = envelope.fields
    ended = _ended(given)
    kind = given.get("step_kind") or "step"
    if "error" in ended:
        return f"[fail] {kind}: {ended['error']}"
    return f"[ok] {kind}"


def _ended(given: dict[str, Any]) -> dict[str, Any]:
    """Say how a step ended: failed when it says so, however little it says of why."""
    took = {"duration_ms": given["duration_ms"]} if "duration_ms" in given else {}
    ok, error = given.get("ok"), given.get("error")
    if ok is False or (ok is None and error):
        text = error or "the step failed without a word"
        return {"hook_event_name": "PostToolUseFailure", "error": text, "flow": given, **took}
    response = given if ok is not None else {**given, "success": None}
    return {"hook_event_name": "PostToolUse", "tool_response": response, **took}


def _completed(given: dict[str, Any], summary: str) -> dict[str, Any]:
    said = {"last_assistant_message": summary, "flow": given}
    if given.get("first_error") is not None:
        return {"hook_event_name": "StopFailure", "error": given["first_error"], **said}
    return {"hook_event_name": "Stop", "stop_hook_active": False, **said}


def _tool(kind: object) -> str:
    """Name a step's kind as a tool: `captain_ask` is CaptainAsk. One that is no plain word stays as it is.

    Without its separators a secret would be none that a rule knows.
    """
    if not isinstance(kind, str) or not kind:
        return "Step"
    return _capitals(kind) if len(kind) <= _KIND_MAX else kind


@lru_cache(maxsize=256)  # a gateway knows a dozen kinds
def _capitals(kind: str) -> str:
    if not _PLAIN_KIND.fullmatch(kind):
        return kind
    return "".join(word[:1].upper() + word[1:] for word in _WORD.split(kind))
