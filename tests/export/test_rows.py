"""Targets and rows: short, deterministic, and of the turn alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.export.forms import FORMS, of_parquet, parquet, row_of
from karl.export.pieces import LeftOut
from karl.export.rows import SUBAGENTS, Detail, rows
from karl.export.selection import Chosen
from karl.export.targets import target_of
from karl.learning.action import TARGET_MAX, action
from karl.learning.row import About, Row
from karl.learning.weights import masked
from tests.export.telling import body, chosen
from tests.session.making import Script


@pytest.mark.parametrize(
    ("params", "target"),
    [
        ({"file_path": "/w/shop/src/till.py", "content": "x"}, "src/till.py"),
        ({"file_path": "/etc/hosts"}, "/etc/hosts"),
        ({"file_path": "/very/" + "long/" * 20 + "till.py"}, "…" + ("/long" * 20)[-50:] + "/till.py"),
        ({"command": "pytest -q"}, "pytest -q"),
        ({"command": "cd /w/shop && FOO=1 pytest -q tests 2>&1 | tail -5"}, "pytest -q tests"),
        ({"command": "export A=b; timeout 60 make all && echo done"}, "make all"),
        ({"command": "cd /w/shop"}, "cd /w/shop"),
        ({"command": ["bash", "-lc", "git status --short"]}, "git status --short"),
        ({"command": "python - <<'E'\nprint(1)\nE"}, "python -"),
        ({"command": "echo " + "word " * 40}, "echo " + "word " * 9 + "word…"),
        ({"pattern": "def till", "path": "/w/shop"}, "def till"),
        ({"url": "https://docs.python.org/3/library/re.html?x=1"}, "docs.python.org"),
        ({"url": "http://[broken"}, "http://[broken"),
        ({"skill": "code-review"}, "code-review"),
        ({"command": 5, "file_path": None}, ""),
        ({}, ""),
    ],
)
def test_a_target_says_in_few_words_what_a_call_is_called_on(params: dict[str, Any], target: str) -> None:
    assert target_of(params, "/w/shop") == target
    assert len(target) <= TARGET_MAX


@given(
    st.dictionaries(st.sampled_from(["command", "file_path", "url", "pattern", "prompt"]), st.text()),
    st.text(),
)
def test_any_call_has_a_target_of_one_short_line(params: dict[str, str], cwd: str) -> None:
    found = target_of(params, cwd)
    assert len(found) <= TARGET_MAX
    assert len(found.splitlines()) <= 1 or "\n" not in found
    assert json.loads(action("Bash", found)) == {"tool": "Bash", "target": found}


def test_an_action_is_one_object_with_the_tool_first() -> None:
    assert action("Bash", 'say "ü"') == '{"tool":"Bash","target":"say \\"ü\\""}'


def turn(*, corrected: bool = False) -> Chosen:
    s = Script()
    s.prompt("<ide_opened_file>x.py</ide_opened_file>\nfix the till")
    s.pre("c1", given={"command": "make a"})
    s.pre("c2", tool="Read", given={"file_path": "/w/shop/b.py"})
    s.fail("c1", given={"command": "make a"}, error="Exit code 2\nmake: no rule")
    s.post("c2", tool="Read", given={"file_path": "/w/shop/b.py"}, response={"content": "b"})
    s.prompt("and mind the tests")
    s.pre("c3", given={"command": "pytest"})
    s.post("c3", given={"command": "pytest"}, response={"stdout": "1 passed"})
    s.stop(last_assistant_message="It is fixed.")
    one = chosen(body(s))
    if corrected:
        one.row.flags["correction_detected"] = True
    return one


def made(one: Chosen, detail: Detail, **more: Any) -> list[Row]:
    return [row for row in rows(one, detail, **more) if isinstance(row, Row)]


def test_calls_that_were_sent_off_together_are_one_step_in_full_and_one_after_the_other_in_brief() -> None:
    full, brief = made(turn(), "full"), made(turn(), "brief")
    assert [len(row.messages[-1].get("tool_calls", ())) for row in full] == [2, 1, 0]
    assert [row.karl.tool for row in brief] == ["Bash", "Read", "Bash"]
    assert [row.karl.step for row in brief] == [0, 1, 2]
    assert [row.karl.previous for row in brief] == ["", "Bash", "Read"]
    assert [row.karl.failed for row in full] == [True, False, False]
    assert [row.karl.failed for row in brief] == [True, False, False]


def test_in_brief_a_person_and_the_agent_alternate_and_what_an_editor_added_is_gone() -> None:
    last = made(turn(), "brief")[-1]
    assert [message["role"] for message in last.messages] == ["user", "assistant"] * 3
    assert last.messages[0]["content"] == "fix the till"
    assert last.messages[2]["content"] == "failed: make: no rule"
    assert last.messages[4]["content"] == "ok\nand mind the tests"


def test_every_result_in_a_row_stands_behind_its_call_and_rows_share_nothing_that_changes() -> None:
    all_rows = made(turn(), "full")
    before = json.dumps([row.messages for row in all_rows[:1]])
    for row in all_rows:
        known: set[str] = set()
        for message in row.messages:
            known |= {call["id"] for call in message.get("tool_calls", ())}
            assert message["role"] != "tool" or message["tool_call_id"] in known
    assert json.dumps([row.messages for row in all_rows[:1]]) == before


def test_steps_that_failed_and_steps_of_corrected_turns_are_no_targets() -> None:
    assert [masked(row) for row in made(turn(), "brief")] == [True, False, False]
    assert all(masked(row) for row in made(turn(corrected=True), "brief"))


def test_subagents_are_rows_of_their_own_when_asked_for_and_counted_when_not() -> None:
    s = Script()
    s.prompt("look around")
    s.pre("c1", tool="Task", given={"prompt": "find it", "subagent_type": "explore"})
    s.say("SubagentStart", agent_id="a1", agent_type="explore")
    s.pre("c2", tool="Grep", given={"pattern": "x"}, agent_id="a1", agent_type="explore")
    s.post("c2", tool="Grep", given={"pattern": "x"}, response="none", agent_id="a1", agent_type="explore")
    s.say("SubagentStop", agent_id="a1", agent_type="explore")
    s.post("c1", tool="Task", given={"prompt": "find it"}, response="nothing")
    s.stop(last_assistant_message="Nothing.")
    one = chosen(body(s))
    assert LeftOut(SUBAGENTS) in list(rows(one, "brief"))
    found = made(one, "brief", subagents=True)
    assert [row.karl.tool for row in found] == ["Task", "Grep"]
    assert [row.karl.step for row in found] == [0, 1]
    assert found[1].messages[0]["content"] == "find it"


WORDS = st.text(max_size=40)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=4), WORDS, WORDS)
def test_a_row_of_any_content_is_written_as_one_line_and_read_back(
    steps: list[tuple[str, str, str]], prompt: str, last: str
) -> None:
    said: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    for at, (text, given_, back) in enumerate(steps):
        call = {
            "id": f"c{at}",
            "type": "function",
            "function": {"name": "Bash", "arguments": {"command": given_}},
        }
        said.append({"role": "assistant", "content": text, "tool_calls": [call]})
        said.append({"role": "tool", "tool_call_id": f"c{at}", "name": "Bash", "content": back})
    row = Row([*said, {"role": "assistant", "content": last}], About("t", "s"), 0.5)
    for form in ("chatml", "completions", "sharegpt"):
        line = FORMS[form].line(row)
        assert b"\n" not in line
        (again,) = FORMS[form].rows(json.loads(line))
        assert again.karl == row.karl
        assert again.messages[-1]["content"] == last or form == "sharegpt"
    (again,) = of_parquet(parquet(row))
    assert (again.messages, again.karl) == (row.messages, row.karl)
    assert row_of(FORMS["parquet"].line(row)) == row
