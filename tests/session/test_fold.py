"""The fold: what opens and closes a turn, and that every event leaves exactly once."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.schema.event import IMPORT_END
from karl.session.corrections import THRESHOLD
from karl.session.fold import (
    Carry,
    Duplicate,
    Emission,
    Held,
    Limits,
    OpenSession,
    Remark,
    Strays,
    Turn,
    marks_of,
    short_id,
)
from tests.session.making import START_MS, Script, held, kinds

MINUTE = 60_000


def test_a_turn_runs_from_the_prompt_to_the_stop() -> None:
    s = Script()
    s.prompt()
    s.pre("a")
    s.post("a")
    assert s.out == []
    s.stop()
    (turn,) = s.turns
    assert turn.held == tuple(s.sent)
    assert (turn.number, turn.closed_by) == (0, "stop")
    assert turn.time_ms == START_MS + 3000
    assert s.session.is_empty
    assert s.session.open_bytes == 0


def test_a_turn_has_the_same_id_wherever_it_is_folded() -> None:
    ids = []
    for _ in range(2):
        s = Script()
        s.prompt()
        s.stop()
        ids.append(s.turns[0].id)
    assert ids[0] == ids[1]
    assert ids[0].startswith("traj_")
    assert len(ids[0]) == 5 + 16


def test_turns_of_one_session_have_different_ids_and_growing_numbers() -> None:
    s = Script()
    for _ in range(3):
        s.prompt()
        s.stop()
    assert [turn.number for turn in s.turns] == [0, 1, 2]
    assert len({turn.id for turn in s.turns}) == 3


def test_a_tool_event_opens_a_turn_in_logs_without_prompts() -> None:
    s = Script()
    s.post("a")
    s.stop()
    assert kinds(s.turns[0]) == ["PostToolUse", "Stop"]


def test_the_next_prompt_closes_a_turn_that_had_no_stop() -> None:
    s = Script()
    s.prompt("one")
    s.pre("a")
    s.prompt("two")
    assert s.turns[0].closed_by == "prompt"
    assert kinds(s.turns[0]) == ["UserPromptSubmit", "PreToolUse"]
    assert s.session.open_events == 1


def test_a_stop_with_work_in_the_background_keeps_the_turn_open() -> None:
    s = Script()
    s.prompt()
    s.stop(background_tasks=[{"id": "b1", "type": "shell", "status": "running"}])
    assert s.out == []
    s.prompt("<task-notification><task-id>b1</task-id></task-notification>")
    s.pre("a")
    s.post("a")
    s.stop(background_tasks=[])
    (turn,) = s.turns
    assert turn.held == tuple(s.sent)
    assert s.remarks == []


def test_a_stop_whose_background_tasks_have_all_ended_closes_the_turn() -> None:
    s = Script()
    s.prompt()
    s.stop(background_tasks=[{"id": "b1", "status": "completed"}])
    assert s.turns[0].closed_by == "stop"


@pytest.mark.parametrize("odd", [None, "running", {"id": "x"}, 3, []])
def test_background_tasks_of_an_odd_shape_do_not_keep_a_turn_open(odd: object) -> None:
    s = Script()
    s.prompt()
    s.stop(background_tasks=odd)
    assert len(s.turns) == 1


def test_a_stop_that_a_stop_hook_continued_closes_too() -> None:
    s = Script()
    s.prompt()
    s.stop(stop_hook_active=True)
    assert len(s.turns) == 1


def test_an_api_failure_closes_the_turn() -> None:
    s = Script()
    s.prompt()
    s.say("StopFailure", error="rate_limit")
    assert s.turns[0].closed_by == "stop_failure"


def test_the_end_of_the_session_belongs_to_the_turn_that_it_closes() -> None:
    s = Script()
    s.prompt()
    s.say("SessionEnd", reason="logout")
    assert kinds(s.turns[0]) == ["UserPromptSubmit", "SessionEnd"]
    assert s.session.carry.ended


def test_a_session_may_go_on_after_its_end() -> None:
    s = Script()
    s.prompt()
    s.say("SessionEnd", reason="resume")
    s.say("SessionStart", source="resume")
    s.prompt("go on")
    s.stop()
    assert [turn.closed_by for turn in s.turns] == ["session_end", "stop"]
    assert kinds(s.turns[1]) == ["SessionStart", "UserPromptSubmit", "Stop"]
    assert not s.session.carry.ended


def test_what_comes_before_a_prompt_is_the_head_of_its_turn() -> None:
    s = Script()
    s.say("SessionStart", source="startup", model="m-1")
    s.say("InstructionsLoaded")
    s.prompt()
    s.stop()
    assert kinds(s.turns[0]) == ["SessionStart", "InstructionsLoaded", "UserPromptSubmit", "Stop"]
    assert s.turns[0].model == "m-1"


@pytest.mark.parametrize(("last", "ended"), [("SessionEnd", True), (IMPORT_END, False)])
def test_a_session_that_ends_without_a_turn_leaves_strays(last: str, *, ended: bool) -> None:
    s = Script()
    s.say("SessionStart", source="startup")
    s.say(last)
    (strays,) = s.strays
    assert kinds(strays) == ["SessionStart", last]
    assert strays.ended is ended
    assert strays.after is None


def test_the_end_of_an_import_closes_the_turn() -> None:
    s = Script()
    s.prompt()
    s.say(IMPORT_END)
    assert s.turns[0].closed_by == "import_end"


def test_silence_by_the_events_times_closes_a_turn() -> None:
    s = Script()
    s.prompt(time_ms=START_MS)
    s.pre("a", time_ms=START_MS + 31 * MINUTE)
    assert [turn.closed_by for turn in s.turns] == ["idle"]
    assert s.turns[0].time_ms == START_MS


def test_the_result_of_a_call_that_took_hours_belongs_to_its_turn() -> None:
    s = Script()
    s.prompt(time_ms=START_MS)
    s.pre("a", time_ms=START_MS)
    s.post("a", time_ms=START_MS + 300 * MINUTE)
    assert s.turns == []
    s.post("b", time_ms=START_MS + 340 * MINUTE)
    assert [turn.closed_by for turn in s.turns] == ["idle"]


def test_events_without_times_are_never_silent() -> None:
    s = Script()
    s.prompt(time_ms=-1)
    s.pre("a", time_ms=START_MS + 99 * MINUTE)
    assert s.out == []


def test_silence_by_the_clock_closes_a_turn_after_the_limit_only() -> None:
    s = Script(limits=Limits(idle_ms=1000))
    s.prompt()
    seen = s.session.last_seen_ms
    assert s.session.idle(seen + 1000) == []
    (turn,) = s.session.idle(seen + 1001)
    assert isinstance(turn, Turn)
    assert turn.closed_by == "idle"
    assert s.session.idle(seen + 9999) == []


def test_what_waits_for_a_turn_leaves_as_strays_when_none_comes() -> None:
    s = Script()
    s.prompt()
    s.stop()
    s.say("Notification", message="waiting")
    (strays,) = s.session.idle(s.session.last_seen_ms + 99 * MINUTE)
    assert isinstance(strays, Strays)
    assert strays.after == s.turns[0].id


def test_too_many_events_close_a_turn_and_the_next_goes_on_with_its_prompt_in_mind() -> None:
    s = Script(limits=Limits(turn_max_events=3))
    s.prompt("rename the parser module please")
    s.pre("a")
    s.post("a")
    s.pre("b")
    s.stop()
    assert [turn.closed_by for turn in s.turns] == ["size", "stop"]
    s.prompt("rename the parser module please")
    assert s.remarks[0].redo_detected


def test_too_many_bytes_close_a_turn() -> None:
    s = Script(limits=Limits(turn_max_bytes=1500))
    s.prompt("x" * 800)
    assert s.out == []
    s.pre("a", given={"command": "y" * 800})
    assert s.turns[0].closed_by == "size"


def test_a_result_that_comes_after_its_turn_is_a_stray_and_opens_nothing() -> None:
    s = Script()
    s.prompt()
    s.pre("a")
    s.stop()
    assert s.session.carry.open_calls == ["a"]
    late = s.post("a")
    (strays,) = s.strays
    assert strays.held == (late,)
    assert strays.after == s.turns[0].id
    assert s.session.is_empty
    assert s.session.carry.open_calls == []


def test_a_late_result_does_not_join_the_turn_that_is_open_by_then() -> None:
    s = Script()
    s.prompt("one")
    s.pre("a")
    s.prompt("two")
    s.fail("a", error="Exit code 1")
    s.pre("b")
    s.post("b")
    s.stop()
    assert kinds(s.turns[1]) == ["UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"]
    assert kinds(s.strays[0]) == ["PostToolUseFailure"]


def test_calls_left_open_are_remembered_up_to_a_bound() -> None:
    s = Script()
    s.prompt()
    for number in range(100):
        s.pre(f"c{number}")
    s.stop()
    assert s.session.carry.open_calls == [f"c{number}" for number in range(36, 100)]


@pytest.mark.parametrize("kind", ["SubagentStop", "Stop", "StopFailure"])
def test_an_end_without_a_turn_is_a_stray_at_once(kind: str) -> None:
    s = Script()
    s.say("SessionStart", source="startup")
    s.say(kind)
    assert [kinds(one) for one in s.strays] == [[kind]]
    s.prompt()
    s.stop()
    assert kinds(s.turns[0]) == ["SessionStart", "UserPromptSubmit", "Stop"]


def test_a_subagents_events_never_close_its_parents_turn() -> None:
    s = Script()
    s.prompt()
    s.pre("t", "Task")
    s.say("SubagentStart", agent_id="g1", agent_type="explorer")
    s.prompt("look around", agent_id="g1")
    s.stop(agent_id="g1")
    s.say("StopFailure", agent_id="g1", error="overloaded")
    s.say("SubagentStop", agent_id="g1")
    assert s.out == []
    s.stop()
    assert len(s.turns[0].held) == 8


def test_a_compaction_stays_inside_the_turn() -> None:
    s = Script()
    s.prompt()
    s.pre("a")
    s.say("PreCompact", trigger="auto")
    s.say("SessionStart", source="compact")
    s.post("a")
    s.stop()
    assert len(s.turns) == 1
    assert len(s.turns[0].held) == 6


def test_a_new_process_ends_the_turn_that_the_old_one_left_open() -> None:
    s = Script()
    s.prompt()
    s.pre("a")
    s.say("SessionStart", source="resume")
    assert [turn.closed_by for turn in s.turns] == ["session_end"]
    s.prompt("go on")
    s.stop()
    assert kinds(s.turns[1])[0] == "SessionStart"


def test_a_start_that_was_logged_after_its_first_prompt_does_not_split_the_turn() -> None:
    s = Script()
    s.prompt()
    s.say("SessionStart", source="startup")
    s.pre("a")
    s.stop()
    assert len(s.turns) == 1


def test_a_typed_command_is_the_head_of_the_turn_that_it_starts() -> None:
    s = Script()
    s.prompt("one")
    s.pre("a")
    s.say("UserPromptExpansion", command_name="review", prompt="/review")
    s.prompt("/review")
    s.stop()
    assert [turn.closed_by for turn in s.turns] == ["prompt", "stop"]
    assert kinds(s.turns[1]) == ["UserPromptExpansion", "UserPromptSubmit", "Stop"]


def test_kinds_that_nobody_knows_are_kept_where_they_stand() -> None:
    s = Script()
    s.say("SomethingNew")
    s.prompt()
    s.say("SomethingElse")
    s.stop()
    assert kinds(s.turns[0]) == ["SomethingNew", "UserPromptSubmit", "SomethingElse", "Stop"]


def test_another_agents_names_for_the_same_moments_count() -> None:
    s = Script()
    s.say("BeforeAgent", prompt="hello")
    s.say("BeforeTool", tool_name="read_file", tool_input={})
    s.say("AfterTool", tool_name="read_file", tool_input={}, tool_response={})
    s.say("AfterAgent")
    assert s.turns[0].closed_by == "stop"


def test_a_prompt_that_a_person_typed_remarks_on_the_turn_before() -> None:
    s = Script()
    s.prompt("add a cache")
    s.stop()
    by = s.prompt("no, I meant the other cache")
    (remark,) = s.remarks
    assert remark == Remark(
        session="s1",
        trajectory=s.turns[0].id,
        by=by.event.id,
        session_continued=True,
        correction_detected=True,
        redo_detected=False,
        time_ms=by.event.time_ms or 0,
        correction_score=remark.correction_score,
        correction_classes=("wrong_target", "steering"),
    )
    assert remark.correction_score is not None
    assert remark.correction_score >= THRESHOLD
    assert remark.session_continued


def test_a_prompt_that_closes_a_turn_remarks_on_that_very_turn_after_it() -> None:
    s = Script()
    s.prompt("add a cache")
    s.pre("a")
    s.prompt("try again")
    turn, remark = s.out
    assert isinstance(turn, Turn)
    assert isinstance(remark, Remark)
    assert remark.trajectory == turn.id
    assert remark.redo_detected
    assert not remark.correction_detected


@pytest.mark.parametrize(
    "text",
    [
        "<task-notification>done</task-notification>",
        "<scheduled-task>nightly</scheduled-task>",
        "[Request interrupted by user]",
        "<local-command-stdout>ok</local-command-stdout>",
        None,
        7,
    ],
)
def test_prompts_that_nobody_typed_remark_on_nothing(text: object) -> None:
    s = Script()
    s.prompt()
    s.stop()
    s.prompt(text)
    assert s.remarks == []


def test_the_first_prompt_has_nothing_to_remark_on() -> None:
    s = Script()
    s.prompt("no, that is wrong")
    assert s.out == []


def test_a_note_asks_for_nothing_and_opens_nothing() -> None:
    s = Script()
    s.prompt("<bash-input>git status</bash-input>")
    s.say("SessionEnd")
    assert s.turns == []
    assert len(s.strays[0].held) == 2


def test_a_scheduled_prompt_is_a_request_of_its_own() -> None:
    s = Script()
    s.prompt("one")
    s.prompt("<scheduled-task>check the build</scheduled-task>")
    assert [turn.closed_by for turn in s.turns] == ["prompt"]


def test_an_event_that_is_open_or_ledgered_already_is_a_duplicate() -> None:
    s = Script()
    first = s.prompt()
    again = msgspec.structs.replace(first, entry="90-0")
    assert s.session.add(again, 0) == [Duplicate("90-0", first.event.id)]
    s.stop()
    assert s.session.add(again, 0) == [Duplicate("90-0", first.event.id)]
    assert s.session.is_empty


def test_the_very_same_entry_given_twice_is_not_acknowledged_before_its_turn() -> None:
    s = Script()
    first = s.prompt()
    assert s.session.add(first, 0) == []
    s.stop()
    assert s.turns[0].held.count(first) == 1


def test_the_carry_survives_json_with_what_the_worker_put_there() -> None:
    s = Script()
    s.say("SessionStart", source="startup", model="m-1", agent_version="2.1")
    s.prompt("one", permission_mode="plan")
    s.pre("a")
    s.stop()
    carry = s.session.carry
    again = msgspec.json.decode(msgspec.json.encode(carry), type=Carry)
    assert again == carry
    assert (again.model, again.agent_version, again.permission_mode) == ("m-1", "2.1", "plan")
    assert (again.turn, again.last_prompt, again.last_closed_by) == (1, "one", "stop")


def test_a_model_switch_holds_from_then_on() -> None:
    s = Script()
    s.say("SessionStart", model="m-1")
    s.prompt()
    s.stop()
    s.say("PostModelSwitch", from_model="m-1", to_model="m-2")
    s.prompt()
    s.stop()
    assert [turn.model for turn in s.turns] == ["m-1", "m-2"]


def test_marks_come_back_from_their_joined_form() -> None:
    items = [held("Stop", number) for number in range(5)]
    home = b"eightfit"
    data = b"".join(short_id(item.event.id) + home for item in items)
    assert marks_of(data) == {short_id(item.event.id): home for item in items}
    assert len(data) == 80
    assert marks_of(data[:-3]) == {short_id(item.event.id): home for item in items[:-1]}


def test_a_payload_that_can_not_be_read_is_folded_by_its_kind() -> None:
    s = Script()
    for number, kind in enumerate(["UserPromptSubmit", "PreToolUse", "Stop"]):
        item = held(kind, number)
        broken = msgspec.structs.replace(item.event, payload=msgspec.Raw(b"[1,2"))
        s.out += s.session.add(msgspec.structs.replace(item, event=broken), 0)
    assert len(s.turns[0].held) == 3


# --- every event leaves exactly once, whatever is repeated and whoever dies ---

CALLS = st.sampled_from(["a", "b", "c", None])
AGENTS = st.sampled_from([None, None, None, "g1"])
PROMPTS = st.sampled_from(
    [
        "one",
        "no, that's wrong",
        "try again",
        "<task-notification>x</task-notification>",
        "<cron-job>x",
        "<bash-input>x",
    ]
)
STEP = st.one_of(
    st.tuples(st.just("UserPromptSubmit"), st.fixed_dictionaries({"prompt": PROMPTS, "agent_id": AGENTS})),
    st.tuples(
        st.sampled_from(["PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionDenied"]),
        st.fixed_dictionaries({"tool_name": st.just("Bash"), "tool_use_id": CALLS, "agent_id": AGENTS}),
    ),
    st.tuples(
        st.just("Stop"),
        st.fixed_dictionaries({"background_tasks": st.sampled_from([[], [{"status": "running"}]])}),
    ),
    st.tuples(st.just("SessionStart"), st.fixed_dictionaries({"source": st.sampled_from(["compact", "resume"])})),
    st.tuples(
        st.sampled_from(
            ["SessionEnd", "SubagentStart", "SubagentStop", "StopFailure", "Notification", "New",
             "PermissionRequest", "UserPromptExpansion", IMPORT_END]
        ),
        st.just({}),
    ),
)  # fmt: skip
#: An event: what it says, minutes since the one before, whether it is sent again later, whether the
#: worker dies before it.
SESSIONS = st.lists(
    st.tuples(STEP, st.sampled_from([0, 0, 1, 40]), st.booleans(), st.booleans()), max_size=30
)
LIMITS = st.builds(Limits, turn_max_events=st.sampled_from([1, 2, 5, 2000]))


class _Worker:
    """What a worker does with the fold: commit emissions, carry and ids together, then acknowledge."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.committed = b"{}"
        self.seen = b""
        self.pending: dict[str | bytes, Held] = {}
        self.out: list[Emission] = []
        self.session = self._load()

    def _load(self) -> OpenSession:
        carry = msgspec.json.decode(self.committed, type=Carry)
        return OpenSession("s1", carry, marks_of(self.seen), self.limits)

    def take(self, item: Held) -> None:
        self.pending[item.entry] = item
        self._commit(self.session.add(item, START_MS))

    def die(self) -> None:
        self.session = self._load()
        for item in list(self.pending.values()):
            self._commit(self.session.add(item, START_MS))

    def _commit(self, emissions: list[Emission]) -> None:
        for one in emissions:
            self.out.append(one)
            if isinstance(one, Duplicate):
                del self.pending[one.entry]
            elif not isinstance(one, Remark):
                self.seen += one.marks
                for item in one.held:
                    del self.pending[item.entry]
        if emissions:
            self.committed = msgspec.json.encode(self.session.carry)


