"""The normaliser: how calls are paired, judged, timed and put under their agents."""

from __future__ import annotations

import json
import tarfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.schema.event import Event, encode_event, event_id
from karl.schema.trajectory import ToolCall, Trajectory
from karl.session import verdicts
from karl.session.emissions import Carry, Duplicate, Held, Limits, Remark, Turn
from karl.session.fold import OpenSession
from karl.session.turn import normalize_turn
from tests.session.making import START_MS, Script, held
from tests.session.real_prompts import objects


def judged(response: Any, tool: str = "Bash", agent: str = "claude-code", **fields: Any) -> ToolCall:
    """What is said of one call whose PostToolUse has this response."""
    s = Script()
    s.post("a", tool, response, agent=agent, **fields)
    (call,) = s.read().trajectory.events
    return call


def failed(error: Any, tool: str = "Bash", **fields: Any) -> ToolCall:
    s = Script()
    s.fail("a", tool, error=error, **fields)
    (call,) = s.read().trajectory.events
    return call


# --- pairing ---


def test_announcement_and_result_are_one_call_by_their_id() -> None:
    s = Script()
    s.prompt("list the files")
    s.pre("a", "Bash", {"command": "ls"})
    s.pre("b", "Read", {"file_path": "/w/shop/a.py"})
    s.post("b", "Read", {"type": "text"})
    s.post("a")
    s.stop()
    calls = s.read().trajectory
    assert [call.call_id for call in calls.events] == ["a", "b"]
    assert calls.tool_sequence == ["Bash", "Read"]
    assert (calls.total_tools, calls.successes, calls.failures) == (2, 2, 0)
    assert calls.events[1].key_params == {"file_path": "/w/shop/a.py"}


def test_a_result_that_was_logged_before_its_announcement_pairs_too() -> None:
    s = Script()
    s.post("a")
    s.pre("a")
    (call,) = s.read().trajectory.events
    assert (call.status, call.success) == ("completed", True)


def test_without_ids_equal_inputs_pair_in_order() -> None:
    s = Script()
    for command in ("make", "make", "ls"):
        s.pre(None, "Bash", {"command": command})
    s.post(None, "Bash", {"stdout": ""}, {"command": "make"})
    s.fail(None, "Bash", {"command": "make"}, error="Exit code 2")
    s.post(None, "Bash", {"stdout": ""}, {"command": "ls"})
    calls = s.read().trajectory.events
    assert [call.success for call in calls] == [True, False, True]


def test_without_ids_and_grouped_by_kind_every_call_is_counted_once() -> None:
    s = Script()
    inputs = [{"command": "make"}, {"command": "ls"}, {"command": "make"}]
    for given_ in inputs:
        s.post(None, "Bash", {"stdout": ""}, given_)
    for given_ in inputs:
        s.pre(None, "Bash", given_)
    assert s.read().trajectory.total_tools == 3


def test_an_id_on_one_side_only_still_pairs() -> None:
    s = Script()
    s.pre(None, "Bash", {"command": "make"})
    s.post("a", "Bash", None, {"command": "make"})
    s.pre("b", "Bash", {"command": "ls"})
    s.post(None, "Bash", None, {"command": "ls"})
    calls = s.read().trajectory.events
    assert [(call.call_id, call.success) for call in calls] == [("a", True), ("b", True)]


def test_equal_calls_of_two_agents_do_not_mix() -> None:
    s = Script()
    s.pre(None, "Bash", {"command": "make"}, agent_id="g1")
    s.pre(None, "Bash", {"command": "make"}, agent_id="g2")
    s.fail(None, "Bash", {"command": "make"}, agent_id="g2", error="Exit code 1")
    calls = s.read().trajectory.events
    assert [(call.agent_id, call.success) for call in calls] == [("g1", None), ("g2", False)]


