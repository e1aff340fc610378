"""One Codex session: what its lines say, one after another, becomes told facts.

Codex writes much of it twice, as an item of the conversation and as an event for its window. A prompt is
the event where there are events, a response the item where there are items.

Invariants:
- Each prompt, response, call and result is told once, however often it was written.
- A result waits for its command's end event, and for nothing else; nothing is held back past its turn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from producers.transcripts.codex_calls import (
    Result,
    input_of_call,
    name_of_call,
    result_of,
    result_of_end,
    text_of_content,
)
from producers.transcripts.codex_names import Names
from producers.transcripts.codex_tokens import Totals
from producers.transcripts.told import Skipped, Told

#: What Codex puts into the conversation in the user's name.
_CONTEXT = (
    "<environment_context", "<user_instructions", "<permissions instructions", "# AGENTS.md instructions",
    "<INSTRUCTIONS>", "<turn_aborted", "<skill>", "<skills_instructions", "<apps_instructions",
    "<plugins_instructions", "<collaboration_mode", "<subagent_notification", "<user_shell_command",
    "<model_switch", "<personality",
)  # fmt: skip


class _At(NamedTuple):
    """Where and when something was written."""

    line: int
    time: str


class _Call(NamedTuple):
    name: str
    input: Any


class _Waiting(NamedTuple):
    """The output of a command that still ran then."""

    output: Any
    at: _At


class _Said(NamedTuple):
    """What was said; the key and the origin are those of a response that was told."""

    text: str
    at: _At
    key: str = ""
    origin: str = ""


class Thread:
    """What is under way; every method adds what is told to `out`, which the caller empties."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.out: list[Told | Skipped] = []
        self.cwd = self.version = self.model = self.time = ""
        self.line = 0
        self.names = Names()
        self._turn = ""
        self._tells_prompts = False  # by events of their own
        self._tells_ends = False
        self._last_prompt: str | None = None  # to which nothing was said yet
        self._asked: _Said | None = None  # a user's item whose event has not come
        self._heard: list[_Said] = []  # responses whose items have not come
        self._thoughts: list[str] = []
        self._final: _Said | None = None  # what the agent said, if it did nothing since
        self._failure: _Said | None = None
        self._calls: dict[str, _Call] = {}  # without an output
        self._done: set[str] = set()
        self._ends: dict[str, dict[str, Any]] = {}
        self._waiting: dict[str, tuple[_Call, _Waiting]] = {}
        self._early: dict[str, _Waiting] = {}  # outputs without a call
        self._searches: list[tuple[str, Any]] = []
        self.is_fork = False
        self._totals = Totals()

    # --- where it stands ---

    def at(self, line: int, time: str) -> None:
        """Come to a line."""
        self.line, self.time = line, time

    def enter(self, turn: dict[str, Any], *, begins: bool = False) -> None:
        """Take the context of a turn."""
        self._turn = _text(turn.get("turn_id")) or self._turn
        self.names.turn(self._turn)
        self.cwd = _text(turn.get("cwd")) or self.cwd
        self.model = _text(turn.get("model")) or self.model
        self._tells_ends = self._tells_ends or begins

    def start(self, fields: dict[str, Any]) -> None:
        """Tell that the session has begun."""
        self._tell("SessionStart", "start", "", key="start", **fields)

    # --- prompts ---

    def user_item(self, text: str) -> None:
        """Take an item in the user's name: it is a prompt unless Codex wrote it, or an event tells it too."""
        self._settle_item()
        self.names.past(text)
        if is_context(text):
            self.out.append(Skipped("message: context"))
        elif text.strip():
            self._asked = _Said(text, self._here())

    def prompted(self, text: str, kind: str = "plain") -> None:
        """Take a prompt."""
        self._tells_prompts = True
        self._asked = None
        if kind in ("environment_context", "user_instructions") or is_context(text):
            self.out.append(Skipped("user_message: context"))
        elif text.strip() == self._last_prompt:
            self.out.append(Skipped("user_message: told before"))
        else:
            self._prompt(_Said(text, self._here()))

    def _settle_item(self) -> None:
        asked, self._asked = self._asked, None
        if asked is None:
            return
        if self._tells_prompts:
            self.out.append(Skipped("message: from the user's side, no prompt"))
        else:
            self._prompt(asked)

    def _prompt(self, asked: _Said) -> None:
        self.settle()
        if not self._tells_ends:
            self._stop_unsaid()
        self._final = None
        self._last_prompt = asked.text.strip()
        named: dict[str, Any] = {"prompt_id": self._turn} if self._turn else {}
        self._tell("UserPromptSubmit", "prompt", asked.text, at=asked.at, prompt=asked.text, **named)

    # --- responses ---

    def spoken(self, text: str) -> None:
        """Take a response's item; its event, if it came before, says the same."""
        self._work()
        self.names.past(text)
        self._heard = [said for said in self._heard if said.text != text]
        self._respond(_Said(text, self._here()))

    def heard(self, text: str) -> None:
        """Take a response's event: it counts if no item says the same."""
        self._settle_item()
        if self._final is None or self._final.text != text:
            self._heard.append(_Said(text, self._here()))

    def thought(self, text: str) -> None:
        """Take what the model thought before its next word."""
        self._work()
        if text.strip():
            self._thoughts.append(text)

    def _respond(self, said: _Said) -> None:
        if not said.text.strip():
            return
        key, origin = self.names.of("message", said.text)
        fields = {"message_id": key.removeprefix("message:"), "text": said.text, **self._thinking()}
        self._tell("AssistantMessage", "", "", at=said.at, key=key, origin=origin, **fields)
        self._final = said._replace(key=key, origin=origin)

    def _thinking(self) -> dict[str, Any]:
        thoughts, self._thoughts = self._thoughts, []
        return {"thinking": "\n".join(thoughts)} if thoughts else {}

    def tokens(self, info: Any) -> None:
        """Take the running total of tokens."""
        total = info.get("total_token_usage") if isinstance(info, dict) else None
        if not isinstance(total, dict):
            self.out.append(Skipped("token_count: no total"))
            return
        if self.is_fork and not any(self._totals.now):  # its total goes on from that of the session before
            self._totals.begin_after(total, info.get("last_token_usage"))
        usage = self._totals.grown(total)
        if usage is None:
            self.out.append(Skipped("token_count: no change"))
            return
        key, origin = self.names.of("tokens", repr(self._totals.now))
        fields: dict[str, Any] = {"message_id": key, "usage": usage, **self._thinking()}
        self._tell("AssistantMessage", "", "", key=key, origin=origin, **fields)

    # --- calls ---

    def called(self, item: dict[str, Any]) -> None:
        """Take a call."""
        self._work()
        self._final = None
        name, given = name_of_call(item), input_of_call(item)
        call_id = self._id_of(item, name, given)
        if call_id in self._done or call_id in self._calls:
            self.out.append(Skipped("call told before"))
            return
        self.names.past(call_id)
        call = self._calls[call_id] = _Call(name, given)
        key, origin = self.names.of_call("call", call_id)
        fields = {"tool_name": name, "tool_input": given, "tool_use_id": call_id}
        self._tell("PreToolUse", "", "", key=key, origin=origin, **fields)
        if call_id in self._early:
            early = self._early.pop(call_id)
            self._answered(call_id, call, early)
        elif item.get("type") in ("web_search_call", "image_generation_call"):
            del self._calls[call_id]
            response = {"status": item["status"]} if isinstance(item.get("status"), str) else {}
            self._end(call_id, call, Result("PostToolUse", {"tool_response": response}), self._here())

    def _id_of(self, item: dict[str, Any], name: str, given: Any) -> str:
        """Give a call's id; a search's may stand only in its end event, before it."""
        found = _text(item.get("call_id")) or _text(item.get("id"))
        for search, action in self._searches if not found else ():
            if action == item.get("action"):
                self._searches.remove((search, action))
                return search
        return found or self.names.of(name, repr(given))[0]

    def searched(self, call_id: str, action: Any) -> None:
        """Take the end event of a search: its item, which has no id, comes next."""
        self._searches = [*self._searches[-15:], (call_id, action)]

    def answered(self, call_id: str, output: Any) -> None:
        """Take a call's output."""
        self._work()
        waiting = _Waiting(output, self._here())
        if call_id in self._done or call_id in self._early or call_id in self._waiting:
            self.out.append(Skipped("output told before"))
        elif call_id in self._calls:
            self._answered(call_id, self._calls.pop(call_id), waiting)
        elif call_id:
            self._early[call_id] = waiting
        else:
            self.out.append(Skipped("output of no call"))

    def _answered(self, call_id: str, call: _Call, waiting: _Waiting) -> None:
        self._calls.pop(call_id, None)
        end = self._ends.pop(call_id, None)
        result = result_of(waiting.output, end)
        if result.still_runs and end is None:
            self._waiting[call_id] = (call, waiting)
        else:
            self._end(call_id, call, result, waiting.at)

    def waits_for(self, call_id: str) -> bool:
        """Say whether the end of a call has still to come."""
        return call_id in self._waiting or call_id in self._calls

    def ended(self, call_id: str, end: dict[str, Any]) -> None:
        """Take the end event of a call."""
        if call_id in self._waiting:
            call, waiting = self._waiting.pop(call_id)
            self._end(call_id, call, result_of(waiting.output, end), self._here())
        elif call_id in self._calls:
            self._ends[call_id] = end

    def _end(self, call_id: str, call: _Call | None, result: Result, at: _At) -> None:
        self._done.add(call_id)
        key, origin = self.names.of_call("end", call_id)
        fields = {"tool_name": call.name, "tool_input": call.input} if call else {}
        self._tell(
            result.kind, "", "", at=at, key=key, origin=origin, **fields, tool_use_id=call_id, **result.fields
        )

    # --- ends ---

    def completed(self, last: str) -> None:
        """Take the end of a turn, with the agent's last word."""
        self._tells_ends = True
        self._settle_item()
        self._last_prompt = None
        failure, self._failure = self._failure, None
        self.settle()
        self._final = None
        if failure and not last:
            self._tell("StopFailure", "failure", self._turn or failure.text, error=failure.text)
            return
        fields: dict[str, Any] = {"last_assistant_message": last} if last else {}
        self._tell("Stop", "stop", self._turn or last, **fields)

    def interrupted(self, reason: str) -> None:
        """Take the end of a turn that was cut off."""
        self._settle_item()
        self._final = self._failure = self._last_prompt = None
        self.settle()
        fields: dict[str, Any] = {"reason": reason} if reason else {}
        self._tell("Interrupt", "interrupt", self._turn, **fields)

    def failed(self, error: str) -> None:
        """Take an error: the turn failed, unless the agent goes on."""
        self._settle_item()
        self._failure = _Said(error, self._here())

    def compacted(self, summary: str) -> None:
        """Take the summary that the conversation goes on from."""
        self._settle_item()
        self._tell("PostCompact", "compact", summary, compact_summary=summary)

    def titled(self, title: str) -> None:
        """Take the session's title."""
        self._tell("SessionTitle", "title", title, title=title)

    def end(self) -> None:
        """Take the end of the file."""
        self._settle_item()
        self.settle()
        if not self._tells_ends:
            self._stop_unsaid()

    def settle(self) -> None:
        """Tell what waited for something that has not come in its turn."""
        for said in self._heard:
            self._respond(said)
        self._heard.clear()
        if self._thoughts:
            key, origin = self.names.of("thoughts", "\n".join(self._thoughts))
            fields: dict[str, Any] = {"message_id": key, **self._thinking()}
            self._tell("AssistantMessage", "", "", key=key, origin=origin, **fields)
        for call_id, (call, waiting) in self._waiting.items():
            self._end(call_id, call, result_of(waiting.output, None), waiting.at)
        for call_id, waiting in self._early.items():
            self._end(call_id, None, result_of(waiting.output, None), waiting.at)
        for call_id, end in self._ends.items():
            self._end(call_id, self._calls.pop(call_id, None), result_of_end(end), self._here())
        self._waiting, self._early, self._ends = {}, {}, {}
        failure, self._failure = self._failure, None
        if failure:
            self._tell(
                "StopFailure", "failure", self._turn or failure.text, at=failure.at, error=failure.text
            )

    def _stop_unsaid(self) -> None:
        """Tell the end of a turn in a file that has no word for it: the agent had spoken, and did no more."""
        final, self._final = self._final, None
        if final and not self._calls:
            key, origin = f"stop:{final.key}", f"stop:{final.origin}"
            said = final.text
            self._tell("Stop", "", "", at=final.at, key=key, origin=origin, last_assistant_message=said)

    def _work(self) -> None:
        """Note that the model went on."""
        self._settle_item()
        self._last_prompt = None
        if self._failure:
            self._failure = None
            self.out.append(Skipped("error: the agent went on"))

    # --- telling ---

    def _here(self) -> _At:
        return _At(self.line, self.time)

    def _tell(
        self, kind: str, what: str, said: str, /, *, at: _At | None = None, key: str = "", origin: str = "",
        **fields: Any,
    ) -> None:  # fmt: skip
        """Tell a fact under a key, or one that is named by what was said."""
        at = at or self._here()
        if not key:
            key, origin = self.names.of(what, said)
        payload: dict[str, Any] = {"session_id": self.session, "hook_event_name": kind}
        given = (
            ("timestamp", at.time),
            ("cwd", self.cwd),
            ("agent_version", self.version),
            ("model", self.model),
        )
        payload.update((name, value) for name, value in given if value)
        payload.update(fields)
        self.out.append(Told(payload, key, at.line, origin))


def is_context(text: str) -> bool:
    """Say whether a text in the user's name was put there by Codex."""
    return text.lstrip().startswith(_CONTEXT)


def text_of_summary(item: dict[str, Any]) -> str:
    """Give what a model's reasoning shows of itself."""
    return text_of_content(item.get("summary")) or text_of_content(item.get("content"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
