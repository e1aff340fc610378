"""The normaliser: a closed turn's events become its Trajectory in schema v2.

It reads whatever agents and loggers wrote: a field of an unexpected shape counts as not said, and
no payload makes it raise. The facts stay beside the reading, so a better one can be made later.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

from karl.acts.reader import READER, Reader
from karl.schema.event import ASSISTANT_MESSAGE, Payload
from karl.schema.trajectory import Calls as CallsRead
from karl.schema.trajectory import (
    CallStatus,
    Context,
    Outcome,
    Skill,
    Timing,
    ToolCall,
    Trajectory,
    Usage,
)
from karl.session.calls import Call, Calls, Step, as_tool_call, text_of
from karl.session.corrections import judge_signs
from karl.session.emissions import Held, Turn
from karl.session.git import committed
from karl.session.glance import payload_of
from karl.session.moments import RESULTS, iso, known_time, moment
from karl.session.prompts import prompt_kind
from karl.session.signs import signs_of
from karl.session.vocabulary import whole

_LIVE = frozenset({"hook", "http"})
_NO_PAYLOAD, _NO_USAGE = Payload(), Usage()
#: People do refuse a call or two, with all else that it was sent with.
_SOME = 2
#: More tokens than a response can have; what is above was not counted.
_TOKENS_MAX = 10**9
#: What a caller may say of a turn as it ends it.
_SIGNALS = {"correction_detected", "redo_detected", "build_success", "session_continued"}
#: Characters of a skill's name.
_SKILL_MAX = 500
_WORK = RESULTS | {"PreToolUse", "PermissionRequest"}


def normalize_turn(turn: Turn) -> Trajectory:
    """Read a closed turn. Never raises; what no event said is null."""
    steps = [_step(item) for item in turn.held]
    pairing = Calls()
    for step in steps:
        pairing.add(step)
    pairing.link()
    unfinished = _unfinished(turn, steps)
    reader = Reader(_first([step.payload for step in steps if not step.payload.agent_id], "cwd"))
    events = [as_tool_call(call, unfinished, reader) for call in pairing.calls]
    first = steps[0].event
    project = next((step.event.project for step in steps if step.event.project), None)
    skill = _skill(pairing.calls, steps)
    usage = _usage(steps)
    return Trajectory(
        id=turn.id,
        session_id=turn.session,
        source=first.agent,
        channel="live" if first.source in _LIVE else "import",
        domain=skill.domain or project or "unknown",
        skill=skill,
        recorded_at=iso(turn.time_ms),
        context=_context(turn, steps, project, usage),
        trajectory=summed_up(events, _response(steps)),
        outcome=_outcome(turn, steps, events),
        timing=_timing(steps, len(events)),
        usage=usage,
    )


def _step(held: Held) -> Step:
    event = held.event
    return Step(moment(event.kind), event, held.payload or payload_of(held), known_time(event.time_ms))


def _unfinished(turn: Turn, steps: list[Step]) -> CallStatus:
    """Say what became of a call without a result: cut off with its turn, or never allowed to run.

    Where not one of several calls has a result, the hook for results was not installed: unknown.
    """
    seen = [step.moment for step in steps]
    if turn.closed_by in ("idle", "size") or "Interrupt" in seen:
        return "interrupted"
    mute = seen.count("PreToolUse") > _SOME and RESULTS.isdisjoint(seen)
    return "unknown" if mute else "interrupted_or_denied"


def _prompt(steps: list[Step]) -> Step | None:
    """Find what the turn was asked; a report of background work is a request only when it came first."""
    worked = False
    for step in steps:
        if step.moment in _WORK:
            worked = True
        if step.moment != "UserPromptSubmit" or step.payload.agent_id:
            continue
        kind = prompt_kind(step.payload.prompt, step.payload)
        if kind in ("human", "machine") or (kind == "report" and not worked):
            return step
    return None


def _expansion(steps: list[Step]) -> Step | None:
    return next((step for step in steps if step.moment == "UserPromptExpansion"), None)


def _context(turn: Turn, steps: list[Step], project: str | None, usage: Usage) -> Context:
    told = _prompt(steps) or _expansion(steps)
    payload = told.payload if told else _NO_PAYLOAD
    human = prompt_kind(payload.prompt, payload) == "human" if told else None
    ours = [step.payload for step in steps if not step.payload.agent_id]
    mode = text_of(payload.permission_mode) or _first(ours, "permission_mode")
    return Context(
        source=steps[0].event.agent,
        prompt_text=text_of(payload.prompt),
        prompt_id=text_of(payload.prompt_id) or _first(ours, "prompt_id"),
        human_prompt=human,
        cwd=text_of(payload.cwd) or _first(ours, "cwd"),
        git_repo=project,
        model=_first(ours, "model") or turn.model,
        total_tokens=usage.total or None,
        permission_mode=mode or turn.permission_mode,
        turn=turn.number,
    )


def _first(payloads: list[Payload], field: str) -> str | None:
    values = map(attrgetter(field), payloads)
    return next((value for value in values if value and isinstance(value, str)), None)


def _skill(calls: list[Call], steps: list[Step]) -> Skill:
    """Tell the skill: the one that the agent called, else the /name that a person typed."""
    typed = _expansion(steps)
    domain = text_of(typed.payload.skill_domain) if typed else None
    for call in calls:
        if call.name == "Skill" and isinstance(call.input, dict):
            named = text_of(call.input.get("skill")) or text_of(call.input.get("command"))
            if named:
                return Skill(_first_word(named), domain)
    if typed is None:
        return Skill()
    if named := text_of(typed.payload.command_name):
        return Skill(named[:_SKILL_MAX].removeprefix("/").strip() or None, domain)
    prompt = text_of(typed.payload.prompt) or ""
    return Skill(_first_word(prompt) if prompt.startswith("/") else None, domain)


def _first_word(name: str) -> str | None:
    words = name[:_SKILL_MAX].removeprefix("/").split()
    return words[0] if words else None


def _response(steps: list[Step]) -> str | None:
    """Give the agent's last word: Stop carries it; the transcript may lag behind."""
    for step in reversed(steps):
        if step.moment in ("Stop", "StopFailure") and not step.payload.agent_id:
            said = text_of(step.payload.last_assistant_message)
            if said:
                return said
    spoken = (step.payload for step in reversed(steps) if step.moment == ASSISTANT_MESSAGE)
    return next(
        (said for payload in spoken if not payload.agent_id and (said := text_of(payload.text))), None
    )


