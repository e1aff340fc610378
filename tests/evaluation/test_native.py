"""Runs as agents and benchmarks leave them: small files of their form, and the real ones where they are."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from karl.evaluation.reading import read


def labels(folder: Path, *rows: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "labels.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return folder


def shell_run(**info: Any) -> dict[str, Any]:
    """A run of mini-SWE-agent: one action, one that was refused, one stopped, the submission."""

    def said(text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text, "extra": {"response": {"created": 1_760_000_000}}}

    def told(text: str) -> dict[str, Any]:
        return {"role": "user", "content": text}

    end = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && git diff"
    messages = [
        told("Do it"), said("THOUGHT\n\n```bash\nls\n```"), told("<returncode>2</returncode>\n<output>\n</output>"),
        said("no block"), told("Please always provide EXACTLY ONE action"),
        said("```bash\nsleep 9\n```"), told("The last command <command>sleep 9</command> timed out"),
        said(f"```bash\n{end}\n```"), told("diff --git a/x b/x"),
    ]  # fmt: skip
    config = {"model": {"model_name": "@maker/model-1"}}
    return {"instance_id": "t-1", "messages": messages, "info": {"config": config, **info}}


def test_mini_swe_agents_actions_are_read_and_its_end_is_not(tmp_path: Path) -> None:
    folder = labels(tmp_path / "runs", {"file": "a.json", "resolved": False, "exit_status": "x", "cost": 9})
    (folder / "a.json").write_text(json.dumps(shell_run(exit_status="Submitted", submission="diff")))
    (run,) = read([folder]).runs
    calls = run.trajectory.trajectory.events
    assert [(call.key_params["command"], call.success, call.exit_code) for call in calls] == [
        ("ls", False, 2), ("sleep 9", False, None),
    ]  # fmt: skip
    assert (run.set, run.agent, run.instance, run.label) == (
        "mini-swe-agent", "mini-swe-agent/model-1", "t-1", False,
    )  # fmt: skip


def test_how_a_run_of_mini_swe_agent_ended_changes_nothing_of_it(tmp_path: Path) -> None:
    folder = labels(
        tmp_path / "runs", {"file": "a.json", "resolved": True}, {"file": "b.json", "resolved": True}
    )
    (folder / "a.json").write_text(json.dumps(shell_run(exit_status="Submitted", submission="diff")))
    stuck = shell_run(exit_status="LimitsExceeded", submission="")
    stuck["messages"] = stuck["messages"][:-2]
    (folder / "b.json").write_text(json.dumps(stuck))
    found = read([folder])
    assert (len(found.runs), found.twice) == (1, 1)


def test_vorflux_calls_are_read_and_its_judges_are_not(tmp_path: Path) -> None:
    folder = labels(tmp_path / "runs", {"file": "trajs/a.json", "resolved": True})
    (folder / "trajs").mkdir()
    bash = {"type": "tool_call", "tool": "bash_execute", "timestamp": "2026-05-05 12:13:46.683974256"}
    entries = [
        {"type": "llm_call", "output": {"content": "hm"}},
        {**bash, "arguments": {"command": "false"}, "result": {"stdout": "", "stderr": "no", "exitCode": 1}},
        {"type": "tool_call", "tool": "edit_file", "arguments": {"filePath": "/w/a.py"}, "result": "Edited"},
        {
            "type": "tool_call",
            "tool": "edit_file",
            "arguments": {"filePath": "/w/a.py"},
            "result": "Error: no",
        },
        {"type": "judge_call", "input_messages": ["it passed"], "model": "m"},
    ]
    document = {"instance_id": "t-1", "session_id": "s", "trajectory": entries}
    (folder / "trajs" / "a.json").write_text(json.dumps(document))
    (run,) = read([folder]).runs
    assert [(call.tool_name, call.success, call.exit_code) for call in run.trajectory.trajectory.events] == [
        ("Bash", False, 1), ("Edit", True, None), ("Edit", False, None),
    ]  # fmt: skip


def test_a_run_that_is_told_carelessly_costs_no_other(tmp_path: Path) -> None:
    calls: list[object] = [None, 7, "x", [1], [{"id": ["a"], "function": "f"}], [{"id": 10**40}]]
    rows = [
        {
            "reward": 1,
            "task_id": at,
            "traj": [{"tool_calls": one}, {"role": "tool", "tool_call_id": {"a": []}}],
        }
        for at, one in enumerate(calls)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    late = shell_run()
    late["messages"][1]["extra"]["response"]["created"] = 10**400
    folder = labels(tmp_path / "runs", {"file": "a.json", "resolved": True})
    (folder / "a.json").write_text(json.dumps(late))
    found = read([tmp_path])
    assert found.problems == []
    assert len(found.runs) == len(calls) + 1


def test_tau_bench_is_read_without_what_should_have_been_done(tmp_path: Path) -> None:
    call = {"id": "c1", "function": {"name": "book", "arguments": '{"flight": "X1"}'}}
    answer = {"role": "tool", "tool_call_id": "c1", "content": "Error: full"}
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]}, answer]
    rows = [
        {
            "task_id": 3,
            "trial": trial,
            "reward": trial,
            "info": {"task": {"actions": ["book"]}},
            "traj": messages,
        }
        for trial in (0, 1)
    ]
    (tmp_path / "results.json").write_text(json.dumps([*rows, {"task_id": 4}]))
    found = read([tmp_path])
    assert sorted((run.id, run.instance, run.label) for run in found.runs) == [
        ("3/0", "3", False), ("3/1", "3", True),
    ]  # fmt: skip
    assert [call.success for run in found.runs for call in run.trajectory.trajectory.events] == [False, False]
    assert [problem.line for problem in found.problems] == [3]


def test_a_label_that_names_a_file_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(shell_run()))
    folder = labels(
        tmp_path / "runs", {"file": "../a.json", "resolved": True}, {"file": "no.json", "resolved": True}
    )
    found = read([folder])
    assert found.runs == []
    assert ["outside" in problem.reason for problem in found.problems] == [True, False]


@pytest.fixture(scope="session")
def unpacked(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        members = (one for one in archive if "labelled/" in one.name and one.isfile())
        archive.extractall(folder, members=members, filter="data")
    return folder


def test_every_labelled_run_of_the_real_data_is_read(unpacked: Path) -> None:
    told = sum(len(file.read_text().splitlines()) for file in unpacked.rglob("labels.jsonl"))
    flights = sum(len(json.loads(file.read_bytes())) for file in unpacked.rglob("tau-bench/*.json"))
    found = read([unpacked])
    assert len(found.runs) == told + flights
    assert [problem for problem in found.problems if not problem.passed_over] == []
    assert {run.set for run in found.runs} == {"mini-swe-agent", "vorflux", "tau-bench"}
