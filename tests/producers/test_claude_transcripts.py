"""Claude Code's transcripts as told facts: every kind of line, in whatever order and shape it comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import Refused
from producers.transcripts.claude import Claude
from producers.transcripts.told import Broken, Skipped, Told
from tests.producers.claude_log import USAGE, Log, use


@pytest.fixture
def log() -> Log:
    return Log()


def found_in(path: Path) -> list[Any]:
    return list(Claude().read(path))


def told_in(path: Path) -> list[Told]:
    return [item for item in found_in(path) if isinstance(item, Told)]


def facts(log: Log, tmp_path: Path) -> list[dict[str, Any]]:
    return [told.payload for told in told_in(log.write(tmp_path))]


def kinds(log: Log, tmp_path: Path) -> list[str]:
    return [fact["hook_event_name"] for fact in facts(log, tmp_path)]


def only(kind: str, log: Log, tmp_path: Path) -> dict[str, Any]:
    (fact,) = (fact for fact in facts(log, tmp_path) if fact["hook_event_name"] == kind)
    return fact


def test_a_turn_is_told_as_hooks_would_have(log: Log, tmp_path: Path) -> None:
    log.prompt("Make it work", promptId="p1", permissionMode="plan")
    log.calls("toolu_1", command="ls")
    log.result("toolu_1", answer={"stdout": "a", "stderr": "", "interrupted": False})
    log.says("Done.", message="msg_2", stop="end_turn")
    base = {"session_id": "s1", "cwd": "/home/dev/shop", "agent_version": "2.1.200"}
    call = {"tool_name": "Bash", "tool_input": {"command": "ls"}, "tool_use_id": "toolu_1"}
    tokens = {"input_tokens": 3, "output_tokens": 5, "cache_read_tokens": 7, "cache_write_tokens": 11}
    message = {"model": "claude-test", "usage": tokens}
    expected = [
        (1, "SessionStart", {"source": "startup"}),
        (1, "UserPromptSubmit", {"prompt": "Make it work", "prompt_id": "p1", "permission_mode": "plan"}),
        (2, "PreToolUse", call),
        (3, "PostToolUse", {**call, "tool_response": {"stdout": "a", "stderr": "", "interrupted": False}}),
        (2, "AssistantMessage", {"message_id": "msg_1", "stop_reason": "tool_use", **message}),
        (
            4,
            "AssistantMessage",
            {"message_id": "msg_2", "text": "Done.", "stop_reason": "end_turn", **message},
        ),
        (4, "Stop", {"last_assistant_message": "Done."}),
    ]
    assert facts(log, tmp_path) == [
        {**base, "hook_event_name": kind, "timestamp": f"2026-05-01T10:00:0{second}.000Z", **fields}
        for second, kind, fields in expected
    ]


def test_usage_of_a_message_over_several_lines_counts_once_the_last_one(log: Log, tmp_path: Path) -> None:
    log.prompt()
    for number in (1, 2, 90):
        log.says(f"part {number}", usage={**USAGE, "output_tokens": number})
    message = only("AssistantMessage", log, tmp_path)
    assert message["usage"]["output_tokens"] == 90
    assert message["text"] == "part 1\npart 2\npart 90"


def test_usage_of_a_message_never_falls_with_its_later_lines(log: Log, tmp_path: Path) -> None:
    log.prompt()
    for number in (90, 2):
        log.says(f"part {number}", usage={**USAGE, "output_tokens": number})
    assert only("AssistantMessage", log, tmp_path)["usage"]["output_tokens"] == 90


def test_a_message_that_goes_on_later_is_told_again_whole_under_another_key(log: Log, tmp_path: Path) -> None:
    log.says("one", message="msg_1")
    log.says("two", message="msg_2")
    log.says("more", message="msg_1", usage={**USAGE, "output_tokens": 50})
    first, _, again = (
        told for told in told_in(log.write(tmp_path)) if told.payload["hook_event_name"] == "AssistantMessage"
    )
    assert again.payload["text"] == "one\nmore"
    assert again.payload["usage"]["output_tokens"] == 50
    assert first.key != again.key
    assert first.origin == again.origin


def test_the_same_facts_have_the_same_keys_when_the_file_has_grown(log: Log, tmp_path: Path) -> None:
    log.turn()
    before = {told.key for told in told_in(log.write(tmp_path))}
    log.turn("toolu_2", 2)
    after = {told.key for told in told_in(log.write(tmp_path))}
    assert before < after


def test_parallel_results_in_any_order_belong_to_their_calls(log: Log, tmp_path: Path) -> None:
    log.says(use("toolu_a", command="a"), use("toolu_b", command="b"))
    log.result("toolu_b", "B")
    log.result("toolu_a", "A")
    ends = [
        (fact["tool_use_id"], fact["tool_input"]["command"], fact["tool_response"][0]["text"])
        for fact in facts(log, tmp_path)
        if fact["hook_event_name"] == "PostToolUse"
    ]
    assert ends == [("toolu_b", "b", "B"), ("toolu_a", "a", "A")]


def test_a_result_that_stands_before_its_call_is_told_after_it(log: Log, tmp_path: Path) -> None:
    log.result("toolu_1")
    log.calls("toolu_1")
    assert kinds(log, tmp_path)[1:3] == ["PreToolUse", "PostToolUse"]
    assert only("PostToolUse", log, tmp_path)["tool_name"] == "Bash"


def test_a_result_without_a_call_is_told_before_the_next_prompt(log: Log, tmp_path: Path) -> None:
    log.result("toolu_1", "no", error=True)
    log.prompt()
    assert kinds(log, tmp_path) == ["SessionStart", "PostToolUseFailure", "UserPromptSubmit"]


def test_a_result_and_a_call_written_twice_are_told_once(log: Log, tmp_path: Path) -> None:
    log.calls("toolu_1")
    log.result("toolu_1", "first")
    log.calls("toolu_1")
    log.result("toolu_1", "second", error=True)
    assert kinds(log, tmp_path).count("PreToolUse") == 1
    assert only("PostToolUse", log, tmp_path)["tool_response"] == [{"type": "text", "text": "first"}]


def test_a_call_without_a_result_has_no_end(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.calls("toolu_1")
    log.prompt("next")
    assert kinds(log, tmp_path) == [
        "SessionStart",
        "UserPromptSubmit",
        "PreToolUse",
        "AssistantMessage",
        "UserPromptSubmit",
    ]


@pytest.mark.parametrize(
    ("text", "fields", "kind", "said"),
    [
        ("Exit code 2\nno", {}, "PostToolUseFailure", {"error": "Exit code 2\nno"}),
        (
            "[Request interrupted by user for tool use]",
            {},
            "PostToolUseFailure",
            {"is_interrupt": True, "error": "[Request interrupted by user for tool use]"},
        ),
        ("not allowed", {"toolDenialKind": "user-rejected"}, "PermissionDenied", {"reason": "not allowed"}),
    ],
)
def test_an_error_is_a_failure_an_interruption_or_a_denial(
    *, text: str, fields: dict[str, Any], kind: str, said: dict[str, Any], log: Log, tmp_path: Path
) -> None:
    log.calls("toolu_1")
    log.result("toolu_1", text, "Error: " + text, error=True, **fields)
    fact = only(kind, log, tmp_path)
    assert {name: fact[name] for name in said} == said
    assert fact["tool_use_id"] == "toolu_1"


@pytest.mark.parametrize("answer", [{"stdout": "x"}, "text", [{"type": "text", "text": "x"}]])
def test_a_structured_result_is_given_as_it_is(answer: Any, log: Log, tmp_path: Path) -> None:
    log.calls("toolu_1")
    log.result("toolu_1", "shown to the model", answer)
    assert only("PostToolUse", log, tmp_path)["tool_response"] == answer


def test_copies_of_files_and_pictures_are_left_out(log: Log, tmp_path: Path) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 5000}}
    log.prompt([picture, {"type": "text", "text": "look"}])
    log.calls("toolu_1", "Edit")
    log.result("toolu_1", [picture], {"originalFile": "B" * 5000, "filePath": "a.py"})
    assert only("UserPromptSubmit", log, tmp_path)["prompt"] == "[image]\nlook"
    assert only("PostToolUse", log, tmp_path)["tool_response"] == {"filePath": "a.py"}
    assert not any("AAAA" in json.dumps(fact) for fact in facts(log, tmp_path))


def test_an_interruption_is_no_prompt_and_its_turn_did_not_stop(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.says("I am about to", stop=None)
    log.prompt([{"type": "text", "text": "[Request interrupted by user]"}])
    log.prompt("other")
    assert kinds(log, tmp_path)[2:] == ["AssistantMessage", "Interrupt", "UserPromptSubmit"]


@pytest.mark.parametrize(
    ("said", "stopped"),
    [
        ({"stop": "end_turn"}, True),
        ({"stop": None}, True),
        ({"stop": "tool_use"}, False),
        ({"stop": "max_tokens"}, False),
    ],
)
def test_a_turn_stops_before_the_next_prompt_when_its_last_message_was_the_last(
    said: dict[str, Any], *, stopped: bool, log: Log, tmp_path: Path
) -> None:
    log.prompt()
    log.says("Done.", **said)
    log.prompt("next")
    assert ("Stop" in kinds(log, tmp_path)) == stopped


def test_what_a_person_says_while_calls_run_is_told_when_they_are_over(log: Log, tmp_path: Path) -> None:
    log.says(use("toolu_1"), use("toolu_2"))
    log.result("toolu_1")
    log.lines[-1]["message"]["content"].append({"type": "text", "text": "and mind the tests"})
    log.line("attachment", attachment={"type": "queued_command", "prompt": "faster", "commandMode": "prompt"})
    log.result("toolu_2")
    log.says("Yes.", message="msg_2", stop="end_turn")
    assert kinds(log, tmp_path)[3:] == [
        "PostToolUse",
        "PostToolUse",
        "AssistantMessage",
        "UserPromptSubmit",
        "UserPromptSubmit",
        "AssistantMessage",
        "Stop",
    ]


def test_a_typed_command_is_told_as_its_expansion_and_its_prompt(log: Log, tmp_path: Path) -> None:
    log.prompt(
        "<command-message>review</command-message>\n<command-name>/review</command-name>\n<command-args>the last one</command-args>"
    )
    log.prompt([{"type": "text", "text": "# Review\nLook at ..."}], isMeta=True)
    log.says("Looks good.", stop="end_turn")
    expansion = only("UserPromptExpansion", log, tmp_path)
    assert (expansion["command_name"], expansion["command_args"], expansion["expansion_type"]) == (
        "review",
        "the last one",
        "slash_command",
    )
    assert only("UserPromptSubmit", log, tmp_path)["prompt"] == "/review the last one"
    assert kinds(log, tmp_path)[1:3] == ["UserPromptExpansion", "UserPromptSubmit"]


@pytest.mark.parametrize(
    "after",
    [
        lambda log: log.prompt("<local-command-stdout>set</local-command-stdout>"),
        lambda log: log.line("system", subtype="local_command", content="<local-command-stdout>"),
        lambda log: log.prompt("next"),
        lambda log: None,
    ],
)
def test_a_command_that_the_window_answered_is_no_prompt(after: Any, log: Log, tmp_path: Path) -> None:
    log.prompt("<command-name>/model</command-name>\n  <command-message>model</command-message>")
    after(log)
    prompts = [
        fact["prompt"] for fact in facts(log, tmp_path) if fact["hook_event_name"] == "UserPromptSubmit"
    ]
    assert prompts in ([], ["next"])


def test_a_failure_of_the_model_ends_the_turn_as_one(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.says("API Error: 529 overloaded", message="x", stop="stop_sequence", isApiErrorMessage=True)
    assert only("StopFailure", log, tmp_path)["error"] == "API Error: 529 overloaded"
    assert "Stop" not in kinds(log, tmp_path)


def test_a_message_that_the_agent_wrote_itself_has_no_tokens_and_no_model(log: Log, tmp_path: Path) -> None:
    log.says("No response requested.", message="x")
    log.lines[-1]["message"]["model"] = "<synthetic>"
    message = only("AssistantMessage", log, tmp_path)
    assert not {"model", "usage"} & message.keys()
    assert "Stop" not in kinds(log, tmp_path)


def test_a_compaction_and_a_report_are_told_as_what_they_are(log: Log, tmp_path: Path) -> None:
    log.prompt("This session is being continued", isCompactSummary=True)
    log.prompt("<task-notification>done</task-notification>", origin={"kind": "task-notification"})
    assert only("PostCompact", log, tmp_path)["compact_summary"] == "This session is being continued"
    assert only("UserPromptSubmit", log, tmp_path)["source"] == "task-notification"


def test_the_system_prompt_and_the_tools_are_told_with_the_start(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.line(
        "attachment", attachment={"type": "x", "systemPrompt": ["Be terse."], "tools": [{"name": "Bash"}]}
    )
    log.says("Yes.")
    start = only("SessionStart", log, tmp_path)
    assert (start["system_prompt"], start["tools"]) == (["Be terse."], [{"name": "Bash"}])


def test_the_title_that_a_person_gave_is_told_once(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.line("custom-title", customTitle="Mine")
    log.line("ai-title", aiTitle="Thought of")
    log.line("custom-title", customTitle="Mine")
    assert only("SessionTitle", log, tmp_path)["title"] == "Mine"


def test_lines_without_facts_are_counted_by_their_type(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.line("progress", data={"type": "agent_progress", "message": {"type": "assistant"}})
    log.line("attachment", attachment={"type": "task_reminder"})
    log.line("system", subtype="turn_duration")
    log.prompt("a caveat", isMeta=True)
    log.line("new-kind")
    skipped = [item.what for item in found_in(log.write(tmp_path)) if isinstance(item, Skipped)]
    assert skipped == [
        "progress",
        "attachment: task_reminder",
        "system: turn_duration",
        "user: meta",
        "new-kind",
    ]


# --- odd bytes ---


def test_objects_run_together_nul_bytes_and_a_byte_order_mark_are_read(log: Log, tmp_path: Path) -> None:
    log.turn()
    plain = facts(log, tmp_path)
    lines = log.data().split(b"\n")
    odd = tmp_path / "s1.jsonl"
    odd.write_bytes(
        b"\xef\xbb\xbf"
        + lines[0]
        + lines[1]
        + b"\r\n\0\0\0"
        + lines[2]
        + b"\0\n\n"
        + b'{"type":"mode"}'
        + lines[3]
    )
    assert [told.payload for told in told_in(odd)] == plain


def test_a_torn_last_line_is_no_trouble_and_a_torn_line_inside_is_one(log: Log, tmp_path: Path) -> None:
    log.turn()
    data = log.data()
    path = tmp_path / "s1.jsonl"
    path.write_bytes(data + b'{"type": "user", "mess')
    assert Skipped("torn last line") in found_in(path)
    assert not [item for item in found_in(path) if isinstance(item, Broken)]
    path.write_bytes(b'{"type": "user", "mess\n' + data)
    (broken,) = (item for item in found_in(path) if isinstance(item, Broken))
    assert broken.line == 1
    assert len(told_in(path)) == len(facts(log, tmp_path))


def test_lone_surrogates_bad_bytes_and_long_lines_are_read(log: Log, tmp_path: Path) -> None:
    log.prompt("x" * 3_000_000)
    log.prompt("MARK")
    path = log.write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"MARK", b"\\ud83d \xff end"))
    prompts = [told.payload["prompt"] for told in told_in(path)[1:]]
    assert len(prompts[0]) == 3_000_000
    assert prompts[1] == "\ufffd \ufffd end"


def test_lines_without_uuid_time_or_session_are_told_and_keep_their_keys(log: Log, tmp_path: Path) -> None:
    log.prompt("same")
    log.prompt("same")
    for line in log.lines:
        for name in ("uuid", "timestamp", "sessionId"):
            del line[name]
    path = log.write(tmp_path, "named.jsonl")
    first, second = told_in(path)[1:]
    assert first.payload["session_id"] == "named"
    assert first.key != second.key
    assert [told.key for told in told_in(path)[1:]] == [first.key, second.key]
    assert first.origin == ""


def test_times_that_go_back_change_nothing(log: Log, tmp_path: Path) -> None:
    log.turn()
    log.lines[2]["timestamp"] = "2020-01-01T00:00:00Z"
    assert kinds(log, tmp_path)[:4] == ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse"]


@pytest.mark.parametrize(
    "data", [b'{"type":"session_meta","payload":{}}\n', b"hello\nworld\n", b"\x89PNG\r\n\n"]
)
def test_a_file_of_another_kind_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    with pytest.raises(Refused, match=r"Claude Code|karl import codex|binary"):
        found_in(path)


def test_an_empty_file_and_one_whose_first_line_is_being_written_hold_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for data in (b"", b'{"type":"user"'):
        path.write_bytes(data)
        assert not [item for item in found_in(path) if isinstance(item, Told)]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=6,
)
_BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "tool_result", "thinking", "image"])},
    optional=dict.fromkeys(("text", "id", "name", "input", "tool_use_id", "content", "is_error"), _JSON),
)
_LINE = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "assistant", "attachment", "system", "custom-title"]) | _JSON},
    optional={
        "message": st.fixed_dictionaries({"content": st.lists(_BLOCK, max_size=3) | _JSON}, optional={"usage": _JSON})
        | _JSON,
        **dict.fromkeys(("uuid", "sessionId", "timestamp", "cwd", "agentId", "attachment"), _JSON),
        **dict.fromkeys(("toolUseResult", "isSidechain", "parentUuid", "origin", "isMeta"), _JSON),
    },
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(_LINE, max_size=6))
def test_no_line_however_shaped_makes_the_reader_fail(lines: list[Any], tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "shaped.jsonl"
    path.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    try:
        found = found_in(path)
    except Refused:
        return
    for item in found:
        assert isinstance(item, Told | Skipped | Broken)
        if isinstance(item, Told):
            assert item.key
            assert item.payload["hook_event_name"]


# --- subagents ---


def with_agent(log: Log, agent: Log, **answer: Any) -> None:
    """A turn whose call starts a subagent."""
    log.prompt()
    log.calls("toolu_task", "Agent", message="msg_p1", prompt="Look around", subagent_type="Explore")
    agent.prompt("Look around")
    agent.calls("toolu_in", message="msg_c1")
    agent.result("toolu_in")
    agent.says("Seen.", message="msg_c2", stop="end_turn")
    log.result("toolu_task", "Seen.", {"status": "completed", **answer})
    log.says("Done.", message="msg_p2", stop="end_turn")


LAYOUTS = ["s1/subagents/agent-a1.jsonl", "agent-a1.jsonl"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_subagent_did_stands_before_the_result_of_the_call_that_started_it(
    layout: str, tmp_path: Path
) -> None:
    log, agent = Log(), Log(agent="a1")
    with_agent(log, agent, agentId="a1")
    agent.write(tmp_path, layout)
    path = log.write(tmp_path)
    assert Claude().find(tmp_path) == [path]
    assert set(Claude().parts(path)) == {path, tmp_path / layout}
    told = [told.payload for told in told_in(path)]
    names = [(fact["hook_event_name"], fact.get("agent_id")) for fact in told]
    begin, end = names.index(("SubagentStart", "a1")), names.index(("SubagentStop", "a1"))
    assert names[begin - 1][0] == "PreToolUse"
    assert names[end + 1] == ("PostToolUse", None)
    assert {agent for _, agent in names[begin : end + 1]} == {"a1"}
    assert (told[begin]["tool_use_id"], told[begin]["agent_type"]) == ("toolu_task", "Explore")


def test_the_file_beside_a_subagents_names_its_call_when_its_result_does_not(tmp_path: Path) -> None:
    log, agent = Log(), Log(agent="a1")
    with_agent(log, agent)
    path = agent.write(tmp_path, LAYOUTS[0])
    path.with_suffix(".meta.json").write_text('{"agentType": "Plan", "toolUseId": "toolu_task"}')
    start = next(
        t.payload for t in told_in(log.write(tmp_path)) if t.payload["hook_event_name"] == "SubagentStart"
    )
    assert (start["tool_use_id"], start["agent_type"]) == ("toolu_task", "Plan")


def test_a_subagent_that_nobody_names_stands_in_the_turn_in_which_it_began(tmp_path: Path) -> None:
    log, agent = Log(), Log(agent="a1")
    with_agent(log, agent)
    log.turn("toolu_2", 9)
    agent.write(tmp_path, LAYOUTS[0])
    names = [told.payload["hook_event_name"] for told in told_in(log.write(tmp_path))]
    assert names.index("SubagentStart") < names.index("Stop")


def test_a_subagents_lines_among_its_sessions_are_told_as_its_own(log: Log, tmp_path: Path) -> None:
    log.calls("toolu_task", "Task", prompt="Look around", subagent_type="Explore")
    root = log.prompt("Look around", isSidechain=True)
    log.says(use("toolu_in"), message="msg_c1", isSidechain=True, parentUuid=root["uuid"])
    log.result("toolu_task", "Seen.")
    told = facts(log, tmp_path)
    inner = next(fact for fact in told if fact.get("tool_use_id") == "toolu_in")
    start = next(fact for fact in told if fact["hook_event_name"] == "SubagentStart")
    assert inner["agent_id"] == start["agent_id"]
    assert start["tool_use_id"] == "toolu_task"
    assert "agent_id" not in next(fact for fact in told if fact["hook_event_name"] == "PostToolUse")


def test_a_subagents_file_without_its_sessions_is_read_by_itself(tmp_path: Path) -> None:
    agent = Log(agent="a1")
    agent.turn()
    path = agent.write(tmp_path, LAYOUTS[0])
    assert Claude().find(tmp_path) == [path]
    names = [told.payload["hook_event_name"] for told in told_in(path)]
    assert (names[0], names[-1]) == ("SubagentStart", "SubagentStop")


def test_a_stop_says_which_subagents_still_run(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.calls("toolu_task", "Agent", message="msg_1")
    log.result("toolu_task", "launched", {"status": "async_launched", "agentId": "a1"})
    log.says("Waiting.", message="msg_2", stop="end_turn")
    log.prompt("<task-notification><task-id>a1</task-id></task-notification>")
    log.says("Done.", message="msg_3", stop="end_turn")
    first, last = (fact for fact in facts(log, tmp_path) if fact["hook_event_name"] == "Stop")
    assert [task["id"] for task in first["background_tasks"]] == ["a1"]
    assert "background_tasks" not in last


def test_the_folder_of_all_projects_is_where_the_agent_was_told_to_keep_it(
    monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    assert Claude().default() == tmp_path / "projects"
    monkeypatch.delenv("CLAUDE_CONFIG_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Claude().default() == tmp_path / ".claude" / "projects"
