"""A trajectory as a conversation: who said what, which calls a response made, and what came back.

The formats that are exported are all written from this one reading of the facts.

Invariants:
- Every call of the reading (`Trajectory.trajectory.events`) is in exactly one Reply, with its result.
- Calls stand in the order in which they were made; those that a model sent off together stand together:
  a response has all results of the one before it, so a call that begins before any result came
  belongs with those before it. Where a transcript told the responses themselves, they count.
- A subagent's conversation stands apart, under the call that started it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from karl.errors import Unreadable
from karl.export.answers import answer_of
from karl.export.conversation import Asked, Conversation, Item, Made, Note, Reply, Transcript
from karl.schema.event import ASSISTANT_MESSAGE, TRANSCRIPT, Payload, decode_event, decode_payload
from karl.schema.record import TrajectoryBody
from karl.schema.trajectory import ToolCall, Usage
from karl.session.calls import Call, Calls, Step, as_tool_call, text_of
from karl.session.moments import RESULTS, known_time, moment
from karl.session.prompts import prompt_kind
from karl.session.vocabulary import clean_text, json_safe, parse_object, whole

_NO_PAYLOAD = Payload()
#: What a response ends with when it made calls.
_CALLING = frozenset({"tool_use", "tool_calls", "toolUse"})
#: More tokens than a response can have.
_TOKENS_MAX = 10**9
_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
}
_STOPS = frozenset({"Stop", "StopFailure", "SubagentStop"})


def transcript(body: TrajectoryBody) -> Transcript:
    """Read a trajectory's facts. Never raises; an event that can not be read says nothing."""
    steps = [step for raw in body.events if (step := _step(bytes(raw))) is not None]
    reading = _Reading(body, steps)
    voices: dict[str, list[int]] = {"": []}
    for at, step in enumerate(steps):
        voices.setdefault(text_of(step.payload.agent_id) or "", []).append(at)
    made = {
        agent: _Voice(agent, reading).converse(_in_time(steps, places)) for agent, places in voices.items()
    }
    main = made.pop("")
    found = Transcript(main, {agent: one for agent, one in made.items() if one.items})
    _place(found, reading)
    return found


def _step(raw: bytes) -> Step | None:
    try:
        event = decode_event(raw)
    except Unreadable:
        return None
    try:
        payload = decode_payload(event)
    except Unreadable:
        payload = _NO_PAYLOAD
    return Step(moment(event.kind), event, payload, known_time(event.time_ms))


class _Reading:
    """The turn's calls, paired as the normaliser pairs them, and where each begins and ends."""

    def __init__(self, body: TrajectoryBody, steps: Sequence[Step]) -> None:
        self.opened: dict[int, Call] = {}
        pairing = Calls()
        for at, step in enumerate(steps):
            before = len(pairing.calls)
            pairing.add(step)
            if len(pairing.calls) > before:
                self.opened[at] = pairing.calls[-1]
        pairing.link()
        self.calls, self.started = pairing.calls, pairing.started
        self.answered = {id(call.answer): call for call in self.calls if call.answer is not None}
        known = body.trajectory.trajectory.events
        same = len(known) == len(self.calls)
        read = known if same else [as_tool_call(call, "unknown") for call in self.calls]
        self.made = {
            id(call): _made(call, told, f"call_{body.id.removeprefix('traj_')}_{number}")
            for number, (call, told) in enumerate(zip(self.calls, read, strict=True))
        }


def _made(call: Call, read: ToolCall, name: str) -> Made:
    answer = answer_of(call.answer) if call.answer is not None else None
    return Made(call.id or name, call.original or call.name, _arguments(call.input), answer, read)


def _arguments(given: object) -> dict[str, Any]:
    """Give a call's input as an object; what is none stands under `input`."""
    if given is None or given == "":
        return {}
    if isinstance(given, str):
        given = parse_object(given) or {"input": given}
    safe: dict[str, Any] = json_safe(given if isinstance(given, dict) else {"input": given})
    return safe


class _At(NamedTuple):
    at: int
    step: Step


