"""Whole runs of agents whose shapes differ: windowed editors, bare shells with tools of their own, background calls.

Every run is our own, in the neutral form of labelled runs, and goes the way of `karl reward evaluate`.
"""

from __future__ import annotations

from typing import Any

import pytest

from karl.evaluation.reading import neutral
from karl.reward.deeds import Deeds, deeds
from karl.schema.trajectory import ToolCall

REPO = "/acme__shop"
CART = f"{REPO}/shop/cart.py"
UPDATED = "File updated. Please review the changes and make sure they are correct."


def step(
    tool: str, params: dict[str, Any], output: str = "", ok: bool | None = None, code: int | None = None
) -> dict[str, Any]:
    return {"tool": tool, "params": params, "output_preview": output, "success": ok, "exit_code": code}


def sh(command: str, output: str = "", code: int | None = None) -> dict[str, Any]:
    return step("Bash", {"command": command}, output, code=code)


def ran(*steps: dict[str, Any]) -> tuple[list[ToolCall], Deeds]:
    run = neutral({"run_id": "r", "label": True, "steps": list(steps)}).trajectory
    return run.trajectory.events, deeds(run)


def source(done: Deeds) -> list[str]:
    """Give the names of the source files whose changes stand."""
    return sorted({edit.path.rpartition("/")[2] for edit in done.source_edits})


def looked(done: Deeds) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in done.reads)


# --- a window on a file, no exit codes ---


def window(path: str, text: str = "1:import os") -> str:
    return f"[File: {path} (40 lines total)]\n(10 more lines above)\n{text}\n(20 more lines below)\n"


def refused(path: str) -> str:
    line = "-" * 49
    return (
        "Your proposed edit has introduced new syntax error(s). Please read this error message carefully.\n\n"
        "ERRORS:\n- E999 IndentationError: unexpected indent\n\n"
        f"This is how your edit would have looked if applied\n{line}\n{window(path)}{line}\n\n"
        f"This is the original code before your edit\n{line}\n{window(path)}{line}\n"
        "Your changes have NOT been applied. Please fix your edit command and try again."
    )


OPEN = sh("open shop/cart.py 20\n", window(CART))
GOOD = sh("edit 20:21\n    return sum(items)\nend_of_edit\n", window(CART) + UPDATED)
BAD = sh("edit 20:21\n      return sum(items)\nend_of_edit\n", refused(CART))
MADE = sh("create reproduce.py\n", f"[File: {REPO}/reproduce.py (1 lines total)]\n1:\n")
FILLED = sh("edit 1:1\nimport shop\nend_of_edit\n", window(f"{REPO}/reproduce.py") + UPDATED)
SUBMIT = sh("submit\n", "diff --git a/shop/cart.py b/shop/cart.py")


def test_an_edit_by_lines_is_of_the_file_that_is_open():
    _, done = ran(MADE, FILLED, OPEN, GOOD, sh("python reproduce.py\n", "3"), sh("rm reproduce.py\n"), SUBMIT)
    assert source(done) == ["cart.py"]
    assert [edit.seen for edit in done.source_edits] == [True]


def test_looking_through_a_window_is_reading_the_open_file():
    _, done = ran(
        sh('search_dir "def total" shop\n', "Found 1 matches"),
        OPEN,
        sh("scroll_down\n", window(CART)),
        sh("goto 120\n", window(CART)),
        sh('search_file "def total"\n', f'Found 1 matches for "def total" in {CART}:'),
    )
    assert looked(done) == ["cart.py"]
    assert done.source_edits == []


def test_an_edit_that_is_refused_again_and_again_delivers_nothing():
    _, done = ran(OPEN, BAD, BAD, BAD)
    assert (source(done), len(done.failed_edits)) == ([], 3)
    assert done.in_vain


def test_a_refused_edit_that_is_mended_delivers():
    _, done = ran(OPEN, BAD, GOOD, SUBMIT)
    assert (source(done), len(done.failed_edits)) == (["cart.py"], 1)


