"""Sessions of Codex, Copilot CLI and ATIF through the importer into a real stream."""

from __future__ import annotations

import json
from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.settings import Settings
from producers.transcripts.atif import Atif
from producers.transcripts.codex import Codex
from producers.transcripts.importing import TranscriptReport, import_transcripts
from tests.producers.folding import sent, trajectories
from tests.transcripts.codex_log import Log


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "karl", stream_max_entries=1_000_000)


def run(fmt: Any, redis: Redis, config: Settings, *paths: Path, **how: Any) -> TranscriptReport:
    return import_transcripts(fmt, paths, redis, config, **how)


def forked(first: Log, number: int) -> Log:
    """A session that goes on from all that another one has, as Codex writes it again."""
    fork = Log(f"0199aaaa-0000-7000-8000-{number:012}", minute=10 * number)
    fork.meta(forked_from_id=first.session)
    time = f"2026-05-01T10:{10 * number:02}:01.000Z"
    fork.lines += [{**line, "timestamp": time} for line in first.lines]
    fork.turn(number, prompt="Another way")
    return fork


def test_importing_a_grown_session_again_adds_only_what_is_new(
    redis: Redis, config: Settings, tmp_path: Path
) -> None:
    log = Log()
    log.meta()
    log.turn(1)
    first = run(Codex(), redis, config, log.write(tmp_path / "in"))
    assert run(Codex(), redis, config, tmp_path / "in").unchanged == 1
    log.turn(2)
    run(Codex(), redis, config, log.write(tmp_path / "in"))
    events = [event for _, _, event in sent(redis)]
    assert first.events == 7
    assert len({event.id for event in events}) == 13 + 2  # and two ends of an import
    assert {event.agent for event in events} == {"codex"}
    turns = trajectories(redis)
    assert [turn.usage.total for turn in turns] == [110, 110]
    assert [turn.trajectory.total_tools for turn in turns] == [1, 1]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_what_forks_repeat_counts_once_in_whatever_order_they_come(
    order: tuple[int, ...], redis: Redis, config: Settings, tmp_path: Path
) -> None:
    first = Log()
    first.meta()
    first.turn(1)
    logs = [first, forked(first, 2), forked(first, 3)]
    for number in order:
        run(Codex(), redis, config, logs[number].write(tmp_path))
    turns = trajectories(redis)
    assert sum(turn.trajectory.total_tools for turn in turns) == 3
    assert Counter(turn.context.prompt_text for turn in turns) == {"Make it work": 1, "Another way": 2}
    starts = [json.loads(bytes(event.payload)) for _, _, event in sent(redis) if event.kind == "SessionStart"]
    forks = {start["session_id"] for start in starts if start["source"] == "fork" and start["continues"]}
    assert {log.session for log in logs[1:]} <= forks


def test_a_file_that_is_copied_brings_nothing_twice(redis: Redis, config: Settings, tmp_path: Path) -> None:
    log = Log()
    log.meta()
    log.turn(1)
    run(Codex(), redis, config, log.write(tmp_path, "a.jsonl"), log.write(tmp_path, "b.jsonl"))
    (turn,) = trajectories(redis)
    assert (turn.trajectory.total_tools, turn.usage.total) == (1, 110)


def test_a_trajectory_in_atif_comes_in_under_its_session(
    redis: Redis, config: Settings, tmp_path: Path
) -> None:
    steps = [
        {"step_id": 1, "source": "user", "message": "Hi"},
        {"step_id": 2, "source": "agent", "message": "Ho"},
    ]
    given = {
        "schema_version": "ATIF-v1.6",
        "session_id": "s1",
        "agent": {"name": "a", "version": "1"},
        "steps": steps,
    }
    (tmp_path / "t.json").write_text(json.dumps(given, indent=1))
    (tmp_path / "broken.json").write_text(json.dumps(given, indent=1)[:-9])
    report = run(Atif(), redis, config, tmp_path / "t.json", tmp_path / "broken.json")
    assert (report.sessions, report.dead, report.files) == (1, 1, 2)
    (turn,) = trajectories(redis)
    assert (turn.session_id, turn.source, turn.outcome.completed) == ("s1", "atif", True)
