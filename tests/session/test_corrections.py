"""Who wrote a prompt, and whether it corrects or repeats: a table of labelled examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.schema.event import Payload
from karl.session.corrections import THRESHOLD, Signs, judge
from karl.session.prompts import prompt_kind

BEFORE = "add a cache to the user loader"

CORRECTIONS = [
    # terse reject
    "no, I meant the other loader",
    "No. Put it in the config",
    "nope, that breaks the build",
    "wrong",
    "Stop!",
    "stop adding comments everywhere",
    "ok no, use the existing class",
    # wrong target
    "that's not what I asked for",
    "you edited the wrong file",
    "wrong branch, this belongs on main",
    "not the client, the server",
    "not in the test but in the module",
    # factual challenge
    "that is not correct, the default is 30",
    "this is wrong: the loader returns a list",
    "are you sure?",
    "Are you really sure that this is thread safe?",
    # tool steering, rule setting
    "don't do that",
    "don't touch the migrations",
    "do not commit yet",
    "use pnpm instead",
    "use pnpm, not npm",
    "Never push to main again",
    "please stop using mocks",
    # scope drift
    "I only asked for a review",
    "I didn't ask you to change the API",
    "that's way too complicated",
    "you weren't asked to refactor this",
    # rhetorical why, verify first
    "why did you delete the tests?",
    "Why are you still using the old client?",
    "did you even run it?",
    "you forgot the changelog",
    "you didn't update the docs",
    # said before
    "I said no new dependencies",
    "as I told you before: I told you to keep the name",
    "How many times do I have to say it",
    # undo
    "undo that",
    "revert the last change please",
    "put it back the way it was",
    "Revert.",
    # still broken
    "it still fails",
    "tests are still failing",
    "still not working",
    "hmm, it doesn't work",
    "that didn't fix it",
    "same error",
    "I’m not seeing the change",
    "it broke again",
    "the page still shows the same number",
    # profanity
    "wtf is this",
    # doubt
    "but I thought we had agreed on YAML",
    "doesn't the loader do that already?",
    "how do you know that it works?",
    "there is no such flag, you made that up",
    # what tools print
    "Traceback (most recent call last):\n  File \"a.py\", line 3\nKeyError: 'x'",
    "src/app.ts:10:4 - error TS2345: no overload matches",
    "--- FAIL: TestLogin (0.00s)",
]

ABROAD = [
    "nein, das ist falsch",
    "das funktioniert immer noch nicht",
    "warum hast du die Tests gelöscht?",
    "non, ce n'est pas ce que je voulais",
    "ça ne marche toujours pas",
    "annule ça",
    "eso no es lo que pedí",
    "sigue fallando",
    "deshaz el último cambio",
    "não funciona",
    "isso está errado",
    "не работает",
    "это не то, что я просил",
    "почему ты удалил тесты?",
    "还是不行",
    "不对，我的意思是另一个文件",
    "你忘了更新文档",
    "まだ動かない",
    "違う、そうじゃなくて",
    "元に戻して",
]

REQUESTS_ABROAD = [
    "weiter",
    "danke, jetzt noch die Doku",
    "continue s'il te plaît",
    "oui, merci",
    "gracias, ahora agrega pruebas",
    "sim, pode continuar",
    "спасибо, теперь добавь тесты",
    "продолжай",
    "好的，现在添加测试",
    "ありがとう、次はテストを書いて",
]

REQUESTS = [
    "don't forget to add tests for the new endpoint",
    "Don't worry about the docs for now, just the code",
    "don't need a PR yet, but start on the parser",
    "no problem, go on with step two",
    "no worries. Next: the CLI",
    "no, that's all, thanks",
    "no need for tests here, continue",
    "not sure what the best way is, can you compare the two?",
    "Not now, but later we should also support YAML",
    "stop the dev server and free port 3000",
    "Add an undo button to the editor",
    "implement revert for transactions",
    "write a function that says no to bad input",
    "wait for the CI run, then merge",
    "Why is the cache slow?",
    "why do you think the test is flaky?",
    "Fix the login page: it shows the wrong user name after a rename",
    "the wrong number of rows is returned by the report query, please investigate",
    "if you haven't already, install the dependencies",
    "yes, do that",
    "continue",
    "looks good, commit it",
    "please use the existing logger in the new module",
    "Rename stop() to close() and update callers",
    "we still have to write the migration guide; please draft it",
    "Explain what this module does and what I should know about it",
    "Implement the following plan:\n\n1. never return None\n2. don't log secrets",
    "also add a note to the readme",
    "",
    "ok next",
    "thanks, now do the readme",
    "1",
    "b)",
    "/review",
    "go with option 2",
    "it works! now let's refactor",
    "sorry, I meant to say port 8081",
    "never mind, it works now",
    "add retry logic for failed requests",
    "write an error message for when the file is missing",
    "make the error message clearer",
    'document the "stop" command',
    "what happens when the user cancels?",
]

REDOS = [
    "try again",
    "Try agian",
    "ok, please try it again",
    "can you do it again with the new data?",
    "redo",
    "let's retry",
    "once more",
    "start over",
    "give it another try",
    "Add a cache to the user loader",
    "add a cache  to the user loader.",
]

NO_REDOS = [
    "run the tests again after that change",
    "add a retry loop to the client",
    "add a cache to the order loader and a metric to it",
    "check main again",
    "continue",
    "",
]


@pytest.mark.parametrize("prompt", [*CORRECTIONS, *ABROAD])
def test_a_correction_is_seen(prompt: str) -> None:
    assert judge(prompt, BEFORE).is_correction


@pytest.mark.parametrize("prompt", [*REQUESTS, *REQUESTS_ABROAD])
def test_a_request_is_no_correction(prompt: str) -> None:
    assert not judge(prompt, BEFORE).is_correction


@pytest.mark.parametrize("prompt", REDOS)
def test_a_redo_is_seen(prompt: str) -> None:
    assert judge(prompt, BEFORE).redo


@pytest.mark.parametrize("prompt", NO_REDOS)
def test_a_request_is_no_redo(prompt: str) -> None:
    assert not judge(prompt, BEFORE).redo


def test_with_no_turn_before_there_is_nothing_to_correct_or_repeat() -> None:
    assert not judge("no, that's wrong", None).is_correction
    assert not judge("try again", None).redo


@pytest.mark.parametrize("answer", ["yes", "continue", "commit and push", "go ahead"])
def test_a_short_answer_given_twice_is_no_redo(answer: str) -> None:
    assert not judge(answer, answer).redo


def test_the_same_request_for_another_thing_is_new_work() -> None:
    before = "review this pull request for me and list what is missing: https://example.org/pr/10"
    assert not judge(before.replace("10", "11"), before).redo
    assert judge(before, before).redo


def test_a_long_prompt_repeated_is_a_redo_although_the_carry_kept_only_its_head() -> None:
    prompt = "make the importer stream its input " * 40
    assert judge(prompt, prompt[:500]).redo


def test_only_the_opening_of_a_prompt_is_judged() -> None:
    assert not judge("Please port this module. " * 20 + "that's wrong", BEFORE).is_correction
    assert not judge("Explain this log:\n```\nit still fails\n```", BEFORE).is_correction


KINDS = {
    "<task-notification>\n<task-id>b1</task-id>": "report",
    "<bash-notification>\n<shell-id>b1</shell-id>": "report",
    '<teammate-message teammate_id="t">done</teammate-message>': "report",
    "<system-reminder>\nThe task that you suggested was started.": "report",
    "<system-reminder>x</system-reminder>": "report",
    "<local-command-stdout>ok</local-command-stdout>": "note",
    "<local-command-caveat>Caveat: x</local-command-caveat>": "note",
    "<bash-input>git status</bash-input>": "note",
    "[Request interrupted by user for tool use]": "note",
    "Caveat: The messages below were generated by the user while running local commands. DO NOT": "note",
    "<command-name>/copy</command-name>": "machine",
    "<command-message>review</command-message>": "machine",
    "<scheduled-task name='x'>check</scheduled-task>": "machine",
    "<cross-session-message from='a'>hi</cross-session-message>": "machine",
    "<<autonomous-loop>>": "machine",
    "This session is being continued from a previous conversation that ran out of context.": "machine",
    "fix the parser": "human",
    "/init": "human",
    "<div> does not close, fix it": "human",
    "<pasted_content id='1'>log</pasted_content> what is this?": "human",
    "<system-reminder>It is Monday.</system-reminder>\nfix the parser": "human",
    "<ide_opened_file>a.py</ide_opened_file>\n\nwhat does this do?": "human",
    "": "human",
}


@pytest.mark.parametrize(("prompt", "kind"), KINDS.items())
def test_the_writer_of_a_prompt_is_told_by_its_wrapper(prompt: str, kind: str) -> None:
    assert prompt_kind(prompt, Payload()) == kind
    assert (prompt_kind(prompt, Payload()) == "human") is (kind == "human")


def test_a_prompt_inside_a_subagent_is_not_typed() -> None:
    assert prompt_kind("look around", Payload(agent_id="g1")) != "human"


@pytest.mark.parametrize("odd", [None, 3, ["x"], {"text": "x"}])
def test_a_prompt_that_is_no_text_is_not_typed(odd: object) -> None:
    assert prompt_kind(odd, Payload()) != "human"


def test_context_that_an_editor_put_first_is_not_judged() -> None:
    assert judge("<ide_selection>x = 1</ide_selection> no, the other one", BEFORE).is_correction


@given(st.text(alphabet="<>/-_abno, 'stiwhy\n", max_size=400), st.text(max_size=50))
def test_no_text_makes_the_detector_raise(prompt: str, previous: str) -> None:
    prompt_kind(prompt, Payload())
    judge(prompt, previous)


def test_hostile_text_ends() -> None:
    for piece in (
        "no ",
        "<system-reminder>",
        "don't x ",
        "not a/",
        "you \t",
        "<a-",
        "<system-reminder></system-reminder>a",
        "a.",
        "still ",
        "é",
    ):
        text = piece * 200_000
        prompt_kind(text, Payload())
        judge(text, text).is_correction
        judge(text, text[:500]).redo


REASONS = {
    "no, I meant the other loader": "wrong_target",
    "you edited the wrong file": "wrong_target",
    "try again, that's wrong": "factual_challenge",
    "undo that": "reverted",
    "are you sure?": "verify_first",
    "that's way too complicated": "scope",
    "use pnpm, not npm": "steering",
    "wtf is this": "frustration",
    "it still fails": "still_broken",
    "you forgot the changelog": "incomplete",
}


@pytest.mark.parametrize(("prompt", "reason"), REASONS.items())
def test_a_correction_has_its_reason(prompt: str, reason: str) -> None:
    assert reason in judge(prompt, BEFORE).reasons


def test_what_is_no_correction_has_no_reason() -> None:
    assert judge("why is the cache slow?", BEFORE).reasons == ()


WORKED = Signs(calls=3)
STOPPED = Signs(calls=3, interrupted=True)


@pytest.mark.parametrize("prompt", ["continue", "go on", "ok next", "yes", "thanks, now do the readme"])
def test_going_on_after_an_interruption_is_no_correction(prompt: str) -> None:
    assert not judge(prompt, BEFORE, STOPPED).is_correction


def test_another_instruction_after_an_interruption_at_work_is_a_correction() -> None:
    prompt = "python3 should point to 3.12"
    assert judge(prompt, BEFORE, STOPPED).is_correction
    assert "interrupted" in judge(prompt, BEFORE, STOPPED).reasons
    assert not judge(prompt, BEFORE, WORKED).is_correction


def test_a_prompt_that_is_retyped_before_any_work_is_the_person_s_own_slip() -> None:
    before = "why do all of the tests fail here"
    said = judge(before + " on the second run", before, Signs(interrupted=True))
    assert not said.is_correction
    assert not said.redo


def test_an_interruption_is_told_although_the_person_goes_on() -> None:
    assert judge("continue", BEFORE, STOPPED).reasons == ("interrupted",)


def test_a_no_to_the_agent_s_own_question_weighs_less() -> None:
    asked = judge("no, not yet", BEFORE, Signs(calls=3, asked=True))
    assert asked.score < judge("no, not yet", BEFORE, WORKED).score


SIGNS = {
    "interrupted": STOPPED,
    "rejected": Signs(calls=3, refused=1, refused_last=True),
    "edited": Signs(calls=3, edited=True),
    "reverted": Signs(calls=3, reverted=True),
}


@pytest.mark.parametrize(("reason", "signs"), SIGNS.items())
def test_what_happened_counts_without_a_word_that_is_known(reason: str, signs: Signs) -> None:
    said, plain = judge("kxqz vwpt", BEFORE, signs), judge("kxqz vwpt", BEFORE, WORKED)
    assert said.score > plain.score
    assert reason in {*said.reasons, *judge("it still fails", BEFORE, signs).reasons}


@given(st.text(max_size=200), st.text(max_size=50), st.booleans(), st.booleans(), st.integers(0, 3))
def test_a_score_is_a_chance_and_the_flag_is_its_threshold(
    prompt: str, previous: str, interrupted: bool, refused_last: bool, calls: int
) -> None:
    signs = Signs(calls=calls, interrupted=interrupted, refused_last=refused_last, refused=int(refused_last))
    said = judge(prompt, previous, signs)
    assert 0 <= said.score <= 1
    assert said.is_correction is (said.score >= THRESHOLD)
    assert judge(prompt, previous, signs) == said