#: The fields of a message's usage, as transcripts are told, by those of Usage.
_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
}


def _usage(steps: list[Step]) -> Usage:
    """Add up the tokens of the turn's messages, subagents' included; one told twice counts once."""
    messages: dict[str, dict[str, int]] = {}
    for number, step in enumerate(steps):
        if step.moment != ASSISTANT_MESSAGE:
            continue
        said = step.payload.usage
        if not isinstance(said, dict):
            continue
        known = messages.setdefault(text_of(step.payload.message_id) or f"#{number}", {})
        for name, field in _TOKENS.items():
            known[name] = max(known.get(name, 0), min(max(whole(said.get(field)) or 0, 0), _TOKENS_MAX))
    if not messages:
        return _NO_USAGE
    return Usage(
        **{name: sum(known[name] for known in messages.values()) for name in _TOKENS}, messages=len(messages)
    )


def summed_up(events: list[ToolCall], response: str | None = None) -> CallsRead:
    """Give calls whose acts were read, with their counts."""
    sequence = [call.tool_name for call in events]
    successes = [call.success for call in events]
    return CallsRead(
        events=events,
        tool_sequence=sequence,
        tool_counts=dict(Counter(sequence)),
        total_tools=len(events),
        successes=successes.count(True),
        failures=successes.count(False),
        bash_errors=sum(
            [call.tool_name == "Bash" and (call.success is False or bool(call.exit_code)) for call in events]
        ),
        observed_event_count=len(events),
        response=response,
        reader=READER,
    )


def _outcome(turn: Turn, steps: list[Step], calls: list[ToolCall]) -> Outcome:
    """Say what is known at the close; what a later prompt says of it comes as an annotation."""
    outcome = Outcome(annotation_status="scored", committed=committed(calls))
    stopped = judge_signs(signs_of(turn.held) if turn.signs is None else turn.signs)
    outcome.correction_classes = list(stopped.reasons)
    if stopped.is_correction:  # a lower score would say that the person was content, which nobody said
        outcome.correction_score = stopped.score
    for step in steps:
        said = step.payload.outcome_signals
        if step.moment == "Stop" and isinstance(said, dict):
            for name in _SIGNALS & said.keys():
                setattr(outcome, name, said[name] if isinstance(said[name], bool) else None)
    if turn.closed_by == "stop_failure":
        outcome.has_error = True
        reason = steps[-1].payload.error
        outcome.errors = [reason[:500]] if isinstance(reason, str) and reason else []
    elif turn.closed_by == "stop" or _rested(steps):
        outcome.completed = True
    return outcome


def _rested(steps: list[Step]) -> bool:
    """Say whether the agent had stopped, waiting for background work, when something else closed the turn."""
    for step in reversed(steps):
        if step.moment == "Stop" and not step.payload.agent_id:
            return True
        if step.moment in _WORK or step.moment == "UserPromptSubmit":
            return False
    return False


def _timing(steps: list[Step], calls: int) -> Timing:
    """Time the turn from what opened it; what waited before it is not part of the work."""
    opened = next(
        (at for at, step in enumerate(steps) if step.moment in _WORK or step.moment == "UserPromptSubmit"), 0
    )
    times = [step.time_ms for step in steps[opened:] if step.time_ms is not None]
    if not times:
        return Timing(tool_count=calls)
    start, end = times[0], max(times)
    return Timing(
        started_at=iso(start),
        ended_at=iso(end),
        duration_s=(end - start) / 1000,
        tool_count=calls,
    )
