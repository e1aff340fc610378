"""What holds for any command: nothing raises, wrappers change nothing, a list does what its parts do, time is bounded."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from karl.acts.plan import plan_of
from karl.acts.reader import Given, Reader
from karl.acts.results import read_result
from karl.acts.scripts import touched
from karl.acts.shell import parse
from karl.acts.steps import STEPS_MAX
from karl.acts.tokens import TEXT_MAX

KNOWN = (
    "pytest -q", "npm test", "cargo build", "mypy .", "cat a.py", "sed -i s/a/b/ a.py", "rm a.py", "grep foo a.py", "ls src", "git commit -m x",
    "python x.py", "git checkout -- a.py", "make lint", "echo hi", "pip install x", "go test ./...", "cp a.py b.py", "./tests/runtests.py a",
)  # fmt: skip
WRAPPERS = (
    "sudo {}", "timeout 60 {}", "time {}", "nice -n 5 {}", "env A=1 {}", "A=1 B=2 {}", "nohup {}", "stdbuf -oL {}", "uv run {}", "poetry run {}",
    "bundle exec {}", "( {} )", "{{ {}; }}", "bash -c '{}'", 'bash -lc "{}"', "nix develop -c {}", "conda run -n e {}", "exec {}", "eval '{}'", "docker exec web {}",
)  # fmt: skip
PIECES = (
    *KNOWN, *"'\"`$(){}[];|&<>\n\\#", "$(", "${", "<<EOF\n", "EOF\n", "<<-'X'", "&&", "||", ";;", "if ", "then ", "fi ", "for x in ", "do ", "done ", "case ", "esac ", "in ", "function ", "[[ ",
    " ]]", "((", "))", "bash -c ", "eval ", "xargs ", "python -c ", "python - <<E\n", "open('a','w')", "cd ", "/x ", "~ ", ".. ", "2>&1 ", "> ", ">> ", "$?", "exit ", "set -e ", "apply_patch <<E\n", "*** Begin Patch\n", "*** Update File: a\n", "*** ", "+++ b/x\n", "@@ -1 +1 @@\n", "git apply <<E\n", "alias x=", "hash -p ", "trap 'exit 0' EXIT;", "ssh h ", "Get-Content ", "$HOME/", "D:\\x", "tee -a ", "< /dev/null", "truncate -s ", '["', "\x00", "\x01", "\x02", "\x03", "\x04", "é", "\ud800",
)  # fmt: skip
KEYS = (
    "command", "path", "file_path", "edits", "input", "content", "old_string", "new_string", "task_id", "stdout", "backgroundTaskId", "exitCode", "task", "filenames", "numFiles", "type", "originalFile", "x",
)  # fmt: skip
texts = st.one_of(st.text(max_size=400), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=True), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=8,
)  # fmt: skip
names = st.sampled_from(
    (
        "Bash",
        "Read",
        "Edit",
        "Write",
        "Grep",
        "Glob",
        "NotebookEdit",
        "str_replace_editor",
        "mcp__fs__edit_file",
        "open",
        "edit",
        "goto",
        "delete_file",
        "apply_patch",
        "TaskOutput",
        "mcp__ide__execute_command",
        "Task",
        "x",
        "",
    )
)
common = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@common
@given(texts)
def test_any_text_may_be_a_command(text):
    parse(text)
    assert len(plan_of(text).steps) <= STEPS_MAX
    touched(text)
    read_result("test", text)


@common
@given(
    st.lists(
        st.tuples(
            names,
            anything,
            anything,
            st.sampled_from((True, False, None)),
            st.one_of(st.none(), st.integers(-1, 300)),
        ),
        max_size=6,
    ),
    st.one_of(st.none(), texts),
)
def test_any_call_may_come(calls, cwd):
    reader = Reader(cwd)
    for tool, params, output, success, code in calls:
        for act in reader.acts(
            Given(tool, params, output, success, code, cwd, "PowerShell" if code == 0 else None)
        ):
            assert act.path is None or len(act.path) <= 2100
            assert act.check is None or act.does == "check"


def _doings(text: str, cwd: str | None = None) -> list[tuple[str, str | None, str | None]]:
    return [
        (act.does, act.path, act.check)
        for act in Reader(cwd).acts(Given("Bash", {"command": text}, "", success=None))
    ]


@common
@given(
    st.sampled_from(KNOWN),
    st.sampled_from(KNOWN),
    st.sampled_from((" && ", "; ", "\n", " & ", " ;\n\n ", " && \\\n")),
)
def test_a_list_does_what_its_parts_do(one, other, sign):
    assert _doings(one + sign + other) == _doings(one) + _doings(other)


@common
@given(st.sampled_from(KNOWN), st.lists(st.sampled_from(WRAPPERS), min_size=1, max_size=3))
def test_a_wrapper_changes_nothing(command, wrappers):
    wrapped = command
    for wrapper in wrappers:
        assume(not ("'" in wrapped and "'" in wrapper) and not ('"' in wrapped and '"' in wrapper))
        assume(wrapped[0] not in "({" or wrapper[0] in "({" or wrapper.startswith(("bash", "eval")))
        assume(
            not (
                "=" in wrapped.split()[0]
                and not wrapper.startswith(("(", "{", "bash", "eval", "env", "A=", "sudo"))
            )
        )
        assume(not wrapped.startswith("eval") or wrapper.startswith(("(", "{", "bash", "eval", "A=")))
        wrapped = wrapper.format(wrapped)
    assert _doings(wrapped) == _doings(command)


@common
@given(st.sampled_from(KNOWN))
def test_a_command_that_is_only_quoted_or_printed_does_nothing(command):
    for text in (
        f"echo '{command}'",
        f"printf '%s' \"{command}\"",
        f"# {command}",
        f"X='{command}'",
        f"true || {command}",
        f"if false; then {command}; fi",
    ):
        assert _doings(text) == [], text


@common
@given(st.sampled_from(KNOWN), st.sampled_from(KNOWN))
def test_a_call_that_went_well_left_nothing_of_an_and_list_undone(one, other):
    acts = Reader().acts(Given("Bash", {"command": f"{one} && {other}"}, "", success=True))
    assert all(act.ok for act in acts)


HOSTILE = (
    "'", '"', "`", "$(", "${", "((", "$((", "(", "{ ", "<<a ", "<<-a\n", "\\", "|", "&&", ";", "if ", "for x in ", "case x in ", "a(", "a() {", 'echo "$(ls a)" | ', "x=$x$x;", "bash -c ",
    "python -c 'open(\"a\",\"w\")';", "f() { f; f; };f;", "cat <<E\n", "for a in 1 2 3 4 5 6 7 8 9;do ", "a.b", "open(", "open(a,'w')\n", "=", "a=b+b+b\n", "$(a $(b ", "x/../", "--- a\n+++ b\n@@ -1 +1 @@\n", "1 passed, ", "Tests: 1 passed, ", "Ran 1 test in 1s\n",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_long_command_costs_no_more_than_its_length(piece):
    """A hundred times the bound would be taken by anything that grows with the square."""
    text = (piece * 1_000_000)[: 4 * TEXT_MAX]
    began = time.process_time()
    for command in (text, f"python - <<'EOF'\n{text}\nEOF", f"git apply <<'EOF'\n{text}\nEOF"):
        reader = Reader()
        reader.acts(Given("Bash", {"command": command}, text, success=None))
        reader.acts(Given("Bash", {"command": "pytest | cat"}, text, success=None))
        reader.acts(Given("Read", {"file_path": text}, text, success=None))
    assert time.process_time() - began < 20
