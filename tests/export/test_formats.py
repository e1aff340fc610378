"""What each format promises, on made sessions, and on whatever may lie in a ledger."""

from __future__ import annotations

import json
from typing import Any

import atif
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.export import chatml, jsonl, sharegpt
from karl.export.atif import pieces as atif_pieces
from karl.export.chats import NO_PROMPT, NO_REPLY, SUBAGENTS
from karl.export.output import file_name
from karl.export.pieces import LeftOut, Piece, encode
from karl.export.selection import Group, Opening
from karl.export.tools import definitions
from karl.export.transcript import transcript
from karl.schema.event import TRANSCRIPT
from karl.schema.trajectory import Outcome
from karl.session.older import normalize_record
from tests.export.telling import body, chosen
from tests.export.test_transcript import FIELDS, KINDS, hostile
from tests.session.making import Script

TOLD = {"channel": TRANSCRIPT}


def grouped(*scripts: Script, opening: Opening = Opening()) -> Group:
    return Group(opening, [chosen(body(script)) for script in scripts])


def only(pieces: Any) -> dict[str, Any]:
    (piece,) = pieces
    assert isinstance(piece, Piece), piece
    return json.loads(encode(piece.data))


def busy() -> Script:
    """Two calls at once, one that failed, one cut off, tokens, a thought and a last word."""
    s = Script()
    s.prompt("add a test")
    s.say(
        "AssistantMessage", **TOLD, message_id="m1", text="I look.", thinking="Where is it?", model="some-model",
        usage={"input_tokens": 3, "output_tokens": 5, "cache_read_tokens": 70, "cache_write_tokens": 11},
    )  # fmt: skip
    s.pre("c1", tool="Read", given={"file_path": "a.py"})
    s.pre("c2")
    s.fail("c2", error="Exit code 2\nno")
    s.post("c1", tool="Read", given={"file_path": "a.py"}, response={"file": {"content": "x = 1\n"}})
    s.say("AssistantMessage", **TOLD, message_id="m2", text="I write.", usage={"output_tokens": 8})
    s.pre("c3", tool="Write", given={"file_path": "b.py", "content": "y = 2\n"})
    s.stop(last_assistant_message="Written.")
    return s


def delegating() -> Script:
    s = Script()
    s.prompt("look around")
    asked = {"prompt": "List the files.", "subagent_type": "Explore"}
    s.pre("c1", tool="Agent", given=asked)
    s.say("SubagentStart", agent_id="a1", agent_type="Explore")
    deeper = {"prompt": "Count them.", "subagent_type": "Count"}
    s.pre("c2", tool="Agent", given=deeper, agent_id="a1")
    s.say("SubagentStart", agent_id="a2", agent_type="Count")
    s.pre("c3", agent_id="a2")
    s.post("c3", agent_id="a2", response="3")
    s.post("c2", tool="Agent", given=deeper, agent_id="a1", response="three")
    s.post("c1", tool="Agent", given=asked, response="Three files.")
    s.stop(last_assistant_message="There are three.")
    return s


# --- chats ---


