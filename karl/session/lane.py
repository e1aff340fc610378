"""A lane: one telling of one session, event by event, becomes closed turns.

A session has a lane for what the hooks say and, once a transcript is imported, one for what that
tells; `karl.session.fold` joins them.

What opens and what closes:
- A UserPromptSubmit opens a turn; so does a tool event, or a response, when none is open (logs without
  prompts, histories that begin in the middle).
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

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from karl.schema.event import ANNOTATION, ASSISTANT_MESSAGE, IMPORT_END, SKILL_SUGGESTED, Event, Payload
from karl.schema.trajectory import ClosedBy
from karl.session.corrections import judge
from karl.session.emissions import (
    NO_HOME,
    Carry,
    Duplicate,
    Emission,
    Held,
    Limits,
    Remark,
    Strays,
    Turn,
    home_of,
    short_id,
    trajectory_at,
    trajectory_id,
)
from karl.session.glance import Glance, flags, glance, payload_of, text
from karl.session.moments import RESULTS, moment
from karl.session.prompts import prompt_kind
from karl.session.signs import signs_of
from karl.session.twins import Name, Teller, mark, names_of

PROMPT_MAX = 500
OPEN_CALLS_MAX = 64
CALL_ID_MAX = 256
#: Names the caller of the Python API in annotations.
CALLER = "caller"
_NEW_PROCESS = frozenset({"startup", "resume", "clear", "fork"})
_OVER = frozenset({"completed", "done", "failed", "error", "killed", "stopped", "cancelled", "canceled"})


class Lane:
    """One telling while its turns are folded.

    Shapes: `marks` maps 8-byte ids to 8-byte homes, is shared by a session's lanes and added to in
    place; `carry` is changed in place.
    """

    def __init__(
        self, session: str, teller: Teller, carry: Carry, marks: dict[bytes, bytes], limits: Limits
    ) -> None:
        self.session = session
        self.teller = teller
        self.carry = carry
        self.last_seen_ms = 0
        self.open_bytes = 0
        self.held: list[Held] = []
        self._limits = limits
        self._marks = marks
        self._ids: dict[bytes, str | bytes] = {}  # short id -> entry of what is held, in its order
        self._names: set[Name] = set()  # of the first `_named` events held
        self._named = 0
        self._short = b""
        self._prompt: str | None = None
        self._last_ms: int | None = None
        self._clear()

    @property
    def is_open(self) -> bool:
        """Say whether a turn is open; what waits for one opens none."""
        return self._opened

    @property
    def has_worked(self) -> bool:
        """Say whether the agent has done anything in the turn that is open."""
        return self._worked

    def add(self, held: Held, now_ms: int) -> list[Emission]:
        """Fold one entry in; give what leaves because of it, in order.

        The very same entry given twice gives nothing the second time: it is open, and leaves
        with its turn.
        """
        event = held.event
        short = short_id(event.id)
        entry = self._ids.get(short)
        if entry is not None:
            return [] if entry == held.entry else [Duplicate(held.entry, event.id)]
        if short in self._marks:
            return [Duplicate(held.entry, event.id)]
        self.last_seen_ms = now_ms
        self._short = short
        time_ms, last_ms = event.time_ms, self._last_ms
        silent = time_ms is not None and last_ms is not None and time_ms - last_ms > self._limits.idle_ms
        out = self._after_silence(event) if silent else []
        step = moment(event.kind)
        rule = self._rules.get(step)
        out += rule(self, held, step) if rule else self._keep(held, step)
        limits = self._limits
        if len(self.held) >= limits.turn_max_events or self.open_bytes >= limits.turn_max_bytes:
            out += self.close("size")
        return out

    def holds(self, short: bytes) -> str | bytes | None:
        """Give the entry of an event that is held, by its short id."""
        return self._ids.get(short)

    def take(self, items: Iterable[Held]) -> None:
        """Hold events of the open turn that another telling told."""
        last_ms = self._last_ms
        for held in items:
            self._short = short_id(held.event.id)
            self._keep(held, "")
        if last_ms is not None and self._last_ms is not None:
            self._last_ms = max(last_ms, self._last_ms)  # another telling may lag: that is no silence

    def give_up(self) -> list[Held]:
        """Let go of what is held, which belongs to a turn that is known elsewhere."""
        held = self.held
        self._clear()
        return held

    def knows(self, names: Iterable[Name]) -> bool:
        """Say whether what is held tells one of these facts."""
        for held in self.held[self._named :]:
            self._names.update(names_of(held.event, moment(held.event.kind), glance(held.event)))
        self._named = len(self.held)
        return not self._names.isdisjoint(names)

    def close(self, by: ClosedBy) -> list[Emission]:
        """Close what is open now; entries that wait for a turn leave as strays."""
        if not self.held:
            return []
        return [self._turn(by)] if self._opened else [self._strays(ended=by == "session_end")]

    def leaving(self, held: tuple[Held, ...], home: bytes) -> Strays:
        """Give events that leave outside of a turn, and mark where they went."""
        shorts = [short_id(item.event.id) for item in held]
        marks = self._remember(held, shorts, [glance(item.event) for item in held], home)
        return self._strays_of(held, marks, ended=False, of=trajectory_at(home))

    # --- one rule per kind; each holds the entry or lets it go ---

    def _tool(self, held: Held, step: str) -> list[Emission]:
        if step in RESULTS and self.carry.open_calls:
            call = glance(held.event).tool_use_id
            if isinstance(call, str) and call in self.carry.open_calls:
                self.carry.open_calls.remove(call)
                return [self.leaving((held,), self._marks.get(mark(self.teller, ("call", call)), NO_HOME))]
        self._opened = self._worked = True
        return self._keep(held, step)

    def _prompted(self, held: Held, step: str) -> list[Emission]:
        seen = glance(held.event)
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
        out = self.close("prompt") if self._worked and not glance(held.event).agent_id else []
        return out + self._keep(held, step)

    def _stopped(self, held: Held, step: str) -> list[Emission]:
        if not self._opened:
            return [self.leaving((held,), NO_HOME)]
        self._keep(held, step)
        seen = glance(held.event)
        if step == "SubagentStop" or seen.agent_id:
            return []
        if step == "Stop" and _still_runs(seen.background_tasks):
            self._worked = True
            return []
        return self.close("stop" if step == "Stop" else "stop_failure")

    def _started(self, held: Held, step: str) -> list[Emission]:
        source = glance(held.event).source if self._worked else None
        gone = isinstance(source, str) and source in _NEW_PROCESS
        out = self.close("session_end") if gone else []
        return out + self._keep(held, step)

    def _ended(self, held: Held, step: str) -> list[Emission]:
        self._keep(held, step)
        return self.close("import_end" if step == IMPORT_END else "session_end")

    def _spoke(self, held: Held, step: str) -> list[Emission]:
        """A response after the end of a turn, before anything new, is that turn's."""
        last = self.carry.last_trajectory
        if last and not self.held:
            return [self.leaving((held,), home_of(last))]
        self._opened = self._worked = True
        return self._keep(held, step)

    def _suggested(self, held: Held, step: str) -> list[Emission]:
        """What was picked for a prompt is told a moment after it; the turn may have ended by then."""
        last = self.carry.last_trajectory
        if last and not self.held:
            return [self.leaving((held,), home_of(last))]
        return self._keep(held, step)

    def _annotated(self, held: Held, _step: str) -> list[Emission]:
        """A caller's word is about the turn before, whatever is open."""
        last = self.carry.last_trajectory
        out: list[Emission] = [self.leaving((held,), home_of(last) if last else NO_HOME)]
        said: dict[str, Any] = flags(held.event)
        if last and said:
            time_ms = self.last_seen_ms if held.event.time_ms is None else held.event.time_ms
            out.append(Remark(self.session, last, held.event.id, time_ms, **said, detector=CALLER))
        return out

    def _keep(self, held: Held, _step: str) -> list[Emission]:
        self.held.append(held)
        self._ids[self._short] = held.entry
        self.open_bytes += len(held.raw)
        time_ms = held.event.time_ms
        if time_ms is not None:
            self._last_ms = time_ms
        return []

    # --- what leaves ---

    def _after_silence(self, event: Event) -> list[Emission]:
        if self.teller == "told":  # a transcript says where its turns end: an hour may be one call
            return []
        call = text(glance(event).tool_use_id) if moment(event.kind) in RESULTS else None
        # The result of a call that is under way ends no silence: the call took so long.
        return [] if call and self.knows([("call", call)]) else self.close("idle")

    def _turn(self, by: ClosedBy) -> Turn:
        held, last_ms = tuple(self.held), self._last_ms
        carry = self.carry
        name = trajectory_id(self.session, held[0].event.id)
        marks = self._remember(held, self._ids, [payload_of(item) for item in held], home_of(name))
        signs = signs_of(held)
        turn = Turn(
            id=name,
            session=self.session,
            number=carry.turn,
            closed_by=by,
            held=held,
            marks=marks,
            time_ms=self.last_seen_ms if last_ms is None else last_ms,
            told=self.teller == "told",
            model=carry.model,
            agent_version=carry.agent_version,
            permission_mode=carry.permission_mode,
            signs=signs,
        )
        goes_on = self._prompt is None and carry.last_closed_by == "size"
        if not goes_on:  # a turn cut by size goes on with the same prompt
            carry.last_prompt = self._prompt
        carry.last_signs = signs_of(held, carry.last_signs) if goes_on else signs
        carry.turn += 1
        carry.last_trajectory, carry.last_closed_by, carry.last_time_ms = turn.id, by, turn.time_ms
        carry.last_score = carry.last_outcome = None
        carry.ended = by == "session_end"
        self._clear()
        return turn

    def _strays(self, *, ended: bool) -> Strays:
        held = tuple(self.held)
        marks = self._remember(held, self._ids, [glance(item.event) for item in held], NO_HOME)
        self.carry.ended = ended or self.carry.ended
        strays = self._strays_of(held, marks, ended=ended)
        self._clear()
        return strays

    def _strays_of(
        self, held: tuple[Held, ...], marks: bytes, *, ended: bool, of: str | None = None
    ) -> Strays:
        times = [item.event.time_ms for item in held if item.event.time_ms is not None]
        time_ms = times[-1] if times else self.last_seen_ms
        return Strays(self.session, held, marks, time_ms, self.carry.last_trajectory, ended, of)

    def _remark(self, event: Event, prompt: str) -> list[Emission]:
        carry = self.carry
        if carry.last_trajectory is None or carry.remarked == event.id:
            return []
        carry.remarked = event.id
        said = judge(prompt, carry.last_prompt or "", signs_of(self.held, carry.last_signs))
        return [
            Remark(
                session=self.session,
                trajectory=carry.last_trajectory,
                by=event.id,
                time_ms=self.last_seen_ms if event.time_ms is None else event.time_ms,
                correction_detected=said.is_correction,
                redo_detected=said.redo,
                session_continued=True,
                told=self.teller == "told",
                correction_score=said.score,
                correction_classes=said.reasons,
            )
        ]

    def _remember(
        self,
        held: Iterable[Held],
        shorts: Iterable[bytes],
        read: Iterable[Glance | Payload],
        home: bytes,
    ) -> bytes:
        """Take what later turns must know from entries that leave; give their marks.

        An event is marked by its id, and by the names that another telling may give it.
        """
        carry, teller = self.carry, self.teller
        calls = dict.fromkeys(carry.open_calls)
        known: list[bytes] = []
        for item, short, seen in zip(held, shorts, read, strict=True):
            event = item.event
            step = moment(event.kind)
            known.append(short)
            for name in names_of(event, step, seen):
                known.append(mark(teller, name))  # noqa: PERF401
            call = seen.tool_use_id
            if type(call) is str and 0 < len(call) <= CALL_ID_MAX:
                if step == "PreToolUse":
                    calls[call] = None
                elif step in RESULTS:
                    calls.pop(call, None)
            if event.agent_version:
                carry.agent_version = event.agent_version
            if not seen.agent_id:
                model = glance(event).to_model if step == "PostModelSwitch" else seen.model
                if model is not None:
                    carry.model = text(model) or carry.model
                if seen.permission_mode is not None:
                    carry.permission_mode = text(seen.permission_mode) or carry.permission_mode
        carry.open_calls = list(calls)[-OPEN_CALLS_MAX:]
        self._marks.update(dict.fromkeys(known, home))
        return home.join(known) + home if known else b""

    def _clear(self) -> None:
        self.held, self._ids = [], {}
        self._names, self._named = set(), 0
        self.open_bytes, self._last_ms = 0, None
        self._opened = self._worked = False
        self._prompt = None

    _rules: ClassVar[dict[str, Callable[[Lane, Held, str], list[Emission]]]] = {
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
        ANNOTATION: _annotated,
        ASSISTANT_MESSAGE: _spoke,
        SKILL_SUGGESTED: _suggested,
    }


def _still_runs(tasks: object) -> bool:
    """Say whether a Stop's background_tasks hold one that has not ended."""
    if not isinstance(tasks, list):
        return False
    return any(not (isinstance(task, dict) and task.get("status") in _OVER) for task in tasks)