def test_a_permission_request_belongs_to_the_call_that_asks() -> None:
    s = Script()
    s.pre("a", "Bash", {"command": "rm x"})
    s.say("PermissionRequest", tool_name="Bash", tool_input={"command": "rm x"})
    s.post("a", "Bash", None, {"command": "rm x"})
    s.say("PermissionRequest", tool_name="Write", tool_input={"file_path": "/x"})
    s.post("b", "Write", {"type": "create"}, {"file_path": "/x"})
    calls = s.read().trajectory.events
    assert [(call.call_id, call.status) for call in calls] == [("a", "completed"), ("b", "completed")]


def test_a_second_result_for_a_call_adds_nothing() -> None:
    s = Script()
    s.pre("a")
    s.fail("a", error="Exit code 3")
    s.post("a")
    calls = s.read().trajectory
    assert (calls.total_tools, calls.failures, calls.events[0].exit_code) == (1, 1, 3)


# --- how a call ended ---


def test_a_shell_call_that_succeeds_has_exit_code_zero() -> None:
    call = judged({"stdout": "x", "stderr": "", "interrupted": False})
    assert (call.success, call.exit_code, call.status) == (True, 0, "completed")


def test_an_exit_code_that_the_tool_takes_for_no_error_is_not_called_zero() -> None:
    call = judged({"stdout": "", "returnCodeInterpretation": "No matches found"})
    assert (call.success, call.exit_code) == (True, None)


def test_only_shells_have_exit_codes() -> None:
    assert judged({"type": "text"}, "Read").exit_code is None


@pytest.mark.parametrize(
    ("tool", "response", "status", "success"),
    [
        ("Bash", {"stdout": "", "backgroundTaskId": "b1"}, "background", None),
        ("Bash", {"backgroundTaskId": "b1", "timedOutAfterMs": 120000}, "background", None),
        ("Bash", {"stdout": "", "interrupted": True}, "interrupted", None),
        ("Task", {"status": "async_launched", "agentId": "g1"}, "launched", None),
        ("Task", {"status": "completed", "content": []}, "completed", True),
        ("WebFetch", {"code": 404, "codeText": "Not Found"}, "failed", False),
        ("WebFetch", {"code": 200, "result": "x"}, "completed", True),
        ("TaskUpdate", {"success": False}, "failed", False),
        ("NotebookEdit", {"error": "no such cell"}, "failed", False),
        ("mcp__db__query", {"isError": True, "content": []}, "failed", False),
        ("mcp__db__query", [{"type": "text", "text": "ok"}], "completed", True),
        ("mcp__db__query", [{"type": "text", "is_error": True}], "failed", False),
        ("mcp__db__query", '{"result": "ok"}', "completed", True),
        ("mcp__db__query", "Error: no such table", "failed", False),
        ("BashOutput", {"status": "failed", "exitCode": 1}, "completed", True),
        ("Grep", None, "completed", True),
        ("Grep", 7, "completed", True),
    ],
)
def test_a_result_may_be_softer_than_success(
    tool: str, response: Any, status: str, success: bool | None
) -> None:
    s = Script()
    s.say("PostToolUse", tool_name=tool, tool_input={}, tool_response=response, tool_use_id="a")
    (call,) = s.read().trajectory.events
    assert (call.status, call.success) == (status, success)


@pytest.mark.parametrize(
    ("response", "code", "success"),
    [
        ('{"output":"x","metadata":{"exit_code":0,"duration_seconds":0.5}}', 0, True),
        ({"output": "x", "metadata": {"exit_code": 2}}, 2, False),
        ("Exit code: 1\nWall time: 0.2 seconds\nOutput:\nno", 1, False),
        ("Chunk ID: ab\nWall time: 0.5 seconds\nProcess exited with code 0\nOutput:\nExit code: 9", 0, True),
        ("failed in sandbox: killed", None, False),
        ("some output", None, None),
    ],
)
def test_an_agent_without_a_failure_event_is_judged_by_its_response(
    response: Any, code: int | None, success: bool | None
) -> None:
    call = judged(response, "shell", agent="codex")
    assert (call.tool_name, call.original_name) == ("Bash", "shell")
    assert (call.exit_code, call.success) == (code, success)