def test_every_call_of_a_chat_has_one_tool_message_behind_it() -> None:
    messages = only(chatml.pieces(grouped(busy()), subagents=False))["messages"]
    assert [m["role"] for m in messages] == [
        "user", "assistant", "tool", "tool", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert [c["id"] for c in messages[1]["tool_calls"]] == ["c1", "c2"]
    assert messages[1]["content"] == "I look."
    assert messages[1]["reasoning_content"] == "Where is it?"
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"]) == {"file_path": "a.py"}
    assert [m["tool_call_id"] for m in messages if m["role"] == "tool"] == ["c1", "c2", "c3"]
    assert [m["content"] for m in messages if m["role"] == "tool"] == [
        "x = 1\n", "Exit code 2\nno", "[no result: the call was interrupted or denied]",
    ]  # fmt: skip
    assert messages[-1] == {"role": "assistant", "content": "Written."}


def test_the_reward_stands_beside_a_chat_and_never_in_it() -> None:
    data = only(chatml.pieces(grouped(busy()), subagents=False))
    score = chosen(body(busy())).score
    assert data["karl"]["reward"] == score.reward
    assert data["karl"]["signals"] == score.signals
    assert "reward" not in json.dumps(data["messages"])


def test_tools_are_those_that_were_used_when_nobody_told_them() -> None:
    tools = only(chatml.pieces(grouped(busy()), subagents=False))["tools"]
    assert [tool["function"]["name"] for tool in tools] == ["Bash", "Read", "Write"]
    assert tools[2]["function"]["parameters"] == {
        "type": "object",
        "properties": {"content": {"type": "string"}, "file_path": {"type": "string"}},
        "additionalProperties": True,
    }


def test_tools_that_were_told_come_as_they_were_told() -> None:
    schema = {"type": "object", "properties": {"file_path": {"type": "string"}}}
    told = Opening(
        "You are careful.",
        (
            {
                "name": "Read",
                "description": "Read a file",
                "schema": {"name": "Read", "input_schema": schema},
            },
            {"type": "function", "function": {"name": "Task", "parameters": schema}},
            {"no": "name"},
        ),
    )
    data = only(chatml.pieces(grouped(busy(), opening=told), subagents=False))
    assert [tool["function"]["name"] for tool in data["tools"]] == ["Read", "Task", "Bash", "Write"]
    assert data["tools"][0]["function"] == {
        "name": "Read", "description": "Read a file", "parameters": schema,
    }  # fmt: skip
    assert data["messages"][0] == {"role": "system", "content": "You are careful."}


def test_a_parameter_of_several_types_may_be_anything() -> None:
    s = Script()
    s.prompt()
    s.pre("c1", tool="T", given={"n": 1, "flag": True})
    s.pre("c2", tool="T", given={"n": "all"})
    (reply,) = transcript(body(s)).main.replies
    (tool,) = definitions((), reply.calls)
    assert tool["function"]["parameters"]["properties"] == {"flag": {"type": "boolean"}, "n": {}}


def test_sharegpt_alternates_and_keeps_parallel_calls_together() -> None:
    data = only(sharegpt.pieces(grouped(busy()), subagents=False))
    turns = data["conversations"]
    assert [turn["from"] for turn in turns] == [
        "human", "function_call", "observation", "function_call", "observation", "gpt",
    ]  # fmt: skip
    first = json.loads(turns[1]["value"])
    assert first == [
        {"name": "Read", "arguments": {"file_path": "a.py"}, "content": "I look."},
        {"name": "Bash", "arguments": {"command": "ls"}},
    ]
    assert json.loads(turns[2]["value"])[1] == {"name": "Bash", "content": "Exit code 2\nno"}
    assert json.loads(turns[3]["value"])["name"] == "Write"
    assert [tool["function"]["name"] for tool in json.loads(data["tools"])] == ["Bash", "Read", "Write"]


def test_sharegpt_ends_with_the_model() -> None:
    s = Script()
    s.prompt()
    s.pre("c1")
    s.post("c1")
    turns = only(sharegpt.pieces(grouped(s), subagents=False))["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "function_call"]


@pytest.mark.parametrize("write", [chatml.pieces, sharegpt.pieces])
def test_a_chat_without_a_prompt_or_without_a_reply_is_left_out_with_the_reason(write: Any) -> None:
    silent, bare = Script(), Script()
    silent.prompt("hello?")
    bare.pre("c1")
    assert list(write(grouped(silent), subagents=False)) == [LeftOut(NO_REPLY)]
    assert list(write(grouped(bare), subagents=False)) == [LeftOut(NO_PROMPT)]


def test_chats_of_subagents_come_on_demand_on_lines_of_their_own() -> None:
    group = grouped(delegating())
    assert list(chatml.pieces(group, subagents=False))[1:] == [LeftOut(SUBAGENTS, 2)]
    main, *theirs = chatml.pieces(group, subagents=True)
    assert isinstance(main, Piece)
    assert main.calls == 1
    read = [json.loads(encode(piece.data)) for piece in theirs if isinstance(piece, Piece)]
    assert [one["karl"]["subagent"]["agent_type"] for one in read] == ["Explore", "Count"]
    assert read[1]["messages"][0] == {"role": "user", "content": "Count them."}
    assert [piece.trajectories for piece in theirs if isinstance(piece, Piece)] == [0, 0]


def test_a_whole_session_is_one_chat_with_the_mean_of_its_rewards() -> None:
    group = grouped(busy(), delegating())
    data = only(p for p in chatml.pieces(group, subagents=False) if isinstance(p, Piece))
    assert [m["content"] for m in data["messages"] if m["role"] == "user"] == ["add a test", "look around"]
    rewards = [turn.score.reward for turn in group.turns]
    assert data["karl"]["reward"] == round(sum(rewards) / 2, 4)
    assert [one["reward"] for one in data["karl"]["trajectories"]] == rewards


# --- schema v2 ---


def test_a_trajectory_in_jsonl_has_the_score_that_counts_and_what_was_said_later() -> None:
    (turn,) = grouped(busy()).turns
    turn = turn._replace(
        row=turn.row.__class__(
            **{
                **{name: getattr(turn.row, name) for name in turn.row.__struct_fields__},
                "flags": {"correction_detected": True, "redo_detected": None, "build_success": None, "session_continued": True},
                "advantage": 0.5,
            }
        )
    )  # fmt: skip
    outcome = jsonl.record(turn).outcome
    assert (outcome.correction_detected, outcome.redo_detected, outcome.session_continued) == (
        True,
        None,
        True,
    )
    assert outcome.annotation_status == "annotated"
    assert (outcome.reward_score, outcome.advantage) == (turn.score.reward, 0.5)
    assert outcome.process_score == turn.score.signals["process"]
    assert turn.body.trajectory.outcome.reward_score is None  # the record itself is as it was


def test_what_jsonl_says_is_read_back_as_it_was() -> None:
    data = only(jsonl.pieces(grouped(busy())))
    again = normalize_record(data)
    assert again.outcome == jsonl.record(grouped(busy()).turns[0]).outcome
    assert isinstance(again.outcome, Outcome)
    assert [call.call_id for call in again.trajectory.events] == ["c1", "c2", "c3"]


# --- ATIF ---


def test_atif_has_what_its_models_ask_for() -> None:
    data = only(atif_pieces(grouped(busy(), delegating())))
    read = atif.Trajectory.model_validate(data)
    assert [step.source for step in read.steps] == [
        "user",
        "agent",
        "agent",
        "agent",
        "user",
        "agent",
        "agent",
    ]
    first = data["steps"][1]
    assert first["metrics"] == {
        "prompt_tokens": 84, "completion_tokens": 5, "cached_tokens": 70,
        "extra": {"cache_creation_input_tokens": 11},
    }  # fmt: skip
    assert first["reasoning_content"] == "Where is it?"
    assert first["model_name"] == "some-model"
    assert [result["source_call_id"] for result in first["observation"]["results"]] == ["c1", "c2"]
    assert first["observation"]["results"][1]["extra"] == {
        "is_error": True, "success": False, "exit_code": 2, "duration_ms": 1000,
    }  # fmt: skip
    assert first["tool_calls"][1]["extra"]["karl"]["exit_code"] == 2
    assert "observation" not in data["steps"][2]  # nothing came back from c3
    assert data["steps"][2]["tool_calls"][0]["extra"]["karl"]["status"] == "interrupted_or_denied"
    assert data["final_metrics"] == {
        "total_steps": 7, "total_prompt_tokens": 84, "total_completion_tokens": 13, "total_cached_tokens": 70,
    }  # fmt: skip
    assert data["extra"]["karl"]["trajectories"][1]["reward"] > 0


def test_subagents_lie_inside_each_other_in_atif_and_are_referred_to() -> None:
    data = only(atif_pieces(grouped(delegating())))
    atif.Trajectory.model_validate(data)
    (outer,) = data["subagent_trajectories"]
    (inner,) = outer["subagent_trajectories"]
    (result,) = data["steps"][1]["observation"]["results"]
    assert result["subagent_trajectory_ref"][0]["trajectory_id"] == outer["trajectory_id"] == "a1"
    assert inner["trajectory_id"] == "a2"
    assert inner["extra"]["karl"]["parent_call"] == "c2"
    assert inner["steps"][0]["message"] == "Count them."


def test_a_subagent_that_works_in_two_turns_has_a_trajectory_in_each() -> None:
    data = only(atif_pieces(grouped(delegating(), delegating())))
    names = [one["trajectory_id"] for one in data["subagent_trajectories"]]
    assert len(set(names)) == 2
    refs = [
        ref["trajectory_id"]
        for step in data["steps"]
        for result in step.get("observation", {}).get("results", [])
        for ref in result.get("subagent_trajectory_ref", [])
    ]
    assert refs == names


def test_a_subagent_without_a_parent_is_kept_and_noted() -> None:
    s = Script()
    s.prompt()
    s.pre("c1", agent_id="a1")
    s.post("c1", agent_id="a1")
    data = only(atif_pieces(grouped(s)))
    atif.Trajectory.model_validate(data)
    assert data["subagent_trajectories"][0]["steps"][0]["tool_calls"][0]["tool_call_id"] == "c1"
    assert "subagents of which nobody said" in data["notes"]


def test_a_session_of_which_a_subagent_alone_is_known_has_a_step_that_says_so() -> None:
    s = Script()
    s.pre("c1", agent_id="a1")
    s.post("c1", agent_id="a1")
    data = only(atif_pieces(grouped(s)))
    assert data["steps"] == [
        {"step_id": 1, "source": "system", "message": "[nothing was recorded]",
         "extra": {"karl": {"note": "nothing"}}},
    ]  # fmt: skip
    assert data["subagent_trajectories"][0]["steps"][0]["tool_calls"]


def without_steps(data: dict[str, Any]) -> list[str]:
    """Trajectories without a step, which the format's own models refuse."""
    below = [name for one in data.get("subagent_trajectories", []) for name in without_steps(one)]
    return below if data["steps"] else [data["trajectory_id"], *below]


# --- names of files ---


@given(st.text(max_size=300), st.text(max_size=300))
def test_sessions_have_files_of_their_own_in_the_folder_that_was_named(one: str, other: str) -> None:
    name = file_name(one)
    assert "/" not in name
    assert not name.startswith((".", "-"))  # neither hidden nor an option of `rm *`
    assert len(name.encode()) <= 255
    if one != other:
        assert name.lower() != file_name(other).lower()


# --- whatever was recorded ---


@given(st.lists(st.tuples(KINDS, FIELDS), max_size=12))
def test_whatever_was_recorded_all_formats_stay_what_they_are(
    events: list[tuple[str, dict[str, Any]]],
) -> None:
    group = Group(Opening(), [chosen(body(hostile(events)))])
    (piece,) = atif_pieces(group)
    assert isinstance(piece, Piece)
    atif.Trajectory.model_validate_json(encode(piece.data))
    assert isinstance(piece.data, dict)
    assert not without_steps(piece.data)
    for piece in chatml.pieces(group, subagents=True):
        if isinstance(piece, Piece):
            expected: list[str] = []
            for message in json.loads(encode(piece.data))["messages"]:
                if message["role"] == "tool":
                    assert message["tool_call_id"] == expected.pop(0)
                    continue
                assert not expected
                calls = message.get("tool_calls", [])
                assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in calls)
                expected = [call["id"] for call in calls]
            assert not expected
    for piece in sharegpt.pieces(group, subagents=True):
        if isinstance(piece, Piece):
            turns = json.loads(encode(piece.data))["conversations"]
            assert turns[0]["from"] == "human"
            assert turns[-1]["from"] in ("gpt", "function_call")
    json.loads(encode(only(jsonl.pieces(group))))
