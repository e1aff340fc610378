"""Read a record of an older store as a Trajectory in schema v2, whichever form it has.

The rules are, field by field, those of schema v2's first normaliser. What v2 has no field for, and
what has a shape that its field cannot hold, is kept in `extra`, under the name of the part that it
stood in. Nothing but `Unreadable` is raised, whatever a record holds.

Invariants:
- Reading what was read before changes nothing. A field at its default is left out of the JSON,
  so a default that is written out must mean the same as an absent field: `unknown`, `pending` and
  a count of 0 are filled from elsewhere where that is possible.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from karl.errors import Unreadable
from karl.schema.trajectory import (
    SCHEMA_VERSION,
    Context,
    Outcome,
    Skill,
    Timing,
    Trajectory,
)
from karl.session.fields import (
    Part,
    known,
    mapping,
    moment,
    name,
    number,
    safe_items,
    safe_object,
    says_nothing,
    share,
    text,
)
from karl.session.older_calls import LISTS, read_calls
from karl.session.vocabulary import UNKNOWN, cut, json_safe, truth, whole

_PROMPT_MAX = 500
_SCORES = (
    "reward_score",
    "outcome_score",
    "process_score",
    "efficiency_score",
    "verification_score",
    "consistency_score",
    "motion_score",
)
_FLAGS = (
    "correction_detected",
    "redo_detected",
    "build_success",
    "session_continued",
    "success_inferred",
    "has_error",
    "completed",
    "has_diffs",
)
#: Fields that some producers wrote at the top of the record instead of in their part.
_FLAT = {
    "skill": (),
    "context": ("prompt_text", "cwd", "git_repo", "model"),
    "trajectory": (
        *LISTS,
        "tool_sequence",
        "tool_counts",
        "total_tools",
        "tool_count",
        "tool_types",
        "successes",
        "failures",
        "bash_errors",
        "prompt",
        "response",
    ),
    "outcome": (*_SCORES, "advantage", "reward_components"),
    "timing": ("started_at", "ended_at", "duration_s", "duration_ms"),
}
_TOP = ("schema_version", "id", "session_id", "source", "channel", "domain", "recorded_at")
_OPEN = ("quality", "cortex_bridge", "extra")
_KNOWN = frozenset((*_TOP, *_OPEN, *_FLAT, *(key for keys in _FLAT.values() for key in keys)))


def normalize_record(record: object) -> Trajectory:
    """Read one record of any older form, or of v2. Raises Unreadable with the reason."""
    fields = dict(_checked(record))
    skill_name = text(fields["skill"]) if isinstance(fields.get("skill"), str) else None
    if skill_name is not None:
        del fields["skill"]
    parts = {part: Part(_lifted(fields, part)) for part in _FLAT}
    top = Part(fields)
    top.drop("schema_version")
    read = _identity(top, parts, skill_name)
    rate = parts["outcome"].take("tool_success_rate", number)
    read.trajectory, call_rests = read_calls(parts["trajectory"], rate)
    _read_context(read.context, parts["context"], read.trajectory.prompt)
    read.outcome = _outcome(parts["outcome"], rate)
    read.timing = _timing(parts["timing"])
    read.extra = _extra(top, {**{part: rest.rest() for part, rest in parts.items()}, "calls": call_rests})
    return read


def normalize_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, Trajectory | Unreadable]]:
    """Read a store's lines: the number of each, from 1, with its record or why there is none.

    Blank lines are passed over.
    """
    for place, line in enumerate(lines, start=1):
        data = line.removeprefix(b"\xef\xbb\xbf").strip() if place == 1 else line.strip()
        if not data:
            continue
        try:
            yield place, normalize_record(_decoded(data))
        except Unreadable as error:
            yield place, error


def _decoded(line: bytes) -> object:
    """Decode what standard JSON allows, and what Python's own writer adds: NaN, lone surrogates."""
    try:
        return msgspec.json.decode(line)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # Python's reader knows more forms, and says better what is wrong
    try:
        return json.loads(line.decode(), parse_int=_long_int)
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 at byte {error.start}") from error
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"not JSON: {error}") from error


def _long_int(digits: str) -> int | float:
    """Read a number that may be too long for an integer of Python's."""
    return int(digits) if len(digits) < 20 else float(digits)


def _checked(record: object) -> Mapping[Any, Any]:
    if not isinstance(record, Mapping):
        raise Unreadable(f"a record is an object, not {_json_type(record)}")
    version = record.get("schema_version")
    read = whole(version)
    if version is not None and read is None:
        raise Unreadable(f"schema_version is no number: {cut(ascii(json_safe(version)), 80)}")
    if read is not None and read > SCHEMA_VERSION:
        raise Unreadable(f"schema_version {read} is newer than {SCHEMA_VERSION}: upgrade karl to read it")
    if record and not any(key in _KNOWN for key in record):
        names = ", ".join(cut(ascii(key), 40) for key in list(record)[:5])
        raise Unreadable(f"not a trajectory record: none of its fields is one of a record's ({names})")
    return record


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "a list" if isinstance(value, (list, tuple)) else "something else")


