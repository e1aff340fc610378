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


def test_a_file_that_could_not_be_opened_leaves_the_open_one_open():
    _, done = ran(OPEN, sh("open shop/nope.py\n", "File shop/nope.py not found\n"), GOOD)
    assert (source(done), looked(done)) == (["cart.py"], ["cart.py"])


def test_a_file_that_could_not_be_created_since_it_is_there_was_looked_at():
    made = sh("create shop/cart.py\n", f"Error: File 'shop/cart.py' already exists.\n{window(CART)}")
    _, done = ran(made, GOOD)
    assert [edit.seen for edit in done.source_edits] == [True]
    assert done.failed_edits == []


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("edit 20\n    pytest\nend_of_edit\n", "Usage: edit <start_line>:<end_line>\nError: no end_line"),
        ("edit 'return 7' 'return 2'\n", "Your edit was not applied (file not modified): Text not found"),
    ],
)
def test_an_edit_that_was_not_understood_delivers_nothing(command: str, output: str):
    _, done = ran(OPEN, sh(command, output))
    assert (source(done), done.checks) == ([], [])


def test_an_edit_tool_without_a_path_is_of_the_open_file():
    _, done = ran(
        step("open", {"path": "shop/cart.py", "line_number": 3}, window(CART)),
        step("edit", {"search": "a", "replace": "b"}, "Text replaced. Please review the changes"),
    )
    assert source(done) == ["cart.py"]


def test_the_window_says_which_file_is_open_wherever_the_shell_is():
    test = f"{REPO}/tests/test_cart.py"
    _, done = ran(
        sh("cd tests\n"),
        sh("open test_cart.py\n", window(test)),
        sh("edit 3:3\nx\nend_of_edit\n", window(test) + UPDATED),
    )
    assert [edit.role for edit in done.edits] == ["test"]
    _, done = ran(sh("cd shop && open cart.py 3\n", window(CART)), GOOD)
    assert [(edit.path.rpartition("/")[2], edit.seen) for edit in done.source_edits] == [("cart.py", True)]


def test_commands_before_and_behind_an_edit_are_read():
    text = "create reproduce.py\nedit 1:1\nimport os\npytest\nend_of_edit\n"
    _, done = ran(sh(text, window(f"{REPO}/reproduce.py") + UPDATED))
    assert (source(done), done.checks) == ([], [])
    assert {edit.path.rpartition("/")[2] for edit in done.edits} == {"reproduce.py"}
    _, done = ran(OPEN, sh("goto 40\nedit 40:41\npytest\nend_of_edit\n", window(CART) + UPDATED))
    assert (source(done), done.checks) == (["cart.py"], [])
    text = "edit 3:3\nx\nend_of_edit\npython -m pytest shop\n"
    _, done = ran(OPEN, sh(text, f"{window(CART)}{UPDATED}\n==== 3 passed in 0.1s ===="))
    assert (source(done), [look.green for look in done.checks]) == (["cart.py"], [True])


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


@pytest.mark.parametrize(
    "name",
    ["ReproduceIssue.java", "Main.java", "TestParser.java", "src/main/java/com/acme/ReproduceIssue.java"],
)
def test_a_java_file_that_only_reproduces_delivers_nothing(name: str):
    path = f"/acme__json/{name}"
    _, done = ran(
        sh(f"create {name}\n", f"[File: {path} (1 lines total)]\n1:"),
        sh("edit 1:1\nclass R {}\nend_of_edit\n", window(path) + UPDATED),
        SUBMIT,
    )
    assert (done.source_edits, done.beside) == ([], [])


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
    repo = "/home/claw/.openclaw/workspace/repo"
    _, done = ran(
        step("exec", {"command": "sed -n 1,40p shop/cart.py", "workdir": repo}, "def", True, 0),
        step("edit", {"path": f"{repo}/shop/cart.py", "oldText": "x", "newText": "y"}, "", True),
    )
    assert [edit.seen for edit in done.source_edits] == [True]