def _in_time(steps: Sequence[Step], places: Sequence[int]) -> Iterator[_At]:
    """Give one agent's events as they came, but each response where its time puts it.

    A transcript's reader knows a response when it is over, which is after the results of its calls.
    """
    mine = [_At(at, steps[at]) for at in places]
    facts = [one for one in mine if one.step.moment != ASSISTANT_MESSAGE]
    latest: list[int] = []
    for one in facts:
        time_ms = one.step.time_ms if one.step.time_ms is not None else 0
        latest.append(max(time_ms, latest[-1] if latest else 0))
    arrived = [one.at for one in facts]
    said: list[tuple[int, _At]] = []
    for one in mine:
        if one.step.moment == ASSISTANT_MESSAGE:
            before, at = bisect_right(arrived, one.at), one.step.time_ms
            said.append((before if at is None else bisect_right(latest, at, 0, before), one))
    said.sort(key=lambda pair: pair[0])
    done = 0
    for before, one in said:
        yield from facts[done:before]
        yield one
        done = before
    yield from facts[done:]


class _Voice:
    """One agent's conversation while it is put together."""

    def __init__(self, agent: str, reading: _Reading) -> None:
        self._conversation = Conversation(agent)
        self._items = self._conversation.items = []
        self._reading = reading
        self._messages: dict[str, Reply] = {}
        self._reply: Reply | None = None  # that the next call may belong to
        self._has_results = False
        self._from_transcript: set[int] = set()
        self._called_ms: int | None = None  # when a transcript's last call began

    def converse(self, events: Iterator[_At]) -> Conversation:
        """Take all of its events."""
        for at, step in events:
            self._conversation.agent_type = self._conversation.agent_type or text_of(step.payload.agent_type)
            if step.moment == ASSISTANT_MESSAGE:
                self._respond(step)
            elif (call := self._reading.opened.get(at)) is not None:
                self._call(call, step)
            if step.moment in RESULTS:
                self._result(step)
            elif step.moment in ("UserPromptSubmit", "UserPromptExpansion"):
                self._ask(step)
            elif step.moment in _STOPS:
                self._stop(step)
            else:
                self._note(step)
        return self._conversation

    def _respond(self, step: Step) -> None:
        payload = step.payload
        named = text_of(payload.message_id)
        known = self._messages.get(named) if named else None
        said = Reply(
            text=_text(payload.text),
            thinking=_thinking(step),
            model=text_of(payload.model),
            message_id=named,
            usage=_usage(payload.usage),
            time_ms=step.time_ms,
            told=True,
        )
        if known is not None:
            _grow(known, said)
            return
        reply = self._caller(step, said)
        self._reply, self._has_results = reply, self._has_results and bool(reply.calls)
        if named:
            self._messages[named] = reply

    def _caller(self, step: Step, said: Reply) -> Reply:
        """Say which calls that came before it are this response's own, and put it in its place."""
        last = self._reply
        # Older transcripts do not say why a response stopped; one whose last part is a call has its time.
        ended = _stop_reason(step)
        calling = ended in _CALLING or (not ended and step.time_ms == self._called_ms is not None)
        if last is not None and not calling and _is_count(said) and not ended and last.usage is None:
            _grow(last, said)
            return last
        if last is None or last.told or not last.calls or not calling:
            self._items.append(said)
            return said
        # A call that was run while the response went on has its result before the next one begins.
        while len(self._items) > 1 and self._is_part(self._items[-2]):
            earlier = self._items.pop(-2)
            assert isinstance(earlier, Reply)
            last.calls[:0] = earlier.calls
        _grow(last, said)
        return last

    def _is_part(self, item: Item) -> bool:
        return (
            isinstance(item, Reply)
            and not item.told
            and bool(item.calls)
            and all(id(made) in self._from_transcript for made in item.calls)
        )

    def _call(self, call: Call, step: Step) -> None:
        made = self._reading.made[id(call)]
        named = text_of(step.payload.message_id)
        own = self._messages.get(named) if named else None
        reply = own or self._reply
        if reply is None or (own is None and self._has_results):
            reply = Reply(time_ms=step.time_ms)
            self._items.append(reply)
        if reply is not self._reply:
            self._reply, self._has_results = reply, False
        if named:
            reply.message_id = named
            self._messages[named] = reply
        reply.calls.append(made)
        if step.event.source == TRANSCRIPT:
            self._from_transcript.add(id(made))
            self._called_ms = step.time_ms

    def _result(self, step: Step) -> None:
        call = self._reading.answered.get(id(step.payload))
        made = self._reading.made[id(call)] if call is not None else None
        if made is not None and self._reply and any(one is made for one in self._reply.calls):
            self._has_results = True

    def _ask(self, step: Step) -> None:
        text = _text(step.payload.prompt)
        if not text:
            return
        last = self._items[-1] if self._items else None
        if isinstance(last, Asked) and last.text == text:
            return  # a /command is told twice: as it was typed, and as the prompt that it became
        self._add(Asked(text, prompt_kind(step.payload.prompt, step.payload), step.time_ms))

    def _stop(self, step: Step) -> None:
        """Take the last word, unless a transcript told it, or a Stop before this one."""
        text = _text(step.payload.last_assistant_message)
        last = self._conversation.replies[-1:]
        if text and last and not last[0].calls and (last[0].told or last[0].text == text):
            last[0].text = last[0].text or text
        elif text:
            self._add(Reply(text=text, time_ms=step.time_ms))
        if step.moment == "StopFailure":
            self._add(Note("error", answer_of(Payload(error=step.payload.error)), step.time_ms))
        self._reply = None

    def _note(self, step: Step) -> None:
        if step.moment == "Interrupt":
            self._add(Note("interrupt", "", step.time_ms))
        elif step.moment == "PostCompact":
            self._add(Note("compaction", _field(step, "compact_summary"), step.time_ms))

    def _add(self, item: Item) -> None:
        self._items.append(item)
        self._reply, self._has_results = None, False


