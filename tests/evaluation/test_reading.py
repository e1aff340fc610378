"""Reading labelled runs: what is kept, what is left out because it leaks, and what bad data do."""

from __future__ import annotations

import gzip
import itertools
import json
import lzma
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import KarlError, Unreadable
from karl.evaluation.reading import neutral, read
from karl.evaluation.scoring import score_all
from karl.reward.score import VERSIONS
from tests.evaluation.made import facts, many, read_rows, row, step, write

#: What tells how a run ended, as rows and files of others name it.
TELLING = {
    "exit_status": "submitted", "submission": "diff --git a/x b/x", "resolved": True, "verdict": "pass",
    "cost": 1.5, "reward": 1.0, "patch": "diff", "acts": [{"k": "edit"}], "rich": [], "tests": [9, 0],
    "instance_cost": 3, "score": 1.0, "outcome": {"build_success": True}, "rejected_turns": 4,
}  # fmt: skip


def test_what_tells_the_outcome_reaches_no_trajectory() -> None:
    plain = row("t1", label=True)
    steps = [{**one, "acts": [{"k": "test"}], "rich": [1], "tests": [5, 0]} for one in plain["steps"]]
    told = {**plain, **TELLING, "steps": steps}
    assert neutral(told).trajectory == neutral(plain).trajectory


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_turning_every_label_round_changes_no_score(version: str) -> None:
    rows = many(30)
    turned = [{**one, "label": not one["label"], **TELLING} for one in rows]
    scores = score_all(read_rows(rows), version, {})
    assert score_all(read_rows(turned), version, {}) == scores
    assert [run.label for run in read_rows(turned)] == [not run.label for run in read_rows(rows)]


def test_names_of_runs_and_tasks_and_sets_reach_no_trajectory() -> None:
    one = neutral(row("a__resolved", label=True, run_id="resolved/1", set="passed"))
    other = neutral(row("b__failed", label=True, run_id="failed/1", set="failed"))
    assert one.trajectory == other.trajectory


def test_neither_the_order_of_rows_nor_names_of_folders_change_what_is_read(tmp_path: Path) -> None:
    rows = many(20)
    good, bad = tmp_path / "resolved", tmp_path / "unresolved"
    good.mkdir()
    bad.mkdir()
    write(good / "a.jsonl", rows[:12])
    write(bad / "b.jsonl", rows[12:])
    random.Random(4).shuffle(rows)
    mixed = write(tmp_path / "mixed.jsonl", sorted(rows, key=lambda one: one["label"]))
    assert facts(read([good, bad])) == facts(read([mixed]))


def test_runs_stand_in_no_order_of_their_labels() -> None:
    rows = sorted(many(200), key=lambda one: one["label"])
    labels = [run.label for run in read_rows(rows)]
    changes = sum(a != b for a, b in itertools.pairwise(labels))
    assert changes > 40


@pytest.mark.parametrize(
    "end",
    [
        step("submit"),
        step("Bash", command="exit_cost"),
        step("Bash", command="submit"),
        step("mcp__env__finish", answer="x"),
        step("Bash", command="echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && git add -A"),
    ],
)
def test_the_call_by_which_a_run_ends_itself_is_left_out(end: dict[str, Any]) -> None:
    plain = row("t", label=True)
    ended = {**plain, "steps": [*plain["steps"], {**end, "output_preview": "diff --git a/x b/x"}]}
    assert neutral(ended).trajectory == neutral(plain).trajectory


def test_steps_become_calls_with_their_acts() -> None:
    calls = neutral(row("t", label=True)).trajectory.trajectory
    assert [call.tool_name for call in calls.events] == ["Read", "Edit", "Bash"]
    assert all(call.acts is not None for call in calls.events)
    assert (calls.total_tools, calls.successes, calls.failures) == (3, 3, 0)
    assert calls.tool_counts == {"Read": 1, "Edit": 1, "Bash": 1}


def test_a_bad_line_is_named_and_no_other_is_lost(tmp_path: Path) -> None:
    good = [json.dumps(one) for one in many(3)]
    bad = [
        "{",
        '{"label": true}',
        '{"label": "maybe", "steps": []}',
        "[1, 2]",
        "[" * 100_000,
        '{"steps": NaN}',
    ]
    file = tmp_path / "runs.jsonl"
    file.write_text("\n".join([good[0], *bad[:3], good[1], "", *bad[3:], good[2]]) + "\n")
    found = read([file])
    assert len(found.runs) == 3
    assert [problem.line for problem in found.problems] == [2, 3, 4, 7, 8, 9]
    assert all(problem.file == str(file) and problem.reason for problem in found.problems)


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    whole = lzma.compress(b"".join(json.dumps(one).encode() + b"\n" for one in many(300)))
    (tmp_path / "cut.jsonl.xz").write_bytes(whole[: len(whole) // 2])
    found = read([tmp_path])
    assert [problem.line for problem in found.problems] == [0]


def test_a_run_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    rows = many(5)
    found = read([write(tmp_path / "a.jsonl", [*rows, rows[2]])])
    assert (len(found.runs), found.twice) == (5, 1)


def test_compressed_and_plain_and_a_list_say_the_same(tmp_path: Path) -> None:
    rows = many(4)
    plain = write(tmp_path / "a.jsonl", rows)
    others = {
        "a.jsonl.xz": lzma.compress(plain.read_bytes()),
        "a.jsonl.gz": gzip.compress(plain.read_bytes()),
        "a.json": json.dumps(rows).encode(),
    }
    for name, data in others.items():
        folder = tmp_path / f"of {name}" / "deep"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(data)
        assert facts(read([plain])) == facts(read([folder.parent]))


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KarlError, match="there is no"):
        read([tmp_path / "nothing"])


def test_markdown_logs_are_passed_over_and_named(tmp_path: Path) -> None:
    (tmp_path / "chat.md").write_text("# aider chat\n")
    found = read([tmp_path])
    assert [problem.passed_over for problem in found.problems] == [True]


scraps: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
fields = ("tool", "params", "output_preview", "success", "exit_code", "ts", "duration", "error", "tests")


@given(st.lists(st.dictionaries(st.sampled_from(fields), scraps) | scraps, max_size=4), scraps, scraps)
def test_whatever_a_step_holds_it_is_read_and_can_be_scored(
    steps: list[Any], name: Any, duration: Any
) -> None:
    whole = {
        "label": True,
        "steps": steps,
        "run_id": name,
        "set": name,
        "agent": name,
        "duration_s": duration,
    }
    run = neutral(whole)
    assert (
        msgspec.json.decode(msgspec.json.encode(run.trajectory), type=type(run.trajectory)) == run.trajectory
    )
    for version in VERSIONS:
        (score,) = score_all([run], version, {})
        assert 0 <= score.reward <= 1


def test_a_row_without_a_label_is_no_run() -> None:
    with pytest.raises(Unreadable, match="label"):
        neutral({"steps": []})
