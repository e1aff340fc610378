"""The scripted agent: its payloads have Claude Code's shapes, and its tools do what they say."""

from __future__ import annotations

import json
import os
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from karl.demo.agent import Actor, Errand, ScriptedAgent
from karl.demo.hooks import Hooks
from karl.demo.tools import ToolFailed

SESSION = "3f0c2a52-0000-4000-8000-000000000001"
EVENTS = (
    "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure", "SubagentStart",
    "SubagentStop", "Stop", "SessionEnd",
)  # fmt: skip
COMMON = {"session_id", "transcript_path", "cwd", "hook_event_name"}
CALL = {"tool_name", "tool_input", "tool_use_id"}
LATER = {"prompt_id", "permission_mode"}
LAST_WORD = {"stop_hook_active", "last_assistant_message", "background_tasks", "session_crons"}
#: What each event has beside the common fields, when the main agent fires it after a prompt.
FIELDS = {
    "SessionStart": {"source", "model"},
    "UserPromptSubmit": {"prompt", *LATER},
    "PreToolUse": CALL | LATER,
    "PostToolUse": CALL | LATER | {"tool_response", "duration_ms"},
    "PostToolUseFailure": CALL | LATER | {"error", "is_interrupt", "duration_ms"},
    "SubagentStart": LATER | {"agent_id", "agent_type"},
    "SubagentStop": LATER | LAST_WORD | {"agent_id", "agent_type", "agent_transcript_path"},
    "Stop": LATER | LAST_WORD,
    "SessionEnd": {"reason", "prompt_id"},
}


@pytest.fixture
def hooks(tmp_path: Path) -> Hooks:
    file = tmp_path / "settings.json"
    group = [{"hooks": [{"type": "command", "command": "cat >/dev/null"}]}]
    file.write_text(json.dumps({"hooks": dict.fromkeys(EVENTS, group)}))
    return Hooks(file, os.environ)


@pytest.fixture
def agent(hooks: Hooks, tmp_path: Path) -> ScriptedAgent:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "one.py").write_text("a = 1\nb = 2\n")
    return ScriptedAgent(hooks, folder, SESSION)


def look_around(child: Actor) -> str:
    child.call("Grep", pattern="a", output_mode="content")
    child.call("Grep", pattern="b")
    return "looked"


def whole_script(agent: ScriptedAgent) -> None:
    """Everything that the agent can do, once."""
    one = str(agent.workdir / "one.py")
    agent.start()
    agent.prompt("Do it all")
    agent.main.call("Read", file_path=one)
    agent.main.call("Edit", file_path=one, old_string="a = 1", new_string="a = 3")
    agent.main.call("Write", file_path=str(agent.workdir / "two.py"), content="c = 3\n")
    agent.main.call("Bash", command="echo out; echo err >&2")
    with pytest.raises(ToolFailed):
        agent.main.call("Bash", command="echo out; exit 2")
    searching = agent.main.launch(Errand("Look", "Look around", look_around))
    assert searching.result() == ("looked", 2)
    errand = Errand("Look", "Look around", look_around)
    assert agent.main.delegate(errand, errand) == ["looked", "looked"]
    agent.stop("Done")
    agent.end()


def sent_as(hooks: Hooks, event: str) -> list[dict[str, Any]]:
    return [sent for sent in hooks.sent if sent["hook_event_name"] == event]


def test_every_event_has_the_fields_of_claude_codes_reference(agent: ScriptedAgent, hooks: Hooks) -> None:
    whole_script(agent)
    assert {sent["hook_event_name"] for sent in hooks.sent} == set(EVENTS)
    for sent in hooks.sent:
        inside = {"agent_id", "agent_type"} if "agent_id" in sent else set()
        assert set(sent) == COMMON | FIELDS[sent["hook_event_name"]] | inside, sent["hook_event_name"]
        assert sent["session_id"] == SESSION
        assert sent["transcript_path"].endswith(f"/{SESSION}.jsonl")


def test_tool_inputs_and_responses_have_only_fields_that_real_ones_have(
    agent: ScriptedAgent, hooks: Hooks, real_data: Path
) -> None:
    whole_script(agent)
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    for payload in real_payloads(real_data):
        tool = str(payload.get("tool_name")).replace("Task", "Agent")
        for part in ("tool_input", "tool_response"):
            if isinstance(payload.get(part), dict):
                known[part, tool] |= set(payload[part])
    compared = 0
    for sent in sent_as(hooks, "PostToolUse"):
        # Async launches are newer than the recorded sessions.
        if sent["tool_response"].get("isAsync"):
            continue
        for part in ("tool_input", "tool_response"):
            assert set(sent[part]) <= known[part, sent["tool_name"]], (part, sent["tool_name"])
            compared += 1
    assert compared >= 10