def _place(found: Transcript, reading: _Reading) -> None:
    """Put each subagent under the call that started it, and what that asked before what it did."""
    for agent, conversation in found.agents.items():
        starter = reading.started.get(agent)
        if starter is None:
            continue
        made = reading.made[id(starter)]
        made.agents.append(agent)
        conversation.parent = made.id
        wanted = made.arguments.get("prompt")
        if isinstance(wanted, str) and not any(isinstance(item, Asked) for item in conversation.items):
            conversation.items.insert(0, Asked(wanted, "machine"))


def _is_count(said: Reply) -> bool:
    """Say whether a message only counts the tokens of the response before it, as some agents tell them."""
    return said.usage is not None and not said.text


def _grow(reply: Reply, said: Reply) -> None:
    """Put into a response what is told of it: of a message that is told twice, the more."""
    reply.told = True
    reply.text = max(reply.text, said.text, key=len)
    reply.thinking = max(reply.thinking, said.thinking, key=len)
    reply.model = said.model or reply.model
    reply.message_id = reply.message_id or said.message_id
    reply.time_ms = reply.time_ms if reply.time_ms is not None else said.time_ms
    if reply.usage and said.usage:
        more = {name: max(getattr(reply.usage, name), getattr(said.usage, name)) for name in _TOKENS}
        reply.usage = Usage(**more, messages=1)
    else:
        reply.usage = reply.usage or said.usage


def _usage(said: object) -> Usage | None:
    if not isinstance(said, dict):
        return None
    known = {name: min(max(whole(said.get(field)) or 0, 0), _TOKENS_MAX) for name, field in _TOKENS.items()}
    return Usage(**known, messages=1)


class _Rest(msgspec.Struct, frozen=True):
    """Fields of a payload that only exports read."""

    thinking: object = None
    stop_reason: object = None
    compact_summary: object = None


_rest = msgspec.json.Decoder(_Rest).decode


def _field(step: Step, name: str) -> str:
    try:
        return _text(getattr(_rest(step.event.payload), name))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _thinking(step: Step) -> str:
    return _field(step, "thinking")


def _stop_reason(step: Step) -> str:
    return _field(step, "stop_reason")


def _text(value: object) -> str:
    return clean_text(value) if isinstance(value, str) and value.strip() else ""
