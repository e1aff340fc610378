"""Codex's own sessions: `~/.codex/sessions/YYYY/MM/DD/rollout-<time>-<id>.jsonl`.

Two ages of files are read: lines of {timestamp, type, payload}, and the older bare items of a conversation
after a line of {id, timestamp, instructions}. A subagent has a file, and is a session, of its own.

Sources: files of many versions, and the agent's source code; the format is internal to the agent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from producers.transcripts.codex_calls import text_of_content
from producers.transcripts.codex_thread import Thread, is_context, text_of_summary
from producers.transcripts.lines import read_lines
from producers.transcripts.recognise import require, sessions_in
from producers.transcripts.told import Broken, Skipped, Told

_ARCHIVED = "archived_sessions"
_ID_IN_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
_CWD = re.compile(r"<cwd>\s*(.{1,4000}?)\s*</cwd>|Current working directory: (.{1,4000})")
#: Events that say what an item of the conversation says too.
_TWICE = frozenset({"agent_reasoning", "agent_reasoning_raw_content", "agent_reasoning_section_break"})
_ITEMS = frozenset({"message", "reasoning"})


class Codex:
    """The format of Codex."""

    agent = "codex"

    def default(self) -> Path:
        """Give the folder of all sessions, in CODEX_HOME if that is set."""
        own = os.environ.get("CODEX_HOME")
        return (Path(own).expanduser() if own else Path.home() / ".codex") / "sessions"

    def find(self, path: Path) -> list[Path]:
        """List the session files of a file or folder; with `sessions` those that were archived beside it."""
        archived = path.parent / _ARCHIVED
        folders = [path, archived] if path.name == "sessions" and archived.is_dir() else [path]
        return sessions_in(folders, "codex", ("*.jsonl",))

    def read(self, path: Path) -> Iterator[Told | Broken | Skipped]:
        """Give what a session's file tells. Raises OSError, Refused."""
        require(path, "codex")
        reader = _Reader(path)
        for number, found in read_lines(path, dict):
            if isinstance(found, dict):
                reader.take(found, number)
                yield from reader.taken()
            else:
                yield found
        reader.end()
        yield from reader.taken()


