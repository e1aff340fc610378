"""One trajectory in ATIF: its steps, one after another, become told facts.

Invariants:
- A fact's key is made of its step's own words, so a trajectory that has grown gives what it gave before.
- What a step repeats from an earlier trajectory (`is_copied_context`) is no fact.
- A result says that its call failed only where its `extra` says so, or its text as agents' results do.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from producers.transcripts.told import Skipped, Told

_encode = msgspec.json.Encoder(order="sorted").encode
_KEPT_OF_EXTRA = ("exit_code", "exitCode", "returncode", "success", "status", "duration_ms")
_CALL_ID_MAX = 200
#: What an id has that was made to be one in the world: `test-session` and `call_1` have nothing of it.
_MADE = re.compile(r"[0-9A-Fa-f]{8}|(?=[A-Za-z]*[0-9][0-9A-Za-z]*[A-Za-z]|[0-9]+[A-Za-z])[0-9A-Za-z]{6}")


class Trajectory:
    """A trajectory, or one embedded in it; `whose` are the fields that name a subagent."""

    def __init__(
        self, given: dict[str, Any], line: int, session: str = "", whose: dict[str, Any] | None = None
    ) -> None:
        self._given = given
        self._line = line
        self._whose = whose or {}
        agent = given.get("agent")
        self._agent: dict[str, Any] = agent if isinstance(agent, dict) else {}
        self._session = session or _session_of(given)
        self._prefix = f"{self._whose['agent_id']}:" if self._whose else ""
        self._numbers: Counter[str] = Counter()
        self._calls: dict[str, tuple[str, Any, Any]] = {}  # open: the id told, the tool, its arguments
        self._told: set[str] = set()
        self._said = ""  # what the agent said last, if it asked for nothing since
        self._said_at: dict[str, Any] = {}
        self._embedded = _embedded(given)
        self._cwd = _cwd_of(given, self._agent)
        self._is_one = _MADE.search(self._session) is not None
        self._total = _total_of(given)

    def read(self) -> Iterator[Told | Skipped]:
        """Give what the trajectory tells."""
        yield self._start()
        for step in _dicts(self._given["steps"]):
            if step.get("is_copied_context") is True:
                yield Skipped("step: copied context")
            else:
                yield from self._step(step)
        for embedded in list(self._embedded):
            yield from self._subagent(embedded, None)
        yield from self._end()

    def _step(self, step: dict[str, Any]) -> Iterator[Told | Skipped]:
        source, text = step.get("source"), _text_of(step.get("message"))
        key = self._key(step)
        if source == "user":
            yield from self._stop()
            if text:
                yield self._tell("UserPromptSubmit", f"prompt:{key}", step, prompt=text)
        elif source == "agent":
            yield from self._respond(step, key, text)
        else:
            first = step.get("step_id") == 1 and _is_prompt(step)
            yield Skipped("step: system prompt" if first else f"step: {source}"[:80])
        observation = step.get("observation")
        results = _dicts(observation.get("results")) if isinstance(observation, dict) else []
        for result in results:
            yield from self._result(step, result, alone=len(results) == 1)

    # --- the agent's steps ---

    def _respond(self, step: dict[str, Any], key: str, text: str) -> Iterator[Told | Skipped]:
        calls = _dicts(step.get("tool_calls"))
        if self._total:
            yield self._all_tokens(step)
        usage = _usage_of(step.get("metrics"))
        fields = {"text": text, "thinking": step.get("reasoning_content"), "usage": usage}
        if any(fields.values()):
            model = _text(step.get("model_name"))
            yield self._tell("AssistantMessage", f"message:{key}", step, message_id=f"message:{key}",
                             **({"model": model} if model else {}), **fields)  # fmt: skip
        self._calls = {}
        for number, call in enumerate(calls):
            named = self._id_of(call, f"{key}.{number}")
            tool, given = call.get("function_name"), call.get("arguments")
            self._calls[_text(call.get("tool_call_id")) or named] = (named, tool, given)
            yield self._tell(
                "PreToolUse", f"call:{named}", step, tool_name=tool, tool_input=given, tool_use_id=named
            )
        self._said = "" if calls else text
        self._said_at = step

    def _id_of(self, call: dict[str, Any], place: str) -> str:
        """Give the id of a call, told apart by its step if it may be that of another call."""
        said = _text(call.get("tool_call_id"))[:_CALL_ID_MAX]
        given = self._prefix + said
        again = not said or given in self._told or not (self._is_one or _MADE.search(said))
        named = f"{given}#{place}" if again else given
        self._told |= {given, named}
        return named

    def _result(
        self, step: dict[str, Any], result: dict[str, Any], *, alone: bool
    ) -> Iterator[Told | Skipped]:
        source = _text(result.get("source_call_id"))
        if not source and alone and len(self._calls) == 1:
            source = next(iter(self._calls))
        if not source:
            yield Skipped("observation of no call")
            return
        if source in self._calls:
            named, tool, given = self._calls.pop(source)
            fields = {"tool_name": tool, "tool_input": given, "tool_use_id": named}
        elif source in self._told or self._prefix + source in self._told:
            yield Skipped("observation told before")
            return
        else:
            fields = {"tool_use_id": self._prefix + source}
            self._told.add(source)
        yield from self._asked_for(result, fields.get("tool_use_id"))
        kind, end = _end_of(result)
        yield self._tell(kind, f"end:{fields['tool_use_id']}", step, **fields, **end)

    # --- subagents ---

    def _asked_for(self, result: dict[str, Any], call_id: Any) -> Iterator[Told | Skipped]:
        """Tell the trajectories that a result refers to, as far as they are embedded."""
        for ref in _dicts(result.get("subagent_trajectory_ref")):
            named = _text(ref.get("trajectory_id")) or _text(ref.get("session_id"))
            if named in self._embedded:
                yield from self._subagent(named, call_id)

    def _subagent(self, named: str, call_id: Any) -> Iterator[Told | Skipped]:
        given = self._embedded.pop(named)
        agent = given.get("agent")
        kind = agent.get("name") if isinstance(agent, dict) else None
        whose = {"agent_id": named, **({"agent_type": kind} if isinstance(kind, str) else {})}
        if call_id:
            whose["tool_use_id"] = call_id
        yield from Trajectory(given, self._line, self._session, whose).read()

    # --- begin and end ---

    def _start(self) -> Told:
        if self._whose:
            asked = {name: self._whose.pop(name) for name in ("tool_use_id",) if name in self._whose}
            return self._tell("SubagentStart", "agent", {}, **asked)
        steps = _dicts(self._given["steps"])
        first = steps[0] if steps else {}
        fields = {
            "source": "startup",
            "agent_name": self._agent.get("name"),
            "tools": self._agent.get("tool_definitions"),
            "system_prompt": _text_of(first.get("message")) if _is_prompt(first) else None,
            "continued_by": _text(self._given.get("continued_trajectory_ref")),
        }
        return self._tell("SessionStart", "start", first, **fields)

    def _stop(self) -> Iterator[Told]:
        said, self._said = self._said, ""
        if said:
            key = f"stop:{self._key(self._said_at, 'stop')}"
            yield self._tell(
                "SubagentStop" if self._whose else "Stop", key, self._said_at, last_assistant_message=said
            )

    def _all_tokens(self, step: dict[str, Any]) -> Told:
        """Tell all tokens of a trajectory of which no step tells any: with its first response, that stays."""
        usage, self._total = self._total or {}, None
        key = f"final:{'.'.join(map(str, usage.values()))}"
        return self._tell("AssistantMessage", key, step, message_id=f"{self._prefix}final", usage=usage)

    def _end(self) -> Iterator[Told]:
        """Tell the end."""
        if self._total:
            yield self._all_tokens(self._said_at)
        yield from self._stop()
        if self._whose and not self._said_at:
            yield self._tell("SubagentStop", "agent-stop", {})

    # --- names ---

    def _key(self, step: dict[str, Any], what: str = "") -> str:
        own = {name: value for name, value in step.items() if name != "observation"}  # which may come later
        digest = hashlib.blake2b(_encode([what, self._prefix, own]), digest_size=10).hexdigest()
        number = self._numbers[digest]
        self._numbers[digest] += 1
        return f"{digest}.{number}" if number else digest

    def _tell(self, kind: str, key: str, step: dict[str, Any], /, **fields: Any) -> Told:
        payload: dict[str, Any] = {"session_id": self._session, "hook_event_name": kind}
        given = {
            "timestamp": _text(step.get("timestamp")),
            "cwd": self._cwd,
            "agent_name": self._agent.get("name"),
            "agent_version": self._agent.get("version"),
            "model": _text(step.get("model_name")) or self._agent.get("model_name"),
            **self._whose,
            **fields,
        }
        payload.update((name, value) for name, value in given.items() if value not in (None, "", []))
        return Told(payload, self._prefix + key, self._line)


def _session_of(given: dict[str, Any]) -> str:
    """Name a session: by its id, its trajectory's, or what it begins with."""
    named = _text(given.get("session_id")) or _text(given.get("trajectory_id"))
    if named:
        return named
    begun = [given.get("agent"), given["steps"][:2]]
    return f"atif-{hashlib.blake2b(_encode(begun), digest_size=10).hexdigest()}"


