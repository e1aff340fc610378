"""Copilot CLI's event logs as told facts."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from producers.transcripts.copilot import Copilot
from producers.transcripts.told import Skipped
from tests.transcripts.folding import told_in, trajectories

SESSION = "11111111-2222-4333-8444-555555555555"


class Log:
    """One session's events; a second passes with each."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._numbers = count()

    def say(self, kind: str, /, **data: Any) -> None:
        number = next(self._numbers)
        time = f"2026-05-01T10:00:{number:02}.000Z"
        self.lines.append(
            {"type": kind, "data": data, "id": f"e{number}", "timestamp": time, "parentId": None}
        )

    def start(self) -> None:
        context = {"cwd": "/w/shop"}
        self.say(
            "session.start", sessionId=SESSION, copilotVersion="1.0.64", context=context, selectedModel="m1"
        )

    def prompt(self, text: str = "Make it work", **data: Any) -> None:
        self.say("user.message", content=text, interactionId="i1", **data)

    def answers(self, text: str = "", *calls: str, tokens: int = 0, **data: Any) -> None:
        asked = [{"toolCallId": call, "name": "bash", "arguments": {"command": "ls"}} for call in calls]
        fields = {"messageId": f"m{len(self.lines)}", "content": text, "toolRequests": asked, **data}
        self.say("assistant.message", **fields, **({"outputTokens": tokens} if tokens else {}))

    def ends(self, call: str, content: str = "ok", **data: Any) -> None:
        said = {"success": True, "result": {"content": content}, **data}
        self.say("tool.execution_complete", toolCallId=call, **said)

    def write(self, folder: Path) -> Path:
        path = folder / SESSION / "events.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        return path


@pytest.fixture
def log() -> Log:
    made = Log()
    made.start()
    return made


def facts(log: Log, tmp_path: Path) -> list[dict[str, Any]]:
    return [told.payload for told in told_in(Copilot(), log.write(tmp_path))]


def kinds(log: Log, tmp_path: Path) -> list[str]:
    return [fact["hook_event_name"] for fact in facts(log, tmp_path)]


