"""One Copilot CLI session: its events, one after another, become told facts.

Invariants:
- A call is told where the model asked for it, its end where the agent says how it went; each once.
- The end of a turn is told when something new begins, or the file ends: only then is it known as the end.
- Tokens of the responses and of the closing count add up to the closing count.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from producers.transcripts.told import Skipped, Told

#: What a shell tool writes below what a command printed.
_EXITED = re.compile(
    r"<(?:shellId: \S{1,40} |command )?(?:completed|exited|failed) with exit code (-?\d{1,10})>\s*$"
)
_TAIL = 200
#: How the names begin that events without an id are given here.
_OUR_NAME = "~"
_REFUSED = frozenset({"denied", "rejected"})
#: The fields of a closing count, by those of a told usage.
_COUNTS = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_tokens": "cacheReadTokens",
    "cache_write_tokens": "cacheWriteTokens",
}


class Line(NamedTuple):
    """One event of the log."""

    number: int
    kind: str
    id: str
    time: str
    data: dict[str, Any]


class _Spoken(NamedTuple):
    line: Line
    text: str


class Log:
    """What is under way; every method adds what is told to `out`, which the caller empties."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.out: list[Told | Skipped] = []
        self.cwd = self.version = self.model = ""
        self._calls: dict[str, tuple[Any, Any]] = {}  # without an end
        self._done: set[str] = set()
        self._agents: dict[str, str] = {}
        self._final: _Spoken | None = None
        self._failure: Line | None = None
        self._answered: Counter[str] = Counter()  # output tokens told since the process began, by model
        self._counted: dict[str, dict[str, int]] = defaultdict(dict)
        self._process: Any = None
        self._seen: set[str] = set()
        self._unnamed: Counter[str] = Counter()

    def take(self, line: Line) -> None:
        """Take an event; one that is written twice counts once."""
        if not line.id:
            line = line._replace(id=self._name(line))
        elif line.id in self._seen:
            self.out.append(Skipped(f"{line.kind}: told before"[:80]))
            return
        self._seen.add(line.id)
        rule = self._rules.get(line.kind)
        if rule is None:
            self.out.append(Skipped(line.kind[:80]))
        else:
            rule(self, line)

    def end(self) -> None:
        """Take the end of the file."""
        self._end_turn()

    # --- the session ---

    def _start(self, line: Line) -> None:
        data, context = line.data, line.data.get("context")
        self.session = _text(data.get("sessionId")) or self.session
        if isinstance(context, dict):
            self.cwd = _text(context.get("cwd")) or self.cwd
        self.version = _text(data.get("copilotVersion")) or self.version
        self.model = _text(data.get("selectedModel")) or self.model
        begun = line.kind == "session.start"
        self._tell(
            "SessionStart", line, key="start" if begun else "", source="startup" if begun else "resume"
        )

    def _model(self, line: Line) -> None:
        self.model = _text(line.data.get("newModel")) or self.model
        self.out.append(Skipped(line.kind))

    def _compacted(self, line: Line) -> None:
        if line.data.get("success") is False:
            self.out.append(Skipped(f"{line.kind}: failed"))
            return
        self._tell("PostCompact", line, compact_summary=_text(line.data.get("summaryContent")))

    def _failed(self, line: Line) -> None:
        self._failure = line

    def _closed(self, line: Line) -> None:
        """Take the closing count: what the responses have not told of it is told now."""
        self._end_turn()
        if line.data.get("sessionStartTime") != self._process:
            self._process = line.data.get("sessionStartTime")
            self._counted.clear()
        metrics = line.data.get("modelMetrics")
        told = False
        for model, metric in metrics.items() if isinstance(metrics, dict) else ():
            usage = metric.get("usage") if isinstance(metric, dict) else None
            if isinstance(usage, dict):
                told = self._count(line, str(model), usage) or told
        self._answered.clear()
        if not told:
            self.out.append(Skipped(line.kind))

    def _count(self, line: Line, model: str, usage: dict[str, Any]) -> bool:
        before = self._counted[model]
        now = {name: _count(usage.get(field)) for name, field in _COUNTS.items()}
        more = {name: max(count - before.get(name, 0), 0) for name, count in now.items()}
        self._counted[model] = now
        cached = more["cache_read_tokens"] + more["cache_write_tokens"]
        if cached <= more["input_tokens"]:
            more["input_tokens"] -= cached
        more["output_tokens"] = max(more["output_tokens"] - self._answered[model], 0)
        if not any(more.values()):
            return False
        named = f"count:{line.id}:{model}"
        self._tell("AssistantMessage", line, key=named, message_id=named, model=model, usage=more)
        return True

    # --- prompts ---

    def _prompted(self, line: Line) -> None:
        self._end_turn()
        text = _text(line.data.get("content"))
        given = line.data.get("attachments")
        text = "\n".join(
            [*([text] if text else []), *["[attachment]"] * (len(given) if isinstance(given, list) else 0)]
        )
        source = line.data.get("source")
        fields: dict[str, Any] = {"prompt": text, "prompt_id": line.data.get("interactionId")}
        if isinstance(source, str) and source != "user":
            fields["source"] = "system"
        self._tell("UserPromptSubmit", line, **fields)

    def _notified(self, line: Line) -> None:
        """Take a report of work in the background, to which the model answers."""
        text = _text(line.data.get("content"))
        self._tell("UserPromptSubmit", line, prompt=text, source="task-notification")

    def _aborted(self, line: Line) -> None:
        self._final = self._failure = None
        self._tell("Interrupt", line, reason=line.data.get("reason"))

    # --- responses and calls ---

    def _responded(self, line: Line) -> None:
        data = line.data
        asked = [item for item in _list(data.get("toolRequests")) if isinstance(item, dict)]
        text, model = _text(data.get("content")), _text(data.get("model")) or self.model
        answered = _count(data.get("outputTokens"))
        fields: dict[str, Any] = {
            "message_id": data.get("messageId") or data.get("apiCallId") or line.id,
            "model": model,
            "text": text,
            "thinking": data.get("reasoningText"),
        }
        if answered:
            self._answered[model] += answered
            fields["usage"] = {**dict.fromkeys(_COUNTS, 0), "output_tokens": answered}
        self._failure = None
        self._tell("AssistantMessage", line, **fields)
        for item in asked:
            self._asked(line, item.get("toolCallId"), item.get("name"), item.get("arguments"))
        if not self._agent_of(line):
            self._final = None if asked else _Spoken(line, text)

    def _started(self, line: Line) -> None:
        call_id = _text(line.data.get("toolCallId"))
        if call_id in self._calls or call_id in self._done:
            self.out.append(Skipped("tool.execution_start: told by its response"))
        else:
            self._asked(line, call_id, line.data.get("toolName"), line.data.get("arguments"))

    def _asked(self, line: Line, call_id: Any, name: Any, given: Any) -> None:
        if not isinstance(call_id, str) or not call_id:
            self.out.append(Skipped("call without an id"))
            return
        if call_id in self._calls or call_id in self._done:
            self.out.append(Skipped("call told before"))
            return
        if not self._agent_of(line):
            self._final = None
        self._calls[call_id] = (name, given)
        key = f"call:{call_id}"
        self._tell("PreToolUse", line, key=key, tool_name=name, tool_input=given, tool_use_id=call_id)

    def _permitted(self, line: Line) -> None:
        """Take an answer to a call that asked: a refusal is its end."""
        call_id, result = _text(line.data.get("toolCallId")), line.data.get("result")
        said = _text(result.get("kind")) if isinstance(result, dict) else ""
        if call_id in self._calls and said.startswith(("denied", "rejected")):
            self._ended(line, call_id, "PermissionDenied", {"reason": said})
        else:
            self.out.append(Skipped(line.kind))

    def _completed(self, line: Line) -> None:
        data = line.data
        call_id = _text(data.get("toolCallId"))
        if not call_id or call_id in self._done:
            self.out.append(Skipped("end of no call" if not call_id else "end told before"))
            return
        self._ended(line, call_id, *_end_of(data))

    def _ended(self, line: Line, call_id: str, kind: str, fields: dict[str, Any]) -> None:
        name, given = self._calls.pop(call_id, (line.data.get("toolName"), None))
        self._done.add(call_id)
        self._tell(
            kind, line, key=f"end:{call_id}", tool_name=name, tool_input=given, tool_use_id=call_id, **fields
        )

    # --- subagents ---

    def _agent(self, line: Line) -> None:
        call_id, name = _text(line.data.get("toolCallId")), _text(line.data.get("agentName"))
        if not call_id:
            self.out.append(Skipped(line.kind[:80]))
            return
        self._agents[call_id] = name or self._agents.get(call_id, "")
        begun = line.kind == "subagent.started"
        self._tell(
            "SubagentStart" if begun else "SubagentStop", line,
            key=f"{'agent' if begun else 'agent-stop'}:{call_id}",
            agent_id=call_id, agent_type=self._agents[call_id], tool_use_id=call_id if begun else None,
        )  # fmt: skip

    def _agent_of(self, line: Line) -> str:
        return _text(line.data.get("parentToolCallId"))

    # --- ends and telling ---

    def _end_turn(self) -> None:
        final, self._final = self._final, None
        failure, self._failure = self._failure, None
        if failure:
            self._tell("StopFailure", failure, error=_text(failure.data.get("message")) or "error")
        elif final:
            self._tell(
                "Stop",
                final.line,
                key=f"stop:{final.line.id}",
                last_assistant_message=final.text,
            )

    def _tell(self, kind: str, line: Line, /, *, key: str = "", **fields: Any) -> None:
        payload: dict[str, Any] = {"session_id": self.session, "hook_event_name": kind}
        given = {
            "timestamp": line.time,
            "cwd": self.cwd,
            "agent_version": self.version,
            "model": self.model,
            **fields,
        }
        if agent := self._agent_of(line):
            given.update(agent_id=agent, agent_type=self._agents.get(agent))
        payload.update((name, value) for name, value in given.items() if value not in (None, ""))
        key = key or f"{kind}:{line.id}"
        self.out.append(Told(payload, key, line.number, self._origin(key, line)))

    def _name(self, line: Line) -> str:
        """Name an event without an id by what it says, and how often that was said before."""
        said = f"{line.kind} {line.time} {line.data!r}".encode("utf-8", "replace")
        digest = hashlib.blake2b(said, digest_size=10).hexdigest()
        self._unnamed[digest] += 1
        return f"{_OUR_NAME}{digest}.{self._unnamed[digest]}"

    @staticmethod
    def _origin(key: str, line: Line) -> str:
        """Name a fact for every file that has it, by its event's id: one in the world, where it has one."""
        known_elsewhere = not line.id.startswith(_OUR_NAME) and key != "start"
        return f"{key}@{line.id}" if known_elsewhere else ""

    _rules: ClassVar[dict[str, Callable[[Log, Line], None]]] = {
        "session.start": _start,
        "session.resume": _start,
        "session.model_change": _model,
        "session.compaction_complete": _compacted,
        "session.error": _failed,
        "session.shutdown": _closed,
        "user.message": _prompted,
        "system.notification": _notified,
        "abort": _aborted,
        "assistant.message": _responded,
        "tool.execution_start": _started,
        "tool.execution_complete": _completed,
        "permission.completed": _permitted,
        "subagent.started": _agent,
        "subagent.completed": _agent,
        "subagent.failed": _agent,
    }


def _end_of(data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Give the kind and the fields of a call's end."""
    error, result = data.get("error"), data.get("result")
    said = error.get("message") if isinstance(error, dict) else error
    text = result.get("content") if isinstance(result, dict) else result
    if data.get("success") is False:
        code = error.get("code") if isinstance(error, dict) else None
        reason = _text(said) or _text(text) or "the call failed"
        if code in _REFUSED:
            return "PermissionDenied", {"reason": reason}
        return "PostToolUseFailure", {"error": reason}
    response: dict[str, Any] = {"content": text if text is not None else ""}
    if isinstance(data.get("success"), bool):
        response["success"] = data["success"]
    if isinstance(text, str) and (found := _EXITED.search(text[-_TAIL:])):
        response["exit_code"] = int(found[1])
    return "PostToolUse", {"tool_response": response}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