def test_a_failure_gives_its_exit_code_from_the_first_line_only() -> None:
    assert failed("Exit code 2\nmake: no rule").exit_code == 2
    assert failed("make failed\nExit code 2").exit_code is None
    assert failed("Exit code 2\nmake: no rule").error == "Exit code 2\nmake: no rule"


@pytest.mark.parametrize(
    ("error", "fields", "status"),
    [
        ("Exit code 1", {}, "failed"),
        ("Exit code 130", {"is_interrupt": True}, "interrupted"),
        ("[Request interrupted by user for tool use]", {}, "interrupted"),
        ("The user doesn't want to proceed with this tool use. The tool use was rejected", {}, "denied"),
        ({"message": "no"}, {}, "failed"),
        (None, {}, "failed"),
        (7, {"is_interrupt": "no"}, "failed"),
    ],
)
def test_a_failure_is_told_from_an_interruption_and_a_refusal(error: Any, fields: Any, status: str) -> None:
    call = failed(error, **fields)
    assert (call.status, call.success) == (status, False)


def test_a_denied_permission_is_a_failed_call_with_its_reason() -> None:
    s = Script()
    s.pre("a")
    s.say("PermissionDenied", tool_name="Bash", tool_input={}, tool_use_id="a", reason="not allowed here")
    (call,) = s.read().trajectory.events
    assert (call.status, call.success, call.error) == ("denied", False, "not allowed here")


def test_a_long_error_keeps_head_and_tail() -> None:
    error = failed("Exit code 1\n" + "x" * 5000 + " the end").error or ""
    assert len(error) <= 500
    assert error.startswith("Exit code 1")
    assert error.endswith("the end")


@pytest.mark.parametrize(("by", "status"), [("stop", "interrupted_or_denied"), ("idle", "interrupted"), ("size", "interrupted")])  # fmt: skip
def test_a_call_without_a_result_was_cut_off_or_never_ran(by: Any, status: str) -> None:
    s = Script()
    s.pre("a")
    s.post("a")
    s.pre("b")
    s.out += s.session.close(by)
    call = s.read().trajectory.events[1]
    assert (call.status, call.success) == (status, None)


def test_where_no_call_has_a_result_nothing_is_claimed_of_them() -> None:
    s = Script()
    for name in "abc":
        s.pre(name)
    s.stop()
    assert {call.status for call in s.read().trajectory.events} == {"unknown"}


def test_shell_errors_are_counted_by_failure_and_by_code() -> None:
    s = Script()
    s.fail("a", error="Exit code 1")
    s.fail("b", error="command timed out")
    s.fail("c", "Read", error="no such file")
    s.post("d", "Bash", {"stdout": "", "returnCodeInterpretation": "No matches found"})
    s.post("e")
    calls = s.read().trajectory
    assert (calls.bash_errors, calls.failures, calls.successes) == (2, 3, 2)


# --- durations ---


def test_the_agents_own_duration_comes_first_then_the_responses_then_the_difference() -> None:
    s = Script()
    s.pre("a")
    s.post("a", "WebFetch", {"durationMs": 7}, duration_ms=5)
    s.pre("b")
    s.post("b", "WebFetch", {"durationMs": 7})
    s.pre("c")
    s.post("c")
    s.post("d")
    s.pre("e", time_ms=-1)
    s.post("e")
    assert [call.duration_ms for call in s.read().trajectory.events] == [5, 7, 1000, None, None]


@pytest.mark.parametrize("odd", [-5, True, "12", None, 10**30, 1e308])
def test_a_duration_that_is_none_falls_back(odd: Any) -> None:
    s = Script()
    s.pre("a")
    s.post("a", duration_ms=odd)
    assert s.read().trajectory.events[0].duration_ms == 1000


def test_seconds_in_a_response_become_milliseconds() -> None:
    assert judged({"durationSeconds": 1.5}, "WebSearch").duration_ms == 1500
    assert judged({"totalDurationMs": 90}, "Agent").duration_ms == 90
    assert judged({"durationSeconds": 1e308}, "WebSearch").duration_ms is None
    assert judged({"metadata": {"duration_seconds": 10**400}}, "WebSearch").duration_ms is None


# --- subagents ---


