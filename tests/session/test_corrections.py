"""Who wrote a prompt, and whether it corrects or repeats: a table of labelled examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.schema.event import Payload
from karl.session.corrections import is_correction, is_redo, prompt_kind

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


@pytest.mark.parametrize("prompt", CORRECTIONS)
def test_a_correction_is_seen(prompt: str) -> None:
    assert is_correction(prompt, BEFORE)


@pytest.mark.parametrize("prompt", REQUESTS)
def test_a_request_is_no_correction(prompt: str) -> None:
    assert not is_correction(prompt, BEFORE)


@pytest.mark.parametrize("prompt", REDOS)
def test_a_redo_is_seen(prompt: str) -> None:
    assert is_redo(prompt, BEFORE)


@pytest.mark.parametrize("prompt", NO_REDOS)
def test_a_request_is_no_redo(prompt: str) -> None:
    assert not is_redo(prompt, BEFORE)


def test_with_no_turn_before_there_is_nothing_to_correct_or_repeat() -> None:
    assert not is_correction("no, that's wrong", None)
    assert not is_redo("try again", None)


@pytest.mark.parametrize("answer", ["yes", "continue", "commit and push", "go ahead"])
def test_a_short_answer_given_twice_is_no_redo(answer: str) -> None:
    assert not is_redo(answer, answer)


def test_the_same_request_for_another_thing_is_new_work() -> None:
    before = "review this pull request for me and list what is missing: https://example.org/pr/10"
    assert not is_redo(before.replace("10", "11"), before)
    assert is_redo(before, before)


def test_a_long_prompt_repeated_is_a_redo_although_the_carry_kept_only_its_head() -> None:
    prompt = "make the importer stream its input " * 40
    assert is_redo(prompt, prompt[:500])


def test_only_the_opening_of_a_prompt_is_judged() -> None:
    assert not is_correction("Please port this module. " * 20 + "that's wrong", BEFORE)
    assert not is_correction("Explain this log:\n```\nit still fails\n```", BEFORE)


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
    assert is_correction("<ide_selection>x = 1</ide_selection> no, the other one", BEFORE)


@given(st.text(alphabet="<>/-_abno, 'stiwhy\n", max_size=400), st.text(max_size=50))
def test_no_text_makes_the_detector_raise(prompt: str, previous: str) -> None:
    prompt_kind(prompt, Payload())
    is_correction(prompt, previous)
    is_redo(prompt, previous)


def test_hostile_text_ends() -> None:
    for piece in (
        "no ",
        "<system-reminder>",
        "don't x ",
        "not a/",
        "you \t",
        "<a-",
        "<system-reminder></system-reminder>a",
    ):
        text = piece * 200_000
        prompt_kind(text, Payload())
        is_correction(text, text)
        is_redo(text, text[:500])