def _total_of(given: dict[str, Any]) -> dict[str, int] | None:
    """Give the tokens of a whole trajectory; null when its steps tell them."""
    final, steps = given.get("final_metrics"), _dicts(given["steps"])
    own = (
        step for step in steps if step.get("source") == "agent" and step.get("is_copied_context") is not True
    )
    if not isinstance(final, dict) or any(_usage_of(step.get("metrics")) for step in own):
        return None
    names = ("prompt_tokens", "completion_tokens", "cached_tokens")
    return _usage_of({name: final.get(f"total_{name}") for name in names})


def _embedded(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = _dicts(given.get("subagent_trajectories"))
    return {
        _text(one.get("trajectory_id")) or _text(one.get("session_id")) or f"subagent-{number}": one
        for number, one in enumerate(found)
        if isinstance(one.get("steps"), list)
    }


def _cwd_of(given: dict[str, Any], agent: dict[str, Any]) -> str:
    """Find the working folder, which the format leaves to `extra`."""
    for holder in (given.get("extra"), agent.get("extra")):
        if isinstance(holder, dict):
            several = holder.get("cwds")
            found = several[0] if isinstance(several, list) and len(several) == 1 else holder.get("cwd")
            if isinstance(found, str):
                return found
    return ""


def _end_of(result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Give the kind and the fields of a call's end; the format has no word for failure but `extra`."""
    text = _text_of(result.get("content"))
    extra = result.get("extra")
    extra = extra if isinstance(extra, dict) else {}
    error = extra.get("error")
    if extra.get("is_error") is True or (error and error is not False):
        said = error if isinstance(error, str) else text
        return "PostToolUseFailure", {"error": said or "the call failed"}
    kept = {name: extra[name] for name in _KEPT_OF_EXTRA if extra.get(name) is not None}
    return "PostToolUse", {"tool_response": {"output": text, **kept} if kept else text}


def _usage_of(metrics: Any) -> dict[str, int] | None:
    """Give the tokens of one response; `prompt_tokens` has those of the cache in it."""
    if not isinstance(metrics, dict):
        return None
    prompt, cached = _count(metrics.get("prompt_tokens")), _count(metrics.get("cached_tokens"))
    answered, extra = _count(metrics.get("completion_tokens")), metrics.get("extra")
    written = _count(extra.get("cache_creation_input_tokens")) if isinstance(extra, dict) else 0
    if cached + written > prompt:
        written = 0
    if not (prompt or cached or answered):
        return None
    return {
        "input_tokens": max(prompt - cached - written, 0),
        "output_tokens": answered,
        "cache_read_tokens": min(cached, prompt),
        "cache_write_tokens": written,
    }


def _is_prompt(step: dict[str, Any]) -> bool:
    """Say whether a first step is a system prompt: what our own export notes there is none."""
    extra = step.get("extra")
    ours = extra.get("karl") if isinstance(extra, dict) else None
    return step.get("source") == "system" and not (isinstance(ours, dict) and "note" in ours)


def _text_of(content: Any) -> str:
    """Give the text of a message or of an observation: a text, or parts."""
    if isinstance(content, str):
        return content
    parts = (
        part.get("text") if part.get("type") == "text" else f"[{part.get('type')}]"
        for part in _dicts(content)
    )
    return "\n".join(part for part in parts if isinstance(part, str))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