def test_a_subagents_calls_stand_under_the_call_that_names_it() -> None:
    s = Script()
    s.pre("t", "Task", {"subagent_type": "explorer", "prompt": "look"})
    s.say("SubagentStart", agent_id="g1", agent_type="explorer")
    s.pre("x", "Read", agent_id="g1")
    s.post("x", "Read", agent_id="g1")
    s.say("SubagentStop", agent_id="g1", agent_type="explorer")
    s.post("t", "Task", {"status": "completed", "agentId": "g1"})
    task, read = s.read().trajectory.events
    assert (task.agent_id, task.parent_call) == (None, None)
    assert (read.agent_id, read.agent_type, read.parent_call) == ("g1", "explorer", "t")


def test_parallel_subagents_are_told_apart_by_their_ids_whatever_their_order() -> None:
    s = Script()
    s.pre("t1", "Task", {"subagent_type": "explorer"})
    s.pre("t2", "Task", {"subagent_type": "explorer"})
    s.pre("x", "Read", agent_id="g2", agent_type="explorer")
    s.pre("y", "Read", agent_id="g1", agent_type="explorer")
    s.post("t1", "Task", {"agentId": "g1"})
    s.post("t2", "Task", {"agentId": "g2"})
    calls = {call.call_id: call.parent_call for call in s.read().trajectory.events}
    assert calls == {"t1": None, "t2": None, "x": "t2", "y": "t1"}


def test_without_ids_in_the_results_subagents_are_linked_by_type_and_order() -> None:
    s = Script()
    s.pre("t1", "Task", {"subagent_type": "reviewer"})
    s.pre("t2", "Task", {"subagent_type": "explorer"})
    s.pre("t3", "Task", {"subagent_type": "explorer"})
    s.say("SubagentStart", agent_id="g1", agent_type="explorer")
    s.say("SubagentStart", agent_id="g2", agent_type="explorer")
    s.say("SubagentStart", agent_id="g3", agent_type="reviewer")
    for agent in ("g3", "g2", "g1"):
        s.pre(f"of-{agent}", "Read", agent_id=agent)
    calls = {call.call_id: call.parent_call for call in s.read().trajectory.events}
    assert (calls["of-g1"], calls["of-g2"], calls["of-g3"]) == ("t2", "t3", "t1")


def test_an_internal_agent_without_a_type_takes_nobodys_place() -> None:
    s = Script()
    s.pre("t", "Task", {"subagent_type": "explorer"})
    s.say("SubagentStop", agent_id="internal", agent_type="")
    s.pre("x", "Read", agent_id="g1", agent_type="explorer")
    calls = {call.call_id: call.parent_call for call in s.read().trajectory.events}
    assert calls["x"] == "t"


def test_a_subagent_of_a_subagent_stands_under_the_inner_call() -> None:
    s = Script()
    s.pre("t", "Task", {"subagent_type": "lead"})
    s.pre("u", "Task", {"subagent_type": "explorer"}, agent_id="g1", agent_type="lead")
    s.pre("x", "Read", agent_id="g2", agent_type="explorer")
    s.post("u", "Task", {"agentId": "g2"}, agent_id="g1")
    s.post("t", "Task", {"agentId": "g1"})
    calls = {call.call_id: call.parent_call for call in s.read().trajectory.events}
    assert calls == {"t": None, "u": "t", "x": "u"}


def test_a_launched_agent_ends_with_its_subagent_stop() -> None:
    s = Script()
    s.pre("t", "Agent", {"subagent_type": "explorer"})
    s.post("t", "Agent", {"status": "async_launched", "agentId": "g1"}, duration_ms=3)
    s.say("SubagentStart", agent_id="g1", agent_type="explorer")
    s.pre("x", "Read", agent_id="g1")
    s.post("x", "Read", agent_id="g1")
    s.say("SubagentStop", agent_id="g1", agent_type="explorer")
    launch, read = s.read().trajectory.events
    assert (launch.status, launch.success, launch.duration_ms) == ("completed", True, 3000)
    assert read.parent_call == "t"


