"""Runs of flows: which run an envelope of a gateway belongs to, and what a hook would have said of it.

A flow is known by its `flow_id`, and may run again and again, also several times at once. One run is one
session: its start is the prompt, each step a call, its completion the end of the turn.

Of the runs of its flow an envelope belongs to one that had begun by its time and not ended before it:
- a step's start to the oldest that has not begun this step,
- a step's end to the oldest in which this step is under way,
- a completion to one without a step under way, that began nearest to `duration_ms` before.
One of which no start is known begins a run of its own.

Invariants:
- Pure: the same envelopes in the same order give the same runs, events and names.
- A run is named by the envelope that begins it, so reading that again begins no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from karl.schema.event import event_id
from producers.envelope import time_of

START, STEP, STEP_END, END = "flow:start", "step:start", "step:complete", "flow:complete"
#: The domain of every flow.
PROJECT = "mesh-orchestration"
#: Runs that have ended and may still be heard of, and runs that may be under way.
ENDED_KEPT, OPEN_KEPT = 512, 10_000
#: Characters of a flow's name in its session's id, and lines of a run's summary.
_NAME_MAX, _LINES_MAX = 80, 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_WORD = re.compile(r"[^0-9A-Za-z]+")

_encode = msgspec.json.Encoder(order="sorted").encode


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a gateway's file; any field may be missing or of any kind."""

    seq: Any = None
    ts: Any = None
    type: Any = None
    flow_id: Any = None
    step_idx: Any = None
    payload: Any = None

    @property
    def order(self) -> Order:
        """When it was written."""
        seq = self.seq if isinstance(self.seq, int) and not isinstance(self.seq, bool) else None
        return Order(time_of({"ts": self.ts}), seq)

    @property
    def fields(self) -> dict[str, Any]:
        """Its payload, empty when that is none."""
        return self.payload if isinstance(self.payload, dict) else {}

    def name(self, place: str) -> str:
        """Name it by what it says; one without a number also by its place."""
        return event_id("gateway", _encode(self), "" if self.order.seq is not None else place)


class Order(NamedTuple):
    """A moment: Unix time in ms, and the number that the gateway counts by; null where not known."""

    time_ms: int | None
    seq: int | None

    def is_before(self, other: Order) -> bool:
        """Say whether this is known to be earlier: by time, or within a moment by number."""
        if self.time_ms is not None and other.time_ms is not None and self.time_ms != other.time_ms:
            return self.time_ms < other.time_ms
        return self.seq is not None and other.seq is not None and self.seq < other.seq


class Run(msgspec.Struct):
    """One run of a flow. `steps` says of each step whether it has ended; `said` has a line for each."""

    session: str
    begun: Order
    ended: Order | None = None
    steps: dict[str, bool] = {}
    said: list[str] = []

    def spans(self, moment: Order) -> bool:
        """Say whether it was under way at a moment, as far as is known."""
        return not moment.is_before(self.begun) and not (self.ended and self.ended.is_before(moment))

    @property
    def has_open_step(self) -> bool:
        """Say whether a step is under way."""
        return not all(self.steps.values())


class Fact(NamedTuple):
    """What a hook would have said, and its name."""

    payload: dict[str, Any]
    name: str


class Flows(msgspec.Struct):
    """The runs that are under way or ended a while ago, by their flow, oldest first."""

    runs: dict[str, list[Run]] = {}

    def take(self, envelope: Envelope, place: str) -> list[Fact]:
        """Give what an envelope of a flow says. `place` is its own in the folder."""
        flow = envelope.flow_id if isinstance(envelope.flow_id, str) else _encode(envelope.flow_id).decode()
        name = envelope.name(place)
        run = self._run(flow, envelope, name)
        facts = [
            Fact(_common(run, envelope) | payload, event_id(name, str(number)))
            for number, payload in enumerate(_said(run, flow, envelope))
        ]
        _note(run, envelope)
        return facts

    @property
    def open_sessions(self) -> set[str]:
        """The sessions of the runs that are under way."""
        return {run.session for runs in self.runs.values() for run in runs if run.ended is None}

    def forget(self) -> None:
        """Let go of the oldest runs beyond what is kept."""
        known = sorted(
            ((run.begun.time_ms or 0, flow, run) for flow, runs in self.runs.items() for run in runs),
            key=lambda item: item[:2],
        )
        for ended, kept in ((True, ENDED_KEPT), (False, OPEN_KEPT)):
            these = [item for item in known if (item[2].ended is not None) is ended]
            for _, flow, run in these[: max(0, len(these) - kept)]:
                self.runs[flow].remove(run)
        self.runs = {flow: runs for flow, runs in self.runs.items() if runs}

    def _run(self, flow: str, envelope: Envelope, name: str) -> Run:
        """Find the run of an envelope, or begin one."""
        runs = self.runs.setdefault(flow, [])
        session = f"flow:{_CONTROL.sub('', flow)[:_NAME_MAX]}:{name[2:14]}"
        found: Run | None
        if envelope.type == START:
            found = next((run for run in runs if run.session == session), None)
        else:
            moment = envelope.order
            fitting = [run for run in runs if run.spans(moment)]
            found = _chosen(fitting or [run for run in runs if run.ended is None] or runs[-1:], envelope)
        if found is None:
            found = Run(session, envelope.order)
            runs.append(found)
        return found


