"""What is left of an edit, and of a check: edits of nothing, edits taken back, results that nobody ran."""

from __future__ import annotations

from typing import Any

import pytest

from karl.acts.comments import only_comments
from karl.acts.outputs import command_text
from karl.acts.reader import Given, Reader
from karl.schema.act import Act

OLD = "    return round(total)"


def ran(
    reader: Reader, command: str, output: object = "", *, success: bool | None = True, tool: str = "Bash"
) -> list[Act]:
    original = tool if tool != "Bash" else None
    return reader.acts(Given("Bash", {"command": command}, output, success, None, "/w", original))


def edited(reader: Reader, old: str, new: str, path: str = "/w/a.py") -> list[Act]:
    params = {"file_path": path, "old_string": old, "new_string": new}
    return reader.acts(Given("Edit", params, {"filePath": path}, success=True, cwd="/w"))


def done(acts: list[Act]) -> list[str]:
    return [f"{act.does} {act.path or ''}".strip() for act in acts]


# --- comments ---


@pytest.mark.parametrize(
    ("path", "old", "new", "alone"),
    [
        ("a.py", OLD, f"    # totals keep their cents\n{OLD}", True),
        ("a.py", "return x", "# why\n    return x", True),
        ("a.py", "x = 1", "x = 1  # it's one", True),
        ("a.py", "x = '#'", "x = '# '", False),
        ("a.py", "x = 1", "x = 2  # two", False),
        ("a.py", "# x = 1", "x = 1", False),
        ("a.py", "x = 1", "# x = 1", False),
        ("a.py", "x = f()", "x = f()  # type: ignore", False),
        ("a.py", "x = 1", "#!/bin/sh\nx = 1", False),
        ("a.py", "def f():\n    pass", 'def f():\n    """Do nothing."""\n    pass', True),
        ("a.py", "x = 1", "x = 1", False),
        ("a.ts", "f();", "// why\nf();", True),
        ("a.ts", "f();", "/* why */\nf();", True),
        ("a.ts", "f();", "f(); // @ts-ignore", False),
        ("a.ts", " * old\n", " * new\n", True),
        ("a.c", "f();", "*p = 0;\nf();", False),
        ("a.c", "f();", "#include <a.h>\nf();", False),
        ("a.go", "f()", "//go:noinline\nf()", False),
        ("a.sql", "select 1", "-- why\nselect 1", True),
        ("a.unknown", "x", "# y\nx", False),
    ],
)
def test_an_edit_is_of_comments_alone_where_its_code_stays(path, old, new, alone):
    assert only_comments(path, old, new) is alone


def test_an_edit_of_comments_alone_is_documentation_whoever_makes_it():
    assert edited(Reader(), OLD, f"    # cents\n{OLD}")[0].role == "docs"
    patch = "*** Begin Patch\n*** Update File: a.py\n@@\n-# old\n+# new\n*** End Patch"
    assert Reader().acts(Given("apply_patch", {"input": patch}, "", success=True))[0].role == "docs"
    diff = "--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,2 @@\n x = 1\n+# new\n"
    assert ran(Reader(), f"git apply <<'E'\n{diff}E")[0].role == "docs"
    assert edited(Reader(), OLD, "    return total")[0].role == "source"


# --- edits of nothing, and edits taken back ---


@pytest.mark.parametrize(
    "command",
    [
        "sed -i s/x/x/ a.py",
        "sed -n -i p a.py",
        "echo >> a.py",
        ": >> a.py",
        "tee -a a.py < /dev/null",
        "dd if=/dev/null of=a.py conv=notrunc",
        "truncate -s +0 a.py",
        "ln -s a.py b.py",
        "patch --dry-run -p1 < x.patch",
    ],
)
def test_what_changes_nothing_is_no_edit(command):
    assert [act for act in ran(Reader("/w"), command) if act.does in ("edit", "delete")] == []


@pytest.mark.parametrize("command", ["> a.py", ": > a.py", "cat /dev/null > a.py", "truncate -s 0 a.py"])
def test_what_is_emptied_is_gone(command):
    assert done(ran(Reader("/w"), command)) == ["delete /w/a.py"]