def _run(
    script: list[tuple[tuple[str, dict[str, object]], int, bool, bool]], limits: Limits, *, hard: bool
) -> _Worker:
    worker = _Worker(limits)
    time_ms, again = START_MS, []
    for number, ((kind, fields), minutes, repeat, dies) in enumerate(script):
        time_ms += minutes * MINUTE
        item = held(kind, number, time_ms=time_ms, **fields)
        if hard and dies:
            worker.die()
        worker.take(item)
        if hard and again:
            worker.take(again.pop())
        if repeat:
            again.append(msgspec.structs.replace(item, entry=f"{number + 1}-1"))
    if hard:
        for item in again:
            worker.take(item)
        worker.die()
    worker._commit(worker.session.close("import_end"))
    return worker


def _ids(worker: _Worker) -> list[list[str]]:
    return [[i.event.id for i in one.held] for one in worker.out if isinstance(one, Turn | Strays)]


@settings(max_examples=200, deadline=None)
@given(SESSIONS, LIMITS)
def test_every_event_leaves_exactly_once_and_in_order(
    script: list[tuple[tuple[str, dict[str, object]], int, bool, bool]], limits: Limits
) -> None:
    worker = _run(script, limits, hard=True)
    left = [event for group in _ids(worker) for event in group]
    sent = [held(kind, number).event.id for number, ((kind, _), *_) in enumerate(script)]
    assert sorted(left) == sorted(sent)
    assert worker.pending == {}
    place = {event: number for number, event in enumerate(sent)}
    for group in _ids(worker):
        assert [place[event] for event in group] == sorted(place[event] for event in group)
    opened = [place[turn.held[0].event.id] for turn in worker.out if isinstance(turn, Turn)]
    assert opened == sorted(opened)
    numbers = [turn.number for turn in worker.out if isinstance(turn, Turn)]
    assert numbers == list(range(len(numbers)))