def _lifted(fields: dict[Any, Any], part: str) -> object:
    """Take a part out of the record, with those of its fields that stand at the record's top."""
    value = fields.pop(part, None)
    if part == "trajectory" and isinstance(value, list):
        value = {"events": value}
    if value is None:
        inner: dict[Any, Any] = {}
    else:
        inner = dict(value) if isinstance(value, Mapping) else {"value": value}
    for key in _FLAT[part]:
        if key not in fields:
            continue
        if inner.get(key) is None:
            inner[key] = fields.pop(key)
        elif isinstance(fields[key], (list, dict)) or fields[key] == inner[key]:
            del fields[key]  # said twice; scalars that differ stay at the top, and so in `extra`
    return inner


def _identity(top: Part, parts: Mapping[str, Part], skill_name: str | None) -> Trajectory:
    """Read what names the record, and where it came from; each falls back on the next best source."""
    skill = Skill(name=parts["skill"].take("name", text), domain=parts["skill"].take("domain", known))
    given_channel = top.take("channel", known)
    context_source = parts["context"].take("source", known)
    label = skill_name if _is_source(skill_name) else None
    source = top.take("source", known) or context_source or label or given_channel or UNKNOWN
    context_domain = parts["context"].take("domain", known)
    domain = top.take("domain", known) or context_domain or skill.domain or UNKNOWN
    if skill_name not in (source, label, UNKNOWN):
        skill.name = skill_name
    skill.domain = skill.domain or known(domain)
    return Trajectory(
        id=top.take("id", name) or "",
        session_id=top.take("session_id", name) or "",
        source=source,
        channel=given_channel or _channel(source),
        domain=domain,
        skill=skill,
        recorded_at=top.take("recorded_at", moment),
        context=Context(source=context_source or known(source), domain=context_domain or known(domain)),
        quality=top.take("quality", safe_object) or {},
        cortex_bridge=top.take("cortex_bridge", safe_object) or {},
    )


def _is_source(label: str | None) -> bool:
    """Say whether a skill's string names a producer: older records wrote that in its place."""
    return label is not None and (
        label in {"verbose-all", "aura-gateway-flow"} or label.startswith("archive-")
    )


def _channel(source: str) -> str:
    if source == "aura-gateway-flow":
        return "flow"
    return "backfill" if _is_source(source) else UNKNOWN


def _read_context(context: Context, part: Part, prompt: str | None) -> None:
    given = part.take("prompt_text", text) or part.take("user_prompt", text)
    # The prompt is kept whole in `trajectory.prompt`, so cutting it here loses nothing.
    context.prompt_text = given or (prompt[:_PROMPT_MAX] if prompt else None)
    context.prompt_id = part.take("prompt_id", name)
    context.human_prompt = part.take("human_prompt", truth)
    context.cwd = part.take("cwd", text)
    context.git_repo = part.take("git_repo", text)
    context.model = part.take("model", text)
    context.permission_mode = part.take("permission_mode", text)
    context.extracted_at = part.take("extracted_at", number)
    context.complexity = part.take("complexity", json_safe)
    context.total_tokens = part.take("total_tokens", whole)


def _outcome(part: Part, success_rate: float | None) -> Outcome:
    values: dict[str, Any] = {field: part.take(field, share) for field in _SCORES}
    values |= {field: part.take(field, truth) for field in _FLAGS}
    status = part.take("annotation_status", text) or "pending"
    if status == "pending" and values["reward_score"] is not None:
        status = "scored"
    return Outcome(
        annotation_status=status,
        reward_version=part.take("reward_version", text),
        advantage=part.take("advantage", number),
        reward_components=_components(part),
        corrections_in_window=part.take("corrections_in_window", whole),
        tool_diversity=part.take("tool_diversity", number),
        files_modified=part.take("files_modified", json_safe),
        files_created=part.take("files_created", json_safe),
        errors=part.take("errors", safe_items) or [],
        tool_success_rate=success_rate,
        **values,
    )


def _components(part: Part) -> dict[str, float]:
    given = part.take("reward_components", safe_object) or {}
    read = {key: number(value) for key, value in given.items()}
    unfit = {key: given[key] for key, value in read.items() if value is None and given[key] is not None}
    if unfit:
        part.leave("reward_components", unfit)
    return {key: value for key, value in read.items() if value is not None}


def _timing(part: Part) -> Timing:
    duration_ms = part.take("duration_ms", whole)
    duration_s = part.take("duration_s", number)
    return Timing(
        started_at=part.take("started_at", moment),
        ended_at=part.take("ended_at", moment),
        duration_s=duration_ms / 1000 if duration_s is None and duration_ms is not None else duration_s,
        duration_ms=duration_ms,
        tool_count=part.take("tool_count", whole),
    )


def _extra(top: Part, rests: Mapping[str, dict[Any, Any]]) -> dict[str, Any]:
    """Gather what was not taken, each under the name of its part, into what the record held already."""
    extra: dict[Any, Any] = dict(top.take("extra", mapping) or {})
    extra |= top.rest()
    for part, rest in rests.items():
        if rest:
            before = extra.get(part)
            extra[part] = {**rest, **before} if isinstance(before, Mapping) else rest
    return {key: value for key, value in json_safe(extra).items() if not says_nothing(value)}
