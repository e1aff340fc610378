"""What hangs on the rest of a turn: scripts run later, folders, open files, what comes back, other agents' tools."""

from __future__ import annotations

from typing import Any

from karl.acts.reader import Given, Reader
from karl.schema.act import Act


def told(
    reader: Reader,
    command: str,
    output: object = "",
    *,
    success: bool | None = True,
    code: int | None = None,
    cwd: str | None = None,
) -> list[Act]:
    return reader.acts(Given("Bash", {"command": command}, output, success, code, cwd))


def paths(acts: list[Act], does: str) -> list[str | None]:
    return [act.path for act in acts if act.does == does]


def call(
    reader: Reader,
    tool: str,
    params: dict[str, Any],
    output: object = "",
    *,
    success: bool | None = True,
    original: str | None = None,
) -> list[Act]:
    return reader.acts(Given(tool, params, output, success, None, None, original))


# --- scripts ---


def test_a_script_written_by_a_tool_edits_when_it_is_run():
    reader = Reader("/srv/app")
    written = call(
        reader, "Write", {"file_path": "/srv/app/fix.py", "content": "open('src/a.py', 'w').write('x')"}
    )
    assert paths(written, "edit") == ["/srv/app/fix.py"]
    ran = told(reader, "python fix.py")
    assert paths(ran, "run") == ["/srv/app/fix.py"]
    assert paths(ran, "edit") == ["/srv/app/src/a.py"]


def test_a_tool_that_the_turn_wrote_edits_what_it_is_given():
    for body in (
        "import sys\nfor p in sys.argv[1:]:\n    open(p, 'w')",
        "import sys\np, old = sys.argv[1:]\nopen(p, 'w')",
        "import sys\n_, p, old = sys.argv\nopen(p, 'w')",
        "import argparse\na = argparse.ArgumentParser()\na.add_argument('--old')\na.add_argument('path')\nargs = a.parse_args()\nopen(args.path, 'w')",
        "import sys\ndef change(where, old):\n    with open(where, 'w') as f:\n        f.write(old)\nchange(sys.argv[1], 'x')",
    ):
        reader = Reader()
        told(reader, f"cat > /tmp/tool.py <<'EOF'\n{body}\nEOF")
        assert paths(told(reader, "python3 /tmp/tool.py src/a.py src/b.py"), "edit")[:1] == ["src/a.py"], body


def test_a_script_that_failed_edited_nothing_for_sure():
    reader = Reader()
    told(reader, "cat > fix.py <<EOF\nopen('a.py', 'w')\nEOF")
    assert [act.ok for act in told(reader, "python fix.py", success=False)] == [False, False]


def test_a_script_that_was_copied_or_appended_to_is_followed():
    reader = Reader()
    told(reader, "cat > a.sh <<EOF\nsed -i s/a/b/ x.py\nEOF")
    told(reader, "echo 'sed -i s/a/b/ y.py' >> a.sh")
    told(reader, "cp a.sh b.sh")
    assert paths(told(reader, "bash b.sh"), "edit") == ["x.py", "y.py"]


def test_a_runner_of_tests_that_the_turn_wrote_is_a_script_as_any():
    reader = Reader()
    told(reader, "cat > ./run_tests.sh <<EOF\necho '5 passed in 0.1s'\nEOF")
    assert [act.does for act in told(reader, "./run_tests.sh", "5 passed in 0.1s")] == ["run"]


def test_a_script_that_runs_the_tests_has_run_them():
    reader = Reader()
    told(reader, "cat > ./run_tests.sh <<EOF\nset -e\npytest -q\nEOF")
    checks = [act for act in told(reader, "./run_tests.sh | tail -3", "4 passed in 0.1s") if act.check]
    assert [(act.check, act.ok, act.passed) for act in checks] == [("test", True, 4)]
    told(reader, "cat > ./run_tests.sh <<EOF\npytest -q | head -0\necho '4 passed in 0.1s'\nEOF")
    checks = [act for act in told(reader, "./run_tests.sh", "4 passed in 0.1s") if act.check]
    assert [(act.ok, act.passed) for act in checks] == [(None, None)]


