"""Calls: a turn's tool events, paired into tool calls, each under the call that started its agent.

Invariants:
- Every tool event belongs to exactly one call; calls stand in the order of their first events.
- A result is paired by the agent's tool_use_id; where one of the two sides has no id, by agent,
  tool and equal input, oldest first.
- Each event costs a constant, but for PermissionRequests and events without ids among many equal
  calls, which are looked through one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from karl.acts.reader import Given, Reader
from karl.schema.event import Event, Payload
from karl.schema.trajectory import CallStatus, ToolCall
from karl.session.moments import RESULTS, iso
from karl.session.verdicts import Verdict, milliseconds, of_denial, of_failure, of_result
from karl.session.vocabulary import canonical, key_params

AGENT_TOOLS = frozenset({"Task", "Agent"})


class Step(msgspec.Struct, frozen=True, gc=False):
    """One event of a turn: its kind in Claude Code's terms, its payload read once, its time in ms."""

    moment: str
    event: Event
    payload: Payload
    time_ms: int | None


class Call(msgspec.Struct, eq=False):
    """A tool call while its events are put together. `answer` is where the verdict was read from."""

    name: str
    original: str | None
    id: str | None
    input: object
    agent_id: str | None
    agent_type: str | None
    start_ms: int | None
    has_pre: bool = False
    asked: bool = False
    end_ms: int | None = None
    duration_ms: int | None = None
    verdict: Verdict | None = None
    answer: Payload | None = None
    parent: Call | None = None
    cwd: str | None = None

    @property
    def is_over(self) -> bool:
        """Say whether nothing more is expected of this call."""
        return self.has_pre and self.verdict is not None

    @property
    def subagent_type(self) -> str | None:
        """Give the kind of agent that this call asked for."""
        return text_of(self.input.get("subagent_type")) if isinstance(self.input, dict) else None


Fits = Callable[[Call], bool]


class _Agent:
    """A subagent as the turn saw it: its type, and the calls that may have started it."""

    __slots__ = ("asked_by", "candidates", "has_calls", "start_ms", "stop_ms", "stopped", "type")

    def __init__(self, candidates: list[Call], time_ms: int | None) -> None:
        self.candidates = candidates
        self.type: str | None = None
        self.asked_by: str | None = None
        self.has_calls = self.stopped = False
        self.start_ms = time_ms
        self.stop_ms: int | None = None


class Calls:
    """Pairs a turn's events; feed it every step in order, then read `calls` after `link`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.started: dict[str, Call] = {}  # by subagent, once linked
        self._by_id: dict[str, Call] = {}
        self._without_id = 0
        self._unfiled: list[Call] = []
        self._filed: dict[tuple[str | None, str, bytes], deque[Call]] = {}
        self._agents: dict[str, _Agent] = {}
        self._open_agent_calls: list[Call] = []

    def add(self, step: Step) -> None:
        """Take one event in; kinds that are not about calls or subagents are passed over."""
        agent_id, moment = step.payload.agent_id, step.moment
        if agent_id and isinstance(agent_id, str):
            self._note_agent(agent_id, step)
        if moment in RESULTS:
            self._finish(step)
        elif moment == "PreToolUse":
            self._announce(step)
        elif moment == "PermissionRequest":
            self._ask(step)

    def link(self) -> None:
        """Put each subagent's calls under the call that started it, once all events are in."""
        self.started = started = self._starters()
        for agent_id, agent in self._agents.items():
            call = started.get(agent_id)
            if call is not None:
                _conclude(call, agent)
        for call in self.calls:
            if call.agent_id is None:
                continue
            call.parent = started.get(call.agent_id)
            known = self._agents[call.agent_id].type
            call.agent_type = call.agent_type or known or (call.parent.subagent_type if call.parent else None)

    # --- pairing ---

    def _announce(self, step: Step) -> None:
        call = self._call(step, _is_unannounced)
        call.has_pre = True
        call.input = step.payload.tool_input if call.input is None else call.input
        call.start_ms = _earlier(call.start_ms, step.time_ms)
        if call.name in AGENT_TOOLS and call.verdict is None:
            self._open_agent_calls.append(call)

    def _ask(self, step: Step) -> None:
        call = self._call(step, _is_unasked)
        call.asked = True

    def _finish(self, step: Step) -> None:
        call = self._call(step, _is_unanswered)
        payload, known = step.payload, call.verdict
        verdict = _judge(call.name, step)
        if known is None or (known.success is None and verdict.success is not None):
            call.verdict, call.answer = verdict, payload
        if call.end_ms is None:
            call.end_ms = step.time_ms
        if call.duration_ms is None and payload.duration_ms is not None:
            call.duration_ms = milliseconds(payload.duration_ms)
        if call.name in AGENT_TOOLS and verdict.status != "launched" and call in self._open_agent_calls:
            self._open_agent_calls.remove(call)

    def _call(self, step: Step, fits: Fits) -> Call:
        """Give the call that an event is of: one that is known, or a new one."""
        call_id = text_of(step.payload.tool_use_id)
        if call_id is not None:
            known = self._by_id.get(call_id)
            if known is not None:
                return known
            if not self._without_id:
                return self._open(step, call_id)
        call = self._find_equal(step.payload, call_id, fits)
        if call is None:
            return self._open(step, call_id)
        if call.id is None and call_id is not None:
            call.id = call_id
            self._by_id[call_id] = call
            self._without_id -= 1
        return call

    def _open(self, step: Step, call_id: str | None) -> Call:
        payload = step.payload
        name, original = canonical(payload.tool_name)
        agent_id = text_of(payload.agent_id) if payload.agent_id is not None else None
        agent_type = text_of(payload.agent_type) if agent_id else None
        call = Call(name, original, call_id, payload.tool_input, agent_id, agent_type, step.time_ms)
        call.cwd = text_of(payload.cwd)
        self.calls.append(call)
        self._unfiled.append(call)
        if call_id is None:
            self._without_id += 1
        else:
            self._by_id[call_id] = call
        return call

    def _find_equal(self, payload: Payload, call_id: str | None, fits: Fits) -> Call | None:
        for call in self._unfiled:
            self._filed.setdefault((call.agent_id, call.name, _key(call.input)), deque()).append(call)
        self._unfiled.clear()
        key = (text_of(payload.agent_id), canonical(payload.tool_name)[0], _key(payload.tool_input))
        waiting = self._filed.get(key, deque())
        while waiting and waiting[0].is_over:
            waiting.popleft()
        return next((call for call in waiting if (call.id is None or call_id is None) and fits(call)), None)

    # --- subagents ---

    def _note_agent(self, agent_id: str, step: Step) -> None:
        agent = self._agents.get(agent_id)
        if agent is None:
            agent = self._agents[agent_id] = _Agent(list(self._open_agent_calls), step.time_ms)
        agent.type = agent.type or text_of(step.payload.agent_type)
        if step.moment == "SubagentStart":
            agent.asked_by = agent.asked_by or text_of(step.payload.tool_use_id)
        if step.moment == "SubagentStop":
            agent.stopped, agent.stop_ms = True, step.time_ms
        elif step.moment != "SubagentStart":
            agent.has_calls = True

    def _starters(self) -> dict[str, Call]:
        """Say which call started which subagent: by an id on either side, else by order and type."""
        started: dict[str, Call] = {}
        for agent_id, agent in self._agents.items():
            asked = self._by_id.get(agent.asked_by) if agent.asked_by else None
            if asked is not None and asked.agent_id != agent_id:
                started[agent_id] = asked
        for call in self.calls:
            named = call.verdict.agent_id if call.verdict else None
            if named is not None and named != call.agent_id:
                started.setdefault(named, call)
        taken = {id(call) for call in started.values()}
        for agent_id, agent in self._agents.items():
            # Internal agents stop without a type and without a call of their own: nobody asked for them.
            if agent_id in started or not (agent.type or agent.has_calls):
                continue
            free = (call for call in agent.candidates if id(call) not in taken)
            starter = next((call for call in free if _may_start(call, agent_id, agent)), None)
            if starter is not None:
                started[agent_id] = starter
                taken.add(id(starter))
        return started


