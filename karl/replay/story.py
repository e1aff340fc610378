"""A trajectory as a story: what happened one after the other, with the calls that it was made of.

Invariants:
- Every call of the reading (`Trajectory.trajectory.events`) is a Deed, under the number that it has there.
- Moments stand in the order of time; one whose event had no clock stays behind what it came after.
- Nothing recorded makes it raise; an event that can not be read tells its kind alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from karl.errors import Unreadable
from karl.export.answers import answer_of, as_json
from karl.schema.event import ASSISTANT_MESSAGE, Payload, decode_event, decode_payload
from karl.schema.record import TrajectoryBody
from karl.schema.trajectory import ToolCall
from karl.session.calls import Call, Calls, Step, text_of
from karl.session.edits import DIFFED, FileDiff, file_diffs
from karl.session.moments import RESULTS, known_time, moment
from karl.session.vocabulary import clean_text, parse_object
from karl.views.detail import call_tree

_NO_PAYLOAD = Payload()
_PROMPTS = frozenset({"UserPromptSubmit", "UserPromptExpansion"})
_STOPS = frozenset({"Stop", "StopFailure", "SubagentStop"})
_BAD = frozenset({"failed", "denied", "interrupted", "interrupted_or_denied"})
#: What of a call's parameters says best what it did, best first.
_TELLING = (
    "file_path", "path", "notebook_path", "command", "pattern", "query", "url", "description", "skill",
    "prompt",
)  # fmt: skip


class Given(msgspec.Struct, frozen=True):
    """A parameter of a call, as text."""

    name: str
    text: str


class Deed(msgspec.Struct, frozen=True):
    """One call: what it was given, what came back (null where no result was recorded), what it changed.

    `number` counts from 1, `depth` is 0 for the session's own agent. `given` leaves out what the diffs
    show. Times are Unix time (ms).
    """

    number: int
    depth: int
    call: ToolCall
    given: list[Given]
    answer: str | None
    diffs: list[FileDiff]
    started_ms: int | None
    ended_ms: int | None


What = Literal["prompt", "reply", "call", "result", "note"]


class Moment(msgspec.Struct, frozen=True):
    """Something that happened. `at_s` counts seconds from the first moment, `pause_s` from the one before.

    `kind` is the event's; `agent` names the subagent with the call that started it (`Explore #3`), empty
    for the session's own agent; `call` is the number of the Deed that began (`call`) or ended (`result`).
    """

    number: int
    what: What
    kind: str
    time_ms: int | None
    at_s: float
    pause_s: float
    depth: int = 0
    agent: str = ""
    text: str = ""
    thinking: str = ""
    call: int | None = None


class Story(msgspec.Struct, frozen=True):
    """A trajectory's moments in the order of time, and its calls in the order in which they were made."""

    moments: list[Moment]
    deeds: list[Deed]


def story(body: TrajectoryBody) -> Story:
    """Tell a trajectory; give it the body with all its facts (`karl.views.detail`)."""
    steps = [_step(bytes(raw)) for raw in body.events]
    pairing, opened = Calls(), dict[int, Call]()
    for at, step in enumerate(steps):
        before = len(pairing.calls)
        pairing.add(step)
        if len(pairing.calls) > before:
            opened[at] = pairing.calls[-1]
    pairing.link()
    known = body.trajectory.trajectory.events
    numbers = _numbers(pairing.calls, known)
    paired = {numbers[id(call)]: call for call in pairing.calls if id(call) in numbers}
    deeds = [_deed(number, depth, call, paired.get(number)) for depth, number, call in call_tree(known)]
    deeds.sort(key=lambda deed: deed.number)
    return Story(_Telling(steps, opened, pairing, numbers, deeds).moments(), deeds)


def is_bad(call: ToolCall) -> bool:
    """Say whether a call did not do what it was made for."""
    return call.success is False or call.status in _BAD


def gist(call: ToolCall) -> str:
    """Give the parameter that says best what a call did."""
    for name in _TELLING:
        if value := call.key_params.get(name):
            return str(value)
    return next((str(value) for value in call.key_params.values() if value), "")


def _step(raw: bytes) -> Step:
    event = decode_event(raw)
    try:
        payload = decode_payload(event)
    except Unreadable:
        payload = _NO_PAYLOAD
    return Step(moment(event.kind), event, payload, known_time(event.time_ms))