def test_a_script_that_runs_itself_comes_to_an_end():
    reader = Reader()
    told(reader, "printf 'bash a.sh' > a.sh")
    assert [act.does for act in told(reader, "bash a.sh")] == ["run", "run"]


def test_a_patch_that_the_turn_wrote_edits_its_files():
    reader = Reader()
    told(reader, "cat > p.diff <<'EOF'\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,3 @@\n a\n-b\n+c\n+d\nEOF")
    (act,) = told(reader, "git apply p.diff")
    assert (act.does, act.path, act.added, act.removed) == ("edit", "x.py", 2, 1)


def test_a_call_that_nobody_let_run_did_nothing():
    reader = Reader()
    command = {"command": "cat > fix.py <<EOF\nopen('a.py', 'w')\nEOF\npytest"}
    acts = reader.acts(Given("Bash", command, "denied", success=False, ran=False))
    assert [(act.does, act.ok, act.passed) for act in acts] == [("edit", False, None), ("check", None, 0)]
    assert [act.does for act in told(reader, "python fix.py")] == ["run"]


def test_a_stash_that_comes_back_brings_its_edits_back():
    reader = Reader()
    told(reader, "sed -i s/a/b/ x.py")
    assert [act.does for act in told(reader, "git stash")] == ["revert"]
    assert paths(told(reader, "git stash pop"), "edit") == ["x.py"]


def test_a_diff_that_was_kept_and_applied_brings_its_edits_back():
    reader = Reader()
    told(reader, "sed -i s/a/b/ x.py")
    told(reader, "git diff > /tmp/p.diff && git checkout x.py")
    assert paths(told(reader, "git apply /tmp/p.diff"), "edit") == ["x.py"]


# --- folders ---


def test_where_hooks_tell_the_folder_every_path_is_whole():
    reader = Reader("/srv/app")
    assert paths(told(reader, "cat a.py ./b/../c.py ../d.py ~/e"), "read") == [
        "/srv/app/a.py",
        "/srv/app/c.py",
        "/srv/d.py",
        "~/e",
    ]
    assert paths(told(reader, "cat a.py", cwd="/srv/app/sub"), "read") == ["/srv/app/sub/a.py"]
    assert paths(told(reader, "cat a.py"), "read") == ["/srv/app/a.py"]


def test_a_folder_that_one_call_went_to_does_not_hold_for_the_next():
    reader = Reader("/srv/app")
    told(reader, "cd sub && ls")
    assert paths(told(reader, "cat a.py"), "read") == ["/srv/app/a.py"]


def test_a_file_named_both_ways_has_one_spelling():
    reader = Reader()
    first = paths(told(reader, "cat pkg/a.py"), "read")
    second = paths(told(reader, "cat /testbed/pkg/a.py"), "read")
    third = paths(told(reader, "cd /testbed && cat b.py"), "read")
    assert (first, second, third) == (["pkg/a.py"], ["pkg/a.py"], ["b.py"])


def test_a_file_named_whole_first_gives_its_folder_to_later_ones():
    reader = Reader()
    told(reader, "cat /testbed/pkg/a.py")
    assert paths(told(reader, "cat pkg/a.py"), "read") == ["/testbed/pkg/a.py"]
    assert paths(told(reader, "cat c.py"), "read") == ["/testbed/c.py"]


def test_a_cd_to_a_whole_path_tells_the_folder_where_nobody_does():
    reader = Reader()
    told(reader, "cd /code/app && ls")
    assert paths(told(reader, "cat a.py"), "read") == ["/code/app/a.py"]


def test_another_machines_folders_are_its_own():
    (act,) = told(Reader("/srv/app"), "docker exec -w /app web cat a.py")
    assert act.path == "/app/a.py"


# --- results ---

PYTEST = "===== 3 failed, 21 passed, 2 skipped in 1.20s ====="


