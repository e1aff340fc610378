"""The fold: the events of one session, one by one, become closed turns.

Invariants:
- Every held entry leaves in exactly one Turn, Strays or Duplicate; a Turn's entries keep the order
  they came in. What belongs to the past (a result after its turn had closed, a late SubagentStop or
  Stop) leaves at once in Strays of its own, because the open turn must not count it.
- State is `carry`, `seen` and the entries that have not left yet. A fold rebuilt from the three,
  the entries given again in their order, emits what the lost one would have, ids included.
- So whoever commits must commit all emissions of one call together with the carry and the ids.
- No clock: `now_ms` is Unix time in milliseconds, given by the caller.

What opens and what closes:
- A UserPromptSubmit opens a turn; so does a tool event when none is open (logs without prompts).
- A Stop closes it, unless its background_tasks still run: then the agent is waiting, not done.
- A report of such work (`<task-notification>` and its like) goes on with the open turn, because it
  answers what that turn was asked; split, the first half would be judged before its work was done.
  Other machine-made prompts (schedules, other sessions) are new requests and open a turn.
- An event of a subagent (it has an agent_id) neither opens a turn by prompt nor closes one.
- SessionStart by startup, resume, clear or fork inside a turn that has done work means that the
  process of that turn is gone: the turn closes as session_end. By compact it is an event like others.
- What comes between turns waits, to become the head of the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import msgspec

from karl.schema.event import IMPORT_END, Event, Payload
from karl.schema.trajectory import ClosedBy
from karl.session.corrections import is_correction, is_redo, prompt_kind
from karl.session.emissions import (
    Carry,
    Duplicate,
    Emission,
    Held,
    Limits,
    Remark,
    Strays,
    Turn,
    seen_of,
    short_id,
    trajectory_id,
)
from karl.session.moments import RESULTS, moment

__all__ = [
    "Carry",
    "Duplicate",
    "Emission",
    "Held",
    "Limits",
    "OpenSession",
    "Remark",
    "Strays",
    "Turn",
    "seen_of",
    "short_id",
    "trajectory_id",
]

PROMPT_MAX = 500
OPEN_CALLS_MAX = 64
CALL_ID_MAX = 256
_NEW_PROCESS = frozenset({"startup", "resume", "clear", "fork"})
_OVER = frozenset({"completed", "done", "failed", "error", "killed", "stopped", "cancelled", "canceled"})


class _Glance(msgspec.Struct, frozen=True):
    """The payload fields that the fold itself looks at; the rest is skipped, not decoded."""

    prompt: object = None
    source: object = None
    agent_id: object = None
    tool_use_id: object = None
    model: object = None
    to_model: object = None
    permission_mode: object = None
    background_tasks: object = None


_NOTHING = _Glance()
_glance_decoder = msgspec.json.Decoder(_Glance)


def _glance(event: Event) -> _Glance:
    """Read what the fold needs; a payload that can not be read still has its event's kind."""
    try:
        return _glance_decoder.decode(event.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _NOTHING


class OpenSession:
    """One session while its turns are folded.

    Shapes: `seen` holds 8-byte short ids and is added to in place; `carry` is changed in place.
    """

    def __init__(self, session: str, carry: Carry, seen: set[bytes], limits: Limits) -> None:
        self.session = session
        self.carry = carry
        self.last_seen_ms = 0
        self.open_bytes = 0
        self._limits = limits
        self._seen = seen
        self._held: list[Held] = []
        self._ids: dict[bytes, str | bytes] = {}  # short id -> entry of what is held, in its order
        self._short = b""
        self._prompt: str | None = None
        self._last_ms: int | None = None
        self._clear()

    @property
    def open_events(self) -> int:
        """Count the entries that have not left."""
        return len(self._held)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is held, so that the session can be put away."""
        return not self._held

    @property
    def first_entry(self) -> str | bytes | None:
        """Give the stream entry before which this session needs none."""
        return self._held[0].entry if self._held else None

    def add(self, held: Held, now_ms: int) -> list[Emission]:
        """Fold one entry in; give what leaves because of it, in order.

        The very same entry given twice gives nothing the second time: it is open, and leaves
        with its turn.
        """
        short = short_id(held.event.id)
        entry = self._ids.get(short)
        if entry is not None:
            return [] if entry == held.entry else [Duplicate(held.entry, held.event.id)]
        if short in self._seen:
            return [Duplicate(held.entry, held.event.id)]
        self.last_seen_ms = now_ms
        self._short = short
        out = self._after_silence(held.event.time_ms)
        step = moment(held.event.kind)
        rule = self._rules.get(step)
        out += rule(self, held, step) if rule else self._keep(held, step)
        limits = self._limits
        if len(self._held) >= limits.turn_max_events or self.open_bytes >= limits.turn_max_bytes:
            out += self.close("size")
        return out

    def idle(self, now_ms: int) -> list[Emission]:
        """Close what is open when nothing came for longer than the limit, by the caller's clock."""
        if not self._held or now_ms - self.last_seen_ms <= self._limits.idle_ms:
            return []
        return self.close("idle")

    def close(self, by: ClosedBy) -> list[Emission]:
        """Close what is open now; entries that wait for a turn leave as strays."""
        if not self._held:
            return []
        return [self._turn(by)] if self._opened else [self._strays(ended=by == "session_end")]

    # --- one rule per kind; each holds the entry or lets it go ---

    def _tool(self, held: Held, step: str) -> list[Emission]:
        if step in RESULTS and self.carry.open_calls:
            call = _glance(held.event).tool_use_id
            if isinstance(call, str) and call in self.carry.open_calls:
                self.carry.open_calls.remove(call)
                return self._let_go(held)
        self._opened = self._worked = True
        return self._keep(held, step)

    def _prompted(self, held: Held, step: str) -> list[Emission]:
        seen = _glance(held.event)
        kind = prompt_kind(seen.prompt, Payload(agent_id=seen.agent_id, source=seen.source))
        if seen.agent_id or kind == "note" or (kind == "report" and self._opened):
            return self._keep(held, step)
        out = self.close("prompt") if self._opened else []
        if kind == "human" and isinstance(seen.prompt, str):
            out += self._remark(held.event, seen.prompt)
        self._prompt = seen.prompt[:PROMPT_MAX] if isinstance(seen.prompt, str) else None
        self._opened = True
        return out + self._keep(held, step)

    def _expanded(self, held: Held, step: str) -> list[Emission]:
        """A typed /name is told before its prompt: inside a turn at work it announces the next one."""
        out = self.close("prompt") if self._worked and not _glance(held.event).agent_id else []
        return out + self._keep(held, step)

    def _stopped(self, held: Held, step: str) -> list[Emission]:
        if not self._opened:
            return self._let_go(held)
        self._keep(held, step)
        seen = _glance(held.event)
        if step == "SubagentStop" or seen.agent_id:
            return []
        if step == "Stop" and _still_runs(seen.background_tasks):
            self._worked = True
            return []
        return self.close("stop" if step == "Stop" else "stop_failure")

    def _started(self, held: Held, step: str) -> list[Emission]:
        source = _glance(held.event).source if self._worked else None
        gone = isinstance(source, str) and source in _NEW_PROCESS
        out = self.close("session_end") if gone else []
        return out + self._keep(held, step)

    def _ended(self, held: Held, step: str) -> list[Emission]:
        self._keep(held, step)
        return self.close("import_end" if step == IMPORT_END else "session_end")

    def _keep(self, held: Held, _step: str) -> list[Emission]:
        self._held.append(held)
        self._ids[self._short] = held.entry
        self.open_bytes += len(held.raw)
        if held.event.time_ms is not None:
            self._last_ms = held.event.time_ms
        return []

    def _let_go(self, held: Held) -> list[Emission]:
        """Emit one entry of the past by itself, whatever is open."""
        self._seen.add(self._short)
        return [self._strays_of((held,), self._short, ended=False)]

    # --- what leaves ---

    def _after_silence(self, time_ms: int | None) -> list[Emission]:
        if time_ms is None or self._last_ms is None or time_ms - self._last_ms <= self._limits.idle_ms:
            return []
        return self.close("idle")

    def _turn(self, by: ClosedBy) -> Turn:
        held, last_ms = tuple(self._held), self._last_ms
        carry = self.carry
        carry.open_calls = self._learn(held)
        turn = Turn(
            id=trajectory_id(self.session, held[0].event.id),
            session=self.session,
            number=carry.turn,
            closed_by=by,
            held=held,
            short_ids=b"".join(self._ids),
            time_ms=self.last_seen_ms if last_ms is None else last_ms,
            model=carry.model,
            agent_version=carry.agent_version,
            permission_mode=carry.permission_mode,
        )
        if self._prompt is not None or carry.last_closed_by != "size":
            carry.last_prompt = self._prompt  # a turn cut by size goes on with the same prompt
        carry.turn += 1
        carry.last_trajectory, carry.last_closed_by, carry.last_time_ms = turn.id, by, turn.time_ms
        carry.last_score = carry.last_outcome = None
        carry.ended = by == "session_end"
        self._clear()
        return turn

    def _strays(self, *, ended: bool) -> Strays:
        held = tuple(self._held)
        self.carry.open_calls = self._learn(held)
        self.carry.ended = ended or self.carry.ended
        strays = self._strays_of(held, b"".join(self._ids), ended=ended)
        self._clear()
        return strays

    def _strays_of(self, held: tuple[Held, ...], short_ids: bytes, *, ended: bool) -> Strays:
        times = [item.event.time_ms for item in held if item.event.time_ms is not None]
        time_ms = times[-1] if times else self.last_seen_ms
        return Strays(self.session, held, short_ids, time_ms, self.carry.last_trajectory, ended)

    def _remark(self, event: Event, prompt: str) -> list[Emission]:
        carry = self.carry
        if carry.last_trajectory is None or carry.remarked == event.id:
            return []
        carry.remarked = event.id
        previous = carry.last_prompt or ""
        return [
            Remark(
                session=self.session,
                trajectory=carry.last_trajectory,
                by=event.id,
                correction_detected=is_correction(prompt, previous),
                redo_detected=is_redo(prompt, previous),
                time_ms=self.last_seen_ms if event.time_ms is None else event.time_ms,
            )
        ]

    def _learn(self, held: tuple[Held, ...]) -> list[str]:
        """Take what later turns must know from entries that leave; give the calls left open."""
        carry = self.carry
        calls = dict.fromkeys(carry.open_calls)
        for item in held:
            carry.agent_version = item.event.agent_version or carry.agent_version
            step = moment(item.event.kind)
            if step in RESULTS and not calls:
                continue  # nothing is open that it could end, and its call said the rest already
            seen = _glance(item.event)
            if isinstance(seen.tool_use_id, str) and 0 < len(seen.tool_use_id) <= CALL_ID_MAX:
                if step == "PreToolUse":
                    calls[seen.tool_use_id] = None
                elif step in RESULTS:
                    calls.pop(seen.tool_use_id, None)
            if not seen.agent_id:
                model = seen.to_model if step == "PostModelSwitch" else seen.model
                carry.model = _text(model) or carry.model
                carry.permission_mode = _text(seen.permission_mode) or carry.permission_mode
        return list(calls)[-OPEN_CALLS_MAX:]

    def _clear(self) -> None:
        self._seen.update(self._ids)
        self._held, self._ids = [], {}
        self.open_bytes, self._last_ms = 0, None
        self._opened = self._worked = False
        self._prompt = None

    _rules: ClassVar[dict[str, Callable[[OpenSession, Held, str], list[Emission]]]] = {
        "PreToolUse": _tool,
        "PostToolUse": _tool,
        "PostToolUseFailure": _tool,
        "PermissionRequest": _tool,
        "PermissionDenied": _tool,
        "UserPromptSubmit": _prompted,
        "UserPromptExpansion": _expanded,
        "Stop": _stopped,
        "StopFailure": _stopped,
        "SubagentStop": _stopped,
        "SessionStart": _started,
        "SessionEnd": _ended,
        IMPORT_END: _ended,
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _still_runs(tasks: object) -> bool:
    """Say whether a Stop's background_tasks hold one that has not ended."""
    if not isinstance(tasks, list):
        return False
    return any(not (isinstance(task, dict) and task.get("status") in _OVER) for task in tasks)
