"""The hook runner of the scripted agent: what Claude Code's hooks reference says of running hooks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from karl.demo.hooks import Hooks, matches


def hooks_of(folder: Path, **events: list[dict[str, Any]]) -> Hooks:
    file = folder / "settings.json"
    file.write_text(json.dumps({"permissions": {"allow": []}, "hooks": events}))
    return Hooks(file, os.environ)


def command(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "command", "command": text, **more}


def payload(folder: Path, event: str = "PreToolUse", tool: str = "Bash", **more: Any) -> dict[str, Any]:
    return {"hook_event_name": event, "tool_name": tool, "cwd": str(folder), **more}


@pytest.mark.parametrize(
    ("matcher", "value", "expected"),
    [
        (None, "Bash", True),
        ("", "Bash", True),
        ("*", "Bash", True),
        ("Edit|Write", "Write", True),
        ("Edit, Write", "Write", True),
        ("Edit|Write", "NotebookEdit", False),
        ("Bash", "BashOutput", False),
        ("mcp__.*", "mcp__memory__read", True),
        ("^Web", "WebFetch", True),
        ("^Web", "Bash", False),
    ],
)
def test_a_matcher_is_all_a_list_of_names_or_a_pattern(matcher: object, value: str, expected: bool) -> None:
    assert matches(matcher, value) is expected


def test_a_hook_gets_the_payload_on_stdin_and_runs_where_the_agent_works(tmp_path: Path) -> None:
    group = {"hooks": [command('cat >got; pwd >where; printf %s "$CLAUDE_PROJECT_DIR" >project')]}
    given = payload(tmp_path, tool_input={"command": "echo 'ü\n'"})
    hooks_of(tmp_path, PreToolUse=[group]).fire(given)
    assert json.loads((tmp_path / "got").read_bytes()) == given
    assert (tmp_path / "where").read_text().strip() == str(tmp_path.resolve())
    assert (tmp_path / "project").read_text() == str(tmp_path)


def test_only_the_groups_that_match_the_tool_run(tmp_path: Path) -> None:
    groups = [
        {"matcher": "Bash", "hooks": [command("touch bash")]},
        {"matcher": "Edit|Write", "hooks": [command("touch edit")]},
        {"hooks": [command("touch all")]},
    ]
    hooks_of(tmp_path, PreToolUse=groups).fire(payload(tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all", "bash", "settings.json"]


def test_an_event_without_matcher_support_ignores_one(tmp_path: Path) -> None:
    hooks = hooks_of(tmp_path, Stop=[{"matcher": "Bash", "hooks": [command("touch ran")]}])
    hooks.fire(payload(tmp_path, "Stop"))
    assert (tmp_path / "ran").exists()


def test_an_event_without_a_hook_counts_as_not_sent(tmp_path: Path) -> None:
    hooks = hooks_of(tmp_path, Stop=[{"hooks": [command("true")]}])
    hooks.fire(payload(tmp_path, "PreToolUse"))
    hooks.fire(payload(tmp_path, "Stop"))
    assert [sent["hook_event_name"] for sent in hooks.sent] == ["Stop"]
    assert [run.event for run in hooks.runs] == ["Stop"]


def test_hooks_of_one_event_run_at_once(tmp_path: Path) -> None:
    # Each waits for the other to open the pipe: one after the other they would never end.
    os.mkfifo(tmp_path / "pipe")
    group = {"hooks": [command("echo >pipe", timeout=20), command("read -r _ <pipe", timeout=20)]}
    hooks = hooks_of(tmp_path, PreToolUse=[group])
    hooks.fire(payload(tmp_path))
    assert [run.code for run in hooks.runs] == [0, 0]


def test_the_same_command_in_several_groups_runs_once(tmp_path: Path) -> None:
    group = {"hooks": [command("echo ran >>log")]}
    hooks_of(tmp_path, PreToolUse=[group, {"matcher": "*", **group}]).fire(payload(tmp_path))
    assert (tmp_path / "log").read_text() == "ran\n"


def test_an_async_hook_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    hooks = hooks_of(tmp_path, Stop=[{"hooks": [command("read -r _ <pipe", **{"async": True})]}])
    hooks.fire(payload(tmp_path, "Stop"))
    assert hooks.runs == []  # it can not have ended: nobody has written
    (tmp_path / "pipe").write_text("go\n")
    hooks.settle()
    assert [run.code for run in hooks.runs] == [0]


def test_what_a_hook_prints_and_returns_is_kept(tmp_path: Path) -> None:
    hooks = hooks_of(tmp_path, Stop=[{"hooks": [command("echo out; echo err >&2; exit 2")]}])
    hooks.fire(payload(tmp_path, "Stop"))
    assert [(run.code, run.printed) for run in hooks.runs] == [(2, b"out\nerr\n")]


def test_a_hook_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    hooks = hooks_of(tmp_path, Stop=[{"hooks": [command("exec sleep 60", timeout=0.1)]}])
    hooks.fire(payload(tmp_path, "Stop"))
    assert [run.code for run in hooks.runs] == [None]


def test_the_form_with_arguments_needs_no_shell(tmp_path: Path) -> None:
    hooks = hooks_of(
        tmp_path,
        Stop=[{"hooks": [command("/bin/echo", args=["$HOME", "two words"]), command("/no/such", args=[])]}],
    )
    hooks.fire(payload(tmp_path, "Stop"))
    codes = {run.code: run.printed for run in hooks.runs}
    assert codes[0] == b"$HOME two words\n"
    assert b"/no/such" in codes[127]