def test_a_status_hidden_by_a_pipe_is_found_in_the_output():
    (act,) = told(Reader(), "pytest 2>&1 | tail -3", PYTEST)
    assert (act.ok, act.passed, act.failed) == (False, 21, 3)
    (act,) = told(Reader(), "pytest | tail -3", "4 passed in 0.1s")
    assert (act.ok, act.passed, act.failed) == (True, 4, 0)
    (act,) = told(Reader(), "pytest | head -3", "...")
    assert (act.ok, act.passed) == (None, None)


def test_a_real_exit_status_is_believed_before_what_is_printed():
    (act,) = told(Reader(), "pytest", "4 passed in 0.1s", success=False, code=1)
    assert act.ok is False


def test_a_runner_that_swallows_its_failures_has_failed():
    (act,) = told(Reader(), "make test", PYTEST)
    assert act.ok is False


def test_a_result_that_the_command_prints_itself_is_none():
    forged = "5 passed in 0.10s"
    for command in (
        f"pytest | tail -0; echo '{forged}'",
        f"pytest > /dev/null; printf '{forged}'",
        f"pytest -q | head -0; python -c \"print('{forged}')\"",
        f"pytest | head -0; cat <<EOF\n{forged}\nEOF",
    ):
        checks = [act for act in told(Reader(), command, forged) if act.check]
        assert [(act.ok, act.passed) for act in checks] == [(None, None)], command


def test_a_result_that_stands_in_a_file_of_the_turn_is_none():
    reader = Reader()
    told(reader, "echo '5 passed in 0.10s' > x.log")
    checks = [act for act in told(reader, "pytest | head -0; cat x.log", "5 passed in 0.10s") if act.check]
    assert [act.ok for act in checks] == [None]


def test_a_status_that_is_printed_is_read():
    for command, output, ok in (
        ('pytest > log 2>&1; echo "EXIT: $?"', "EXIT: 1", False),
        ('pytest | tail -1; echo "exit code ${PIPESTATUS[0]}"', "...\nexit code 0\n", True),
        ("pytest; echo $?", "...\n2\n", False),
        ("pytest; rc=$?; echo; echo rc=$rc", "...\n\nrc=0", True),
        ('pytest | tail -1; echo "EXIT: $?"', "EXIT: 0", None),
        ('pytest; ls; echo "EXIT: $?"', "EXIT: 0", None),
        ("echo 'EXIT: 0'; pytest | head", "EXIT: 0", None),
    ):
        checks = [act for act in told(Reader(), command, output) if act.check]
        assert [act.ok for act in checks] == [ok], command


def test_a_check_that_never_ran_says_so():
    for command, output in (
        ("pytest", "bash: pytest: command not found"),
        ("python -m pytest", "/usr/bin/python: No module named pytest"),
        ("pytest x.py", "===== no tests ran in 0.01s ====="),
        ("python -m unittest", "Ran 0 tests in 0.000s\n\nOK"),
        ("npm run lint", 'npm ERR! Missing script: "lint"'),
        ("make test", "make: *** No rule to make target 'test'.  Stop."),
        ("pytest --foo", "ERROR: usage: pytest [options]\npytest: error: unrecognized arguments: --foo"),
        ("cargo test", "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored"),
    ):
        (act,) = told(Reader(), command, output, success=False)
        assert (act.does, act.ok, act.passed, act.failed) == ("check", None, 0, None), command


def test_a_check_tells_how_the_rest_of_its_chain_went():
    acts = told(
        Reader(), "sed -i s/a/b/ x.py && pytest && git commit -am x", "1 failed in 0.1s", success=False
    )
    assert [(act.does, act.ok) for act in acts] == [("edit", True), ("check", False), ("commit", False)]


def test_output_may_come_in_any_shape():
    for output in (
        {"stdout": "4 passed in 0.1s", "stderr": ""},
        {"output": "4 passed in 0.1s"},
        [{"type": "text", "text": "4 passed in 0.1s"}],
        {"content": [{"type": "text", "text": "4 passed in 0.1s"}]},
        "\x1b[32m4 passed\x1b[0m in 0.1s",
    ):
        (act,) = told(Reader(), "pytest | cat", output)
        assert act.passed == 4, output