# --- the whole turn ---


def test_the_context_says_where_and_for_what_the_turn_ran() -> None:
    s = Script(Carry(model="m-0"))
    s.say("SessionStart", source="startup", model="m-1", project="shop")
    s.prompt("fix the parser", prompt_id="p1", permission_mode="plan", project="shop")
    s.pre("a", project="shop")
    s.post("a", project="shop")
    s.stop(last_assistant_message="Done.", project="shop")
    read = s.read()
    context = read.context
    assert (context.prompt_text, context.prompt_id, context.human_prompt) == ("fix the parser", "p1", True)
    assert (context.cwd, context.git_repo, context.model) == ("/w/shop", "shop", "m-1")
    assert context.permission_mode == "plan"
    assert (read.source, read.channel, read.domain) == ("claude-code", "live", "shop")
    assert (read.session_id, read.id) == ("s1", s.turns[0].id)
    assert read.trajectory.response == "Done."
    assert read.recorded_at == "2025-10-09T08:53:24.000Z"


def test_the_model_of_an_earlier_turn_holds_on() -> None:
    s = Script(Carry(model="m-0", permission_mode="auto"))
    s.prompt()
    s.stop()
    assert (s.read().context.model, s.read().context.permission_mode) == ("m-0", "auto")


def test_imported_events_say_so_and_a_turn_without_project_has_no_domain() -> None:
    s = Script()
    s.prompt(channel="import")
    s.stop(channel="import")
    assert (s.read().channel, s.read().domain) == ("import", "unknown")


def test_a_machines_prompt_is_kept_as_such() -> None:
    s = Script()
    s.prompt("<scheduled-task>check</scheduled-task>")
    s.stop()
    assert s.read().context.human_prompt is False


def test_a_report_inside_a_turn_is_not_what_the_turn_was_asked() -> None:
    s = Script()
    s.pre("a")
    s.post("a")
    s.prompt("<task-notification>done</task-notification>")
    s.stop()
    assert s.read().context.prompt_text is None
    assert s.read().context.human_prompt is None


@pytest.mark.parametrize(
    ("lines", "skill"),
    [
        ([("PreToolUse", {"tool_name": "Skill", "tool_input": {"skill": "tdd"}})], "tdd"),
        ([("PostToolUse", {"tool_name": "Skill", "tool_input": {"command": "/tdd now"}})], "tdd"),
        ([("UserPromptExpansion", {"command_name": "review"}), ("UserPromptSubmit", {"prompt": "/review x"})], "review"),
        ([("UserPromptExpansion", {"prompt": "/review it"}), ("UserPromptSubmit", {"prompt": "/review it"})], "review"),
        ([("UserPromptSubmit", {"prompt": "/clear"})], None),
        ([("PreToolUse", {"tool_name": "Skill", "tool_input": "tdd"})], None),
    ],
)  # fmt: skip
def test_the_skill_is_the_one_called_or_typed(
    lines: list[tuple[str, dict[str, Any]]], skill: str | None
) -> None:
    s = Script()
    for kind, fields in lines:
        s.say(kind, **fields)
    s.stop()
    assert s.read().skill.name == skill


def test_a_turn_is_timed_from_its_opening_not_from_what_waited_before_it() -> None:
    s = Script()
    s.say("SessionStart", source="startup", time_ms=START_MS - 600_000)
    s.prompt(time_ms=START_MS)
    s.pre("a", time_ms=START_MS + 1500)
    s.stop(time_ms=START_MS + 4250)
    timing = s.read().timing
    assert timing.started_at == "2025-10-09T08:53:20.000Z"
    assert timing.ended_at == "2025-10-09T08:53:24.250Z"
    assert (timing.duration_s, timing.tool_count) == (4.25, 1)
    assert s.read().trajectory.events[0].ts == "2025-10-09T08:53:21.500Z"


def test_a_turn_without_times_has_none() -> None:
    s = Script()
    s.prompt(time_ms=-1)
    s.pre("a", time_ms=-1)
    s.stop(time_ms=-1)
    read = s.read()
    assert (read.timing.started_at, read.timing.duration_s) == (None, None)
    assert read.trajectory.events[0].ts == ""


