"""Trajectories in ATIF as told facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from karl.errors import Refused
from producers.transcripts.atif import Atif
from producers.transcripts.told import Broken, Skipped
from tests.transcripts.folding import told_in, trajectories

SESSION = "0f3e8a1c-91d2"


def step(number: int, source: str, message: Any = "", **fields: Any) -> dict[str, Any]:
    return {
        "step_id": number,
        "source": source,
        "message": message,
        "timestamp": f"2026-05-01T10:00:{number:02}Z",
        **fields,
    }


def call(named: str, tool: str = "bash", **given: Any) -> dict[str, Any]:
    return {"tool_call_id": named, "function_name": tool, "arguments": given or {"command": "ls"}}


def result(source: str | None, content: Any = "ok", **fields: Any) -> dict[str, Any]:
    return {"source_call_id": source, "content": content, **fields}


def trajectory(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    agent = {"name": "terminus", "version": "2.0", "model_name": "m1", "extra": {"cwd": "/w/shop"}}
    made = {"schema_version": "ATIF-v1.8", "session_id": SESSION, "agent": agent}
    return {**made, "steps": list(steps), **fields}


def write(folder: Path, given: Any, name: str = "t.json", **how: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(given, **how))
    return path


WHOLE = trajectory(
    step(1, "system", "You are an agent."),
    step(2, "user", [{"type": "text", "text": "Fix it"}, {"type": "image", "source": {"path": "a.png"}}]),
    step(3, "agent", "I look.", reasoning_content="Hm.", model_name="m2",
         tool_calls=[call("c1"), call("c2", "read_file", path="a.py")],
         observation={"results": [result("c2", "text"), result("c1", "no", extra={"is_error": True})]},
         metrics={"prompt_tokens": 100, "cached_tokens": 60, "completion_tokens": 9}),
    step(4, "agent", "Done."),
)  # fmt: skip


def test_a_run_is_told_as_hooks_would_have(tmp_path: Path) -> None:
    told = [one.payload for one in told_in(Atif(), write(tmp_path, WHOLE))]
    assert [(fact["hook_event_name"], fact["timestamp"][17:19]) for fact in told] == [
        ("SessionStart", "01"), ("UserPromptSubmit", "02"), ("AssistantMessage", "03"), ("PreToolUse", "03"),
        ("PreToolUse", "03"), ("PostToolUse", "03"), ("PostToolUseFailure", "03"), ("AssistantMessage", "04"),
        ("Stop", "04"),
    ]  # fmt: skip
    assert all(
        (fact["session_id"], fact["cwd"], fact["agent_name"]) == (SESSION, "/w/shop", "terminus")
        for fact in told
    )
    assert told[0]["system_prompt"] == "You are an agent."
    assert told[1]["prompt"] == "Fix it\n[image]"
    assert (told[2]["text"], told[2]["thinking"], told[2]["model"]) == ("I look.", "Hm.", "m2")
    assert tuple(told[2]["usage"].values()) == (40, 9, 60, 0)
    assert (told[5]["tool_use_id"], told[5]["tool_response"]) == ("c2", "text")
    assert (told[6]["tool_use_id"], told[6]["error"]) == ("c1", "no")
    assert told[8]["last_assistant_message"] == "Done."


@pytest.mark.parametrize("how", ["line", "document", "array", "lines"])
def test_one_trajectory_or_many_in_whatever_layout(how: str, tmp_path: Path) -> None:
    other = {**WHOLE, "session_id": "s2"}
    if how == "line":
        path = write(tmp_path, WHOLE)
    elif how == "document":
        path = write(tmp_path, WHOLE, indent=2)
    elif how == "array":
        path = write(tmp_path, [WHOLE, other], indent=2)
    else:
        path = tmp_path / "t.jsonl"
        path.write_text(json.dumps(WHOLE) + "\n" + json.dumps(other))
    sessions = {SESSION, "s2"} if how in ("array", "lines") else {SESSION}
    turns = trajectories(Atif(), [path])
    assert {turn.session_id for turn in turns} == sessions
    assert all(turn.trajectory.total_tools == 2 and turn.trajectory.failures == 1 for turn in turns)


def test_copied_context_is_no_new_fact(tmp_path: Path) -> None:
    copied = step(1, "user", "Fix it", is_copied_context=True)
    path = write(tmp_path, trajectory(copied, step(2, "user", "Go on"), step(3, "agent", "Yes.")))
    items = list(Atif().read(path))
    assert [item.what for item in items if isinstance(item, Skipped)] == ["step: copied context"]
    (turn,) = trajectories(Atif(), [path])
    assert turn.context.prompt_text == "Go on"


def test_a_result_without_a_source_is_that_of_the_only_call(tmp_path: Path) -> None:
    one = step(1, "agent", tool_calls=[call("c1")], observation={"results": [result(None, "mine")]})
    two = step(
        2, "agent", tool_calls=[call("c2"), call("c3")], observation={"results": [result(None, "whose?")]}
    )
    path = write(tmp_path, trajectory(one, two))
    (end,) = (
        told.payload for told in told_in(Atif(), path) if told.payload["hook_event_name"] == "PostToolUse"
    )
    assert (end["tool_use_id"], end["tool_response"]) == ("c1", "mine")
    assert Skipped("observation of no call") in list(Atif().read(path))


def test_call_ids_that_count_anew_in_each_step_are_told_apart(tmp_path: Path) -> None:
    steps = [
        step(number, "agent", tool_calls=[call("call_1", command=f"run {number}")],
             observation={"results": [result("call_1", f"out {number}", extra={"exit_code": number - 1})]})
        for number in (1, 2)
    ]  # fmt: skip
    (turn,) = trajectories(Atif(), [write(tmp_path, trajectory(*steps))])
    assert [call.key_params["command"] for call in turn.trajectory.events] == ["run 1", "run 2"]
    assert [call.success for call in turn.trajectory.events] == [True, False]


def test_an_embedded_subagent_stands_under_the_call_that_asked_for_it(tmp_path: Path) -> None:
    inner = trajectory(
        step(1, "user", "Look around"),
        step(2, "agent", tool_calls=[call("c1")], observation={"results": [result("c1")]}),
        step(3, "agent", "Seen."),
        trajectory_id="sub-1",
    )
    inner["agent"] = {"name": "explorer", "version": "1"}
    refs = [{"trajectory_id": "sub-1"}]
    outer = trajectory(
        step(1, "user", "Fix it"),
        step(2, "agent", tool_calls=[call("c1", "Task", subagent_type="explorer")],
             observation={"results": [result("c1", "Seen.", subagent_trajectory_ref=refs)]}),
        step(3, "agent", "Done."),
        subagent_trajectories=[inner],
    )  # fmt: skip
    (turn,) = trajectories(Atif(), [write(tmp_path, outer)])
    first, second = turn.trajectory.events
    assert (first.tool_name, second.agent_id, second.agent_type) == ("Task", "sub-1", "explorer")
    assert second.parent_call == first.call_id
    assert (turn.context.prompt_text, turn.trajectory.response) == ("Fix it", "Done.")


def test_final_metrics_count_where_no_step_was_measured(tmp_path: Path) -> None:
    final = {"total_prompt_tokens": 70, "total_cached_tokens": 20, "total_completion_tokens": 5}
    plain = trajectory(step(1, "user", "Hi"), step(2, "agent", "Ho"), final_metrics=final)
    (turn,) = trajectories(Atif(), [write(tmp_path, plain)])
    assert (turn.usage.input, turn.usage.cache_read, turn.usage.output) == (50, 20, 5)
    measured = trajectory(
        step(1, "user", "Hi"), step(2, "agent", "Ho", metrics={"prompt_tokens": 3}), final_metrics=final
    )
    (turn,) = trajectories(Atif(), [write(tmp_path, measured)])
    assert (turn.usage.input, turn.usage.cache_read) == (3, 0)


def test_a_session_without_an_id_has_the_same_name_each_time(tmp_path: Path) -> None:
    given = {key: value for key, value in WHOLE.items() if key != "session_id"}
    first, again = (told_in(Atif(), write(tmp_path, given, name))[0] for name in ("a.json", "b.json"))
    assert first.payload["session_id"] == again.payload["session_id"]
    named = told_in(Atif(), write(tmp_path, {**given, "trajectory_id": "t-9"}, "c.json"))[0]
    assert named.payload["session_id"] == "t-9"


def test_a_trajectory_that_has_grown_gives_what_it_gave_before(tmp_path: Path) -> None:
    begun = trajectory(*WHOLE["steps"][:3])
    begun["steps"][2] = {key: value for key, value in begun["steps"][2].items() if key != "observation"}
    before = {told.key for told in told_in(Atif(), write(tmp_path, begun))}
    after = [told.key for told in told_in(Atif(), write(tmp_path, WHOLE))]
    assert before < set(after)
    assert len(after) == len(set(after))


def test_runs_of_one_name_that_count_their_calls_alike_lose_none(tmp_path: Path) -> None:
    failed = result("call_1", "no", extra={"is_error": True})
    runs = [
        trajectory(
            step(1, "user", f"Task {run}"),
            step(2, "agent", tool_calls=[call("call_1", run=run)], observation={"results": [failed]}),
            step(3, "agent", "Again.", tool_calls=[call("call_1", run=run)]),
            session_id="test-session",
        )
        for run in (1, 2)
    ]
    paths = [write(tmp_path, run, f"{number}.json") for number, run in enumerate(runs)]
    turns = trajectories(Atif(), [*paths, *paths])
    assert [turn.trajectory.total_tools for turn in turns] == [2, 2]
    assert [turn.trajectory.failures for turn in turns] == [1, 1]


def test_the_total_of_a_run_that_grew_replaces_the_one_before(tmp_path: Path) -> None:
    early, late = (
        trajectory(
            *(step(number, source, f"{number}") for number, source in enumerate(sources, 1)),
            final_metrics={"total_prompt_tokens": total, "total_completion_tokens": 1},
        )
        for sources, total in ((("user", "agent"), 100), (("user", "agent", "user", "agent"), 300))
    )
    paths = [write(tmp_path, early, "early.json"), write(tmp_path, late, "late.json")]
    turns = trajectories(Atif(), paths)
    assert sum(turn.usage.input for turn in turns) == 300
    assert len(turns) == 2


def test_a_document_that_ends_early_is_broken_and_one_without_steps_too(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(WHOLE, indent=2)[:-20])
    assert [type(item) for item in Atif().read(path)] == [Broken]
    (found,) = Atif().read(write(tmp_path, {"schema_version": "ATIF-v1.5", "agent": {}}))
    assert found == Broken(found.data, 1, "it has no steps")


def test_odd_steps_stop_nothing(tmp_path: Path) -> None:
    odd = [1, None, {}, step(1, "agent", None, tool_calls=[3, {}, {"tool_call_id": 4}], metrics=[1]),
           step(2, "agent", [{"type": 7}], observation={"results": [{}, {"source_call_id": "?"}, 3]}),
           step(3, "user", 5, observation=[]), {"source": ["x"]}]  # fmt: skip
    given = {
        **trajectory(step(1, "user", "Hi")),
        "final_metrics": 3,
        "agent": [],
        "subagent_trajectories": [{}, 3],
    }
    given["steps"] += odd
    told = told_in(Atif(), write(tmp_path, given))
    assert len({one.key for one in told}) == len(told)


def test_only_trajectories_are_found_among_other_json(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE, indent=1)
    write(tmp_path, {"name": "package"}, "package.json")
    assert Atif().find(tmp_path) == [path]
    with pytest.raises(Refused, match="it is not a trajectory in ATIF as KARL knows them"):
        Atif().find(tmp_path / "package.json")


def test_what_an_export_noted_first_is_no_system_prompt(tmp_path: Path) -> None:
    step = {"step_id": 1, "source": "system", "message": "[nothing was recorded]"}
    noted = {**step, "extra": {"karl": {"note": "nothing"}}}
    for first, prompt in ((step, "[nothing was recorded]"), (noted, None)):
        start = told_in(Atif(), write(tmp_path, trajectory(first)))[0].payload
        assert start.get("system_prompt") == prompt