def test_a_turn_is_told_as_hooks_would_have(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.answers("", "c1", tokens=7, reasoningText="Look first.", model="m2")
    log.say("tool.execution_start", toolCallId="c1", toolName="bash", arguments={"command": "ls"})
    log.ends("c1", "a\n<shellId: 0 completed with exit code 2>")
    log.answers("Done.", tokens=5)
    log.prompt("Next")
    told = facts(log, tmp_path)
    assert [fact["hook_event_name"] for fact in told] == [
        "SessionStart", "UserPromptSubmit", "AssistantMessage", "PreToolUse", "PostToolUse",
        "AssistantMessage", "Stop", "UserPromptSubmit",
    ]  # fmt: skip
    assert all(fact["session_id"] == SESSION and fact["cwd"] == "/w/shop" for fact in told)
    assert (told[1]["prompt"], told[1]["prompt_id"], told[1]["model"]) == ("Make it work", "i1", "m1")
    assert (told[2]["thinking"], told[2]["model"], told[2]["usage"]["output_tokens"]) == (
        "Look first.",
        "m2",
        7,
    )
    assert told[4]["tool_response"]["exit_code"] == 2
    assert told[4]["tool_input"] == {"command": "ls"}
    assert (told[6]["last_assistant_message"], told[6]["timestamp"][17:19]) == ("Done.", "05")


def test_a_command_with_an_exit_code_is_failed_though_the_tool_succeeded(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.answers("", "c1", "c2", "c3")
    log.ends("c1", "no\n<shellId: 0 completed with exit code 1>")
    log.ends(
        "c2",
        "<shellId: 0 completed with exit code 1> stands in the middle\n<shellId: 1 completed with exit code 0>",
    )
    log.say(
        "tool.execution_complete",
        toolCallId="c3",
        success=False,
        error={"message": "gone", "code": "failure"},
    )
    (turn,) = trajectories(Copilot(), [log.write(tmp_path)])
    assert [call.success for call in turn.trajectory.events] == [False, True, False]
    assert [call.exit_code for call in turn.trajectory.events] == [1, 0, None]
    assert turn.trajectory.events[2].error == "gone"


def test_a_refused_call_is_denied_whoever_says_so(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.answers("", "c1", "c2")
    log.say("permission.completed", toolCallId="c1", result={"kind": "denied-interactively-by-user"})
    log.say(
        "tool.execution_complete", toolCallId="c2", success=False, error={"message": "no", "code": "rejected"}
    )
    (turn,) = trajectories(Copilot(), [log.write(tmp_path)])
    assert [call.status for call in turn.trajectory.events] == ["denied", "denied"]


def test_the_closing_count_adds_what_responses_did_not_tell(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.answers("Done.", tokens=30)
    usage = {"inputTokens": 500, "outputTokens": 42, "cacheReadTokens": 300, "cacheWriteTokens": 0}
    log.say("session.shutdown", sessionStartTime=1, modelMetrics={"m1": {"usage": usage}})
    log.say(
        "session.shutdown", sessionStartTime=1, modelMetrics={"m1": {"usage": {**usage, "inputTokens": 600}}}
    )
    (turn,) = trajectories(Copilot(), [log.write(tmp_path)])
    assert turn.outcome.completed is True
    assert (turn.usage.input, turn.usage.cache_read, turn.usage.output) == (300, 300, 42)


def test_an_aborted_turn_does_not_stop(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.answers("I begin.")
    log.say("abort", reason="user_initiated")
    log.prompt("Next")
    assert kinds(log, tmp_path)[2:] == ["AssistantMessage", "Interrupt", "UserPromptSubmit"]


def test_a_report_of_background_work_goes_on_with_its_turn(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.answers("", "c1")
    log.ends("c1")
    log.say(
        "system.notification", content="<system_notification>\nit is done", kind={"type": "shell_completed"}
    )
    log.answers("Done.")
    (turn,) = trajectories(Copilot(), [log.write(tmp_path)])
    assert turn.context.prompt_text == "Make it work"


def test_what_a_subagent_does_stands_under_the_call_that_started_it(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.say(
        "assistant.message",
        messageId="m",
        content="",
        toolRequests=[{"toolCallId": "t1", "name": "task", "arguments": {}}],
    )
    log.say("subagent.started", toolCallId="t1", agentName="explore")
    log.answers("", "c1", parentToolCallId="t1")
    log.ends("c1", parentToolCallId="t1")
    log.say("subagent.completed", toolCallId="t1", agentName="explore")
    log.ends("t1")
    log.answers("Done.")
    (turn,) = trajectories(Copilot(), [log.write(tmp_path)])
    outer, inner = turn.trajectory.events
    assert (outer.tool_name, inner.agent_id, inner.agent_type) == ("Task", "t1", "explore")
    assert inner.parent_call == outer.call_id
    assert turn.outcome.completed is True


def test_an_event_written_twice_counts_once_and_unknown_ones_are_counted(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.lines.append(log.lines[-1])
    log.say("hook.start")
    log.say("brand.new")
    items = [item.what for item in Copilot().read(log.write(tmp_path)) if isinstance(item, Skipped)]
    assert items == ["user.message: told before", "hook.start", "brand.new"]
    assert kinds(log, tmp_path).count("UserPromptSubmit") == 1


def test_a_later_state_of_a_log_gives_the_same_keys_and_more(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.answers("", "c1")
    before = {told.key for told in told_in(Copilot(), log.write(tmp_path))}
    log.ends("c1")
    log.answers("Done.")
    after = [told.key for told in told_in(Copilot(), log.write(tmp_path))]
    assert before < set(after)
    assert len(after) == len(set(after))


def test_logs_are_found_among_what_lies_beside_them(log: Log, tmp_path: Path) -> None:
    path = log.write(tmp_path)
    (path.parent / "workspace.yaml").write_text("id: 1\n")
    (path.parent / "files.jsonl").write_text('{"some":"thing"}\n')
    assert Copilot().find(tmp_path) == [path]


def test_odd_events_stop_nothing(log: Log, tmp_path: Path) -> None:
    for kind in ("user.message", "assistant.message", "tool.execution_complete", "session.shutdown", "session.error",
                 "subagent.started", "permission.completed", "session.resume", "session.compaction_complete"):  # fmt: skip
        log.say(kind)
        log.say(
            kind, toolRequests=[1, {}], result=[], modelMetrics={"m": 3}, content=5, toolCallId=7, context=[]
        )
        log.say(kind, toolCallId={}, messageId=[], model={}, parentToolCallId=3, interactionId={})
    log.say("tool.execution_start", toolCallId={})
    log.lines += [{"type": "user.message", "data": {"content": "a"}}] * 2 + [{"type": 7, "data": "x"}, {}]
    told = told_in(Copilot(), log.write(tmp_path))
    assert len({one.key for one in told}) == len(told)