def test_times_beyond_the_calendar_count_as_unknown() -> None:
    s = Script()
    s.prompt(time_ms=10**400)
    s.pre("a", time_ms=10**400)
    s.post("a", time_ms=10**400)
    assert s.read().timing.started_at is None


def test_the_outcome_says_only_what_the_close_says() -> None:
    closings: dict[str, tuple[bool | None, bool | None, list[Any]]] = {}
    for kind, fields in (("Stop", {}), ("StopFailure", {"error": "rate_limit"}), ("SessionEnd", {})):
        s = Script()
        s.prompt()
        s.say(kind, **fields)
        outcome = s.read().outcome
        closings[kind] = (outcome.completed, outcome.has_error, outcome.errors)
        assert outcome.annotation_status == "scored"
        assert outcome.build_success is None
    assert closings == {
        "Stop": (True, None, []),
        "StopFailure": (None, True, ["rate_limit"]),
        "SessionEnd": (None, None, []),
    }


def test_a_turn_that_waited_for_background_work_when_the_next_prompt_came_was_completed() -> None:
    s = Script()
    s.prompt()
    s.stop(background_tasks=[{"status": "running"}])
    s.prompt("next")
    assert s.turns[0].closed_by == "prompt"
    assert normalize_turn(s.turns[0]).outcome.completed is True


# --- anything at all ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
    | st.sampled_from(["a", "Bash", "Task", "Skill", "g1", "Exit code 1", '{"exit_code": 1e400}', "/x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["command", "skill", "agentId", "status", "error", "exit_code", "metadata", "code",
                         "success", "durationMs", "durationSeconds", "message", "subagent_type", "x"]),
        inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
FIELDS = st.dictionaries(
    st.sampled_from([
        "tool_name", "tool_input", "tool_response", "tool_use_id", "duration_ms", "error", "is_interrupt",
        "reason", "source", "model", "agent_id", "agent_type", "last_assistant_message", "background_tasks",
        "command_name", "prompt", "prompt_id", "cwd", "permission_mode"]),
    JSON, max_size=8,
)  # fmt: skip
KINDS = st.sampled_from(
    ["UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest", "PermissionDenied",
     "SubagentStart", "SubagentStop", "UserPromptExpansion", "Stop", "StopFailure", "Interrupt", "New"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(KINDS, FIELDS), min_size=1, max_size=12),
    st.sampled_from(["claude-code", "codex", "gemini"]),
)
def test_no_payload_makes_the_normaliser_raise(lines: list[tuple[str, dict[str, Any]]], agent: str) -> None:
    items = tuple(held(kind, number, agent=agent, **fields) for number, (kind, fields) in enumerate(lines))
    read = normalize_turn(
        Turn(id="t", session="s1", number=0, closed_by="stop", held=items, marks=b"", time_ms=START_MS)
    )
    again = msgspec.json.decode(msgspec.json.encode(read), type=Trajectory)
    assert again == read
    calls = read.trajectory
    assert (
        calls.total_tools == len(calls.events) == len(calls.tool_sequence) == sum(calls.tool_counts.values())
    )
    tools = sum(kind in {"PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest", "PermissionDenied"} for kind, _ in lines)  # fmt: skip
    assert calls.total_tools <= tools
    assert (calls.total_tools == 0) == (tools == 0)


@pytest.mark.parametrize("payload", [b"[1]", b'"x"', b"{", b"", b'{"prompt":"\\ud800"}', b'{"x":' * 5000 + b"1" + b"}" * 5000])  # fmt: skip
def test_a_payload_that_can_not_be_read_leaves_its_kind_and_time(payload: bytes) -> None:
    items = []
    for number, kind in enumerate(("UserPromptSubmit", "PreToolUse", "Stop")):
        item = held(kind, number)
        items.append(
            msgspec.structs.replace(
                item, event=msgspec.structs.replace(item.event, payload=msgspec.Raw(payload))
            )
        )
    turn = Turn(
        id="t", session="s1", number=0, closed_by="stop", held=tuple(items), marks=b"", time_ms=START_MS
    )
    read = normalize_turn(turn)
    assert read.trajectory.tool_sequence == ["unknown"]
    assert read.timing.duration_s == 2.0