def _numbers(paired: Sequence[Call], known: Sequence[ToolCall]) -> dict[int, int]:
    """Say which call of the reading each paired call is: by its place, else by its id."""
    if len(paired) == len(known):
        return {id(call): number for number, call in enumerate(paired, 1)}
    by_id = {call.call_id: number for number, call in enumerate(known, 1) if call.call_id}
    return {id(call): by_id[call.id] for call in paired if call.id in by_id}


def _deed(number: int, depth: int, read: ToolCall, call: Call | None) -> Deed:
    started, ended = _times(read, call)
    given: object = call.input if call is not None and call.input is not None else read.key_params
    response = call.answer.tool_response if call is not None and call.answer is not None else None
    diffs = file_diffs(read.original_name or read.tool_name, given, response)
    return Deed(
        number=number,
        depth=depth,
        call=read,
        given=[one for one in _given(given) if not (diffs and one.name in DIFFED)],
        answer=answer_of(call.answer) if call is not None and call.answer is not None else None,
        diffs=diffs,
        started_ms=started,
        ended_ms=ended,
    )


def _times(read: ToolCall, call: Call | None) -> tuple[int | None, int | None]:
    """Say when a call began and ended; where only one of the two was told, its duration gives the other."""
    started = call.start_ms if call is not None else _unix_ms(read.ts)
    ended = call.end_ms if call is not None else None
    took = read.duration_ms
    if call is not None and not call.has_pre and ended is not None and took is not None:
        started = min(ended, ended - took)
    if ended is None and call is None and started is not None and took is not None:
        ended = started + took
    return started, ended


def _unix_ms(ts: str) -> int | None:
    try:
        return known_time(int(datetime.fromisoformat(ts).timestamp() * 1000))
    except (ValueError, OverflowError):
        return None


def _given(value: object) -> Iterator[Given]:
    if isinstance(value, str):
        value = parse_object(value) or {"input": value}
    fields: dict[str, Any] = value if isinstance(value, dict) else {"input": value}
    for name, one in fields.items():
        if one not in (None, ""):
            yield Given(clean_text(str(name)), clean_text(one) if isinstance(one, str) else as_json(one))


class _Draft(NamedTuple):
    """A moment before it has its place: when, and whether it comes before others of that millisecond."""

    time_ms: int | None
    rank: int
    what: What
    kind: str
    agent_id: str
    text: str = ""
    thinking: str = ""
    call: int | None = None


