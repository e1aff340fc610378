"""What a Python agent records, from its calls to the ledger and the views."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl import annotate_previous, append_tool_event, flush_session, init_session_buffer
from karl.views.queries import Views
from producers.envelope import EnvelopeMaker
from producers.redact import Redactor
from producers.ship import Shipper
from producers.spool import Spool
from tests.workers.conftest import Line
from workers.views import ViewsWorker

MAKER = EnvelopeMaker(node="n1", redactor=Redactor())


class Recorder:
    """A spool that Python writes to, and the line behind it."""

    def __init__(self, data: Path, line: Line) -> None:
        self._line = line
        self._shipper = Shipper(Spool(data / "spool"), line.redis, MAKER)
        self._sessions = line.sessions()

    def trajectories(self) -> list[dict[str, Any]]:
        while self._shipper.run_once().count:
            pass
        self._line.drain(self._sessions)
        return [record["trajectory"] for record in self._line.records("trajectory")]


@pytest.fixture
def recorder(tmp_path: Path, line: Line, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setenv("KARL_DATA_DIR", str(tmp_path))
    return Recorder(tmp_path, line)


def test_a_turn_told_by_four_calls_is_scored_and_annotated(recorder: Recorder, line: Line) -> None:
    init_session_buffer("s-1", "deploy", prompt_text="Ship it", cwd="/home/dev/shop")
    append_tool_event("s-1", "Bash", {"command": "pytest"}, success=False, exit_code=2, duration_ms=900)
    append_tool_event("s-1", "Bash", {"command": "grep x y"}, success=True, exit_code=1)
    append_tool_event("s-1", "Bash", {"command": "sleep 1"})
    append_tool_event("s-1", "Edit", {"file_path": "/home/dev/shop/a.py"}, exit_code=0)
    append_tool_event("s-1", "Read", {"file_path": "/home/dev/shop/a.py"}, success=True)
    flush_session("s-1", {"build_success": True})
    (trajectory,) = recorder.trajectories()
    assert trajectory["source"] == "python"
    assert trajectory["channel"] == "live"
    assert trajectory["skill"]["name"] == "deploy"
    assert trajectory["domain"] == "shop"
    assert trajectory["context"]["prompt_text"] == "Ship it"
    assert trajectory["outcome"]["build_success"] is True
    calls = trajectory["trajectory"]["events"]
    assert [(call.get("success"), call.get("exit_code")) for call in calls] == [
        (False, 2),
        (True, 1),
        (None, None),
        (True, 0),
        (True, None),
    ]
    assert calls[0]["duration_ms"] == 900
    assert "status" not in calls[2]  # unknown is what is not said
    annotate_previous("s-1", correction_detected=True, session_continued=True)
    recorder.trajectories()
    (remark,) = line.records("annotation")
    assert remark["trajectory"] == trajectory["id"]
    assert remark["outcome"]["correction_detected"] is True


def test_each_beginning_is_a_turn_of_its_own(recorder: Recorder) -> None:
    for number in range(3):
        init_session_buffer("s-1", prompt_text=f"Task {number}", git_repo="git@example.org:acme/shop.git")
        append_tool_event("s-1", "Read", {"file_path": f"/{number}"}, success=True)
    flush_session("s-1")
    found = recorder.trajectories()
    assert [one["context"]["prompt_text"] for one in found] == ["Task 0", "Task 1", "Task 2"]
    assert [len(one["trajectory"]["events"]) for one in found] == [1, 1, 1]
    assert {one["domain"] for one in found} == {"shop"}


def test_two_hundred_calls_of_four_threads_are_in_the_views(
    recorder: Recorder, line: Line, tmp_path: Path
) -> None:
    init_session_buffer("s-1", prompt_text="Many")

    def call(worker: int) -> None:
        for number in range(50):
            append_tool_event("s-1", "Read", {"file_path": f"/{worker}/{number}"}, success=True)

    threads = [threading.Thread(target=call, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flush_session("s-1")
    (trajectory,) = recorder.trajectories()
    read = [call["tool_name"] for call in trajectory["trajectory"]["events"]]
    assert read == ["Read"] * 200
    worker = ViewsWorker(tmp_path / "views.sqlite", line.folder, "1")
    while worker.advance():
        pass
    worker.forget()
    with Views(tmp_path / "views.sqlite") as views:
        assert (views.counts().tool_calls, views.session("s-1").agent) == (200, "python")


def test_a_shipper_that_is_killed_repeats_nothing(recorder: Recorder, redis: Redis) -> None:
    init_session_buffer("s-1", prompt_text="Once")
    append_tool_event("s-1", "Read", success=True)
    first = recorder._shipper
    second = Shipper(Spool(first.spool.folder), redis, MAKER)
    first.spool.remove = lambda items: None  # type: ignore[method-assign] - it dies before it can
    assert first.run_once().count == 2
    assert second.run_once().count == 2
    flush_session("s-1")
    (trajectory,) = Recorder.trajectories(_with(recorder, second))
    assert len(trajectory["trajectory"]["events"]) == 1


def _with(recorder: Recorder, shipper: Shipper) -> Recorder:
    recorder._shipper = shipper
    return recorder