@pytest.mark.parametrize(
    "output",
    [
        "Command still running (session mild-otter, pid 77). Use process (list/poll/log) for follow-up.",
        "Background job started. Use job tool with action=output or action=status to monitor.",
    ],
)
def test_a_check_that_was_only_started_is_not_green(output: str):
    check = step("exec", {"command": "cd /testbed && python -m pytest -q"}, output, True, 0)
    assert not any(look.green for look in ran(READ, CHANGED, check)[1].checks)


@pytest.mark.parametrize(("summary", "code"), [("13 passed in 3.2s", 0), ("1 failed, 12 passed in 3.2s", 1)])
def test_a_check_in_the_background_ends_where_its_end_is_told(summary: str, code: int):
    start = "Command still running (session mild-otter, pid 77). Use process (list/poll) for follow-up."
    check = step("exec", {"command": "cd /testbed && python -m pytest -q"}, start, True)
    poll = {"action": "poll", "sessionId": "mild-otter"}
    waits = step("process", poll, "(no new output)\n\nProcess still running.", True)
    ends = step("process", poll, f"{summary}\n\nProcess exited with code {code}.", True)
    calls, done = ran(READ, CHANGED, check, waits, ends)
    assert calls[3].acts == []
    assert done.checks[-1].green is (code == 0)


def test_an_exit_code_in_brackets_is_one():
    calls, _ = ran(
        step("exec", {"command": "ls nope"}, "ls: nope: no such file\n\n(Command exited with code 1)")
    )
    assert [act.ok for act in calls[0].acts] == [False]


def test_notes_that_an_agent_keeps_of_itself_deliver_nothing():
    home = "/home/claw/.openclaw/workspace"
    _, done = ran(
        step("write", {"path": f"{home}/memory/2026-01-01.md", "content": "n"}, "", True),
        step("write", {"path": f"{home}/MEMORY.md", "content": "n"}, "", True),
    )
    assert (done.source_edits, done.beside) == ([], [])


def test_an_edit_tool_told_without_its_texts_is_of_a_file_that_was_there():
    _, done = ran(
        step("Read", {"file_path": "/testbed/shop/cart.py"}, "", True),
        step("Edit", {"file_path": "/testbed/shop/tax.py"}, "", True),
    )
    assert [(edit.new, edit.seen) for edit in done.edits] == [(False, False)]


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

ARGPARSE = """cat <<'EOF' > /tmp/edit_tool.py
import argparse, sys
def main():
    p = argparse.ArgumentParser()
    p.add_argument('file')
    p.add_argument('--old')
    p.add_argument('--new')
    a = p.parse_args()
    with open(a.file) as f:
        text = f.read()
    with open(a.file, 'w') as f:
        f.write(text.replace(a.old, a.new, 1))
main()
EOF"""
FLAGGED = ARGPARSE.replace("'file'", "'--file', required=True")
TUPLE = """cat <<'EOF' > /tmp/edit_tool.py
import sys
path, start, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
lines = open(path).read().splitlines(True)
lines[start - 1:end] = [sys.stdin.read()]
with open(path, 'w') as f:
    f.writelines(lines)
EOF"""
STARRED = TUPLE.replace(
    "path, start, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])", "_, path, a, b = sys.argv"
)
MAIN = """cat > /tmp/edit_tool.py <<'PY'
import sys
def main(argv):
    name = argv[1]
    text = open(name).read()
    open(name, 'w').write(text.replace(argv[2], argv[3]))
raise SystemExit(main(sys.argv))
PY"""
SUB = """cat > /tmp/edit_tool.py <<'PY'
import argparse, pathlib
p = argparse.ArgumentParser()
sub = p.add_subparsers(dest='verb')
r = sub.add_parser('replace')
r.add_argument('path')
r.add_argument('--old')
a = p.parse_args()
file = pathlib.Path(a.path)
file.write_text(file.read_text().replace(a.old, ''))
PY"""
MODES = """cat > /tmp/edit_tool.py <<'PY'
import sys
target = sys.argv[1]
with open(target) as f:
    lines = f.readlines()
for line in sys.stdin.read().split('\\n'):
    parts = line.split()
    if parts[0] == 'view':
        print(''.join(lines))
    elif parts[0] == 'delete':
        with open(target, 'w') as f:
            f.writelines(lines[1:])
PY"""
MODE = """cat > /tmp/edit_tool.py <<'PY'
import sys
path, mode = sys.argv[1], sys.argv[2]
text = open(path).read()
if mode == 'show':
    print(text)
elif mode == 'replace':
    if sys.argv[3] not in text:
        print(f"Error: text not found in {path}")
    else:
        with open(path, 'w') as f:
            f.write(text.replace(sys.argv[3], ''))
PY"""


