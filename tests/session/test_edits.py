"""Edits as hunks: told by the tool, or made from its input; nothing that JSON can hold breaks it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.session.edits import FileDiff, Hunk, between, file_diffs

PATCH = [{"oldStart": 8, "oldLines": 2, "newStart": 9, "newLines": 2, "lines": [" a", "-b", "+c"]}]


def one(tool: str, asked: object, answered: object = None) -> FileDiff:
    (found,) = file_diffs(tool, asked, answered)
    return found


def test_what_the_tool_told_comes_before_what_it_was_asked() -> None:
    asked = {"file_path": "/a.py", "old_string": "x", "new_string": "y"}
    found = one("Edit", asked, {"filePath": "/a.py", "structuredPatch": PATCH})
    assert found == FileDiff("/a.py", "edited", (Hunk(8, 9, (" a", "-b", "+c")),), told=True)
    assert (found.added, found.removed) == (1, 1)


def test_without_an_answer_the_strings_of_the_input_are_compared() -> None:
    found = one(
        "Edit", {"file_path": "/a.py", "old_string": "one\ntwo\nthree", "new_string": "one\n2\nthree"}
    )
    assert found.hunks == (Hunk(None, None, (" one", "-two", "+2", " three")),)
    assert not found.told


def test_a_new_file_is_all_added_and_said_to_be_created() -> None:
    asked = {"file_path": "/n.py", "content": "a\nb\n"}
    assert one("Write", asked, {"type": "create", "structuredPatch": []}) == FileDiff(
        "/n.py", "created", (Hunk(None, None, ("+a", "+b")),), told=False
    )
    assert one("Write", asked).change == "written"
    assert file_diffs("Write", asked, {"type": "update", "structuredPatch": []}) == []


def test_several_edits_of_one_call_are_one_diff_a_file() -> None:
    edits = [{"old_string": "a", "new_string": "b"}, {"old_string": "c", "new_string": ""}]
    assert one("MultiEdit", {"file_path": "/m", "edits": edits}).hunks == (
        Hunk(None, None, ("-a", "+b")),
        Hunk(None, None, ("-c",)),
    )
    several = [
        {"filePath": "/x", "oldString": "a", "newString": "b"},
        {"filePath": "/y", "oldString": "", "newString": "z"},
    ]
    found = file_diffs("multi_replace_string_in_file", {"replacements": several}, None)
    assert [(each.path, each.added, each.removed) for each in found] == [("/x", 1, 1), ("/y", 1, 0)]


APPLY = """*** Begin Patch
*** Add File: new.txt
+hello
*** Update File: old.py
*** Move to: moved.py
@@ def f():
 keep
-out
+in
@@
-x
+y
*** Delete File: gone.md
*** End Patch"""


@pytest.mark.parametrize("asked", [APPLY, {"input": APPLY}, {"command": APPLY}])
def test_a_patch_is_taken_apart_by_file(asked: object) -> None:
    new, moved, gone = file_diffs("apply_patch", asked, "Success")
    assert (new.path, new.change, new.added) == ("new.txt", "created", 1)
    assert (moved.path, moved.change) == ("old.py → moved.py", "moved")
    assert moved.hunks == (
        Hunk(None, None, ("@@ def f():", " keep", "-out", "+in")),
        Hunk(None, None, ("-x", "+y")),
    )
    assert (gone.path, gone.change, gone.hunks) == ("gone.md", "deleted", ())


def test_a_unified_diff_keeps_its_line_numbers_and_lines_that_look_like_its_own_marks() -> None:
    text = "--- a/x.sql\n+++ b/x.sql\n@@ -3,2 +3,2 @@\n context\n--- a comment\n+-- another\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-1\n+2\n"
    x, y = file_diffs("patch", {"patch": text}, None)
    assert x == FileDiff(
        "x.sql", "edited", (Hunk(3, 3, (" context", "--- a comment", "+-- another")),), told=False
    )
    assert (y.path, y.hunks[0].old_start) == ("y", 1)


@pytest.mark.parametrize("tool", ["Read", "Bash", "mcp__files__edit", None, 3])
def test_tools_that_edit_nothing_have_no_diff(tool: object) -> None:
    assert file_diffs(tool, {"file_path": "/a", "old_string": "a", "new_string": "b"}, None) == []


def test_a_change_too_large_to_match_is_all_out_and_all_in() -> None:
    (hunk,) = between("\n".join("ab" * 300), "\n".join("ba" * 300))
    assert [line[0] for line in hunk.lines] == ["-"] * 600 + ["+"] * 600


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just(APPLY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
asked_values = st.one_of(
    json_values,
    st.dictionaries(
        st.sampled_from(
            ["file_path", "old_string", "new_string", "edits", "content", "input", "command", "replacements"]
        ),
        st.one_of(
            json_values,
            st.lists(st.dictionaries(st.sampled_from(["old_string", "new_string", "path"]), json_values)),
        ),
    ),
)
answers = st.one_of(
    json_values,
    st.fixed_dictionaries(
        {
            "structuredPatch": st.lists(
                st.fixed_dictionaries({"lines": json_values, "oldStart": json_values}), max_size=3
            )
        }
    ),
)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["Edit", "Write", "apply_patch", "MultiEdit", "NotebookEdit", "patch"]),
    asked_values,
    answers,
)
def test_whatever_an_agent_says_gives_hunks_of_text_or_nothing(
    tool: str, asked: object, answered: object
) -> None:
    for found in file_diffs(tool, asked, answered):
        assert isinstance(found.path, str)
        assert all(isinstance(line, str) for hunk in found.hunks for line in hunk.lines)
        assert found.added >= 0