@pytest.mark.parametrize(
    ("command", "acts"),
    [
        ("git diff | git apply -R", ["vcs", "revert"]),
        ("git diff | patch -R -p1", ["vcs", "revert"]),
        ("git show HEAD:a.py > a.py", ["read /w/a.py", "revert /w/a.py"]),
        ("git switch --discard-changes main", ["revert"]),
        ("git switch main", ["vcs"]),
        ("git read-tree -u --reset HEAD", ["revert"]),
        ("git checkout-index -f -a", ["revert"]),
        ("git worktree remove --force ../fix", ["revert /fix"]),
        ("hg revert a.py", ["revert /w/a.py"]),
        ("hg update -C", ["revert"]),
        ("hg log", ["vcs"]),
        ("svn revert -R .", ["revert"]),
        ("jj undo", ["revert"]),
    ],
)
def test_changes_may_be_thrown_away_by_many_means(command, acts):
    assert done(ran(Reader("/w"), command)) == acts


def test_an_edit_and_its_opposite_leave_nothing_but_an_edit_between_them_stays():
    reader = Reader("/w")
    assert done(edited(reader, "a", "b")) == ["edit /w/a.py"]
    assert done(edited(reader, "b", "a")) == ["revert /w/a.py"]
    edited(reader, "a", "b")
    edited(reader, "c", "d")
    assert done(edited(reader, "b", "a")) == ["edit /w/a.py"]


def test_a_tool_that_says_that_the_file_was_so_before_edited_nothing():
    params = {"file_path": "/w/a.py", "content": "x = 1\n"}
    same = {"type": "update", "structuredPatch": [], "originalFile": "x = 1\n"}
    assert Reader("/w").acts(Given("Write", params, same, success=True)) == []


# --- checks that nobody ran, or whose words are another's ---


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("pytest --lf -q", "no previously failed tests, not running tests.\n"),
        ("mvn test -Dtest=None", "[INFO] No tests to run.\n[INFO] BUILD SUCCESS\n"),
        ("mix test --only x", "8 tests, 0 failures, 8 excluded\n"),
        ("SKIP=ruff pre-commit run", "ruff......Skipped\n"),
        ("make test", "make: Nothing to be done for 'test'.\n"),
        ("go test ./...", "ok  \tshop\t0.1s [no tests to run]\n"),
        ("for t in $(seq 0); do pytest; done", ""),
    ],
)
def test_a_check_that_says_that_nothing_was_run_did_not_run(command, output):
    (act,) = [act for act in ran(Reader("/w"), command, output) if act.does == "check"]
    assert (act.ok, act.passed) == (None, 0)


@pytest.mark.parametrize(
    "command",
    [
        "make -q test",
        "make test SHELL=/bin/true",
        "make test PYTEST=true",
        "docker run -d shop pytest",
        "bunx --help vitest",
        "hash -p /bin/true pytest; pytest",
        "alias pytest=true\npytest",
        "export PYTEST_ADDOPTS=--co; pytest",
        "cat <<'E' | sh -n\npytest\nE",
        "prove --dry t",
        "xcodebuild -list",
    ],
)
def test_a_runner_that_is_told_to_do_nothing_or_is_another_is_no_check(command):
    assert [act for act in ran(Reader("/w"), command) if act.does == "check"] == []


@pytest.mark.parametrize(
    "command", ["trap 'exit 0' EXIT; pytest", "ruff check --exit-zero", "make -i test", "mvn -fn test"]
)
def test_an_end_that_is_good_whatever_happens_says_nothing(command):
    assert ran(Reader("/w"), command, "said\n")[-1].ok is None


def test_a_result_that_stands_in_a_file_of_the_turn_was_printed_by_that_file():
    reader = Reader("/w")
    ran(reader, "cat > conftest.py <<'E'\nprint('5 passed in 0.31s')\nE")
    (act,) = ran(reader, "pytest -q", "5 passed in 0.31s\n")
    assert (act.ok, act.passed) == (None, 0)
    (act,) = ran(reader, "pytest -q", "6 passed in 0.20s\n")
    assert (act.ok, act.passed) == (True, 6)