def test_a_tool_input_that_is_nested_very_deep_is_read() -> None:
    deep: Any = "x"
    for _ in range(45):
        deep = {"a": [deep]}
    s = Script()
    s.pre(None, "Bash", deep)
    s.post(None, "Bash", None, deep)
    assert s.read().trajectory.total_tools == 1


def test_a_caller_names_the_skill_whole_and_its_domain_is_the_turns() -> None:
    s = Script()
    s.say("UserPromptExpansion", command_name="release notes", skill_domain="writing", prompt="Write them")
    s.prompt("Write them", project="shop")
    read = s.read()
    assert (read.skill.name, read.skill.domain, read.domain) == ("release notes", "writing", "writing")
    assert read.context.git_repo == "shop"


# --- the payloads that real agents sent ---


@pytest.fixture(scope="session")
def payload_files(real_data: Path) -> dict[str, bytes]:
    with tarfile.open(real_data / "fixtures.tar.xz", "r|xz") as archive:
        found = {}
        for member in archive:
            if "hook-payloads/" in member.name and member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
    return found


def test_every_real_payload_leaves_exactly_once_and_every_real_turn_is_read(
    payload_files: dict[str, bytes],
) -> None:
    seen: Counter[str] = Counter()
    for data in payload_files.values():
        sessions: dict[str, OpenSession] = {}
        copies: defaultdict[bytes, int] = defaultdict(int)
        sent, left = [], []
        for number, payload in enumerate(objects(data.decode("utf-8", "replace"))):
            session, raw = payload["session_id"], json.dumps(payload).encode("ascii")
            copies[raw] += 1
            event = Event(
                id=event_id("import", raw, str(copies[raw])), kind=str(payload.get("hook_event_name")),
                session=session, payload=msgspec.Raw(raw), source="import",
            )  # fmt: skip
            sent.append(event.id)
            fold = sessions.setdefault(session, OpenSession(session, Carry(), {}, Limits()))
            left += fold.add(Held(f"{number}-0", encode_event(event), event), START_MS)
        for fold in sessions.values():
            left += fold.close("import_end")
        assert not any(isinstance(one, Duplicate) for one in left)
        out = [item.event.id for one in left if not isinstance(one, Remark | Duplicate) for item in one.held]
        assert sorted(out) == sorted(sent)
        for one in left:
            if isinstance(one, Turn):
                _check(one, normalize_turn(one), seen)
    assert seen["completed"] > seen["failed"]


def _check(turn: Turn, read: Trajectory, seen: Counter[str]) -> None:
    """A real turn has one call for each tool use that its events name."""
    named = {
        call_id for item in turn.held if (call_id := json.loads(bytes(item.event.payload)).get("tool_use_id"))
    }
    assert {call.call_id for call in read.trajectory.events if call.call_id} == named
    assert len(named) <= read.trajectory.total_tools
    seen.update(call.status for call in read.trajectory.events)
    assert msgspec.json.decode(msgspec.json.encode(read), type=Trajectory) == read


@given(
    st.sampled_from(["Bash", "Read", "Task", "WebFetch", "mcp__x__y"]),
    st.dictionaries(
        st.one_of(
            st.sampled_from(
                ["stdout", "stderr", "interrupted", "isImage", "file", "filePath", "content", "type"]
            ),
            st.sampled_from(sorted(verdicts._TELLING)),
            st.text(max_size=5),
        ),
        st.one_of(
            st.none(), st.booleans(), st.integers(-5, 600), st.text(max_size=8), st.just({"exit_code": 3})
        ),
        max_size=6,
    ),
)
def test_the_short_way_through_a_response_gives_what_the_long_way_gives(
    tool: str, response: dict[str, Any]
) -> None:
    assert verdicts._of_object(tool, response, mute=False) == verdicts._of_telling_object(
        tool, response, mute=False
    )