@pytest.mark.parametrize(
    ("tool", "use"),
    [
        (ARGPARSE, "python /tmp/edit_tool.py shop/cart.py --old a --new b"),
        (FLAGGED, "python3 /tmp/edit_tool.py --file shop/cart.py --old a --new b"),
        (TUPLE, "python /tmp/edit_tool.py shop/cart.py 20 21 <<'EOF'\nx\nEOF"),
        (STARRED, "python /tmp/edit_tool.py shop/cart.py 20 21 <<'EOF'\nx\nEOF"),
        (MAIN, "python /tmp/edit_tool.py shop/cart.py a b"),
        (SUB, "python /tmp/edit_tool.py replace shop/cart.py --old a"),
        (MODES, "python /tmp/edit_tool.py shop/cart.py <<'EOF'\ndelete 3\nEOF"),
        (MODE, "python /tmp/edit_tool.py shop/cart.py replace a"),
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


@pytest.mark.parametrize(
    ("tool", "use", "output"),
    [
        (MODES, "python /tmp/edit_tool.py shop/cart.py <<'EOF'\nview 3\nEOF", "x"),
        (MODE, "python /tmp/edit_tool.py shop/cart.py show", "x"),
        (MODE, "python /tmp/edit_tool.py shop/cart.py replace z", "Error: text not found in shop/cart.py"),
    ],
)
def test_a_tool_of_several_uses_edits_only_when_it_is_used_for_that(tool: str, use: str, output: str):
    _, done = ran(sh(tool, code=0), sh(use, output, 0))
    assert source(done) == []


def test_an_error_of_what_runs_behind_a_tool_is_not_the_tools():
    output = "Error: one test asks for what must be unique\n1 failed in 0.1s"
    used = sh("python edit_tool.py shop/cart.py a b; pytest -q", output)
    assert source(ran(sh(BY_WORDS, code=0), SEEN, used)[1]) == ["cart.py"]


@pytest.mark.parametrize(
    "command",
    [
        "sphinx-build -b html reproduction reproduction/_build",
        "cd reproduction && sphinx-build -b html . _build",
        "javac ReproduceIssue.java && java ReproduceIssue",
    ],
)
def test_to_build_a_reproduction_checks_nothing_of_the_work(command: str):
    _, done = ran(SEEN, sh("sed -i 's/a/b/' shop/cart.py", code=0), sh(command, "done", 0))
    assert (source(done), done.checks) == (["cart.py"], [])


def test_texts_that_a_tool_is_given_in_files_deliver_nothing_themselves():
    given = "cat > old.txt <<'EOF'\na\nEOF\ncat > new.txt <<'EOF'\nb\nEOF\n"
    _, done = ran(
        sh(BY_WORDS, code=0), sh(f"{given}python edit_tool.py shop/cart.py old.txt new.txt", code=0)
    )
    assert source(done) == ["cart.py"]


def test_what_a_reproduction_leaves_behind_delivers_nothing():
    text = "open('out.csv', 'w').write('1')\nopen('sample.fits', 'wb').write(b'x')"
    _, done = ran(sh(f"cat > repro.py <<'EOF'\n{text}\nEOF\npython repro.py", code=0))
    assert source(done) == []


def test_what_is_added_to_the_index_and_shown_as_a_patch_stands():
    _, done = ran(
        SEEN,
        sh("sed -i 's/a/b/' shop/cart.py", code=0),
        sh("cd /testbed && git add -A && git diff --cached", "diff", 0),
    )
    assert source(done) == ["cart.py"]