def test_a_refusal_whose_middle_was_cut_out_is_one_all_the_same():
    text = refused(CART)
    _, done = ran(OPEN, sh("edit 20:21\n    return 1\nend_of_edit\n", f"{text[:300]}\n[...]\n{text[-200:]}"))
    assert source(done) == []


def test_a_reproduction_alone_delivers_nothing():
    _, done = ran(MADE, FILLED, sh("python reproduce.py\n", "Traceback"), SUBMIT)
    assert (done.source_edits, done.beside) == ([], [])


def test_the_text_of_an_edit_is_no_command():
    text = "edit 20:21\n    os.system('pytest')\n    git commit -m x\n    rm -rf shop\nend_of_edit\n"
    _, done = ran(OPEN, sh(text, window(CART) + UPDATED))
    assert (source(done), done.checks) == (["cart.py"], [])


def test_a_check_without_exit_code_is_read_from_its_summary():
    _, done = ran(OPEN, GOOD, sh("python -m pytest shop\n", "==== 3 passed in 0.12s ===="))
    assert [look.green for look in done.checks] == [True]
    _, done = ran(OPEN, GOOD, sh("python -m pytest shop\n", "==== 1 failed, 2 passed in 0.12s ===="))
    assert [look.green for look in done.checks] == [False]
    _, done = ran(OPEN, GOOD, sh("pytest shop\n", "/bin/bash: line 5: pytest: command not found"))
    assert done.checks == []


def test_an_editor_given_as_a_tool_says_itself_what_it_did():
    view = step("str_replace_editor", {"command": "view", "path": CART}, "Here's the result")
    change = {"command": "str_replace", "path": CART, "old_str": "a", "new_str": "b"}
    made = step("str_replace_editor", change, f"The file {CART} has been edited.")
    none = step(
        "str_replace_editor", change, f"No replacement was performed, old_str `a` did not appear in {CART}."
    )
    assert source(ran(view, made)[1]) == ["cart.py"]
    assert source(ran(view, none)[1]) == []


# --- Java ---

PARSER = "/acme__json/src/main/java/com/acme/json/Parser.java"
OPEN_JAVA = sh("open src/main/java/com/acme/json/Parser.java 40\n", window(PARSER))
EDIT_JAVA = sh("edit 40:41\n        return x;\nend_of_edit\n", window(PARSER) + UPDATED)


@pytest.mark.parametrize(
    ("command", "output", "checks"),
    [
        ("mvn -q test -Dtest=ParserTest", "[INFO] Tests run: 12, Failures: 0, Errors: 0, Skipped: 0", [True]),
        (
            "mvn test",
            "[ERROR] Tests run: 10, Failures: 1, Errors: 0, Skipped: 0\n[INFO] BUILD FAILURE",
            [False],
        ),
        ("mvn test", "[ERROR] COMPILATION ERROR :\n[INFO] BUILD FAILURE", [False]),
        ("mvn test", "/bin/bash: line 12: mvn: command not found", []),
        ("./gradlew test --tests ParserTest", "> Task :test\n\nBUILD SUCCESSFUL in 12s", [True]),
    ],
)
def test_a_build_of_java_without_exit_code_is_read_from_what_it_says(
    command: str, output: str, checks: list[bool]
):
    _, done = ran(OPEN_JAVA, EDIT_JAVA, sh(command, output))
    assert source(done) == ["Parser.java"]
    assert [look.green for look in done.checks] == checks


def test_a_java_test_is_no_source():
    path = "/acme__json/src/test/java/com/acme/json/ParserTest.java"
    _, done = ran(
        sh("open src/test/java/com/acme/json/ParserTest.java\n", window(path)),
        sh("edit 3:3\n x\nend_of_edit\n", window(path) + UPDATED),
    )
    assert (source(done), len(done.beside)) == ([], 1)


# --- tools called exec, read, edit ---

READ = step("read", {"path": "/testbed/shop/cart.py", "offset": 1}, "def total", True)
CHANGED = step(
    "edit",
    {"path": "/testbed/shop/cart.py", "oldText": "return 0", "newText": "return sum(i)"},
    "Successfully replaced text in /testbed/shop/cart.py.",
    True,
)


