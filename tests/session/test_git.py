"""Whether a turn committed what it edited, by its own calls alone."""

from __future__ import annotations

from karl.schema.act import Act
from karl.schema.trajectory import ToolCall
from karl.session.git import committed

EDIT = ToolCall(acts=[Act("edit", "/w/a.py", True)])
COMMIT = ToolCall(acts=[Act("commit", ok=True)])


def test_an_edit_and_then_a_commit_is_committed() -> None:
    assert committed([EDIT, COMMIT]) is True
    assert committed([ToolCall(acts=[*EDIT.acts, *COMMIT.acts])]) is True


def test_without_a_commit_nothing_is_known_and_never_that_it_was_not() -> None:
    assert committed([EDIT]) is None
    assert committed([]) is None


def test_a_commit_of_nothing_edited_is_no_evidence() -> None:
    assert committed([COMMIT]) is None
    assert committed([COMMIT, EDIT]) is None
    assert committed([ToolCall(acts=[Act("edit", "/w/a.py", False)]), COMMIT]) is None


def test_a_commit_that_failed_or_whose_end_is_hidden_is_none() -> None:
    assert committed([EDIT, ToolCall(acts=[Act("commit", ok=False)])]) is None
    assert committed([EDIT, ToolCall(acts=[Act("commit", ok=None)])]) is None


def test_a_commit_that_may_be_empty_or_only_says_what_it_would_do_is_none() -> None:
    for option in ("--allow-empty", "--dry-run"):
        call = ToolCall(key_params={"command": f"git commit {option} -m x"}, acts=COMMIT.acts)
        assert committed([EDIT, call]) is None


def test_what_was_thrown_away_after_the_commit_is_not_committed() -> None:
    gone = ToolCall(acts=[Act("revert", ok=True)])
    assert committed([EDIT, COMMIT, gone]) is None
    assert committed([EDIT, COMMIT, gone, EDIT, COMMIT]) is True
    assert committed([EDIT, COMMIT, ToolCall(acts=[Act("revert", "/w/b.py", True)])]) is True