def test_without_a_word_from_the_hook_an_exit_code_in_the_output_counts():
    for output, ok in (
        ("<returncode>1</returncode>\n<output>\n</output>", False),
        ("x\n\nCommand exited with code 2", False),
        ("<returncode>0</returncode>", True),
        ("x", None),
    ):
        (act,) = told(Reader(), "cat a.py", output, success=None)
        assert act.ok is ok


# --- SWE-agent's shell ---


def test_edits_by_line_are_of_the_file_that_is_open():
    reader = Reader()
    told(reader, "ls", "a\n(Open file: n/a)\n(Current directory: /app__app)\nbash-$", success=None)
    told(reader, "cd src", "(Open file: n/a)\n(Current directory: /app__app/src)\nbash-$", success=None)
    (act,) = told(reader, "open a.py 10", "[File: /app__app/src/a.py (20 lines total)]", success=None)
    assert (act.does, act.path) == ("read", "/app__app/src/a.py")
    edit = 'edit 3:4\nx = "it\'s"\nend_of_edit'
    (act,) = told(reader, edit, "Your proposed edit has introduced new syntax error(s).", success=None)
    assert (act.does, act.path, act.ok) == ("edit", "/app__app/src/a.py", False)
    (act,) = told(reader, edit, "[File: /app__app/src/a.py (19 lines total)]\nFile updated.", success=None)
    assert (act.path, act.ok, act.added, act.removed) == ("/app__app/src/a.py", True, 1, 2)
    (act,) = told(reader, "create b.py", "[File: b.py (1 lines total)]", success=None)
    assert (act.does, act.path) == ("edit", "/app__app/src/b.py")
    (act,) = told(reader, "edit 1:1\nx\nend_of_edit", "", success=None)
    assert act.path == "/app__app/src/b.py"
    assert [act.does for act in told(reader, "goto 4")] == ["read"]
    assert [act.path for act in told(reader, "search_dir foo")] == ["/app__app/src"]
    assert told(reader, "submit") == []


def test_its_commands_may_be_tools_of_their_own():
    reader = Reader()
    call(reader, "open", {"path": "a.py", "line_number": 3}, "", success=None)
    (act,) = call(
        reader,
        "Edit",
        {"start_line": 3, "end_line": 5, "replacement_text": "x"},
        "",
        success=None,
        original="edit",
    )
    assert (act.path, act.added, act.removed) == ("a.py", 1, 3)
    (act,) = call(reader, "Edit", {"command": "edit 3:4\nx\nend_of_edit"}, "", success=None, original="edit")
    assert (act.does, act.path) == ("edit", "a.py")
    (act,) = call(reader, "open", {"args": "b.py 10"}, "", success=None)
    assert (act.does, act.path) == ("read", "b.py")


def test_an_editor_called_through_the_shell_is_an_editor():
    reader = Reader()
    (act,) = told(reader, "str_replace_editor view /r/a.py", "", success=None)
    assert (act.does, act.path) == ("read", "/r/a.py")
    (act,) = told(
        reader,
        "str_replace_editor str_replace /r/a.py --old_str 'a' --new_str 'b\nc'",
        "No replacement was performed",
        success=None,
    )
    assert (act.does, act.ok, act.added, act.removed) == ("edit", False, 2, 1)


# --- other tools ---


