"""The demo itself: one real run through the whole line, and what its ledger then holds."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from karl.cli.demo_shown import show
from karl.demo import checks
from karl.demo.hooks import Run
from karl.demo.report import DemoReport, Found, look
from karl.demo.run import run
from karl.demo.story import CORRECTION, Sessions
from karl.errors import Refused
from karl.ledger import verify
from karl.schema.trajectory import ToolCall
from karl.settings import read_settings
from karl.stream.server import answers, socket_path
from karl.views.detail import Detail
from tests.conftest import wait_until


def ledger_lines(folder: Path) -> list[dict[str, Any]]:
    """The ledger as anybody would read it: lines of JSON."""
    files = sorted((folder / "data" / "ledger").glob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def turn_of(report: DemoReport, beginning: str) -> Detail:
    (found,) = [turn for turn in report.turns if (turn.row.prompt or "").startswith(beginning)]
    return found


def calls_of(turn: Detail) -> list[ToolCall]:
    return turn.body.trajectory.trajectory.events


def test_everything_is_as_expected(report: DemoReport) -> None:
    assert report.problems == []
    assert report.ok


def test_every_event_that_the_agent_sent_is_in_the_ledger_once(report: DemoReport, folder: Path) -> None:
    events = [event for line in ledger_lines(folder) for event in line["body"].get("events", [])]
    assert len(events) == len({event["id"] for event in events}) == report.sent == report.recorded
    kinds = Counter(event["kind"] for event in events)
    assert kinds["SessionStart"] == 4
    assert kinds["SessionEnd"] == 3
    assert kinds["SubagentStart"] == kinds["SubagentStop"] == 3
    assert kinds["PreToolUse"] == 1 + kinds["PostToolUse"] + kinds["PostToolUseFailure"]


def test_the_tests_go_from_red_to_green(report: DemoReport) -> None:
    turn = turn_of(report, "Orders with a discount")
    codes = [call.exit_code for call in calls_of(turn) if "test_prices" in str(call.key_params)]
    assert codes[0] == 1
    assert codes[-1] == 0
    assert turn.body.closed_by == "stop"


def test_the_correction_is_annotated_on_the_turn_before_it(report: DemoReport, folder: Path) -> None:
    turn = turn_of(report, "Orders with a discount")
    assert report.corrected is not None
    assert report.corrected.row.id == turn.row.id
    (said,) = [line["body"] for line in ledger_lines(folder) if line["body"].get("trajectory") == turn.row.id]
    assert said["outcome"]["correction_detected"] is True
    assert said["by"] in {
        event["id"]
        for line in ledger_lines(folder)
        for event in line["body"].get("events", [])
        if event["payload"].get("prompt") == CORRECTION
    }
    assert turn_of(report, "No, I meant").row.flags["correction_detected"] is None


def test_each_subagents_calls_stand_under_the_call_that_sent_it_out(report: DemoReport) -> None:
    assert report.delegated is not None
    calls = calls_of(report.delegated)
    starters = {
        call.call_id: call.key_params.get("description") for call in calls if call.tool_name == "Agent"
    }
    below: dict[str | None, list[str]] = {}
    for call in calls:
        if call.agent_id:
            below.setdefault(starters[call.parent_call], []).append(call.tool_name)
    assert below == {
        "List the functions": ["Grep", "Read"],
        "Find the callers": ["Grep", "Read"],
        "Find the tax": ["Grep"],
    }
    assert {call.status for call in calls} == {"completed"}


def test_a_call_that_was_cut_off_shows_so_and_the_next_prompt_closed_its_turn(report: DemoReport) -> None:
    turn = turn_of(report, "How long")
    assert turn.body.closed_by == "prompt"
    assert [(call.tool_name, call.status) for call in calls_of(turn)] == [
        ("Read", "completed"),
        ("Bash", "interrupted_or_denied"),
    ]


def test_a_failed_command_shows_its_exit_code(report: DemoReport) -> None:
    failed = [call for call in calls_of(turn_of(report, "Leave the measurement")) if call.success is False]
    assert [(call.tool_name, call.status, call.exit_code) for call in failed] == [("Bash", "failed", 2)]


def test_silence_closed_the_session_that_never_ended(report: DemoReport) -> None:
    turn = turn_of(report, "Write down")
    assert turn.body.closed_by == "idle"
    ended = {row.session: row.ended for row in report.sessions}
    assert [session for session, over in ended.items() if not over] == [turn.row.session]


def test_the_planted_secret_is_in_no_file_of_the_data_folder(report: DemoReport, folder: Path) -> None:
    found = re.search(r"ghp_\w+", (folder / "shop" / "shop.log").read_text())
    assert found is not None
    files = [path for path in (folder / "data").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if found[0].encode() in path.read_bytes()] == []
    assert report.redactions == {"github-token": 1}
    assert "[REDACTED:github-token]" in "".join(map(str, ledger_lines(folder)))


def test_the_hook_was_silent_and_the_agent_waited_for_each_run(report: DemoReport) -> None:
    assert report.hook.runs == report.sent
    assert 0 < report.hook.median_ms <= report.hook.p95_ms <= report.hook.max_ms


def test_the_ledger_is_sound_and_the_views_can_be_read_again(report: DemoReport, folder: Path) -> None:
    assert verify.verify(folder / "data" / "ledger").ok
    again = look(read_settings({"KARL_DATA_DIR": str(folder / "data")}))
    assert [turn.row.id for turn in again.turns] == [turn.row.id for turn in report.turns]


def test_nothing_runs_any_more(report: DemoReport, folder: Path) -> None:
    assert not answers(socket_path(folder / "data"))
    assert not alive(up_pid(folder / "data"))


def test_what_is_printed_names_the_main_things(
    report: DemoReport, capsys: pytest.CaptureFixture[str]
) -> None:
    show(report, as_json=False)
    text = capsys.readouterr().out
    for expected in (
        "outcome", "process", "verification", "consistency", "motion", CORRECTION, "Find the tax",
        "idle", "[REDACTED:github-token] 1x", "sound", "median",
        "karl hooks install", "karl up", "karl sessions", f"{report.sent} sent by the agent",
    ):  # fmt: skip
        assert expected in text
    assert "!" not in text


def test_the_json_has_the_same(report: DemoReport, capsys: pytest.CaptureFixture[str]) -> None:
    show(report, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert document["events"] == {"sent": report.sent, "recorded": report.sent}
    assert len(document["turns"]) == 6
    for turn in document["turns"]:
        assert turn["signals"].keys() <= turn["weights"].keys()
        assert 0 < turn["confidence"] <= 1
    assert document["verify"]["ok"] is True
    assert document["correction"]["prompt"] == CORRECTION
    assert {call["depth"] for call in document["subagents"]["calls"]} == {0, 1}


# --- the demo's own checks: each can fail ---


def found_of(folder: Path) -> Found:
    return look(read_settings({"KARL_DATA_DIR": str(folder / "data")}))


def sessions_of(report: DemoReport) -> Sessions:
    prompts = ("Write down", "Orders with", "Give the", "How long")
    return Sessions(*(turn_of(report, prompt).row.session for prompt in prompts))


def test_the_checks_name_a_lost_and_a_foreign_event(report: DemoReport, folder: Path) -> None:
    found = found_of(folder)
    sent = [{"session_id": event.session, "hook_event_name": event.kind} for event in found.events]
    assert list(checks.missing(found, sent)) == []
    extra = {"session_id": "s", "hook_event_name": "Stop"}
    assert list(checks.missing(found, [*sent, extra])) == ["1 Stop of session s are not in the ledger"]
    (complaint,) = checks.missing(found, sent[1:])
    assert "nobody sent them" in complaint


def test_the_checks_miss_no_part_of_the_story(report: DemoReport, folder: Path) -> None:
    found, names = found_of(folder), sessions_of(report)
    assert list(checks.untold(found, names)) == []
    # Told with its sessions mixed up, the story is wrong in every part.
    mixed = Sessions(names.delegated, names.interrupted, names.unfinished, names.corrected)
    said = " / ".join(checks.untold(found, mixed))
    for expected in (
        "closed by stop",
        "red to green",
        "not annotated",
        "0 calls started",
        "cut off",
        "code 2",
    ):
        assert expected in said
    nothing = list(checks.untold(Found(verify.Report()), names))
    assert len(nothing) == 5


def test_the_checks_find_a_secret_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "clean").write_bytes(b"x" * 3_000_000)
    assert list(checks.leaks([tmp_path], "secret")) == []
    across = tmp_path / "below" / "file"
    across.write_bytes(b"x" * ((1 << 20) - 3) + b"secret")  # half in one read, half in the next
    assert list(checks.leaks([tmp_path, across], "secret")) == [f"the planted secret is in {across}"] * 2


def test_the_checks_name_a_hook_that_an_agent_would_notice() -> None:
    runs = [
        Run("Stop", 1, 0, b""),
        Run("Stop", 1, 0, b"hi"),
        Run("Stop", 1, 2, b""),
        Run("Stop", 1, None, b""),
    ]
    assert len(list(checks.disturbing(runs))) == 3


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(Refused, match="not empty"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


# --- the demo when it is ended ---


class Running:
    """A `karl demo` of its own in a temporary folder, its line up."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        wait_until(lambda: list(folder.glob("karl-demo-*/data/up.lock")), "the line starts")
        (self.data,) = folder.glob("karl-demo-*/data")
        wait_until(lambda: up_pid(self.data), "the line has its lock")
        self.line = up_pid(self.data)
        self.server = socket_path(self.data)
        wait_until(lambda: answers(self.server), "the server answers")


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where the demo has its folder, and we look
    with subprocess.Popen(
        [sys.executable, "-m", "karl.cli", "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield Running(process, tmp_path)
        finally:
            process.kill()


def up_pid(data: Path) -> int:
    with suppress(ValueError, FileNotFoundError):
        return int((data / "up.lock").read_text())
    return 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_leaves_no_process_and_no_folder(
    running: Running, tmp_path: Path, number: int, code: int
) -> None:
    running.process.send_signal(number)
    assert running.process.wait(60) == code
    assert not alive(running.line)
    assert not answers(running.server)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_demo_leaves_no_process(running: Running) -> None:
    running.process.kill()
    wait_until(lambda: not alive(running.line), "the line has ended by itself")
    wait_until(lambda: not answers(running.server), "its server has ended too")
