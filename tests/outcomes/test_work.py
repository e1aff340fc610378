"""What a turn wrote, read from its calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.outcomes.place import placed
from karl.outcomes.work import Piece, Work, work_of
from tests.export.telling import body
from tests.outcomes.repo import WHERE, work, wrote
from tests.session.making import START_MS, Script


def told(tool: str, given_: Any, response: Any = None) -> Work:
    script = Script()
    script.prompt("Do it")
    script.pre("c1", tool, given_)
    script.post("c1", tool, response, given_)
    script.stop()
    return work(script)


def test_a_text_that_a_shell_command_carries_into_a_file_is_written() -> None:
    command = "cat > conf.py <<'EOF'\nname = 'shop'\n\nport = 8080\nEOF\necho done"
    files = told("Bash", {"command": command}).files
    assert files == {f"{WHERE}/conf.py": Piece(Piece.of("name = 'shop'\nport = 8080").lines)}


def test_a_patch_of_several_files_is_written_to_each() -> None:
    patch = "*** Begin Patch\n*** Add File: a.py\n+first line\n*** Update File: b.py\n@@\n-old line\n+new line\n*** End Patch"
    files = told("apply_patch", {"input": patch}).files
    assert {path: list(piece.lines) for path, piece in files.items()} == {
        f"{WHERE}/a.py": ["first line"],
        f"{WHERE}/b.py": ["new line"],
    }


def test_a_call_that_failed_wrote_nothing() -> None:
    script = Script()
    script.prompt("Do it")
    given_ = {"file_path": f"{WHERE}/a.py", "old_string": "a", "new_string": "the new line"}
    script.pre("c1", "Edit", given_)
    script.fail("c1", "Edit", given_, error="String to replace not found in file.")
    script.stop()
    assert work(script).files == {}


def test_a_file_that_was_deleted_again_is_not_part_of_the_work() -> None:
    script = Script()
    script.prompt("Try it")
    wrote(script, f"{WHERE}/scratch.py", ["print('a try')"])
    script.pre("c2", "Bash", {"command": "rm scratch.py"})
    script.post("c2", "Bash", given={"command": "rm scratch.py"})
    script.stop()
    assert work(script).files == {}


def test_paths_of_windows_are_named_as_its_shells_name_them() -> None:
    script = Script()
    script.prompt("Do it", cwd="D:\\code\\shop")
    wrote(script, "D:\\code\\shop\\src\\a.py", ["the new line"])
    script.stop()
    found = work(script)
    assert (found.cwd, list(found.files)) == ("/d/code/shop", ["/d/code/shop/src/a.py"])
    assert list(placed(found, {"src/a.py"}, "/elsewhere", "shop")) == ["src/a.py"]


@pytest.mark.parametrize(
    "answer",
    [
        {"stdout": "[main 1a2b3c4] Say what was done\n 1 file changed", "stderr": "", "interrupted": False},
        "Exit code 0\n[main (root-commit) 1a2b3c4] Say what was done",
        [{"type": "text", "text": "[topic/x 1a2b3c4] Say"}],
        '{"output": "[detached HEAD 1a2b3c4] Say\\n", "metadata": {"exit_code": 0}}',
    ],
)
def test_the_hash_that_git_told_is_found_in_whatever_the_answer_is(answer: object) -> None:
    assert told("Bash", {"command": "git commit -m x"}, answer).commits == ("1a2b3c4",)


def test_a_hash_in_what_another_program_printed_is_none() -> None:
    answer = {"stdout": "[main 1a2b3c4] Say what was done", "stderr": "", "interrupted": False}
    assert told("Bash", {"command": "cat notes"}, answer).commits == ()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["command", "file_path", "content", "new_string", "old_string", "input", "stdout", "output", "edits",
         "structuredPatch", "lines", "text"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["Bash", "Edit", "Write", "apply_patch", "MultiEdit"]), anything, anything)
def test_no_payload_makes_it_raise(tool: str, given_: Any, answer: Any) -> None:
    script = Script()
    script.prompt("Do it")
    script.pre("c1", tool, given_)
    script.post("c1", tool, answer, given_)
    script.stop()
    found = work_of(body(script), START_MS)
    assert all(path.startswith("/") for path in found.files)
    assert all(count > 0 for piece in found.files.values() for count in piece.lines.values())
