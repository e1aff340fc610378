"""A trajectory as a conversation: hooks alone, transcripts alone, both; parallel calls, subagents, gaps."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from karl.export.conversation import Asked, Made, Note, Reply, Transcript
from karl.export.transcript import transcript
from karl.schema.event import TRANSCRIPT
from tests.export.telling import body
from tests.session.making import START_MS, Script, held

TOLD = {"channel": TRANSCRIPT}


def read(script: Script) -> Transcript:
    return transcript(body(script))


def shape(found: Transcript) -> list[Any]:
    """Who spoke, and which calls stand together."""
    return [
        [made.id for made in item.calls] or item.text if isinstance(item, Reply) else type(item).__name__
        for item in found.main.items
    ]


def message(s: Script, named: str | None, at: int | None = None, **fields: Any) -> None:
    """A response, as a transcript tells it: `at` is its second within the script."""
    time = {} if at is None else {"time_ms": START_MS + at * 1000}
    named_as = {"message_id": named} if named else {}
    s.say("AssistantMessage", **TOLD, **time, **named_as, **fields)


def test_hooks_alone_give_prompt_calls_results_and_the_last_word() -> None:
    s = Script()
    s.prompt("run it")
    s.pre("c1", given={"command": "make"})
    s.post("c1", given={"command": "make"}, response={"stdout": "built", "stderr": "2 warnings"})
    s.stop(last_assistant_message="It is built.")
    found = read(s)
    assert shape(found) == ["Asked", ["c1"], "It is built."]
    (made,) = found.main.replies[0].calls
    assert (made.name, made.arguments, made.answer) == ("Bash", {"command": "make"}, "built\n2 warnings")
    assert made.call.success is True


def test_calls_that_begin_before_any_result_came_stand_together() -> None:
    s = Script()
    s.prompt()
    s.pre("c1")
    s.pre("c2")
    s.post("c2")
    s.post("c1")
    s.pre("c3")
    s.post("c3")
    assert shape(read(s)) == ["Asked", ["c1", "c2"], ["c3"]]


def test_a_response_that_is_told_after_its_results_stands_with_its_calls() -> None:
    s = Script()
    s.prompt()
    s.pre("c1", **TOLD)
    s.pre("c2", **TOLD)
    s.post("c1", **TOLD)
    s.post("c2", **TOLD)
    usage = {"input_tokens": 5, "output_tokens": 7, "cache_read_tokens": 11, "cache_write_tokens": 2}
    message(s, "m1", at=2, text="Two looks.", usage=usage, model="some-model")
    message(s, "m2", text="Done.", stop_reason="end_turn")
    found = read(s)
    assert shape(found) == ["Asked", ["c1", "c2"], "Done."]
    first = found.main.replies[0]
    assert (first.text, first.model, first.message_id, first.told) == (
        "Two looks.",
        "some-model",
        "m1",
        True,
    )
    assert first.usage is not None
    assert (first.usage.input, first.usage.output, first.usage.cache_read, first.usage.cache_write) == (
        5,
        7,
        11,
        2,
    )


def test_calls_that_ran_while_their_response_went_on_are_one_response() -> None:
    s = Script()
    s.prompt()
    s.pre("c1", **TOLD)
    s.post("c1", **TOLD)
    s.pre("c2", **TOLD)
    s.post("c2", **TOLD)
    message(s, "m1", at=3, text="One after the other.")  # the second of its last call
    message(s, "m2", text="Done.")
    assert shape(read(s)) == ["Asked", ["c1", "c2"], "Done."]


def test_live_calls_belong_to_the_response_that_a_transcript_tells_before_them() -> None:
    s = Script()
    s.prompt()
    message(s, "m1", text="I look.")
    s.pre("c1")
    s.post("c1")
    message(s, "m2", text="I change.")
    s.pre("c2")
    s.post("c2")
    s.stop(last_assistant_message="Done.")
    found = read(s)
    assert shape(found) == ["Asked", ["c1"], ["c2"], "Done."]
    assert [reply.text for reply in found.main.replies] == ["I look.", "I change.", "Done."]


def test_tokens_that_are_told_apart_count_for_the_response_before_them() -> None:
    s = Script()
    s.prompt(**TOLD)
    message(s, "m1", text="I look.")
    s.pre("c1", **TOLD)
    s.pre("c2", **TOLD)
    message(s, "t1", usage={"output_tokens": 4})
    s.post("c1", **TOLD)
    s.post("c2", **TOLD)
    message(s, "m2", text="Done.")
    message(s, "t2", usage={"output_tokens": 2})
    found = read(s)
    assert shape(found) == ["Asked", ["c1", "c2"], "Done."]
    assert [reply.usage and reply.usage.output for reply in found.main.replies] == [4, 2]


def test_a_last_word_after_a_call_without_a_result_is_a_response_of_its_own() -> None:
    s = Script()
    s.prompt(**TOLD)
    s.pre("c1", time_ms=-1, **TOLD)
    s.say("AssistantMessage", **TOLD, time_ms=-1, text="I gave up.")
    s.stop(last_assistant_message="I gave up.", **TOLD)
    assert shape(read(s)) == ["Asked", ["c1"], "I gave up."]


def test_a_call_that_names_its_response_belongs_to_it_wherever_it_stands() -> None:
    s = Script()
    s.prompt()
    for number in (1, 2):
        s.pre(f"c{number}", message_id="m1", **TOLD)
        s.post(f"c{number}", **TOLD)
    s.pre("c3", message_id="m2", **TOLD)
    assert shape(read(s)) == ["Asked", ["c1", "c2"], ["c3"]]


def test_a_response_that_is_told_twice_counts_once_with_its_larger_numbers() -> None:
    s = Script()
    s.prompt()
    message(s, "m1", text="Do", usage={"output_tokens": 2})
    message(s, "m1", text="Done.", usage={"output_tokens": 9, "input_tokens": True})
    (reply,) = read(s).main.replies
    assert reply.text == "Done."
    assert reply.usage is not None
    assert (reply.usage.output, reply.usage.input) == (9, 0)


def test_the_last_word_that_the_transcript_told_is_not_said_twice() -> None:
    s = Script()
    s.prompt()
    message(s, "m1", text="Done.", stop_reason="end_turn")
    s.stop(last_assistant_message="Done.")
    assert shape(read(s)) == ["Asked", "Done."]


def test_a_subagent_has_a_conversation_of_its_own_under_the_call_that_started_it() -> None:
    s = Script()
    s.prompt("look around")
    asked = {"prompt": "List the files.", "subagent_type": "Explore"}
    s.pre("c1", tool="Agent", given=asked)
    s.say("SubagentStart", agent_id="a1", agent_type="Explore")
    s.pre("c2", agent_id="a1")
    s.post("c2", agent_id="a1")
    s.say("SubagentStop", agent_id="a1", last_assistant_message="Three files.")
    s.post("c1", tool="Agent", given=asked, response={"content": [{"type": "text", "text": "Three files."}]})
    found = read(s)
    assert shape(found) == ["Asked", ["c1"]]
    (made,) = found.main.replies[0].calls
    assert (made.agents, made.answer) == (["a1"], "Three files.")
    child = found.agents["a1"]
    assert (child.parent, child.agent_type) == ("c1", "Explore")
    first, call, last = child.items
    assert isinstance(first, Asked)
    assert first.text == "List the files."
    assert isinstance(call, Reply)
    assert [made.id for made in call.calls] == ["c2"]
    assert isinstance(last, Reply)
    assert last.text == "Three files."


def test_a_subagent_of_which_nobody_says_who_started_it_is_kept_without_a_parent() -> None:
    s = Script()
    s.prompt()
    s.pre("c1", agent_id="a1")
    found = read(s)
    assert found.agents["a1"].parent is None
    assert not found.is_empty


def test_a_call_without_an_id_gets_one_that_is_the_same_every_time() -> None:
    def told() -> list[Made]:
        s = Script()
        s.prompt()
        for command in ("ls", "pwd"):
            s.pre(given={"command": command})
            s.post(given={"command": command}, response=f"said {command}")
        return [made for reply in read(s).main.replies for made in reply.calls]

    first, second = told()
    assert (first.answer, second.answer) == ("said ls", "said pwd")
    assert first.id != second.id
    assert [made.id for made in told()] == [first.id, second.id]


def test_a_result_of_a_call_that_nobody_announced_is_a_call() -> None:
    s = Script()
    s.prompt()
    s.post("c9", response="late")
    assert shape(read(s)) == ["Asked", ["c9"]]


def test_a_call_without_a_result_says_so() -> None:
    s = Script()
    s.prompt()
    s.pre("c1")
    s.fail("c2", error="Exit code 2\nno such file")
    (one, other) = (made for reply in read(s).main.replies for made in reply.calls)
    assert (one.answer, one.call.status) == (None, "interrupted_or_denied")
    assert other.answer == "Exit code 2\nno such file"


def test_a_command_that_became_a_prompt_is_asked_once() -> None:
    s = Script()
    s.say("UserPromptExpansion", prompt="/deploy now", command_name="deploy")
    s.prompt("/deploy now")
    assert [type(item) for item in read(s).main.items] == [Asked]


def test_what_nobody_said_to_anybody_is_a_note() -> None:
    s = Script()
    s.prompt()
    s.say("PostCompact", compact_summary="We had talked.")
    s.say("Interrupt")
    notes = [item for item in read(s).main.items if isinstance(item, Note)]
    assert [(note.what, note.text) for note in notes] == [("compaction", "We had talked."), ("interrupt", "")]


def test_the_tool_keeps_the_name_that_its_agent_gave_it() -> None:
    s = Script()
    s.prompt()
    s.pre("c1", tool="run_shell_command", given={"command": "ls"})
    (reply,) = read(s).main.replies
    assert (reply.calls[0].name, reply.calls[0].call.tool_name) == ("run_shell_command", "Bash")


KINDS = st.sampled_from(
    ["UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure", "AssistantMessage", "SubagentStart",
     "SubagentStop", "PermissionDenied", "PostCompact", "Interrupt", "Notification"]
)  # fmt: skip
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "tool_use_id": st.sampled_from(["c1", "c2", "c3"]) | ANYTHING,
        "agent_id": st.sampled_from(["a1", "a2"]) | ANYTHING,
        "message_id": st.sampled_from(["m1", "m2"]) | ANYTHING,
        "tool_name": st.sampled_from(["Bash", "Agent", "Read"]) | ANYTHING,
        "tool_input": ANYTHING, "tool_response": ANYTHING, "error": ANYTHING, "prompt": ANYTHING,
        "text": ANYTHING, "thinking": ANYTHING, "usage": ANYTHING, "stop_reason": ANYTHING, "reason": ANYTHING,
        "time_ms": st.integers(-1, 3).map(lambda n: n if n < 0 else START_MS + n),
        "channel": st.sampled_from(["hook", TRANSCRIPT]),
    },
)  # fmt: skip


def hostile(events: list[tuple[str, dict[str, Any]]]) -> Script:
    """Events that came as they are into a ledger, past the fold."""
    s = Script()
    s.prompt("begin")
    s.sent += [held(kind, number, **fields) for number, (kind, fields) in enumerate(events, start=1)]
    return s


@given(st.lists(st.tuples(KINDS, FIELDS), max_size=12))
def test_whatever_was_recorded_every_call_is_in_exactly_one_reply(
    events: list[tuple[str, dict[str, Any]]],
) -> None:
    known = body(hostile(events))
    found = transcript(known)
    made = [one for conversation in found.all for reply in conversation.replies for one in reply.calls]
    assert len({id(one) for one in made}) == len(made)
    assert sorted(map(repr, (one.call for one in made))) == sorted(
        map(repr, known.trajectory.trajectory.events)
    )
    assert len({one.id for one in made}) == len(made)