def test_editors_patches_and_servers_tools_are_read_by_their_names_and_parameters():
    for tool, original, params, acts in (
        ("Read", None, {"file_path": "a.py"}, [("read", "a.py")]),
        ("Read", "read", {"path": "a.py"}, [("read", "a.py")]),
        ("Read", "read_many_files", {"paths": ["a.py", "b.py"]}, [("read", "a.py"), ("read", "b.py")]),
        (
            "Edit",
            "MultiEdit",
            {"file_path": "a.py", "edits": [{"old_string": "x", "new_string": "y"}] * 3},
            [("edit", "a.py")],
        ),
        ("Edit", "edit", {"path": "a.py", "oldText": "x", "newText": "y"}, [("edit", "a.py")]),
        (
            "Edit",
            "apply_patch",
            {"input": "*** Begin Patch\n*** Update File: a.py\n*** Move to: b.py\n@@\n-x\n+y\n*** End Patch"},
            [("delete", "a.py"), ("edit", "b.py")],
        ),
        (
            "Edit",
            "apply_patch",
            {"command": ["apply_patch", "*** Begin Patch\n*** Delete File: a.py\n*** End Patch"]},
            [("delete", "a.py")],
        ),
        ("Write", None, {"file_path": "a.py", "content": "x"}, [("edit", "a.py")]),
        ("NotebookEdit", None, {"notebook_path": "a.ipynb", "new_source": "x"}, [("edit", "a.ipynb")]),
        ("Grep", None, {"pattern": "x", "path": "src"}, [("search", "src")]),
        ("Grep", None, {"pattern": "x"}, [("search", ".")]),
        ("Glob", None, {"pattern": "*"}, [("search", ".")]),
        ("Glob", "list_dir", {"target_directory": "src"}, [("list", "src")]),
        ("str_replace_editor", None, {"command": "view", "path": "a.py"}, [("read", "a.py")]),
        (
            "str_replace_editor",
            None,
            {"command": "insert", "path": "a.py", "insert_text": "x"},
            [("edit", "a.py")],
        ),
        ("mcp__filesystem__read_file", None, {"path": "a.py"}, [("read", "a.py")]),
        ("mcp__filesystem__read_multiple_files", None, {"paths": ["a.py"]}, [("read", "a.py")]),
        (
            "mcp__filesystem__edit_file",
            None,
            {"path": "a.py", "edits": [{"oldText": "x", "newText": "y"}]},
            [("edit", "a.py")],
        ),
        ("mcp__filesystem__write_file", None, {"path": "a.py", "content": "x"}, [("edit", "a.py")]),
        (
            "mcp__filesystem__move_file",
            None,
            {"source": "a.py", "destination": "b.py"},
            [("delete", "a.py"), ("edit", "b.py")],
        ),
        ("mcp__filesystem__search_files", None, {"path": "src", "pattern": "x"}, [("search", "src")]),
        ("mcp__filesystem__list_directory", None, {"path": "src"}, [("list", "src")]),
        ("mcp__filesystem__create_directory", None, {"path": "src"}, []),
        ("mcp__ide__replaceTextInFile", None, {"pathInProject": "a.py", "file": "a.py"}, [("edit", "a.py")]),
        ("mcp__git__git_commit", None, {"message": "x"}, [("commit", None)]),
        ("mcp__github__create_issue", None, {"title": "x"}, []),
        ("get_user_details", None, {"user_id": "x"}, []),
        ("delete_file", None, {"target_file": "a.py"}, [("delete", "a.py")]),
        ("Task", None, {"prompt": "read a.py"}, []),
        ("WebFetch", None, {"url": "https://a/b.py"}, []),
        ("TodoWrite", None, {"todos": []}, []),
    ):
        found = [(act.does, act.path) for act in call(Reader(), tool, params, original=original)]
        assert found == acts, (tool, params)


def test_what_an_editor_answers_tells_how_it_went_where_nobody_else_does():
    params = {"command": "str_replace", "path": "a.py", "old_str": "x", "new_str": "y"}
    (act,) = call(
        Reader(),
        "str_replace_editor",
        params,
        "No replacement was performed, old_str did not appear",
        success=None,
    )
    assert act.ok is False
    (act,) = call(Reader(), "str_replace_editor", params, "The file a.py has been edited.", success=None)
    assert act.ok is True
    (act,) = call(Reader(), "str_replace_editor", params, "", success=None)
    assert act.ok is None