class _Reader:
    """One file while it is read."""

    def __init__(self, path: Path) -> None:
        named = _ID_IN_NAME.search(path.stem)
        self._thread = Thread(named[1] if named else path.stem)
        self._start: dict[str, Any] | None = None
        self._has_begun = self._has_compacted = False

    def taken(self) -> list[Told | Skipped]:
        """Give what was told since the last call."""
        items, self._thread.out = self._thread.out, []
        return items

    def take(self, line: dict[str, Any], number: int) -> None:
        """Take a line."""
        kind, payload, time = line.get("type"), line.get("payload"), line.get("timestamp")
        self._thread.at(number, time if isinstance(time, str) else "")
        if kind == "session_meta" and isinstance(payload, dict):
            self._meta(payload)
        elif kind is None and isinstance(line.get("id"), str) and "record_type" not in line:
            self._meta(line)
        elif kind is None or not isinstance(kind, str):
            self._thread.out.append(Skipped(f"line: {line.get('record_type', 'without a type')}"[:80]))
        elif isinstance(payload, dict):
            self._begin()
            self._wrapped(kind, payload)
        elif _is_item(kind):
            self._begin()
            self._item(kind, line)
        else:
            self._thread.out.append(Skipped(kind[:80]))

    def end(self) -> None:
        """Take the end of the file."""
        if self._start is not None:
            self._begin()
        self._thread.end()

    def _wrapped(self, kind: str, payload: dict[str, Any]) -> None:
        inner = payload.get("type")
        if kind == "response_item" and isinstance(inner, str):
            self._item(inner, payload)
        elif kind == "event_msg" and isinstance(inner, str):
            self._event(inner, payload)
        elif kind == "turn_context":
            self._thread.enter(payload)
        elif kind == "compacted":
            self._has_compacted = True
            self._thread.compacted(_text(payload.get("message")))
        else:
            self._thread.out.append(Skipped(kind[:80]))

    # --- the session ---

    def _meta(self, meta: dict[str, Any]) -> None:
        """Take a head: the first is the file's own, one after it that of the session it goes on from."""
        thread, named = self._thread, _text(meta.get("id")) or _text(meta.get("session_id"))
        if self._start is None and not self._has_begun:
            thread.session = named or thread.session
            thread.cwd, thread.version = _text(meta.get("cwd")), _text(meta.get("cli_version"))
            thread.time = thread.time or _text(meta.get("timestamp"))
            self._start = {"at": (thread.line, thread.time), **_start_of(meta)}
        else:
            if self._start is not None and named and named != thread.session:
                self._start.update(source="fork")
                self._start.setdefault("continues", named)
            thread.out.append(Skipped("session_meta: of the session that it goes on from"))
        thread.names.root(named or thread.session)

    def _begin(self) -> None:
        """Tell the start, once the heads are over."""
        if self._has_begun:
            return
        self._has_begun = True
        thread, here = self._thread, (self._thread.line, self._thread.time)
        start = self._start or {"source": "startup"}
        thread.is_fork = start["source"] == "fork"
        thread.at(*start.pop("at", here))
        thread.start(start)
        thread.at(*here)
        self._start = None

    # --- items of the conversation ---

    def _item(self, kind: str, item: dict[str, Any]) -> None:
        thread = self._thread
        if kind == "message":
            self._message(item)
        elif kind == "reasoning":
            thread.thought(text_of_summary(item))
        elif kind.endswith("_output"):
            output = next((item[name] for name in ("output", "tools") if name in item), "")
            thread.answered(_text(item.get("call_id")), output)
        elif kind.endswith("_call"):
            thread.called(item)
        elif kind in ("compaction", "compaction_summary"):
            self._has_compacted = True
            thread.compacted("")
        else:
            thread.out.append(Skipped(f"response_item: {kind}"[:80]))

    def _message(self, item: dict[str, Any]) -> None:
        role, text = item.get("role"), text_of_content(item.get("content"))
        if role == "assistant":
            self._thread.spoken(text)
        elif role == "user":
            if not self._thread.cwd and is_context(text) and (found := _CWD.search(text)):
                self._thread.cwd = (found[1] or found[2]).strip()
            self._thread.user_item(text)
        else:
            self._thread.out.append(Skipped(f"message: {role}"[:80]))

    # --- events ---

    def _event(self, kind: str, event: dict[str, Any]) -> None:
        rule = self._rules.get(kind)
        if rule is None:
            told = ", told by its item" if kind in _TWICE else ""
            self._thread.out.append(Skipped(f"event_msg: {kind}"[:80] + told))
        else:
            rule(self, event)

    def _prompted(self, event: dict[str, Any]) -> None:
        self._thread.prompted(_prompt_of(event), _text(event.get("kind")))

    def _item_completed(self, event: dict[str, Any]) -> None:
        """Take what newer versions write for an item: a prompt, or a command's end."""
        item = event.get("item")
        kind = item.get("type") if isinstance(item, dict) else None
        if isinstance(item, dict) and kind == "UserMessage":
            self._thread.prompted(_text_of_parts(item.get("content")))
        elif isinstance(item, dict) and self._thread.waits_for(_text(item.get("id"))):
            self._thread.ended(_text(item.get("id")), item)
        else:
            self._thread.out.append(Skipped(f"item_completed: {kind}"[:80]))

    def _heard(self, event: dict[str, Any]) -> None:
        self._thread.heard(_text(event.get("message")))

    def _counted(self, event: dict[str, Any]) -> None:
        self._thread.tokens(event.get("info"))

    def _ended(self, event: dict[str, Any]) -> None:
        self._thread.ended(_text(event.get("call_id")), event)

    def _searched(self, event: dict[str, Any]) -> None:
        self._thread.searched(_text(event.get("call_id")), event.get("action"))

    def _entered(self, event: dict[str, Any]) -> None:
        self._thread.enter(event, begins=True)

    def _completed(self, event: dict[str, Any]) -> None:
        self._thread.completed(_text(event.get("last_agent_message")))

    def _aborted(self, event: dict[str, Any]) -> None:
        reason = _text(event.get("reason"))
        if reason == "review_ended":
            self._thread.out.append(Skipped("event_msg: turn_aborted, a review's end"))
        else:
            self._thread.interrupted(reason)

    def _failed(self, event: dict[str, Any]) -> None:
        self._thread.failed(_text(event.get("message")) or "error")

    def _titled(self, event: dict[str, Any]) -> None:
        self._thread.titled(_text(event.get("thread_name")))

    def _compacted(self, event: dict[str, Any]) -> None:
        """Take a compaction; the versions that write its summary write it in a line before."""
        said, self._has_compacted = self._has_compacted, False
        if said:
            self._thread.out.append(Skipped("event_msg: context_compacted, told by its item"))
        else:
            self._thread.compacted(_text(event.get("message")))

    _rules: ClassVar[dict[str, Callable[[_Reader, dict[str, Any]], None]]] = {
        "user_message": _prompted,
        "item_completed": _item_completed,
        "agent_message": _heard,
        "token_count": _counted,
        "exec_command_end": _ended,
        "patch_apply_end": _ended,
        "mcp_tool_call_end": _ended,
        "web_search_end": _searched,
        "task_started": _entered,
        "turn_started": _entered,
        "task_complete": _completed,
        "turn_complete": _completed,
        "turn_aborted": _aborted,
        "error": _failed,
        "thread_name_updated": _titled,
        "context_compacted": _compacted,
    }


def _start_of(meta: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of a session's start."""
    fields: dict[str, Any] = {"source": "startup"}
    if parent := _text(meta.get("forked_from_id")):
        fields.update(source="fork", continues=parent)
    source = meta.get("source")
    if isinstance(source, dict) and source.get("subagent"):
        kind = source["subagent"]
        fields["subagent"] = (
            kind if isinstance(kind, str) else next(iter(kind), "") if isinstance(kind, dict) else ""
        )
        if isinstance(kind, dict) and isinstance(spawned := kind.get("thread_spawn"), dict):
            fields["parent_session"] = _text(spawned.get("parent_thread_id"))
    if parent := _text(meta.get("parent_thread_id")):
        fields["parent_session"] = parent
    given = meta.get("base_instructions")
    prompt = _text(given.get("text")) if isinstance(given, dict) else _text(meta.get("instructions"))
    fields.update({"system_prompt": prompt} if prompt else {})
    if isinstance(meta.get("dynamic_tools"), list) and meta["dynamic_tools"]:
        fields["tools"] = meta["dynamic_tools"]
    if originator := _text(meta.get("originator")):
        fields["originator"] = originator
    return fields


def _prompt_of(event: dict[str, Any]) -> str:
    """Give a prompt's text, with a sign for each picture that came with it."""
    pictures = sum(
        len(event[name]) for name in ("images", "local_images") if isinstance(event.get(name), list)
    )
    return "\n".join([text for text in (_text(event.get("message")),) if text] + ["[image]"] * pictures)


def _text_of_parts(content: Any) -> str:
    parts = content if isinstance(content, list) else []
    texts = (part.get("text", "[image]") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str) and text)


def _is_item(kind: str) -> bool:
    return kind in _ITEMS or kind.endswith(("_call", "_output"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