def real_payloads(real_data: Path) -> list[dict[str, Any]]:
    found = []
    with tarfile.open(real_data / "fixtures.tar.xz") as tar:
        for member in tar:
            if "/hook-payloads/" not in f"/{member.name}" or not member.name.endswith(".jsonl"):
                continue
            file = tar.extractfile(member)
            assert file is not None
            for line in file:
                value = json.loads(line)
                value = value.get("payload", value) if isinstance(value, dict) else None
                if isinstance(value, dict):
                    found.append(value)
    return found


def test_a_call_fires_its_announcement_and_then_one_result_with_the_same_id(
    agent: ScriptedAgent, hooks: Hooks
) -> None:
    whole_script(agent)
    before = [sent["tool_use_id"] for sent in sent_as(hooks, "PreToolUse")]
    after = [sent["tool_use_id"] for sent in hooks.sent if sent["hook_event_name"].startswith("PostTool")]
    assert len(set(before)) == len(before)
    assert sorted(before) == sorted(after)
    assert all(call.startswith("toolu_01") and len(call) == 30 for call in before)


def test_a_call_that_is_cut_off_fires_nothing_after_its_announcement(
    agent: ScriptedAgent, hooks: Hooks
) -> None:
    agent.main.announce("Bash", command="exit 1")
    assert [sent["hook_event_name"] for sent in hooks.sent] == ["PreToolUse"]


def test_a_failed_command_says_its_exit_code_on_the_first_line(agent: ScriptedAgent, hooks: Hooks) -> None:
    with pytest.raises(ToolFailed):
        agent.main.call("Bash", command="echo out; echo err >&2; exit 3")
    (failure,) = sent_as(hooks, "PostToolUseFailure")
    assert failure["error"] == "Exit code 3\nout\nerr"
    assert not sent_as(hooks, "PostToolUse")


def test_a_command_that_takes_too_long_is_ended_with_its_children(agent: ScriptedAgent) -> None:
    with pytest.raises(ToolFailed, match="timed out"):
        agent.main.call("Bash", command="sleep 60 & sleep 60", timeout=100)


def test_a_subagents_events_carry_its_id_between_its_start_and_its_stop(
    agent: ScriptedAgent, hooks: Hooks
) -> None:
    agent.main.delegate(*(Errand("Look", "Look around", look_around) for _ in range(2)))
    results = {
        sent["tool_response"]["agentId"]: sent
        for sent in sent_as(hooks, "PostToolUse")
        if sent["tool_name"] == "Agent"
    }
    assert len(results) == 2
    for agent_id in results:
        kinds = [s["hook_event_name"] for s in hooks.sent if s.get("agent_id") == agent_id]
        assert kinds == ["SubagentStart", *["PreToolUse", "PostToolUse"] * 2, "SubagentStop"]


def test_the_same_script_gives_the_same_ids_again(hooks: Hooks, agent: ScriptedAgent) -> None:
    def ids(name: str) -> set[object]:
        return {sent.get(name) for sent in hooks.sent}

    whole_script(agent)
    names = ("tool_use_id", "prompt_id", "agent_id")
    first = [ids(name) for name in names]
    hooks.sent.clear()
    (agent.workdir / "one.py").write_text("a = 1\nb = 2\n")
    whole_script(ScriptedAgent(hooks, agent.workdir, SESSION))
    assert [ids(name) for name in names] == first


def test_an_edit_changes_the_file_and_tells_the_change(agent: ScriptedAgent) -> None:
    one = agent.workdir / "one.py"
    response = agent.main.call("Edit", file_path=str(one), old_string="b = 2", new_string="b = 4\nc = 5")
    assert one.read_text() == "a = 1\nb = 4\nc = 5\n"
    assert response["originalFile"] == "a = 1\nb = 2\n"
    assert response["structuredPatch"] == [
        {"oldStart": 1, "oldLines": 2, "newStart": 1, "newLines": 3,
         "lines": [" a = 1", "-b = 2", "+b = 4", "+c = 5"]}
    ]  # fmt: skip


@pytest.mark.parametrize("old", ["nowhere", " = "])
def test_an_edit_of_what_is_not_there_exactly_once_fails_and_changes_nothing(
    agent: ScriptedAgent, old: str
) -> None:
    one = agent.workdir / "one.py"
    with pytest.raises(ToolFailed):
        agent.main.call("Edit", file_path=str(one), old_string=old, new_string="x")
    assert one.read_text() == "a = 1\nb = 2\n"


def test_reading_a_file_that_is_not_there_fails(agent: ScriptedAgent) -> None:
    with pytest.raises(ToolFailed, match="does not exist"):
        agent.main.call("Read", file_path=str(agent.workdir / "none.py"))


def test_what_goes_wrong_in_a_subagent_reaches_who_waits_for_it(agent: ScriptedAgent) -> None:
    def fail(child: Actor) -> str:
        child.call("Read", file_path=str(child.workdir / "none.py"))
        return "never"

    with pytest.raises(ToolFailed):
        agent.main.delegate(Errand("Fail", "Fail", fail))
