"""What happened in a turn, read from its events, carried to the prompt that judges it, and told without one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from karl.reward.score import score
from karl.schema.record import AnnotationBody, TrajectoryBody
from karl.session.corrections import DETECTOR, THRESHOLD, Signs
from karl.session.emissions import Limits
from karl.session.fold import Carry, OpenSession, Remark, Turn
from karl.session.signs import signs_of
from karl.session.turn import normalize_turn
from tests.session.making import Script, held
from workers.compose import Composer

REFUSED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, "
    "the new_string was NOT written to the file)."
)
INTERRUPTED = "[Request interrupted by user for tool use]"


def asked(text: str = "add a cache to the loader") -> Script:
    script = Script()
    script.prompt(text)
    return script


def read(script: Script) -> Signs:
    return signs_of(script.sent)


def test_calls_are_counted_and_a_call_that_the_person_refused_did_not_run() -> None:
    s = asked()
    s.post("a")
    s.fail("b", error="Exit code 1\nno such file")
    s.fail("c", error=REFUSED)
    assert read(s) == Signs(calls=2, refused=1, refused_last=True)


def test_work_after_a_refusal_is_no_last_refusal() -> None:
    s = asked()
    s.fail("c", error=REFUSED)
    s.post("d")
    assert read(s) == Signs(calls=1, refused=1)


def test_a_classifier_s_refusal_is_not_the_person_s() -> None:
    s = asked()
    s.say(
        "PermissionDenied", tool_name="Bash", tool_input={}, tool_use_id="a", reason="auto mode can not tell"
    )
    assert read(s).refused == 0


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Interrupt", {}),
        ("UserPromptSubmit", {"prompt": INTERRUPTED}),
        ("PostToolUseFailure", {"tool_name": "Bash", "tool_input": {}, "error": "x", "is_interrupt": True}),
        ("PostToolUseFailure", {"tool_name": "Bash", "tool_input": {}, "error": INTERRUPTED}),
    ],
)
def test_an_interruption_is_seen_however_it_is_told(kind: str, fields: dict[str, Any]) -> None:
    s = asked()
    s.say(kind, **fields)
    assert read(s).interrupted


def test_an_edit_that_the_person_changed_is_seen() -> None:
    s = asked()
    s.post("a", tool="Edit", given={"file_path": "a.py"}, response={"filePath": "a.py", "userModified": True})
    assert read(s).edited


@pytest.mark.parametrize(
    ("command", "takes_back"),
    [
        ("git checkout -- src/a.py", True),
        ("git restore .", True),
        ("git reset --hard HEAD~1", True),
        ("git revert HEAD", True),
        ("git checkout -b topic", False),
        ("git status", False),
    ],
)
def test_a_command_of_the_person_that_takes_changes_back_is_seen(command: str, takes_back: bool) -> None:
    s = asked()
    s.prompt(f"<bash-input>{command}</bash-input>")
    assert read(s).reverted is takes_back


def test_a_question_at_the_end_of_the_agent_s_words_is_seen_and_the_last_word_counts() -> None:
    s = asked()
    s.say("AssistantMessage", text="Shall I?")
    s.stop(last_assistant_message="Shall I push it?**")
    assert read(s).asked
    s.stop(last_assistant_message="Done.")
    assert not read(s).asked


@pytest.mark.parametrize("odd", [None, 3, ["x"], {"a": "b"}, ""])
def test_odd_fields_say_nothing(odd: object) -> None:
    s = asked()
    s.say("PostToolUse", tool_response=odd)
    s.say("PostToolUseFailure", error=odd, is_interrupt=odd)
    s.say("PermissionDenied", reason=odd)
    s.say("Stop", last_assistant_message=odd)
    s.say("UserPromptSubmit", prompt=odd)
    assert read(s).refused == 0


# --- what they do to the prompt that comes next ---


def stopped_at_work(text: str, carry: Carry | None = None) -> Script:
    s = Script(carry)
    s.prompt("add a cache to the loader")
    s.post("a")
    s.prompt(INTERRUPTED)
    s.prompt(text)
    return s


def test_another_instruction_after_an_interruption_remarks_with_its_reason() -> None:
    (remark,) = stopped_at_work("python should be 3.12 here").remarks
    assert remark.correction_detected
    assert remark.correction_classes == ("interrupted",)
    assert remark.correction_score is not None
    assert remark.correction_score >= THRESHOLD
    assert remark.detector == DETECTOR


def test_going_on_after_an_interruption_remarks_that_nothing_was_corrected() -> None:
    (remark,) = stopped_at_work("continue").remarks
    assert remark.correction_detected is False


def test_signs_outlive_the_worker_that_saw_them() -> None:
    s = Script()
    s.prompt("add a cache to the loader")
    s.post("a")
    s.fail("b", error=REFUSED)
    s.stop()
    kept = msgspec.json.decode(msgspec.json.encode(s.session.carry), type=Carry)
    heir = OpenSession("s1", kept, {}, Limits())
    (remark,) = heir.add(held("UserPromptSubmit", 50, prompt="python should be 3.12 here"), 0)
    assert isinstance(remark, Remark)
    (same,) = s.session.add(held("UserPromptSubmit", 50, prompt="python should be 3.12 here"), 0)
    assert remark == same
    assert "rejected" in remark.correction_classes


def test_what_the_person_does_between_turns_counts_for_the_turn_before() -> None:
    s = Script()
    s.prompt("add a cache to the loader")
    s.post("a")
    s.stop()
    s.prompt("<bash-input>git restore .</bash-input>")
    s.prompt("add it to the client")
    (remark,) = s.remarks
    assert "reverted" in remark.correction_classes


def test_signs_of_one_turn_say_nothing_of_the_next() -> None:
    s = stopped_at_work("python should be 3.12 here")
    s.post("c")
    s.stop()
    s.prompt("now add a metric")
    assert s.remarks[-1].correction_detected is False
    assert s.remarks[-1].correction_classes == ()


def test_a_turn_that_was_cut_by_size_keeps_the_signs_of_its_first_part() -> None:
    s = Script(limits=Limits(turn_max_events=3))
    s.prompt("add a cache to the loader")
    s.post("a")
    s.post("b")
    s.prompt(INTERRUPTED)
    s.prompt("python should be 3.12 here")
    assert "interrupted" in s.remarks[-1].correction_classes


# --- what leaves for the ledger ---


def records(script: Script) -> list[TrajectoryBody | AnnotationBody]:
    composer, carry = Composer("1", {}), Carry()
    made = (composer.compose(carry, one) for one in script.out)
    return [
        msgspec.json.decode(body, type=TrajectoryBody if kind == "trajectory" else AnnotationBody)
        for kind, body in filter(None, made)
        if kind != "events"
    ]


def test_an_annotation_holds_score_and_reasons() -> None:
    s = Script()
    s.prompt("add a cache to the loader")
    s.stop()
    s.prompt("no, I meant the other loader")
    said = records(s)[-1]
    assert isinstance(said, AnnotationBody)
    assert said.detector == DETECTOR
    assert said.outcome.correction_detected
    assert said.outcome.correction_score == s.remarks[0].correction_score
    assert said.outcome.correction_classes == ["wrong_target", "steering"]


def test_a_caller_s_word_takes_no_score_away() -> None:
    s = Script()
    s.prompt("add a cache to the loader")
    s.stop()
    s.prompt("no, I meant the other loader")
    s.say("Annotation", build_success=True)
    first, last = records(s)[-2:]
    assert isinstance(last, AnnotationBody)
    assert last.outcome.build_success
    assert last.outcome.correction_score == first.outcome.correction_score  # type: ignore[union-attr]


def test_a_turn_that_was_stopped_says_so_without_a_next_prompt() -> None:
    s = Script()
    s.prompt("add a cache to the loader")
    s.fail("b", error=REFUSED)
    s.say("Interrupt")
    made = s.read()
    assert made.outcome.correction_classes == ["interrupted", "rejected"]
    assert made.outcome.correction_score is not None
    assert made.outcome.correction_score >= THRESHOLD
    assert made.outcome.correction_detected is None


def test_a_refusal_that_work_went_on_after_is_told_but_is_no_score() -> None:
    s = Script()
    s.prompt("add a cache to the loader")
    s.fail("b", error=REFUSED)
    s.post("c")
    s.stop()
    made = s.read()
    assert made.outcome.correction_classes == ["rejected"]
    assert made.outcome.correction_score is None


def test_a_quiet_turn_says_nothing_of_corrections() -> None:
    s = Script()
    s.prompt("add a cache to the loader")
    s.post("c")
    s.stop()
    (turn,) = (one for one in s.out if isinstance(one, Turn))
    outcome = normalize_turn(turn).outcome
    assert (outcome.correction_score, outcome.correction_classes, outcome.correction_detected) == (
        None,
        [],
        None,
    )
    assert score(normalize_turn(turn), version="1", weights={}).reward >= 0
