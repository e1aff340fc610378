"""Read the calls of a record of an older store, and bring its lists and counters into agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, get_args

from karl.schema.trajectory import Calls, CallStatus, ToolCall
from karl.session.fields import Part, count, items, known, mapping, moment, name, text
from karl.session.vocabulary import (
    UNKNOWN,
    canonical,
    cut,
    json_safe,
    key_params,
    parse_object,
    success_of,
    truth,
    whole,
)

#: More missing calls than this were never made: such a total is left, and not padded to.
PADDING_MAX = 10_000

#: The names of the list of calls; the first that holds any is read.
LISTS = ("events", "tool_calls", "tool_events")

_ERROR_MAX = 2000
_STATUSES = frozenset(get_args(CallStatus))
_NAMES = ("tool_name", "tool", "name", "original_name")
_PARAMS = ("key_params", "parameters", "tool_input", "input")


def read_calls(part: Part, success_rate: float | None) -> tuple[Calls, dict[str, Any]]:
    """Read a record's `trajectory` part.

    `success_rate` is the record's own, used where it does not count successes. Also gives, by the
    place of the call, what calls held that v2 has no field for.
    """
    part.drop("placeholder_event_count", "events_truncated")  # derived again below
    events, rests = _events(part)
    names = [canonical(item)[0] for item in part.take("tool_sequence", items) or ()]
    names += [call.tool_name for call in events[len(names) :]]
    tool_count = part.take("tool_count", whole)
    total = _total(part, part.take("total_tools", whole) or tool_count or 0, len(names))
    names += [UNKNOWN] * (total - len(names))
    # One object for all: nobody changes a call in place, and a store may hold many of these.
    events += [ToolCall(placeholder=True)] * (total - len(events))
    tool_counts = _tool_counts(part, names)
    observed = [call for call in events if not call.placeholder]
    successes, failures = _verdicts(part, success_rate, observed, total)
    calls = Calls(
        events=events,
        tool_sequence=names,
        tool_counts=tool_counts,
        total_tools=total,
        successes=successes,
        failures=failures,
        bash_errors=_bash_errors(part.take("bash_errors", count) or 0, observed, names),
        observed_event_count=part.take("observed_event_count", count) or len(observed),
        placeholder_event_count=total - len(observed),
        events_truncated=total > len(observed),
        prompt=part.take("prompt", text),
        response=part.take("response", text),
        tool_types=part.take("tool_types", json_safe),
        tool_count=tool_count,
    )
    return calls, rests


def _tool_counts(part: Part, names: list[str]) -> dict[str, int]:
    """Count the calls by tool; counts that were given and say something else are left."""
    counted = dict(Counter(names))
    given: Counter[str] = Counter()
    counts = part.take("tool_counts", mapping) or {}
    for said, times in counts.items():
        given[canonical(said)[0]] += count(times) or 0
    if dict(given) != counted:
        part.leave("tool_counts", counts)
    return counted


def _total(part: Part, given: int, seen: int) -> int:
    if given > seen + PADDING_MAX:
        part.leave("total_tools", given)
        return seen
    return max(given, seen)


def _events(part: Part) -> tuple[list[ToolCall], dict[str, Any]]:
    """Read the first list that holds any call; another one stays in the record."""
    lists = {key: part.take(key, items) or [] for key in LISTS}
    chosen = next((key for key in LISTS if lists[key]), LISTS[0])
    for key in LISTS:
        if key != chosen and lists[key]:
            part.leave(key, lists[key])
    events: list[ToolCall] = []
    rests: dict[str, Any] = {}
    for item in lists[chosen]:
        if isinstance(item, Mapping):
            call, rest = _call(item)
            if rest:
                rests[str(len(events))] = rest
            events.append(call)
    return events, rests


def _call(item: Mapping[Any, Any]) -> tuple[ToolCall, dict[Any, Any]]:
    """Read one call; also give what v2 has no field for."""
    part = Part(item)
    original = text(item.get("original_name"))
    said = part.take_first(_NAMES, known)
    params = _params(part)
    tool_name, changed = canonical(said, params)
    original = changed or original
    success = success_of(item)
    if success is not None:
        part.drop("success", "is_error")
    call = ToolCall(
        tool_name=tool_name,
        key_params=params,
        success=success,
        exit_code=part.take("exit_code", whole),
        duration_ms=part.take("duration_ms", whole),
        ts=part.take_first(("ts", "timestamp"), moment) or "",
        original_name=original if original != tool_name else None,
        placeholder=part.take("placeholder", truth) or False,
        call_id=part.take_first(("call_id", "tool_use_id"), name),
        status=part.take("status", _status) or "unknown",
        error=part.take("error", _error),
        agent_id=part.take("agent_id", name),
        agent_type=part.take("agent_type", text),
        parent_call=part.take("parent_call", name),
    )
    return call, part.rest()


def _params(part: Part) -> dict[str, Any]:
    """Read a call's input; a preview that was cut before its end is no JSON, and is left as it is."""
    params = part.take_first(_PARAMS, lambda value: key_params(value) or None)
    preview = part.take("input_preview", lambda value: value)
    if params is not None:
        return params
    parsed = parse_object(preview) if isinstance(preview, str) else preview
    if isinstance(parsed, Mapping):
        return key_params(parsed)
    part.leave("input_preview", preview)
    return {}


def _verdicts(
    part: Part, success_rate: float | None, observed: list[ToolCall], total: int
) -> tuple[int, int]:
    """Count successes and failures: as given, else by the given rate, else as the calls say."""
    if success_rate is not None and 0 <= success_rate <= 1 and total:
        good = round(success_rate * total)
        bad = total - good
    else:
        good = sum(call.success is True for call in observed)
        bad = sum(call.success is False for call in observed)
    return part.take("successes", count) or good, part.take("failures", count) or bad


def _bash_errors(given: int, observed: list[ToolCall], names: list[str]) -> int:
    """Count shell calls that failed. What is given is believed of calls that were not kept only.

    Some producers counted every call without an exit code as an error: the calls know better.
    """
    shells = [call for call in observed if call.tool_name == "Bash"]
    seen = sum(call.success is False or call.exit_code not in (None, 0) for call in shells)
    unseen = max(0, names.count("Bash") - len(shells))
    return min(max(given, seen), seen + unseen)


def _status(value: object) -> Any:
    return value if isinstance(value, str) and value in _STATUSES else None


def _error(value: object) -> str | None:
    said = text(value)
    return None if said is None else cut(said, _ERROR_MAX)