@settings(max_examples=200, deadline=None)
@given(SESSIONS, LIMITS)
def test_repeats_and_deaths_change_nothing_that_leaves(
    script: list[tuple[tuple[str, dict[str, object]], int, bool, bool]], limits: Limits
) -> None:
    calm = [one for one in _run(script, limits, hard=False).out if not isinstance(one, Duplicate)]
    hard = [one for one in _run(script, limits, hard=True).out if not isinstance(one, Duplicate)]
    assert hard == calm


def test_what_was_picked_for_a_prompt_belongs_to_its_turn_also_when_that_has_ended() -> None:
    s = Script()
    s.say("SkillSuggested", skill="pdf", told=True)  # before the first prompt of all: there is no other turn
    s.prompt()
    s.stop()
    s.say("SkillSuggested", skill="pdf", told=True)
    s.prompt()
    s.say("SkillSuggested", skill="pdf", told=True)
    s.stop()
    assert [kinds(turn) for turn in s.turns] == [
        ["SkillSuggested", "UserPromptSubmit", "Stop"],
        ["UserPromptSubmit", "SkillSuggested", "Stop"],
    ]
    (late,) = [one for one in s.out if isinstance(one, Strays)]
    assert (kinds(late), late.of) == (["SkillSuggested"], s.turns[0].id)
