"""Transcripts through the real line: imported twice, and beside what hooks recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.settings import Settings
from producers.transcripts.claude import Claude
from producers.transcripts.importing import import_transcripts
from tests.producers.claude_log import Log
from tests.workers.conftest import Feed, Line


@pytest.fixture
def bring_in(redis: Redis, tmp_path: Path) -> Callable[..., None]:
    def run(*logs: Log, **how: Any) -> None:
        for log in logs:
            log.write(tmp_path / "projects")
        settings = Settings(data_dir=tmp_path / "karl")
        import_transcripts(Claude(), [tmp_path / "projects"], redis, settings, **how)

    return run


def two_turns() -> Log:
    log = Log()
    log.turn()
    log.turn("toolu_2", 2, prompt="And now the other half of it")
    return log


def test_a_transcript_becomes_scored_trajectories_with_its_tokens(line: Line, bring_in: Any) -> None:
    bring_in(two_turns())
    worker = line.sessions()
    line.drain(worker)
    first, second = line.records("trajectory")
    assert first["trajectory"]["outcome"]["completed"] is True
    assert first["trajectory"]["usage"] == {
        "input": 6, "output": 10, "cache_read": 14, "cache_write": 22, "messages": 2,
    }  # fmt: skip
    assert second["trajectory"]["context"]["prompt_text"] == "And now the other half of it"
    assert 0 < first["score"]["reward"] <= 1


def test_importing_again_and_a_grown_file_add_no_record_twice(line: Line, bring_in: Any) -> None:
    log = two_turns()
    bring_in(log)
    worker = line.sessions()
    line.drain(worker)
    before = line.records()
    bring_in(log, again=True)
    line.drain(worker)
    assert line.records() == before
    log.turn("toolu_3", 3, prompt="One more thing")
    bring_in(log)
    line.drain(worker)
    assert len(line.records("trajectory")) == 3
    assert len(set(line.ledgered())) == len(line.ledgered())


def test_a_session_that_hooks_recorded_stays_one_session(
    line: Line, bring_in: Any, feed: Callable[..., Feed]
) -> None:
    hooks = feed("s1")
    hooks.event("UserPromptSubmit", prompt="Make it work", prompt_id="p1")
    call = {"tool_name": "Bash", "tool_input": {"command": "ls"}, "tool_use_id": "toolu_1"}
    hooks.event("PreToolUse", **call)
    hooks.event("PostToolUse", **call, tool_response={"stdout": "ok"})
    hooks.stop()
    worker = line.sessions()
    line.drain(worker)
    log = Log()
    log.turn()
    log.lines[0]["promptId"] = "p1"
    bring_in(log)
    line.drain(worker)
    (trajectory,) = line.records("trajectory")
    late = [record for record in line.records("events") if record.get("of") == trajectory["id"]]
    assert {event["kind"] for record in late for event in record["events"]} >= {"AssistantMessage"}
