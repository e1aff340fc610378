"""One agent's side of a Claude Code session: its lines, one after another, become told facts.

The session's own agent has a chain, and so has each of its subagents.

Invariants:
- Each call, each result and each message is told once, whatever order and however many lines they came in;
  a message that goes on after it was told is told again, with all that is known then.
- A result that stands before its call is told after it.
- Nothing is held back past the end of its turn.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from producers.transcripts.claude_line import (
    Line,
    blocks_of,
    is_interruption,
    text_of_block,
    text_of_content,
    typed_command,
)
from producers.transcripts.claude_message import Message, failure_of
from producers.transcripts.claude_parts import (
    Call,
    Command,
    Due,
    Early,
    Prompt,
    Whose,
    end_of,
    source_of,
    time_of,
)
from producers.transcripts.told import Skipped, Told

_encode = msgspec.json.Encoder(order="sorted").encode
#: How ids begin that are one in the world.
_HOSTS_OWN = ("msg_", "toolu_")
_CAVEATS = ("<local-command-caveat>", "Caveat: ")
#: Messages that are over and may still go on.
_RECENT = 16


Item = Told | Skipped | Due


class Chain:
    """What is under way; every method adds what is told to `out`, which the caller empties."""

    def __init__(self, session: str, whose: Whose | None = None) -> None:
        self.session = session
        self.whose = whose
        self.mode: str | None = None
        self.out: list[Item] = []
        self.open: dict[str, Call] = {}
        self._done: set[str] = set()
        self._early: dict[str, Early] = {}
        self._message: Message | None = None
        self._recent: dict[str, Message] = {}
        self._last: Message | None = None
        self._command: Command | None = None
        self._prompts: list[Prompt] = []
        self._running: set[str] = set()
        self._numbers: dict[bytes, int] = {}

    def user(self, line: Line, number: int) -> None:
        """Take a line in a user's name: results, a prompt, an interruption, a summary."""
        blocks = blocks_of(line.message)
        results = [block for block in blocks if block.get("type") == "tool_result"]
        for block in results:
            self._result(line, number, block, alone=len(results) == 1)
        self._tell_prompts()
        texts = [text for block in blocks if (text := text_of_block(block)) and text.strip()]
        if line.is_compact_summary is True:
            self._end_message()
            self._tell("PostCompact", "compact", line, number, compact_summary="\n".join(texts))
        elif line.is_meta is True:
            self.out.append(Skipped("user: meta"))
            if self._command and texts:  # a caveat is about what the window answered; else it is its text
                self._commanded(is_prompt=not self._command.in_window or not texts[0].startswith(_CAVEATS))
        else:
            self._said(line, number, texts, with_results=bool(results))

    def queued(self, line: Line, number: int) -> None:
        """Take a prompt that was typed, or a report that came, while the agent worked."""
        given = line.attachment.get("prompt")
        text = text_of_content(given)
        if not text.strip():
            self.out.append(Skipped("attachment: queued_command"))
            return
        mode = line.attachment.get("commandMode")
        source = mode if isinstance(mode, str) and mode != "prompt" else source_of(line)
        self._prompts.append(Prompt(line, number, text, source))
        self._tell_prompts()

    def assistant(self, line: Line, number: int) -> None:
        """Take a part of a model's response."""
        if self._command:
            self._commanded(is_prompt=True)
        message = line.message if isinstance(line.message, dict) else {}
        if (failure := failure_of(line, message)) is not None:
            self._end_message()
            self._last = None
            self._tell("StopFailure", "failure", line, number, error=failure)
            return
        named = message.get("id")
        key = named if isinstance(named, str) and named else self._name(line)
        if self._message and self._message.id != key:
            self._end_message()
            self._tell_prompts(at_once=True)
        if self._message is None:
            self._message = self._recent.pop(key, None) or Message(key)
            self._last = None
        for block in self._message.take(line, number, message):
            self._called(line, number, block)

    def knows(self, call_id: str) -> bool:
        """Say whether a call was told."""
        return call_id in self.open or call_id in self._done

    def local_command(self) -> None:
        """Take a line that shows that the agent's window answered the last /command itself."""
        self._commanded(is_prompt=False)

    def over(self) -> None:
        """Take a line that the agent writes when a turn is over."""
        message = self._message or self._last
        if message and not message.has_calls:
            message.is_over = True

    def start(self, line: Line, number: int) -> dict[str, Any]:
        """Tell that the session, or the subagent, has begun; gives the payload, to be completed."""
        if self.whose is None:
            made = self.payload("SessionStart", line, source="startup")
            self.out.append(Told(made, "start", number))
            return made
        asked = {"tool_use_id": self.whose.call_id} if self.whose.call_id else {}
        key = f"agent:{self.whose.agent_id}"
        made = self.payload("SubagentStart", line, **asked)
        self.out.append(Told(made, key, number, self._origin(line, key)))
        return made

    def titled(self, title: str, number: int) -> Told:
        """Tell the session's title."""
        payload = {"session_id": self.session, "hook_event_name": "SessionTitle", "title": title}
        return Told(payload, f"title:{title}", number)

    def end(self) -> None:
        """Take the end of the lines: what is held is told, and the end of the turn if it had one."""
        if self._command:
            self._commanded(is_prompt=not self._command.in_window)
        self._end_turn("")

    def payload(self, kind: str, line: Line, /, **fields: Any) -> dict[str, Any]:
        """Give a payload as a hook would have had it at a line."""
        made = {"session_id": self.session, "hook_event_name": kind}
        if isinstance(line.timestamp, str):
            made["timestamp"] = line.timestamp
        if isinstance(line.cwd, str):
            made["cwd"] = line.cwd
        if isinstance(line.version, str):
            made["agent_version"] = line.version
        if self.whose:
            made["agent_id"] = self.whose.agent_id
            if self.whose.agent_type:
                made["agent_type"] = self.whose.agent_type
        made.update(fields)
        return made

    # --- what a person says ---

    def _said(self, line: Line, number: int, texts: list[str], *, with_results: bool) -> None:
        escaped = [text for text in texts if is_interruption(text)]
        if self._command and texts:
            self._commanded(
                is_prompt=not texts[0].startswith("<local-command-") and not self._command.in_window
            )
        if escaped:
            self._end_message()
            self._last = None
            self._tell("Interrupt", "interrupt", line, number)
        text = "\n".join(text for text in texts if not is_interruption(text))
        if not text:
            return
        if text.startswith("<local-command-"):
            self.out.append(Skipped("user: local command"))
        elif not self.whose and (typed := typed_command(text)):
            self._command = Command(line, number, *typed, in_window=text.startswith("<command-name>"))
        elif with_results:
            self._prompts.append(Prompt(line, number, text, source_of(line)))
            self._tell_prompts()
        else:
            self._end_turn(time_of(line))
            self._prompt(line, number, text, source=source_of(line))

    def _tell_prompts(self, *, at_once: bool = False) -> None:
        """Tell what was said while the agent worked, once no call is under way that it would cut off."""
        if self._prompts and (at_once or not self.open):
            prompts, self._prompts = self._prompts, []
            self._end_turn(time_of(prompts[0].line))
            for prompt in prompts:
                self._prompt(prompt.line, prompt.number, prompt.text, source=prompt.source)

    def _commanded(self, *, is_prompt: bool) -> None:
        command, self._command = self._command, None
        if command is None:
            return
        if not is_prompt:
            self.out.append(Skipped("user: local command"))
            return
        line, number = command.line, command.number
        self._end_turn(time_of(line))
        prompt = f"/{command.name} {command.given}".rstrip()
        self._tell(
            "UserPromptExpansion", "expansion", line, number,
            expansion_type="slash_command", command_name=command.name, command_args=command.given,
            prompt=prompt,
        )  # fmt: skip
        self._prompt(line, number, prompt, source=source_of(line))

    def _prompt(self, line: Line, number: int, text: str, *, source: str | None) -> None:
        fields: dict[str, Any] = {"prompt": text}
        if isinstance(line.prompt_id, str):
            fields["prompt_id"] = line.prompt_id
        if isinstance(line.permission_mode, str):
            self.mode = line.permission_mode
        if self.mode:
            fields["permission_mode"] = self.mode
        if source:
            fields["source"] = source
        if self._running:
            self._running = {agent for agent in self._running if agent not in text}
        self._tell("UserPromptSubmit", "prompt", line, number, **fields)

    # --- calls ---

    def _called(self, line: Line, number: int, block: dict[str, Any]) -> None:
        name, given, call_id = block.get("name"), block.get("input"), block.get("id")
        fields = {"tool_name": name, "tool_input": given}
        if not isinstance(call_id, str) or not call_id:
            self._tell("PreToolUse", "call", line, number, **fields)
            return
        if call_id in self._done or call_id in self.open:
            self.out.append(Skipped("assistant: call told before"))
            return
        self.open[call_id] = Call(name, given)
        key = f"call:{call_id}"
        payload = self.payload("PreToolUse", line, **fields, tool_use_id=call_id)
        self.out.append(Told(payload, key, number, self._origin(line, key)))
        if early := self._early.pop(call_id, None):
            self._answered(early.line, early.number, early.block, call_id, alone=early.alone)

    def _result(self, line: Line, number: int, block: dict[str, Any], *, alone: bool) -> None:
        call_id = block.get("tool_use_id")
        if not isinstance(call_id, str) or not call_id:
            self.out.append(Skipped("user: result of no call"))
        elif call_id in self._done or call_id in self._early:
            self.out.append(Skipped("user: result told before"))
        elif call_id in self.open:
            self._answered(line, number, block, call_id, alone=alone)
        else:
            self._early[call_id] = Early(line, number, block, alone)

    def _answered(self, line: Line, number: int, block: dict[str, Any], call_id: str, *, alone: bool) -> None:
        """Tell a result; of several in one line nobody says which the structured one is of."""
        call = self.open.pop(call_id, None)
        self._done.add(call_id)
        answer = line.tool_use_result if alone else None
        agent = answer.get("agentId") if isinstance(answer, dict) else None
        kind = call.input.get("subagent_type") if call and isinstance(call.input, dict) else None
        self.out.append(
            Due(call_id, agent if isinstance(agent, str) else "", kind if isinstance(kind, str) else "")
        )
        if isinstance(agent, str) and isinstance(answer, dict) and answer.get("status") == "async_launched":
            self._running.add(agent)
        fields: dict[str, Any] = {"tool_name": call.name, "tool_input": call.input} if call else {}
        moment, end = end_of(line, block, answer)
        key = f"end:{call_id}"
        payload = self.payload(moment, line, **fields, tool_use_id=call_id, **end)
        self.out.append(Told(payload, key, number, self._origin(line, key)))

    # --- ends ---

    def _end_message(self) -> None:
        """Tell the message that is under way; nothing of it is lost if it goes on."""
        message, self._message = self._message, None
        if message is None:
            return
        self._recent[message.id] = message
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        self._last = message
        fields = message.fields()
        if len(fields) == 1:  # its id alone: it did nothing but call tools, and nobody counted its tokens
            return
        digest = hashlib.blake2b(
            _encode([fields.get("usage"), fields.get("text")]), digest_size=8
        ).hexdigest()
        key = f"message:{message.id}:{digest}"
        payload = self.payload("AssistantMessage", message.line, **fields)
        self.out.append(
            Told(payload, key, message.number, self._origin(message.line, f"message:{message.id}"))
        )

    def _end_turn(self, until: str) -> None:
        """End what was asked before: `until` is the time of what comes next, empty when nothing does."""
        self._end_message()
        for prompt in self._prompts:
            self._prompt(prompt.line, prompt.number, prompt.text, source=prompt.source)
        self._prompts.clear()
        for call_id, early in self._early.items():
            self._answered(early.line, early.number, early.block, call_id, alone=early.alone)
        self._early.clear()
        if not self.whose:
            self.out.append(Due(until=until))
        last, self._last = self._last, None
        if last is None or not last.is_final:
            return
        fields: dict[str, Any] = {"last_assistant_message": last.text} if last.text else {}
        if self._running and not self.whose:
            fields["background_tasks"] = [
                {"id": agent, "type": "subagent", "status": "running"} for agent in sorted(self._running)
            ]
        kind, key = ("SubagentStop", "agent-stop") if self.whose else ("Stop", "stop")
        key = f"{key}:{last.id}"
        self.out.append(
            Told(self.payload(kind, last.line, **fields), key, last.number, self._origin(last.line, key))
        )

    # --- names ---

    def _tell(self, kind: str, what: str, line: Line, number: int, **fields: Any) -> None:
        """Tell a fact that is named by its line."""
        key = f"{what}:{self._name(line)}"
        origin = self._origin(line, key)
        self.out.append(Told(self.payload(kind, line, **fields), key, number, origin))

    def _name(self, line: Line) -> str:
        """Name a line: by its uuid or, without one, by what it says and how often it was said before."""
        if isinstance(line.uuid, str) and line.uuid:
            return line.uuid
        digest = hashlib.blake2b(_encode([line.type, line.timestamp, line.message]), digest_size=12).digest()
        number = self._numbers[digest] = self._numbers.get(digest, -1) + 1
        return f"{digest.hex()}.{number}"

    @staticmethod
    def _origin(line: Line, key: str) -> str:
        """Name a fact for every file that repeats it: by an id that the model's host made, or by the line.

        Other hosts count their calls (`call_1`), so that ids of theirs say nothing outside of a session.
        """
        if key.partition(":")[2].startswith(_HOSTS_OWN):
            return key
        return f"{key}@{line.uuid}" if isinstance(line.uuid, str) and line.uuid else ""