def test_tools_by_short_names_read_edit_and_check():
    _, done = ran(
        step("exec", {"command": "cat ~/.openclaw/workspace/MEMORY.md"}, "", False, 1),
        step("memory_search", {"query": "cart"}, "{}", True),
        READ,
        CHANGED,
        step("exec", {"command": "cd /testbed && python -m pytest -q"}, "3 passed in 0.02s", True, 0),
    )
    assert (source(done), looked(done)) == (["cart.py"], ["cart.py"])
    assert [look.green for look in done.checks] == [True]


def test_an_edit_that_such_a_tool_refused_delivers_nothing():
    none = step("edit", {"path": "/testbed/shop/cart.py", "oldText": "x", "newText": "y"}, "", False)
    assert source(ran(READ, none)[1]) == []


def test_a_script_that_a_write_tool_made_edits_when_exec_runs_it():
    text = "p = '/testbed/shop/cart.py'\ns = open(p).read()\nopen(p, 'w').write(s.replace('0', '1'))\n"
    _, done = ran(
        step("write", {"path": "/tmp/fix.py", "content": text}, "Successfully wrote 80 bytes", True),
        step("exec", {"command": "python /tmp/fix.py"}, "", True, 0),
    )
    assert source(done) == ["cart.py"]


def test_a_folder_that_a_call_names_itself_is_where_it_runs():
    repo = "/root/.openclaw/workspace/repo"
    _, done = ran(
        step("exec", {"command": "sed -n 1,40p shop/cart.py", "workdir": repo}, "def", True, 0),
        step("edit", {"path": f"{repo}/shop/cart.py", "oldText": "x", "newText": "y"}, "", True),
    )
    assert [edit.seen for edit in done.source_edits] == [True]


# --- a bare shell, and tools that the agent writes for itself ---

SEEN = sh("nl -ba shop/cart.py | sed -n '1,200p'", "     1\tdef total", 0)
BY_WORDS = """cat <<'EOF' > edit_tool.py
import sys

def swap(name, old, new):
    with open(name) as f:
        text = f.read()
    with open(name, 'w') as f:
        f.write(text.replace(old, new, 1))

if __name__ == "__main__":
    swap(sys.argv[1], sys.argv[2], sys.argv[3])
EOF"""
BY_PATHLIB = """cat > /testbed/.edit.py <<'PY'
from pathlib import Path
import sys
target = Path(sys.argv[1])
target.write_text(target.read_text().replace(sys.argv[2], sys.argv[3]))
PY"""


@pytest.mark.parametrize(
    ("tool", "use"),
    [
        (BY_WORDS, "python edit_tool.py shop/cart.py a b"),
        (BY_WORDS, 'python edit_tool.py shop/cart.py "def total(self):\n    return 0" "def total(self):"'),
        (BY_PATHLIB, "python /testbed/.edit.py shop/cart.py a b"),
    ],
)
def test_a_tool_that_the_agent_wrote_edits_the_file_that_it_is_given(tool: str, use: str):
    _, done = ran(sh(tool, code=0), SEEN, sh(use, code=0))
    assert "cart.py" in source(done)


def test_a_tool_that_failed_edits_nothing():
    _, done = ran(sh(BY_WORDS, code=0), SEEN, sh("python edit_tool.py shop/cart.py a b", "Traceback", 1))
    assert source(done) == []


def test_a_tool_that_only_shows_edits_nothing():
    tool = "cat > /tmp/view.py <<'PY'\nimport sys\nfor line in open(sys.argv[1]):\n    print(line)\nPY"
    _, done = ran(sh(tool, code=0), sh("python3 /tmp/view.py shop/cart.py", "x", 0))
    assert (source(done), looked(done)) == ([], ["cart.py"])


def test_what_is_added_to_the_index_and_shown_as_a_patch_stands():
    _, done = ran(
        SEEN,
        sh("sed -i 's/a/b/' shop/cart.py", code=0),
        sh("cd /testbed && git add -A && git diff --cached", "diff", 0),
    )
    assert source(done) == ["cart.py"]