class _Telling:
    """The moments of a turn while they are put together."""

    def __init__(
        self,
        steps: Sequence[Step],
        opened: dict[int, Call],
        pairing: Calls,
        numbers: dict[int, int],
        deeds: Sequence[Deed],
    ) -> None:
        self._steps = steps
        self._opened = opened
        self._numbers = numbers
        self._deeds = {deed.number: deed for deed in deeds}
        self._answered = {id(call.answer): call for call in pairing.calls if call.answer is not None}
        self._started = pairing.started
        self._said: dict[str, str] = {}  # the last words of each agent
        self._types: dict[str, str] = {}

    def moments(self) -> list[Moment]:
        drafts = [draft for at, step in enumerate(self._steps) for draft in self._of_step(at, step)]
        drafts += self._untold({draft.call for draft in drafts})
        ordered = _in_time(drafts)
        first = ordered[0][0] if ordered else 0
        told: list[Moment] = []
        before = first
        for number, (at, draft) in enumerate(ordered, 1):
            told.append(self._moment(number, draft, at - first, at - before))
            before = at
        return told

    def _of_step(self, at: int, step: Step) -> Iterator[_Draft]:
        agent = text_of(step.payload.agent_id) or ""
        if kind := text_of(step.payload.agent_type):
            self._types.setdefault(agent, kind)
        call = self._opened.get(at)
        if call is not None and (number := self._numbers.get(id(call))):
            yield _Draft(self._deeds[number].started_ms, 2, "call", step.event.kind, agent, call=number)
        if step.moment in RESULTS:
            yield from self._result(step, agent)
        elif step.moment in _PROMPTS:
            text = _text(step.payload.prompt)
            if text and text != self._said.get(f"prompt {agent}"):  # a /command is told twice
                self._said[f"prompt {agent}"] = text
                yield _Draft(step.time_ms, 0, "prompt", step.event.kind, agent, text)
        elif step.moment == ASSISTANT_MESSAGE:
            yield from self._reply(step, agent)
        elif step.moment in _STOPS:
            yield from self._stop(step, agent)
        elif step.moment != "PreToolUse":
            rank = 0 if step.moment == "SessionStart" else 2
            yield _Draft(step.time_ms, rank, "note", step.event.kind, agent, _note(step))

    def _result(self, step: Step, agent: str) -> Iterator[_Draft]:
        call = self._answered.get(id(step.payload))
        if call is not None and (number := self._numbers.get(id(call))):
            yield _Draft(self._deeds[number].ended_ms, 2, "result", step.event.kind, agent, call=number)

    def _reply(self, step: Step, agent: str) -> Iterator[_Draft]:
        text, thinking = _text(step.payload.text), _text(_rest_of(step).thinking)
        if text or thinking:
            self._said[agent] = text or self._said.get(agent, "")
            yield _Draft(step.time_ms, 1, "reply", step.event.kind, agent, text, thinking)

    def _stop(self, step: Step, agent: str) -> Iterator[_Draft]:
        """Tell the last words, unless a transcript told them as a response."""
        text = _text(step.payload.last_assistant_message)
        if text and text.strip() != self._said.get(agent, "").strip():
            self._said[agent] = text
            yield _Draft(step.time_ms, 2, "reply", step.event.kind, agent, text)
        error = answer_of(Payload(error=step.payload.error)) if step.moment == "StopFailure" else ""
        yield _Draft(step.time_ms, 2, "note", step.event.kind, agent, error)

    def _untold(self, told: set[int | None]) -> Iterator[_Draft]:
        """Give the calls that the reading has and no event tells of, where their times put them."""
        for deed in self._deeds.values():
            if deed.number not in told:
                agent = deed.call.agent_id or ""
                yield _Draft(deed.started_ms, 2, "call", "", agent, call=deed.number)
                yield _Draft(deed.ended_ms, 2, "result", "", agent, call=deed.number)

    def _moment(self, number: int, draft: _Draft, at_ms: int, pause_ms: int) -> Moment:
        depth, agent = 0, ""
        if draft.agent_id:
            starter = self._started.get(draft.agent_id)
            parent = self._numbers.get(id(starter)) if starter is not None else None
            depth = self._deeds[parent].depth + 1 if parent else 1
            agent = self._types.get(draft.agent_id) or draft.agent_id
            agent = f"{agent} #{parent}" if parent else agent
        if draft.call is not None:
            depth = self._deeds[draft.call].depth
        return Moment(
            number=number,
            what=draft.what,
            kind=draft.kind,
            time_ms=draft.time_ms,
            at_s=at_ms / 1000,
            pause_s=pause_ms / 1000,
            depth=depth,
            agent=agent,
            text=draft.text,
            thinking=draft.thinking,
            call=draft.call,
        )


def _in_time(drafts: Sequence[_Draft]) -> list[tuple[int, _Draft]]:
    """Order by time. A prompt or a response comes before the calls of the same millisecond."""
    first = next((draft.time_ms for draft in drafts if draft.time_ms is not None), 0)
    keyed: list[tuple[int, int, int]] = []
    latest = first
    for at, draft in enumerate(drafts):
        if draft.time_ms is None:
            keyed.append((latest, 2, at))
        else:
            latest = draft.time_ms
            keyed.append((latest, draft.rank, at))
    return [(time_ms, drafts[at]) for time_ms, _, at in sorted(keyed)]


class _Rest(msgspec.Struct, frozen=True):
    """Fields of a payload that are shown and decide nothing."""

    thinking: object = None
    message: object = None
    compact_summary: object = None
    trigger: object = None


_rest = msgspec.json.Decoder(_Rest).decode


def _rest_of(step: Step) -> _Rest:
    try:
        return _rest(step.event.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Rest()


def _note(step: Step) -> str:
    """Say what an event of no other meaning is about."""
    rest, payload = _rest_of(step), step.payload
    for value in (rest.message, rest.compact_summary, payload.tool_name, payload.source, payload.reason,
                  rest.trigger):  # fmt: skip
        if text := _text(value):
            return text
    return ""


def _text(value: object) -> str:
    return clean_text(value) if isinstance(value, str) and value.strip() else ""
