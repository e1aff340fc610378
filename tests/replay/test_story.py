"""A trajectory as a story: every call a deed, moments in the order of time, nobody's words lost."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.replay.harmless import harmless, harmless_json
from karl.replay.story import Given, Moment, Story, gist, story
from karl.replay.timeline import WIDTH, bars
from karl.schema.record import TrajectoryBody
from karl.schema.trajectory import ToolCall
from tests.export.telling import body
from tests.replay.turns import told
from tests.session.making import Script
from tests.views import ledgers


def first() -> Story:
    script = told()
    script.sent = script.sent[:16]
    return story(body(script))


def short(moments: list[Moment]) -> list[tuple[str, int | str]]:
    return [(one.what, one.call or one.text or one.kind) for one in moments]


def test_what_happened_stands_in_the_order_of_time_each_call_with_its_end() -> None:
    assert short(first().moments) == [
        ("note", "startup"), ("prompt", "Add a Login page"),
        ("call", 1), ("result", 1), ("call", 2), ("result", 2),
        ("call", 3), ("note", "SubagentStart"), ("call", 4), ("result", 4),
        ("reply", "found x.py"), ("note", "SubagentStop"), ("result", 3),
        ("call", 5), ("result", 5), ("note", "needs you"), ("reply", "The page is there."), ("note", "Stop"),
    ]  # fmt: skip


def test_what_a_subagent_did_stands_inside_the_call_that_started_it() -> None:
    told_ = first()
    assert [(deed.number, deed.depth) for deed in told_.deeds] == [(1, 0), (2, 0), (3, 0), (4, 1), (5, 0)]
    inside = [one for one in told_.moments if one.depth == 1]
    assert {one.agent for one in inside} == {"Explore #3"}
    assert short(inside)[1] == ("call", 4)


def test_a_deed_has_what_it_was_given_what_came_back_and_what_it_changed() -> None:
    read, edit, *_, test = first().deeds
    assert (read.given, read.answer) == ([Given("file_path", "/w/shop/a.py")], "one\ntwo")
    assert [(diff.path, diff.added, diff.removed) for diff in edit.diffs] == [("/w/shop/a.py", 1, 1)]
    assert edit.given == [Given("file_path", "/w/shop/a.py")]
    assert (test.call.exit_code, test.answer) == (2, "Exit code 2\n1 failed")
    assert gist(test.call) == "pytest -q"


def test_pauses_add_up_to_the_time_that_went_by() -> None:
    moments = first().moments
    assert sum(one.pause_s for one in moments) == moments[-1].at_s == 15.0
    assert all(one.pause_s >= 0 for one in moments)


def test_a_response_that_a_transcript_told_later_stands_where_its_time_puts_it() -> None:
    script = Script()
    script.prompt("go")
    start = 1_760_000_000_000
    script.pre("c1", time_ms=start + 5000)
    script.post("c1", time_ms=start + 9000)
    script.say("AssistantMessage", message_id="m", text="I look.", thinking="hm", time_ms=start + 5000)
    script.stop(last_assistant_message="I look.", time_ms=start + 9500)
    moments = story(body(script)).moments
    assert short(moments) == [
        ("prompt", "go"),
        ("reply", "I look."),
        ("call", 1),
        ("result", 1),
        ("note", "Stop"),
    ]
    assert moments[1].thinking == "hm"


def test_an_end_without_a_beginning_begins_as_long_before_it_as_it_took() -> None:
    script = Script()
    script.prompt("go")
    script.post("c1", duration_ms=400, time_ms=1_760_000_005_000)
    (deed,) = story(body(script)).deeds
    assert deed.ended_ms is not None
    assert deed.started_ms == deed.ended_ms - 400


def test_calls_that_only_the_reading_knows_are_told_too() -> None:
    record = msgspec.json.decode(ledgers.trajectory("s1", 0).body, type=TrajectoryBody)
    found = story(record)
    assert [deed.number for deed in found.deeds] == [1, 2, 3]
    assert {one.call for one in found.moments if one.what == "call"} == {1, 2, 3}


def test_on_the_timeline_calls_at_the_same_time_stand_in_rows_of_their_own() -> None:
    placed, rows = bars(first())
    assert rows == 2
    by_number = {bar.deed.number: bar for bar in placed}
    assert by_number[3].row != by_number[4].row
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH + 0.01 for bar in placed)
    assert bars(Story([], [])) == ([], 0)


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(
    ["UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest", "Stop",
     "AssistantMessage", "SubagentStart", "SubagentStop", "Interrupt", "PostCompact", "Whatever"]
)  # fmt: skip
fields = st.fixed_dictionaries(
    {},
    optional={
        "tool_name": st.sampled_from(["Bash", "Edit", "Agent", "apply_patch"]) | json_values,
        "tool_use_id": st.sampled_from(["a", "b"]) | json_values,
        "agent_id": st.sampled_from(["x", "y"]),
        **dict.fromkeys(
            [
                "tool_input",
                "tool_response",
                "error",
                "prompt",
                "last_assistant_message",
                "text",
                "thinking",
                "message",
            ],
            json_values,
        ),
    },
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(kinds, fields, st.integers(-1, 20)), min_size=1, max_size=14))
def test_whatever_was_recorded_is_told_with_every_call_once_and_time_never_running_back(
    events: list[tuple[str, dict[str, Any], int]],
) -> None:
    script = Script()
    for kind, payload, second in events:
        script.say(kind, **payload, time_ms=-1 if second < 0 else 1_760_000_000_000 + second * 1000)
    found = story(body(script))
    numbers = list(range(1, len(found.deeds) + 1))
    assert [deed.number for deed in found.deeds] == numbers
    assert sorted(one.call or 0 for one in found.moments if one.what == "call") == numbers
    assert all(one.pause_s >= 0 for one in found.moments)
    assert [one.number for one in found.moments] == list(range(1, len(found.moments) + 1))
    bars(found)


def test_calls_of_unknown_shape_have_a_gist() -> None:
    assert gist(ToolCall(key_params={"odd": 3})) == "3"
    assert gist(ToolCall()) == ""


@given(st.text())
def test_harmless_json_means_the_same(text: str) -> None:
    document = msgspec.json.encode({"a": text}).decode()
    assert msgspec.json.decode(harmless_json(document)) == {"a": text}
    assert harmless(harmless_json(document)) == harmless_json(document)