def _is_unannounced(call: Call) -> bool:
    return not call.has_pre


def _is_unasked(call: Call) -> bool:
    return call.verdict is None and not call.asked


def _is_unanswered(call: Call) -> bool:
    return call.verdict is None


def _may_start(call: Call, agent_id: str, agent: _Agent) -> bool:
    wanted = call.subagent_type
    return call.agent_id != agent_id and (not wanted or not agent.type or wanted == agent.type)


def _conclude(call: Call, agent: _Agent) -> None:
    """A launched agent's end is its SubagentStop: it gave its report."""
    if call.verdict is None or call.verdict.status != "launched" or not agent.stopped:
        return
    call.verdict = call.verdict._replace(success=True, status="completed", duration_ms=None)
    call.duration_ms = _span(agent.start_ms, agent.stop_ms)
    call.end_ms = agent.stop_ms


def _judge(tool: str, step: Step) -> Verdict:
    payload = step.payload
    if step.moment == "PostToolUse":
        return of_result(tool, payload.tool_response, step.event.agent)
    if step.moment == "PermissionDenied":
        return of_denial(payload.reason)
    return of_failure(payload.error, payload.is_interrupt)


def as_tool_call(call: Call, unfinished: CallStatus, reader: Reader | None = None) -> ToolCall:
    """Give a call as the trajectory keeps it; `unfinished` is the status of one without an end.

    `reader`, which has read the turn's calls before this one, says what it did.
    """
    end = call.verdict or Verdict(success=None, status=unfinished)
    duration = call.duration_ms if call.duration_ms is not None else end.duration_ms
    if duration is None and call.has_pre and call.verdict is not None:
        duration = _span(call.start_ms, call.end_ms)
    return ToolCall(
        tool_name=call.name,
        original_name=call.original,
        key_params=key_params(call.input) if call.input is not None else {},
        success=end.success,
        exit_code=end.exit_code,
        duration_ms=duration,
        ts=iso(call.start_ms) or "",
        call_id=call.id,
        status=end.status,
        error=end.error,
        agent_id=call.agent_id,
        agent_type=call.agent_type,
        parent_call=call.parent.id if call.parent else None,
        acts=reader.acts(_given(call, end)) if reader else [],
    )


def _given(call: Call, end: Verdict) -> Given:
    """Give a call as the reader of acts takes it; a failure carries its output in the error's text."""
    answer, output = call.answer, None
    if answer is not None:
        output = answer.error if answer.tool_response is None else answer.tool_response
    ran = end.status != "denied"
    return Given(call.name, call.input, output, end.success, end.exit_code, call.cwd, call.original, ran)


def text_of(value: object) -> str | None:
    """Give a text that says something, else null."""
    return value if isinstance(value, str) and value else None


def _key(value: object) -> bytes:
    """Give equal inputs equal bytes."""
    try:
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, OverflowError, RecursionError, TypeError, ValueError):
        return repr(value).encode("utf-8", "backslashreplace")


def _earlier(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _span(start: int | None, end: int | None) -> int | None:
    return end - start if start is not None and end is not None and end >= start else None