def test_a_script_that_was_edited_after_it_was_written_does_what_it_says_then():
    reader = Reader("/w")
    ran(reader, "cat > fix.py <<'E'\nopen('a.py', 'w')\nE")
    edited(reader, "a.py", "b.py", "/w/fix.py")
    assert done(ran(reader, "python fix.py")) == ["run /w/fix.py", "edit /w/b.py"]


def test_a_program_of_the_name_of_an_edited_file_is_still_a_check():
    reader = Reader("/w")
    edited(reader, "a", "b", "/w/src/mypy.py")
    assert [act.program for act in ran(reader, "mypy src") if act.check] == ["mypy"]


def test_a_runner_that_the_turn_wrote_is_a_script_of_its_own():
    reader = Reader("/w")
    ran(reader, "printf 'echo 5 passed' > bin/pytest")
    assert done(ran(reader, "PATH=bin:$PATH pytest", "5 passed\n")) == ["run"]


def test_a_check_in_the_background_ends_at_the_call_that_tells_its_end():
    reader = Reader("/w")
    started = "Command running in background with ID: b1. Output is being written to: x\n"
    (act,) = ran(reader, "pytest -q", {"stdout": started, "stderr": "", "backgroundTaskId": "b1"})
    assert (act.ok, act.passed) == (None, None)
    task = {"task_id": "b1", "status": "completed", "output": "3 passed in 0.1s\n", "exitCode": 0}
    said = {"retrieval_status": "success", "task": task}
    (act,) = reader.acts(Given("TaskOutput", {"task_id": "b1"}, said, success=True))
    assert (act.program, act.ok, act.passed) == ("pytest", True, 3)
    assert reader.acts(Given("TaskOutput", {"task_id": "b1"}, said, success=True)) == []


def test_nothing_of_a_command_ran_that_its_shell_could_not_read():
    said = "bash: -c: line 1: syntax error near unexpected token `('\n"
    acts = ran(Reader("/w"), "sed -i 's/don't/x/' a.py", said, success=False)
    assert acts
    assert all(act.ok is False for act in acts)


@pytest.mark.parametrize(
    ("command", "output", "ok"),
    [
        ("git ls-files | xargs pytest", "", None),
        ("git ls-files | xargs pytest", "3 passed in 0.1s\n", True),
        ("for i in 1 2 3; do pytest -q || break; done", "3 passed in 0.1s\n" * 3, True),
        ("for i in 1 2 3; do pytest -q || break; done", "1 failed, 2 passed in 0.1s\n", False),
    ],
)
def test_a_check_that_runs_for_each_of_many_ends_as_its_words_say(command, output, ok):
    assert ran(Reader("/w"), command, output)[-1].ok is ok


@pytest.mark.parametrize("command", ["exit 0 && pytest", "return 0 && pytest", "exit; pytest"])
def test_what_stands_behind_the_end_of_the_shell_never_runs(command):
    assert ran(Reader("/w"), command) == []


def test_a_file_that_an_editor_did_not_find_was_not_changed():
    said = "sed: can't read the: No such file or directory\n"
    acts = ran(Reader("/w"), "sed -i 's/a/b' the a.py; echo", said, success=None)
    assert [(act.path, act.ok) for act in acts] == [("/w/the", False), ("/w/a.py", None)]


# --- looks ---


@pytest.mark.parametrize(
    ("tool", "params", "output"),
    [
        ("Bash", {"command": "grep -rn old ."}, "./a.py:3:old\n"),
        ("Bash", {"command": "rg -l old"}, "a.py\n"),
        ("Grep", {"pattern": "old"}, {"mode": "files_with_matches", "filenames": ["/w/a.py"], "numFiles": 1}),
    ],
)
def test_a_file_that_a_search_showed_was_looked_at_when_it_is_changed(
    tool: str, params: dict[str, Any], output: object
):
    reader = Reader("/w")
    reader.acts(Given(tool, params, output, success=True, cwd="/w"))
    assert done(ran(reader, "sed -i s/old/new/ a.py b.py")) == [
        "search /w/a.py",
        "edit /w/a.py",
        "edit /w/b.py",
    ]
    assert done(ran(reader, "sed -i s/old/new/ a.py")) == ["edit /w/a.py"]