def _chosen(runs: list[Run], envelope: Envelope) -> Run | None:
    """Choose among the runs that an envelope may belong to."""
    if not runs:
        return None
    step = _step(envelope)
    if envelope.type == STEP:
        return next((run for run in runs if step not in run.steps), runs[-1])
    if envelope.type == STEP_END:
        under_way = [run for run in runs if run.steps.get(step) is False]
        return next(iter([*under_way, *(run for run in runs if step not in run.steps)]), runs[-1])
    if envelope.type == END:
        return min(runs, key=lambda run: _distance(run, envelope))
    return next((run for run in reversed(runs) if run.ended is None), runs[-1])


def _distance(run: Run, envelope: Envelope) -> tuple[bool, bool, float, bool]:
    """Say how ill a completion fits a run; the run that began first is taken where it is the same."""
    took, moment = envelope.fields.get("duration_ms"), envelope.order.time_ms
    off = 0.0
    if isinstance(took, int | float) and moment is not None and run.begun.time_ms is not None:
        off = abs(moment - took - run.begun.time_ms) // 1000
    return run.ended is not None, run.has_open_step, off, not run.steps


def _step(envelope: Envelope) -> str:
    return str(envelope.step_idx)


def _note(run: Run, envelope: Envelope) -> None:
    """Keep what later envelopes of the run must know."""
    if envelope.type == STEP:
        run.steps.setdefault(_step(envelope), False)
    elif envelope.type == STEP_END:
        run.steps[_step(envelope)] = True
        if len(run.said) < _LINES_MAX:
            run.said.append(_line(envelope))
    elif envelope.type == END and run.ended is None:
        run.ended = envelope.order


def _common(run: Run, envelope: Envelope) -> dict[str, Any]:
    made: dict[str, Any] = {"session_id": run.session}
    if envelope.ts is not None:
        made["timestamp"] = envelope.ts
    return made


def _said(run: Run, flow: str, envelope: Envelope) -> Iterator[dict[str, Any]]:
    """Give what an agent's hooks would have said."""
    given, call = envelope.fields, f"{run.session}:{_step(envelope)}"
    if envelope.type == START:
        prompt = f"{given.get('trigger_kind') or 'unknown'}:{flow}"
        expansion = {"expansion_type": "slash_command", "command_name": f"flow:{flow}", "prompt": prompt}
        yield {"hook_event_name": "UserPromptExpansion", **expansion}
        yield {"hook_event_name": "UserPromptSubmit", "prompt": prompt, "source": "system", "flow": given}
    elif envelope.type == STEP:
        asked = {"tool_name": _tool(given), "tool_input": given, "tool_use_id": call}
        yield {"hook_event_name": "PreToolUse", **asked}
    elif envelope.type == STEP_END:
        yield {"tool_name": _tool(given), "tool_use_id": call, **_ended(given)}
    elif envelope.type == END:
        yield _completed(run, given)
    else:
        kind = _CONTROL.sub("", str(envelope.type))[:48]
        yield {"hook_event_name": f"Flow:{kind}", "step_idx": envelope.step_idx, "flow": envelope.payload}


def _ended(given: dict[str, Any]) -> dict[str, Any]:
    """Say how a step ended: failed when it says so, however little it says of why."""
    took = {"duration_ms": given["duration_ms"]} if "duration_ms" in given else {}
    ok, error = given.get("ok"), given.get("error")
    if ok is False or (ok is None and error):
        text = error or "the step failed without a word"
        return {"hook_event_name": "PostToolUseFailure", "error": text, "flow": given, **took}
    response = given if ok is not None else {**given, "success": None}
    return {"hook_event_name": "PostToolUse", "tool_response": response, **took}


def _completed(run: Run, given: dict[str, Any]) -> dict[str, Any]:
    said = {"last_assistant_message": "\n".join(run.said), "flow": given}
    if given.get("first_error") is not None:
        return {"hook_event_name": "StopFailure", "error": given["first_error"], **said}
    return {"hook_event_name": "Stop", "stop_hook_active": False, **said}


def _line(envelope: Envelope) -> str:
    given = envelope.fields
    ended = _ended(given)
    kind = given.get("step_kind") or "step"
    if "error" in ended:
        return f"[fail] {kind}: {str(ended['error'])[:500]}"
    return f"[ok] {kind}"


def _tool(given: dict[str, Any]) -> str:
    """Name a step's kind as a tool: `captain_ask` is CaptainAsk."""
    kind = given.get("step_kind")
    words = _WORD.split(kind[:200]) if isinstance(kind, str) else []
    return "".join(word[:1].upper() + word[1:] for word in words) or "Step"
