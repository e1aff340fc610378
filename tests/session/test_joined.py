"""Hooks and a transcript tell one session: each fact once, in whatever order they come."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.schema.event import IMPORT_END
from karl.session.fold import Carry, Duplicate, Emission, Held, Limits, OpenSession, Strays, Turn, marks_of
from tests.session.making import START_MS, Script, held, kinds

SECOND = 1000


class Session(Script):
    """A script of two tellings."""

    def tell(self, kind: str, **fields: Any) -> Held:
        return self.say(kind, channel="transcript", **fields)

    def tell_call(self, call: str, **fields: Any) -> None:
        self.tell("PreToolUse", tool_name="Bash", tool_input={"command": "ls"}, tool_use_id=call, **fields)
        self.tell("PostToolUse", tool_name="Bash", tool_response="ok", tool_use_id=call, **fields)

    def live_turn(self, prompt: str, *calls: str, prompt_id: str | None = None) -> None:
        named = {"prompt_id": prompt_id} if prompt_id else {}
        self.prompt(prompt, time_ms=START_MS, **named)
        for call in calls:
            self.pre(call, time_ms=START_MS)
            self.post(call, time_ms=START_MS)
        self.stop(time_ms=START_MS)

    def late(self) -> list[Strays]:
        return [one for one in self.strays if one.of]


def test_a_transcript_of_a_session_that_hooks_recorded_adds_only_what_they_could_not_see() -> None:
    s = Session()
    s.live_turn("go", "a", "b")
    s.tell("UserPromptSubmit", prompt="go", time_ms=START_MS + 500)
    s.tell("AssistantMessage", message_id="m1", usage={"output_tokens": 3})
    s.tell_call("a")
    s.tell("PreToolUse", tool_name="Edit", tool_input={}, tool_use_id="invalid")
    s.tell("PostToolUseFailure", tool_name="Edit", error="no such tool", tool_use_id="invalid")
    s.tell_call("b")
    s.tell(IMPORT_END)
    (turn,) = s.turns
    late, end = s.strays
    assert late.of == turn.id
    assert kinds(late) == ["AssistantMessage", "PreToolUse", "PostToolUseFailure"]
    assert kinds(end) == [IMPORT_END]
    assert len(s.duplicates) == 5


def test_a_prompt_is_known_by_its_id_whatever_the_clocks_say() -> None:
    s = Session()
    s.live_turn("go", prompt_id="p1")
    s.tell("UserPromptSubmit", prompt="go", prompt_id="p1", time_ms=START_MS + 10**9)
    s.tell("AssistantMessage", message_id="m1", time_ms=START_MS)
    s.tell(IMPORT_END)
    assert [one.of for one in s.late()] == [s.turns[0].id]
    assert len(s.turns) == 1


def test_two_prompts_that_an_agent_gave_one_id_are_two() -> None:
    s = Session()
    s.tell("UserPromptSubmit", prompt="go", prompt_id="p1", time_ms=START_MS)
    s.prompt("go", prompt_id="p1", time_ms=START_MS)
    s.prompt("then stop", prompt_id="p1", time_ms=START_MS)
    s.stop()
    s.tell(IMPORT_END)
    assert [kinds(turn) for turn in s.turns] == [
        ["UserPromptSubmit", "Stop"],
        ["UserPromptSubmit", "UserPromptSubmit", IMPORT_END],
    ]


def test_a_response_after_the_end_of_its_turn_belongs_to_it() -> None:
    s = Session()
    s.tell("UserPromptSubmit", prompt="go")
    s.tell("Stop")
    s.tell("AssistantMessage", message_id="m1")
    s.tell(IMPORT_END)
    assert [(kinds(late), late.of) for late in s.late()] == [(["AssistantMessage"], s.turns[0].id)]


def test_a_history_that_begins_with_a_response_is_a_turn() -> None:
    s = Session()
    s.tell("AssistantMessage", message_id="m1")
    s.tell(IMPORT_END)
    assert [kinds(turn) for turn in s.turns] == [["AssistantMessage", IMPORT_END]]


def test_an_hours_silence_does_not_end_a_transcripts_turn() -> None:
    s = Session()
    s.tell("PreToolUse", tool_name="Bash", tool_input={}, tool_use_id="a", time_ms=START_MS)
    s.tell("PostToolUse", tool_name="Bash", tool_response="", tool_use_id="a", time_ms=START_MS + 10**8)
    assert s.turns == []


def test_a_turn_that_no_hook_saw_becomes_a_turn_of_its_own() -> None:
    s = Session()
    s.live_turn("second", "b")
    s.tell("UserPromptSubmit", prompt="first", time_ms=START_MS - 10**7)
    s.tell_call("a", time_ms=START_MS - 10**7)
    s.tell("UserPromptSubmit", prompt="second", time_ms=START_MS)
    s.tell_call("b")
    s.tell(IMPORT_END)
    live, told = s.turns
    assert kinds(told) == ["UserPromptSubmit", "PreToolUse", "PostToolUse"]
    assert (live.number, told.number) == (0, 1)
    assert told.told
    assert not live.told


def test_what_came_before_the_hooks_were_there_joins_the_turn_they_saw_the_end_of() -> None:
    s = Session()
    s.pre("b")
    s.post("b")
    s.stop()
    s.tell("UserPromptSubmit", prompt="go", time_ms=START_MS)
    s.tell_call("a", time_ms=START_MS)
    s.tell_call("b", time_ms=START_MS)
    s.tell(IMPORT_END)
    (turn,) = s.turns
    (late,) = s.late()
    assert late.of == turn.id
    assert kinds(late) == ["UserPromptSubmit", "PreToolUse", "PostToolUse"]


def test_a_transcript_of_a_turn_that_is_open_goes_into_it() -> None:
    s = Session()
    s.prompt("go")
    s.pre("a")
    s.tell("UserPromptSubmit", prompt="go", time_ms=START_MS)
    s.tell("AssistantMessage", message_id="m1")
    s.tell("PreToolUse", tool_name="Bash", tool_input={}, tool_use_id="a")
    s.tell("AssistantMessage", message_id="m2")
    s.tell(IMPORT_END)
    s.post("a")
    s.stop()
    (turn,) = s.turns
    assert kinds(turn) == [
        "UserPromptSubmit", "PreToolUse", "AssistantMessage", "AssistantMessage", "PostToolUse", "Stop",
    ]  # fmt: skip
    assert s.late() == []


def test_a_hook_that_comes_after_the_transcript_is_kept_with_the_turn_it_belongs_to() -> None:
    s = Session()
    s.tell("UserPromptSubmit", prompt="go", time_ms=START_MS)
    s.tell_call("a")
    s.tell(IMPORT_END)
    s.live_turn("go", "a")
    s.prompt("next", time_ms=START_MS + 10**6)
    s.stop(time_ms=START_MS + 10**6)
    told, live = s.turns
    (late,) = s.late()
    assert late.of == told.id
    assert kinds(late) == ["UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"]
    assert kinds(live) == ["UserPromptSubmit", "Stop"]
    assert (told.number, live.number) == (0, 1)


def test_a_refusal_that_only_the_transcript_tells_belongs_to_the_call_the_hooks_saw_begin() -> None:
    s = Session()
    s.prompt("go")
    s.pre("a")
    s.stop()
    s.tell("PostToolUseFailure", tool_name="Bash", error="The user doesn't want", tool_use_id="a")
    s.tell(IMPORT_END)
    assert [(kinds(one), one.of) for one in s.late()] == [(["PostToolUseFailure"], s.turns[0].id)]


def test_importing_again_what_has_grown_adds_the_new_part_to_its_turn() -> None:
    s = Session()
    first = [
        s.tell("UserPromptSubmit", prompt="go"),
        s.tell("PreToolUse", tool_name="Bash", tool_input={}, tool_use_id="a"),
        s.tell(IMPORT_END),
    ]
    for item in first:
        s.out += s.session.add(msgspec.structs.replace(item, entry=item.entry.replace("-0", "-9")), START_MS)
    s.tell("PostToolUse", tool_name="Bash", tool_response="ok", tool_use_id="a")
    s.tell("UserPromptSubmit", prompt="next", time_ms=START_MS + 10**6)
    s.tell(IMPORT_END)
    one, two = s.turns
    assert [(kinds(late), late.of) for late in s.late()] == [(["PostToolUse"], one.id)]
    assert kinds(two) == ["UserPromptSubmit", IMPORT_END]


@pytest.mark.parametrize("works", [True, False])
def test_a_title_told_again_after_a_new_turn_leaves_that_turn_alone(works: bool) -> None:
    s = Session()
    s.tell("UserPromptSubmit", prompt="go")
    s.tell_call("a")
    known = [*s.sent, s.tell("SessionTitle", title="A title"), s.tell(IMPORT_END)]
    again = [msgspec.structs.replace(item, entry=item.entry.replace("-0", "-9")) for item in known]
    for item in again[:-2]:
        s.out += s.session.add(item, START_MS)
    s.tell("UserPromptSubmit", prompt="next", time_ms=START_MS + 10**6)
    if works:
        s.tell_call("b", time_ms=START_MS + 10**6)
    for item in again[-2:]:
        s.out += s.session.add(item, START_MS)
    one, two = s.turns
    assert kinds(two) == ["UserPromptSubmit", *(["PreToolUse", "PostToolUse"] if works else [])]
    assert kinds(one) == ["UserPromptSubmit", "PreToolUse", "PostToolUse", "SessionTitle", IMPORT_END]
    assert s.late() == []
    assert s.session.is_empty


@pytest.mark.parametrize("works", [True, False])
def test_an_import_that_was_killed_in_the_middle_of_a_turn_changes_no_turn(works: bool) -> None:
    s = Session()
    s.tell("SessionStart", source="startup")
    s.tell("UserPromptSubmit", prompt="go")
    s.tell_call("a")
    s.tell("Stop")
    s.tell("UserPromptSubmit", prompt="next", time_ms=START_MS + 10**6)
    if works:
        s.tell("PreToolUse", tool_name="Bash", tool_input={}, tool_use_id="b")
    for item in list(s.sent):
        s.out += s.session.add(msgspec.structs.replace(item, entry=item.entry.replace("-0", "-9")), START_MS)
    s.tell_call("c")
    s.tell(IMPORT_END)
    one, two = s.turns
    assert kinds(one) == ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"]
    assert kinds(two) == ["UserPromptSubmit", *(["PreToolUse"] if works else [])]
    assert [(kinds(late)[:2], late.of) for late in s.late()] == [(["PreToolUse", "PostToolUse"], two.id)]
    assert s.session.is_empty


def test_an_old_hook_that_comes_twice_leaves_the_open_turn_alone() -> None:
    s = Session()
    s.live_turn("go", "a")
    old = s.sent[:3]
    s.tell("UserPromptSubmit", prompt="go", time_ms=START_MS)
    s.tell_call("a")
    s.tell(IMPORT_END)
    s.prompt("next", time_ms=START_MS + 10**6)
    for item in old:
        s.out += s.session.add(msgspec.structs.replace(item, entry=item.entry.replace("-0", "-9")), START_MS)
    s.pre("b", time_ms=START_MS + 10**6)
    s.post("b", time_ms=START_MS + 10**6)
    s.stop(time_ms=START_MS + 10**6)
    assert [kinds(turn) for turn in s.turns] == [
        ["UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"]
    ] * 2
    assert s.late() == []


@pytest.mark.parametrize("asked", [True, False])
def test_the_end_of_an_import_that_is_told_again_leaves_nothing_held(asked: bool) -> None:
    s = Session()
    first = [s.tell("UserPromptSubmit", prompt="go")] if asked else []
    first += [s.tell("PreToolUse", tool_name="Bash", tool_input={}, tool_use_id="a"), s.tell(IMPORT_END)]
    again = [msgspec.structs.replace(item, entry=item.entry.replace("-0", "-9")) for item in first]
    out = [one for item in again for one in s.session.add(item, START_MS)]
    assert [type(one) for one in out] == [Duplicate] * len(again)
    assert s.session.is_empty


def test_a_subagents_own_transcript_belongs_to_the_turn_of_the_call_that_started_it() -> None:
    s = Session()
    s.tell("UserPromptSubmit", prompt="go")
    s.tell("PreToolUse", tool_name="Task", tool_input={}, tool_use_id="a")
    s.tell("PostToolUse", tool_name="Task", tool_response={"agentId": "x1"}, tool_use_id="a")
    s.tell("UserPromptSubmit", prompt="next", time_ms=START_MS + 10**6)
    s.tell(IMPORT_END)
    s.tell("UserPromptSubmit", prompt="find it", agent_id="x1")
    s.tell_call("inner", agent_id="x1")
    s.tell(IMPORT_END)
    assert [(kinds(late), late.of) for late in s.late()] == [
        (["UserPromptSubmit", "PreToolUse", "PostToolUse"], s.turns[0].id)
    ]


def test_a_subagent_is_found_by_the_call_its_start_names() -> None:
    s = Session()
    s.tell("UserPromptSubmit", prompt="go")
    s.tell("PreToolUse", tool_name="Task", tool_input={}, tool_use_id="a")
    s.tell(IMPORT_END)
    s.tell("SubagentStart", agent_id="x1", tool_use_id="a")
    s.tell_call("inner", agent_id="x1")
    s.tell(IMPORT_END)
    (late,) = s.late()
    assert (kinds(late), late.of) == (["SubagentStart", "PreToolUse", "PostToolUse"], s.turns[0].id)


def test_a_late_result_names_the_turn_of_its_call() -> None:
    s = Session()
    s.prompt("go")
    s.pre("a")
    s.stop()
    s.prompt("next")
    s.post("a")
    assert [(kinds(one), one.of) for one in s.late()] == [(["PostToolUse"], s.turns[0].id)]


def test_a_callers_word_is_about_the_turn_before() -> None:
    s = Session()
    s.prompt("go")
    s.stop()
    s.prompt("next")
    said = s.say("Annotation", build_success=False, redo_detected="yes")
    remark = s.remarks[-1]
    assert (remark.trajectory, remark.by, remark.detector) == (s.turns[0].id, said.event.id, "caller")
    assert (remark.build_success, remark.redo_detected, remark.session_continued) == (False, None, None)
    assert [(kinds(one), one.of) for one in s.late()] == [(["Annotation"], s.turns[0].id)]


def test_prompts_of_a_transcript_remark_on_the_turn_before_them_in_it() -> None:
    s = Session()
    s.tell("UserPromptSubmit", prompt="add a cache")
    s.tell("Stop")
    s.tell("UserPromptSubmit", prompt="no, I meant the other cache", time_ms=START_MS + 10**6)
    (remark,) = s.remarks
    assert remark.told
    assert remark.correction_detected
    assert s.session.carry_of(remark) is s.session.carry.told


TURNS = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=5
)  # calls, seen by hooks, has a prompt id, comes to its end


def _tellings(turns: list[tuple[int, bool, bool, bool]]) -> tuple[list[Held], list[Held]]:
    """Both tellings of a session; the numbers (so ids and times) of one are apart from the other's."""
    live: list[Held] = []
    told: list[Held] = []
    for turn, (calls, seen, named, ends) in enumerate(turns):
        base = START_MS + turn * 600 * SECOND
        some = {"prompt_id": f"p{turn}"} if named else {}

        def both(
            kind: str, at: int, *, seen: bool = seen, base: int = base, extra: Any = None, **fields: Any
        ) -> None:
            if seen:
                live.append(held(kind, 1000 + len(live), time_ms=base + at, **fields))
            number = 5000 + len(told)
            told.append(held(kind, number, time_ms=base + at + 7, channel="transcript", **fields))

        both("UserPromptSubmit", 0, prompt=f"do thing {turn}", **some)
        for call in range(calls):
            fields = {"tool_name": "Bash", "tool_input": {}, "tool_use_id": f"c{turn}.{call}"}
            told.append(
                held(
                    "AssistantMessage",
                    5000 + len(told),
                    time_ms=base,
                    channel="transcript",
                    message_id=f"m{turn}.{call}",
                )
            )
            both("PreToolUse", 10 + call, **fields)
            both("PostToolUse", 11 + call, tool_response="ok", **fields)
        if ends:
            both("Stop", 50)
    told.append(held(IMPORT_END, 9000, time_ms=-1, channel="transcript"))
    return live, told