def test_a_search_that_finds_nothing_saw_nothing():
    said = {"mode": "files_with_matches", "filenames": [], "numFiles": 0}
    params = {"pattern": "x", "path": "/w/a.py"}
    (act,) = Reader("/w").acts(Given("Grep", params, said, success=True))
    assert act.ok is False


@pytest.mark.parametrize(
    ("command", "acts"),
    [
        ("Get-Content shop\\a.py -TotalCount 20", ["read /w/shop/a.py"]),
        (
            "(Get-Content a.py) -replace 'x','y' | Set-Content -Path a.py",
            ["read /w/a.py", "edit /w/a.py"],
        ),
        ("Select-String -Path a.py -Pattern x", ["search /w/a.py"]),
        ("Select-String x a.py", ["search /w/a.py"]),
        ("cat a.py 2> $null", ["read /w/a.py"]),
    ],
)
def test_the_other_shells_words_are_known(command, acts):
    assert done(ran(Reader("/w"), command, tool="PowerShell")) == acts


def test_a_folder_of_a_drive_is_the_same_in_all_its_shells():
    reader = Reader("D:\\repo")
    (read,) = reader.acts(Given("Read", {"file_path": "D:\\repo\\src\\a.go"}, "", success=True))
    (shown,) = reader.acts(Given("Bash", {"command": "cat src/a.go"}, "", True, 0, "D:\\repo"))
    assert read.path == shown.path == "/d/repo/src/a.go"


def test_what_runs_on_another_machine_has_no_folder_here():
    (act,) = ran(Reader("/w"), "ssh build 'cd /srv/shop && pytest -q'", "5 passed in 0.3s\n")
    assert (act.does, act.path, act.ok) == ("check", None, True)
    (act,) = ran(Reader("/w"), "ssh build bash -s <<'E'\npytest -q\nE", "5 passed in 0.3s\n")
    assert (act.does, act.passed) == ("check", 5)


def test_a_list_that_was_kept_as_a_text_is_a_list():
    acts = Reader("/w").acts(Given("shell", {"command": '["bash","-lc","pytest -q"]'}, "", success=True))
    assert [act.program for act in acts] == ["pytest"]


def test_a_check_whose_words_went_through_a_filter_may_have_run():
    (act,) = [act for act in ran(Reader("/w"), "go test ./... | grep -i fail") if act.does == "check"]
    assert (act.ok, act.passed) == (None, None)
    left = "?   \tshop/mock\t[no test files]\n"
    (act,) = [act for act in ran(Reader("/w"), "go test ./... | grep -v ^ok", left) if act.does == "check"]
    assert act.passed is None


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("git reset --hard", "git reset"),
        ("git reset --hard HEAD", "git reset"),
        ("git reset --hard HEAD~2", "git revert"),
        ("git reset --hard origin/main", "git revert"),
    ],
)
def test_throwing_commits_away_is_told_from_throwing_changes_away(command, program):
    (act,) = ran(Reader("/w"), command)
    assert (act.does, act.program) == ("revert", program)


def test_taking_one_side_of_a_merge_throws_nothing_away():
    assert done(ran(Reader("/w"), "git checkout --theirs a.py")) == ["vcs"]


def test_a_commit_of_nothing_keeps_nothing():
    assert done(ran(Reader("/w"), "git commit --allow-empty -m x")) == ["vcs"]
    assert done(ran(Reader("/w"), "git commit --allow-empty -am x")) == ["commit"]
    assert done(ran(Reader("/w"), "git add -A && git commit --allow-empty -m x")) == ["vcs", "commit"]


@pytest.mark.parametrize("text", ['["\ud800"]', "[" * 5000, '["', "[]", '["a", 1]'])
def test_a_text_that_is_no_list_of_words_is_left_as_it_is(text: str):
    assert command_text(text) in (text, None)
