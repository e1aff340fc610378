"""Codex's sessions as told facts: both ages of its files, and whatever order their lines come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import Refused
from producers.transcripts.codex import Codex
from producers.transcripts.lines import TORN
from producers.transcripts.told import Broken, Skipped, Told
from tests.transcripts.codex_log import SESSION, TURN, Log
from tests.transcripts.folding import told_in, trajectories

CALL = "call_abcdefghijklmnop1"


@pytest.fixture
def log() -> Log:
    made = Log()
    made.meta()
    return made


def facts(log: Log, tmp_path: Path) -> list[dict[str, Any]]:
    return [told.payload for told in told_in(Codex(), log.write(tmp_path))]


def kinds(log: Log, tmp_path: Path) -> list[str]:
    return [fact["hook_event_name"] for fact in facts(log, tmp_path)]


def only(kind: str, log: Log, tmp_path: Path) -> dict[str, Any]:
    (fact,) = (fact for fact in facts(log, tmp_path) if fact["hook_event_name"] == kind)
    return fact


def skipped(log: Log, tmp_path: Path) -> list[str]:
    return [item.what for item in Codex().read(log.write(tmp_path)) if isinstance(item, Skipped)]


def test_a_turn_is_told_as_hooks_would_have(log: Log, tmp_path: Path) -> None:
    log.begin()
    log.prompt()
    log.item("reasoning", summary=[{"type": "summary_text", "text": "Look first."}])
    log.calls(CALL, cmd="ls -a", workdir="/w")
    log.output(CALL, "Process exited with code 2\nOutput:\nno")
    log.says("Done.")
    log.tokens(100, 40, 7)
    log.end()
    call = {
        "tool_name": "exec_command",
        "tool_input": {"command": "ls -a", "workdir": "/w"},
        "tool_use_id": CALL,
    }
    answer = {"tool_response": "Process exited with code 2\nOutput:\nno"}
    usage = {"input_tokens": 60, "output_tokens": 7, "cache_read_tokens": 40, "cache_write_tokens": 0}
    told = facts(log, tmp_path)
    assert [(fact["hook_event_name"], fact["timestamp"][17:19]) for fact in told] == [
        ("SessionStart", "00"), ("UserPromptSubmit", "04"), ("PreToolUse", "06"), ("PostToolUse", "07"),
        ("AssistantMessage", "09"), ("AssistantMessage", "10"), ("Stop", "11"),
    ]  # fmt: skip
    assert all(fact["session_id"] == SESSION and fact["cwd"] == "/w/shop" for fact in told)
    assert all(fact["agent_version"] == "0.140.0" for fact in told)
    assert {fact.get("model") for fact in told[1:]} == {"gpt-test"}
    assert told[1]["prompt"] == "Make it work"
    assert told[1]["prompt_id"] == TURN
    assert told[2].items() >= call.items()
    assert told[3].items() >= {**call, **answer}.items()
    assert (told[4]["text"], told[4]["thinking"]) == ("Done.", "Look first.")
    assert told[5]["usage"] == usage
    assert told[6]["last_assistant_message"] == "Done."


def test_a_turn_is_one_trajectory_with_its_failed_command_and_its_tokens(log: Log, tmp_path: Path) -> None:
    log.begin()
    log.prompt()
    log.calls(CALL)
    log.output(CALL, "Process exited with code 2\nOutput:\nno")
    log.tokens(100, 40, 7)
    log.end()
    (turn,) = trajectories(Codex(), [log.write(tmp_path)])
    assert turn.outcome.completed is True
    assert (turn.trajectory.bash_errors, turn.trajectory.events[0].exit_code) == (1, 2)
    assert (turn.usage.input, turn.usage.cache_read, turn.usage.output) == (60, 40, 7)


def test_context_in_the_users_name_is_no_prompt(log: Log, tmp_path: Path) -> None:
    for text in (
        "<environment_context>\n<cwd>/x</cwd>",
        "# AGENTS.md instructions for /x",
        "<turn_aborted> no",
    ):
        log.item("message", role="user", content=[{"type": "input_text", "text": text}])
    log.item(
        "message", role="developer", content=[{"type": "input_text", "text": "<permissions instructions>"}]
    )
    log.prompt()
    log.item("message", role="user", content=[{"type": "input_text", "text": "what a hook added"}])
    log.says("Yes.")
    assert only("UserPromptSubmit", log, tmp_path)["prompt"] == "Make it work"


def test_a_prompt_with_a_picture_keeps_a_sign_of_it(log: Log, tmp_path: Path) -> None:
    log.event("user_message", message="Look", images=["data:image/png;base64,AAAA"], local_images=["/x.png"])
    assert only("UserPromptSubmit", log, tmp_path)["prompt"] == "Look\n[image]\n[image]"


def test_a_prompt_while_the_agent_works_is_told_where_it_came(log: Log, tmp_path: Path) -> None:
    log.begin()
    log.prompt()
    log.calls(CALL)
    log.output(CALL)
    log.prompt("And the tests")
    log.says("Both.")
    log.end("Both.")
    turns = trajectories(Codex(), [log.write(tmp_path)])
    assert [turn.context.prompt_text for turn in turns] == ["Make it work", "And the tests"]
    assert [turn.outcome.completed for turn in turns] == [None, True]


def test_a_response_that_only_an_event_tells_is_told_at_the_end_of_its_turn(log: Log, tmp_path: Path) -> None:
    log.begin()
    log.event("agent_message", message="Hello")
    log.says("Twice")
    log.end(None)
    assert [fact["text"] for fact in facts(log, tmp_path) if "text" in fact] == ["Twice", "Hello"]


@pytest.mark.parametrize(
    ("output", "kind", "success"),
    [
        ("Process exited with code 0\nOutput:\nProcess exited with code 3", "PostToolUse", True),
        ("Exit code: 1\nWall time: 0 seconds\nOutput:\n", "PostToolUse", False),
        ('{"output":"","metadata":{"exit_code":127,"duration_seconds":0.2}}', "PostToolUse", False),
        ({"content": "no", "success": False}, "PostToolUse", False),
        ([{"type": "input_text", "text": "Process exited with code 4\nOutput:\n"}], "PostToolUse", False),
        ("failed to parse function arguments: missing field", "PostToolUse", False),
        ({"content": "no", "isError": True}, "PostToolUse", False),
        (
            [{"type": "input_text", "text": "Script failed\nWall time 0.1 seconds\nOutput:\n"}],
            "PostToolUse",
            False,
        ),
        ("Script completed\nWall time 0.1 seconds\nOutput:\nScript failed\n", "PostToolUse", None),
        ("aborted by user after 3.1s", "PostToolUseFailure", False),
        ("exec command rejected by user", "PermissionDenied", False),
        ("some text", "PostToolUse", None),
        (None, "PostToolUse", None),
    ],
)
def test_an_output_says_how_its_call_ended(
    output: Any, kind: str, success: bool | None, log: Log, tmp_path: Path
) -> None:
    log.prompt()
    log.calls(CALL)
    log.output(CALL, output)
    assert [name for name in kinds(log, tmp_path) if name != "AssistantMessage"][3:] == [kind]
    (turn,) = trajectories(Codex(), [log.write(tmp_path)])
    assert turn.trajectory.events[0].success is success


@pytest.mark.parametrize("end_first", [True, False])
def test_a_commands_end_event_says_how_it_ended(end_first: bool, log: Log, tmp_path: Path) -> None:
    running = "Chunk ID: a1\nWall time: 1.0 seconds\nProcess running with session ID 7\nOutput:\n"
    log.calls(CALL)
    end = {"call_id": CALL, "exit_code": 3, "duration": {"secs": 2, "nanos": 500_000_000}}
    for is_end in (end_first, not end_first):
        if is_end:
            log.event("exec_command_end", **end)
        else:
            log.output(CALL, running)
    told = only("PostToolUse", log, tmp_path)
    assert told["tool_response"] == {"output": running, "exit_code": 3}
    assert told["duration_ms"] == 2500


def test_a_patch_that_did_not_apply_is_failed(log: Log, tmp_path: Path) -> None:
    log.item("custom_tool_call", name="apply_patch", call_id=CALL, input="*** Begin Patch")
    log.event("patch_apply_end", call_id=CALL, success=False, stdout="", stderr="no such line")
    log.item("custom_tool_call_output", call_id=CALL, output="no such line")
    (turn,) = trajectories(Codex(), [log.write(tmp_path)])
    assert turn.trajectory.events[0].success is False
    assert turn.trajectory.events[0].tool_name == "Edit"


def test_a_command_that_runs_on_past_its_turn_is_in_the_background(log: Log, tmp_path: Path) -> None:
    log.begin()
    log.prompt()
    log.calls(CALL)
    log.output(CALL, "Chunk ID: a1\nProcess running with session ID 7\nOutput:\n")
    log.end()
    (turn,) = trajectories(Codex(), [log.write(tmp_path)])
    assert turn.trajectory.events[0].status == "background"


def test_an_end_event_alone_ends_its_call_with_its_turn(log: Log, tmp_path: Path) -> None:
    log.begin()
    log.calls(CALL)
    log.event("exec_command_end", call_id=CALL, exit_code=1, aggregated_output="no")
    log.end()
    assert only("PostToolUse", log, tmp_path)["tool_response"] == {"output": "no", "exit_code": 1}


def test_prompts_and_ends_of_commands_may_come_as_completed_items(log: Log, tmp_path: Path) -> None:
    log.begin()
    content = [{"type": "text", "text": "Make it"}, {"type": "text", "text": "work"}]
    log.event("item_completed", item={"type": "UserMessage", "content": content})
    log.event("user_message", message="Make it\nwork")
    log.calls(CALL)
    log.event("item_completed", item={"type": "CommandExecution", "id": CALL, "exit_code": 3})
    log.event("item_completed", item={"type": "CommandExecution", "id": "inner", "exit_code": 3})
    log.output(CALL, "some text")
    assert only("UserPromptSubmit", log, tmp_path)["prompt"] == "Make it\nwork"
    assert only("PostToolUse", log, tmp_path)["tool_response"] == {"output": "some text", "exit_code": 3}
    assert skipped(log, tmp_path) == ["user_message: told before", "item_completed: CommandExecution"]


def test_a_forks_total_goes_on_from_what_it_does_not_tell(tmp_path: Path) -> None:
    log = Log()
    log.meta(forked_from_id="parent")
    for given_tokens, last in ((9000, 0), (9100, 100), (9150, 50)):
        total = {"input_tokens": given_tokens, "cached_input_tokens": 0, "output_tokens": 0}
        log.event(
            "token_count", info={"total_token_usage": total, "last_token_usage": {"input_tokens": last}}
        )
    usages = [fact["usage"]["input_tokens"] for fact in facts(log, tmp_path) if "usage" in fact]
    assert usages == [100, 50]


def test_searches_are_calls_named_by_their_end_event(log: Log, tmp_path: Path) -> None:
    action = {"type": "search", "query": "karl"}
    log.event("web_search_end", call_id="ws_1", query="karl", action=action)
    log.item("web_search_call", status="completed", action=action)
    log.item("web_search_call", status="completed", action=action)
    told = facts(log, tmp_path)[1:]
    assert [fact["hook_event_name"] for fact in told] == ["PreToolUse", "PostToolUse"] * 2
    assert told[0]["tool_use_id"] == "ws_1"
    assert told[0]["tool_input"] == action
    assert told[2]["tool_use_id"] != "ws_1"


def test_calls_and_outputs_are_told_once_in_whatever_order(log: Log, tmp_path: Path) -> None:
    log.output("call_early_1234567890")
    log.calls("call_early_1234567890")
    log.calls(CALL)
    log.calls(CALL)
    log.output(CALL)
    log.output(CALL, "Process exited with code 1\nOutput:\n")
    log.output("call_nobodys_1234567890", "lost")
    told = facts(log, tmp_path)
    ids = [(fact["hook_event_name"], fact["tool_use_id"][:10]) for fact in told if "tool_use_id" in fact]
    assert ids == [
        ("PreToolUse", "call_early"), ("PostToolUse", "call_early"),
        ("PreToolUse", "call_abcde"), ("PostToolUse", "call_abcde"), ("PostToolUse", "call_nobod"),
    ]  # fmt: skip
    assert skipped(log, tmp_path) == ["call told before", "output told before"]


def test_tokens_are_told_as_they_grew(log: Log, tmp_path: Path) -> None:
    log.event("token_count", info=None)
    for total in ((100, 40, 5), (100, 40, 5), (250, 100, 9), (30, 0, 2)):
        log.tokens(*total)
    usages = [fact["usage"] for fact in facts(log, tmp_path) if "usage" in fact]
    assert [tuple(usage.values())[:3] for usage in usages] == [(60, 5, 40), (90, 4, 60), (30, 2, 0)]
    assert skipped(log, tmp_path) == ["token_count: no total", "token_count: no change"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 500)] * 3), min_size=1, max_size=12))
def test_told_tokens_add_up_to_the_totals_before_each_reset(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    log = Log()
    log.meta()
    now = (0, 0, 0)
    for given_tokens, cached, answered in steps:
        now = (now[0] + given_tokens + cached, now[1] + cached, now[2] + answered)
        log.tokens(*now)
    usages = [fact["usage"] for fact in facts(log, tmp_path_factory.mktemp("t")) if "usage" in fact]
    sums = {name: sum(usage[name] for usage in usages) for name in ("input_tokens", "cache_read_tokens")}
    assert sums == {"input_tokens": now[0] - now[1], "cache_read_tokens": now[1]}
    assert sum(usage["output_tokens"] for usage in usages) == now[2]


def test_an_interruption_is_told_and_nothing_stops_before_it(log: Log, tmp_path: Path) -> None:
    log.begin()
    log.prompt()
    log.says("I begin")
    log.event("turn_aborted", turn_id=TURN, reason="interrupted")
    assert kinds(log, tmp_path) == ["SessionStart", "UserPromptSubmit", "AssistantMessage", "Interrupt"]


def test_an_error_ends_a_turn_unless_the_agent_goes_on(log: Log, tmp_path: Path) -> None:
    log.begin()
    log.event("error", message="usage limit")
    log.says("I go on")
    log.event("error", message="no connection")
    log.end(None)
    assert kinds(log, tmp_path) == ["SessionStart", "AssistantMessage", "StopFailure"]
    assert only("StopFailure", log, tmp_path)["error"] == "no connection"


def test_a_compaction_is_told_once(log: Log, tmp_path: Path) -> None:
    log.line("compacted", message="What was done", replacement_history=[])
    log.event("context_compacted")
    log.event("context_compacted")
    told = [fact for fact in facts(log, tmp_path) if fact["hook_event_name"] == "PostCompact"]
    assert [fact["compact_summary"] for fact in told] == ["What was done", ""]


def test_without_words_for_the_end_of_a_turn_the_last_answer_is_it(log: Log, tmp_path: Path) -> None:
    log.prompt()
    log.says("I look.")
    log.calls(CALL)
    log.output(CALL)
    log.says("Done.")
    log.prompt("Next")
    log.calls("call_abcdefghijklmnop2")
    assert [name for name in kinds(log, tmp_path) if name in ("Stop", "UserPromptSubmit")] == [
        "UserPromptSubmit", "Stop", "UserPromptSubmit",
    ]  # fmt: skip
    assert only("Stop", log, tmp_path)["last_assistant_message"] == "Done."


def test_the_older_bare_items_are_read(tmp_path: Path) -> None:
    context = "<environment_context>\nCurrent working directory: /w/old\n</environment_context>"
    lines = [
        {
            "id": "5973b6c0-94b8-487b-a530-2aeb6098ae0e",
            "timestamp": "2025-05-07T17:24:21.123Z",
            "instructions": None,
        },
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": context}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it"}]},
        {
            "type": "function_call",
            "name": "shell",
            "call_id": CALL,
            "arguments": '{"command":["bash","-lc","make"]}',
        },
        {
            "type": "function_call_output",
            "call_id": CALL,
            "output": '{"output":"","metadata":{"exit_code":2}}',
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Broken."}]},
    ]
    path = tmp_path / "rollout.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    (turn,) = trajectories(Codex(), [path])
    assert (turn.session_id, turn.context.cwd) == (lines[0]["id"], "/w/old")
    assert (turn.context.prompt_text, turn.outcome.completed) == ("Fix it", True)
    assert turn.trajectory.events[0].key_params["command"] == "make"
    assert turn.trajectory.events[0].exit_code == 2


def test_a_subagents_file_is_a_session_that_names_its_parent(tmp_path: Path) -> None:
    log = Log()
    log.meta(parent_thread_id="0199cccc", source={"subagent": "review"})
    log.turn()
    start = only("SessionStart", log, tmp_path)
    assert (start["subagent"], start["parent_session"]) == ("review", "0199cccc")


def test_a_fork_shares_the_origins_of_its_history_and_no_others(tmp_path: Path) -> None:
    first = Log()
    first.meta()
    first.turn(1)
    fork = Log("0199aaaa-0000-7000-8000-000000000002", minute=5)
    fork.meta(forked_from_id=first.session)
    fork.lines += [{**line, "timestamp": "2026-05-01T10:06:00.000Z"} for line in first.lines]
    fork.turn(2, prompt="Make it work")
    first.turn(3, prompt="Make it work")
    origins = [
        {
            told.origin
            for told in told_in(Codex(), log.write(tmp_path))
            if told.payload["hook_event_name"] != "SessionStart"
        }
        for log in (first, fork)
    ]
    assert len(origins[0] & origins[1]) == 6
    assert len(origins[0]) == len(origins[1]) == 12
    start = only("SessionStart", fork, tmp_path)
    assert (start["source"], start["continues"], start["session_id"]) == ("fork", first.session, fork.session)


def test_a_fork_without_turn_ids_shares_origins_while_the_words_are_the_same(tmp_path: Path) -> None:
    def turn(log: Log, prompt: str, answer: str) -> None:
        log.prompt(prompt)
        log.says(answer)

    first = Log()
    first.meta()
    turn(first, "go on", "one")
    fork = Log("0199aaaa-0000-7000-8000-000000000002", minute=5)
    fork.meta()
    fork.lines += first.lines
    turn(first, "and now", "two")
    turn(first, "go on", "three")
    turn(fork, "or rather", "four")
    turn(fork, "go on", "five")
    ours, theirs = ({told.origin for told in told_in(Codex(), log.write(tmp_path))} for log in (first, fork))
    assert len((ours & theirs) - {told.origin for told in told_in(Codex(), first.write(tmp_path))[:1]}) == 3


def test_the_same_facts_have_the_same_keys_when_the_file_has_grown(log: Log, tmp_path: Path) -> None:
    log.turn(1)
    log.lines, rest = log.lines[:-3], log.lines[-3:]
    before = {told.key for told in told_in(Codex(), log.write(tmp_path))}
    log.lines += rest
    log.turn(2)
    told = told_in(Codex(), log.write(tmp_path))
    assert before < {one.key for one in told}
    assert len({one.key for one in told}) == len(told)


def test_odd_lines_spoil_no_others(log: Log, tmp_path: Path) -> None:
    log.turn(1)
    lines = log.data().splitlines()
    log.turn(2)
    odd = [
        b"\xef\xbb\xbf" + lines[0],
        lines[1] + lines[2],
        *lines[3:],
        b"\x00\x00",
        b"not json",
        b'{"type":"new_kind","x":1}',
    ]
    data = b"\r\n".join([*odd, *log.data().splitlines()[len(lines) :], b'{"timestamp":"2026-05-01T1'])
    path = tmp_path / "odd.jsonl"
    path.write_bytes(data)
    found = list(Codex().read(path))
    assert [item.reason for item in found if isinstance(item, Broken)] == ["it is no JSON object"]
    assert TORN in found
    assert Skipped("new_kind") in found
    told = [item.payload for item in found if isinstance(item, Told)]
    assert told == facts(log, tmp_path)


def test_a_surrogate_and_a_line_of_megabytes_are_read(log: Log, tmp_path: Path) -> None:
    log.prompt("x" * 2_500_000)
    path = log.write(tmp_path)
    path.write_bytes(
        path.read_bytes() + b'{"type":"event_msg","payload":{"type":"user_message","message":"a\\ud83d"}}\n'
    )
    prompts = [told.payload for told in told_in(Codex(), path) if "prompt" in told.payload]
    assert [len(prompts[0]["prompt"]), prompts[1]["prompt"]] == [2_500_000, "a\ufffd"]
    assert "timestamp" not in prompts[1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["message", "reasoning", "function_call", "function_call_output", "web_search_call", "local_shell_call",
     "user_message", "agent_message", "token_count", "exec_command_end", "task_started", "task_complete", "error"]
)  # fmt: skip
fields = st.sampled_from(
    ["role", "content", "call_id", "output", "arguments", "name", "info", "message", "images", "turn_id",
     "exit_code", "duration", "action", "id", "summary", "last_agent_message", "cwd", "source", "base_instructions"]
)  # fmt: skip


shapes = st.tuples(
    st.sampled_from(["response_item", "event_msg", "turn_context", "session_meta", "compacted"]),
    names,
    st.dictionaries(fields, json_values, max_size=5),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(shapes, max_size=12))
def test_no_shape_of_a_line_stops_the_reader(
    tmp_path_factory: pytest.TempPathFactory, given_lines: list[tuple[str, str, dict[str, Any]]]
) -> None:
    log = Log()
    log.meta()
    for kind, inner, payload in given_lines:
        log.line(kind, **{**payload, "type": inner})
    told = told_in(Codex(), log.write(tmp_path_factory.mktemp("c")))
    assert len({one.key for one in told}) == len(told)
    assert all(isinstance(one.payload["session_id"], str) for one in told)


def test_the_default_folder_brings_the_archive_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    log = Log()
    log.meta()
    live = log.write(tmp_path / "sessions" / "2026" / "05" / "01")
    old = log.write(tmp_path / "archived_sessions", "rollout-old.jsonl")
    (tmp_path / "sessions" / "empty.jsonl").touch()
    assert Codex().find(Codex().default()) == sorted([live, old])


def test_what_is_no_codex_session_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text('{"parentUuid":null,"sessionId":"s","type":"user","message":{}}\n')
    with pytest.raises(Refused, match="it is a Claude Code transcript; `karl import claude` reads it"):
        list(Codex().read(path))
