"""A scripted coding agent: it behaves towards its hooks as Claude Code does, and follows a script.

    agent = ScriptedAgent(Hooks(settings, os.environ), workdir, session)
    agent.start()
    agent.prompt("Fix the test")
    agent.main.call("Bash", command="python -m pytest")
    agent.stop("Done.")
    agent.end()

Field names and shapes are those of Claude Code's hooks reference. The tools are real.

Invariants:
- Every id follows from the session's: the same script gives the same ids.
- A call fires PreToolUse before it works, and then PostToolUse or PostToolUseFailure, never both.
- Subagents work in threads of their own; their events may interleave, each one's own are in order.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karl.demo.hooks import Hooks
from karl.demo.tools import TOOLS, ToolFailed

MODEL = "scripted-1"
#: Subagents of one session at work at once; more have to wait.
SUBAGENTS_MAX = 8
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

#: What of a call's input says best what it does, best first.
_TELLING = ("command", "file_path", "pattern", "description")

#: Is told what is done now: the tool, and what it works on.
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Errand:
    """What a subagent is sent out for; `work` does it and gives the report."""

    description: str
    prompt: str
    work: Callable[[Actor], str]
    kind: str = "Explore"

    @property
    def input(self) -> dict[str, Any]:
        """Give the input of the Agent call that sends it out."""
        return {"description": self.description, "prompt": self.prompt, "subagent_type": self.kind}


class ScriptedAgent:
    """One session of an agent in `workdir`; `main` is the agent itself, whose calls need no subagent."""

    def __init__(
        self,
        hooks: Hooks,
        workdir: Path,
        session: str,
        *,
        on_step: Step = lambda _text: None,
        permission_mode: str = "acceptEdits",
    ) -> None:
        self.session = session
        self.workdir = workdir
        self.on_step = on_step
        self.main = Actor(self)
        self.pool = ThreadPoolExecutor(SUBAGENTS_MAX)  # a thread starts when a subagent does
        self._hooks = hooks
        self._mode = permission_mode
        self._prompts = 0
        self._prompt_id: str | None = None
        slug = "".join(c if c.isalnum() else "-" for c in str(workdir))
        self._transcripts = workdir.parent / ".claude" / "projects" / slug

    def start(self, source: str = "startup") -> None:
        """Begin the session."""
        self.fire("SessionStart", mode=False, source=source, model=MODEL)

    def prompt(self, text: str) -> None:
        """Take what the user types."""
        self._prompts += 1
        self._prompt_id = str(uuid.UUID(bytes=_digest(self.session, "prompt", self._prompts)[:16], version=4))
        self.on_step(f"the user says: {text}")
        self.fire("UserPromptSubmit", prompt=text)

    def stop(self, message: str) -> None:
        """End the turn with a last word to the user."""
        self.fire(
            "Stop",
            stop_hook_active=False,
            last_assistant_message=message,
            background_tasks=[],
            session_crons=[],
        )

    def end(self, reason: str = "prompt_input_exit") -> None:
        """End the session."""
        self.pool.shutdown()
        self._hooks.settle()
        self.fire("SessionEnd", mode=False, reason=reason)

    def fire(self, event: str, *, mode: bool = True, **fields: Any) -> None:
        """Send an event with the fields that all have; `mode`: whether this one has a permission mode."""
        common: dict[str, Any] = {
            "session_id": self.session,
            "transcript_path": str(self._transcripts / f"{self.session}.jsonl"),
            "cwd": str(self.workdir),
        }
        if self._prompt_id is not None:
            common["prompt_id"] = self._prompt_id
        if mode:
            common["permission_mode"] = self._mode
        self._hooks.fire({**common, "hook_event_name": event, **fields})

    def subagent_transcript(self, agent_id: str) -> str:
        """Say where the transcript of a subagent would lie."""
        return str(self._transcripts / self.session / "subagents" / f"agent-{agent_id}.jsonl")


class Actor:
    """Whoever calls tools: a session's agent, or one of its subagents."""

    def __init__(self, agent: ScriptedAgent, agent_id: str | None = None, kind: str = "") -> None:
        self.calls = 0
        self._agent = agent
        self._agents = 0
        self._name = f"{agent.session} {agent_id or ''}"
        self._identity: dict[str, Any] = {"agent_id": agent_id, "agent_type": kind} if agent_id else {}

    @property
    def workdir(self) -> Path:
        """Give the folder that the agent works in."""
        return self._agent.workdir

    def call(self, tool: str, **given: Any) -> dict[str, Any]:
        """Call a tool; gives its response, or raises ToolFailed when it failed."""
        call_id = self.announce(tool, **given)
        start = time.perf_counter()
        try:
            response = TOOLS[tool](self._agent.workdir, given)
        except ToolFailed as failure:
            took = _ms_since(start)
            self._result(
                "PostToolUseFailure",
                tool,
                given,
                call_id,
                error=str(failure),
                is_interrupt=False,
                duration_ms=took,
            )
            raise
        self._result(
            "PostToolUse", tool, given, call_id, tool_response=response, duration_ms=_ms_since(start)
        )
        return response

    def announce(self, tool: str, **given: Any) -> str:
        """Fire a call's PreToolUse alone, as for a call that the user cuts off; gives the call's id."""
        self.calls += 1
        letters = (_ALPHABET[byte % 62] for byte in _digest(self._name, "call", self.calls)[:22])
        call_id = "toolu_01" + "".join(letters)
        about = next((given[name] for name in _TELLING if name in given), "")
        self._agent.on_step(f"{self._identity.get('agent_type', '')} {tool}  {about}".strip())
        self._fire("PreToolUse", tool_name=tool, tool_input=given, tool_use_id=call_id)
        return call_id

    def delegate(self, *errands: Errand) -> list[str]:
        """Send out subagents at once and wait for all; gives their reports."""
        running = []
        for errand in errands:
            call_id = self.announce("Agent", **errand.input)
            running.append(self._agent.pool.submit(self._accompany, errand, call_id, self._new_agent_id()))
        return [one.result() for one in running]

    def launch(self, errand: Errand) -> Future[tuple[str, int]]:
        """Send out a subagent and go on: the call's result says only that it was launched.

        The Future's result is the subagent's report and how many calls it made.
        """
        call_id = self.announce("Agent", **errand.input)
        agent_id = self._new_agent_id()
        running = self._agent.pool.submit(self._send_out, errand, agent_id)
        response = {
            "isAsync": True,
            "status": "async_launched",
            "agentId": agent_id,
            "description": errand.description,
            "prompt": errand.prompt,
        }
        self._result("PostToolUse", "Agent", errand.input, call_id, tool_response=response, duration_ms=1)
        return running

    def _new_agent_id(self) -> str:
        self._agents += 1
        return "a" + _digest(self._name, "agent", self._agents).hex()[:16]

    def _accompany(self, errand: Errand, call_id: str, agent_id: str) -> str:
        """Let a subagent work within its Agent call."""
        start = time.perf_counter()
        report, calls = self._send_out(errand, agent_id)
        took = _ms_since(start)
        response = {
            "status": "completed",
            "prompt": errand.prompt,
            "agentId": agent_id,
            "content": [{"type": "text", "text": report}],
            "totalDurationMs": took,
            "totalToolUseCount": calls,
        }
        self._result("PostToolUse", "Agent", errand.input, call_id, tool_response=response, duration_ms=took)
        return report

    def _send_out(self, errand: Errand, agent_id: str) -> tuple[str, int]:
        """Run a subagent from its start to its stop; gives its report and how many calls it made."""
        child = Actor(self._agent, agent_id, errand.kind)
        child._fire("SubagentStart")
        report = errand.work(child)
        child._fire(
            "SubagentStop",
            stop_hook_active=False,
            agent_transcript_path=self._agent.subagent_transcript(agent_id),
            last_assistant_message=report,
            background_tasks=[],
            session_crons=[],
        )
        return report, child.calls

    def _result(self, event: str, tool: str, given: dict[str, Any], call_id: str, **fields: Any) -> None:
        self._fire(event, tool_name=tool, tool_input=given, tool_use_id=call_id, **fields)

    def _fire(self, event: str, **fields: Any) -> None:
        self._agent.fire(event, **self._identity, **fields)


def _digest(*parts: object) -> bytes:
    return hashlib.sha256(" ".join(map(str, parts)).encode()).digest()


def _ms_since(start: float) -> int:
    return round((time.perf_counter() - start) * 1000)