@settings(max_examples=200, deadline=None)
@given(TURNS, st.data())
def test_however_two_tellings_are_mixed_every_call_is_in_one_turn_and_nothing_is_lost(
    turns: list[tuple[int, bool, bool, bool]], data: st.DataObject
) -> None:
    live, told = _tellings(turns)
    order: list[Held] = []
    rest = [list(live), list(told)]
    while rest[0] or rest[1]:
        side = data.draw(st.integers(0, 1)) if rest[0] and rest[1] else int(not rest[0])
        order.append(msgspec.structs.replace(rest[side].pop(0), entry=f"{len(order) + 1}-0"))
    out: list[Emission] = []
    marks = b""
    carry = Carry()
    fold = OpenSession("s1", carry, {}, Limits())
    for number, item in enumerate(order):
        out += fold.add(item, START_MS)
        if data.draw(st.integers(0, 9)) == 0:  # the worker dies, and the stream is read again
            kept = set(fold.first_entries)
            marks = b"".join(one.marks for one in out if isinstance(one, Turn | Strays))
            fold = OpenSession("s1", carry, marks_of(marks), Limits())
            first = min((int(str(e).split("-")[0]) for e in kept), default=number + 2)
            for again in order[first - 1 : number + 1]:
                out += [one for one in fold.add(again, START_MS) if not isinstance(one, Duplicate)]
    out += fold.close("idle")

    left = [item for one in out if isinstance(one, Turn | Strays) for item in one.held]
    dropped = {one.event for one in out if isinstance(one, Duplicate)}
    assert len(left) == len({item.event.id for item in left}), "an event left twice"
    assert {item.event.id for item in left} | dropped >= {item.event.id for item in order}
    assert {item.event.id for item in live} <= {item.event.id for item in left}, "a hook's event was dropped"
    homes: dict[str, set[str]] = {}
    calls: set[str] = set()
    for one in out:
        if isinstance(one, Turn | Strays):
            home = one.id if isinstance(one, Turn) else one.of or "none"
            for item in one.held:
                payload = bytes(item.event.payload).decode()
                calls.update(re.findall(r'"tool_use_id": "(.*?)"', payload))
                for turn in re.findall(r'"(?:do thing |c|m)([0-9])[".]', payload):
                    homes.setdefault(turn, set()).add(home)
    assert all(len(home) == 1 for home in homes.values()), homes
    assert len(calls) == sum(count for count, _, _, _ in turns)
    assert len({one.number for one in out if isinstance(one, Turn)}) == len(
        [one for one in out if isinstance(one, Turn)]
    )


@pytest.mark.parametrize("first", ["live", "told"])
def test_two_whole_tellings_make_one_turn_a_prompt(first: str) -> None:
    live, told = _tellings([(2, True, True, True), (1, True, False, True), (0, True, True, True)])
    order = [*live, *told] if first == "live" else [*told, *live]
    fold = OpenSession("s1", Carry(), {}, Limits())
    out = [
        one
        for n, item in enumerate(order)
        for one in fold.add(msgspec.structs.replace(item, entry=f"{n}-0"), START_MS)
    ]
    out += fold.close("idle")
    assert len([one for one in out if isinstance(one, Turn)]) == 3
