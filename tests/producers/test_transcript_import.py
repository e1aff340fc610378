"""The importer of transcripts: each fact once, whoever repeats it; nothing lost; nothing done before it is."""

from __future__ import annotations

import os
import sqlite3
import tarfile
from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.errors import LineDown, Refused
from karl.schema.event import IMPORT_END, Event
from karl.settings import Settings
from karl.stream import dead_letters
from karl.stream.connect import connect
from producers.transcripts.claude import Claude
from producers.transcripts.importing import TranscriptReport, import_transcripts
from tests.producers.claude_log import Log
from tests.producers.folding import sent, trajectories
from tests.producers.plain_count import counted


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "karl", stream_max_entries=1_000_000)


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    return tmp_path / "projects"


def run(redis: Redis, config: Settings, *paths: Path, **how: Any) -> TranscriptReport:
    return import_transcripts(Claude(), paths, redis, config, **how)


def events(redis: Redis, session: str | None = None) -> list[Event]:
    return [event for _, _, event in sent(redis) if session in (None, event.session)]


def names(redis: Redis, session: str) -> list[str]:
    return [event.kind for event in events(redis, session)]


def forked(log: Log, session: str) -> Log:
    """A session that goes on from all of another's history, under the same uuids."""
    fork = Log(session)
    fork.lines = [{**line, "sessionId": session} for line in log.lines]
    for _ in log.lines:
        fork.line("mode")
    del fork.lines[len(log.lines) :]
    return fork


def test_a_session_comes_in_whole_with_its_end(redis: Redis, config: Settings, projects: Path) -> None:
    log = Log()
    log.turn()
    report = run(redis, config, log.write(projects))
    assert names(redis, "s1") == [
        "SessionStart",
        "UserPromptSubmit",
        "PreToolUse",
        "PostToolUse",
        "AssistantMessage",
        "AssistantMessage",
        "Stop",
        IMPORT_END,
    ]
    (start, *_) = events(redis)
    assert (start.source, start.agent, start.agent_version) == ("transcript", "claude-code", "2.1.200")
    assert start.project == "shop"
    assert start.time_ms == 1_777_629_601_000
    assert (report.files, report.sessions, report.events, report.dead) == (1, 1, 7, 0)


def test_secrets_and_what_touched_denied_paths_are_taken_out(
    redis: Redis, config: Settings, projects: Path
) -> None:
    log = Log()
    log.prompt("API_TOKEN=hunter2hunter2")
    log.calls("toolu_1", "Read", file_path="/home/dev/shop/.env")
    log.result("toolu_1", "NAME=quietvalue", {"type": "text", "file": {"content": "NAME=quietvalue"}})
    run(redis, config, log.write(projects))
    data = b"".join(bytes(event.payload) for event in events(redis))
    assert b"hunter2hunter2" not in data
    assert b"quietvalue" not in data
    assert b"[REDACTED:" in data


def test_an_unchanged_file_is_passed_over_and_a_grown_one_brings_what_is_new(
    redis: Redis, config: Settings, projects: Path
) -> None:
    log = Log()
    log.turn()
    path = log.write(projects)
    run(redis, config, projects)
    before = {event.id for event in events(redis)}
    assert run(redis, config, projects).unchanged == 1
    log.turn("toolu_2", 2)
    log.write(projects)
    assert run(redis, config, projects).files == 1
    assert before < {event.id for event in events(redis)}
    run(redis, config, path, again=True)
    counts = Counter(event.id for event in events(redis))
    assert len(counts) == 13 + 2  # the second end hangs on a later last event
    assert set(counts.values()) == {1, 2, 3}


def test_a_subagents_new_file_makes_its_session_read_again(
    redis: Redis, config: Settings, projects: Path
) -> None:
    log, agent = Log(), Log(agent="a1")
    log.turn()
    agent.turn("toolu_in")
    log.write(projects)
    run(redis, config, projects)
    agent.write(projects, "s1/subagents/agent-a1.jsonl")
    report = run(redis, config, projects)
    assert (report.files, report.unchanged) == (2, 0)
    assert "SubagentStop" in names(redis, "s1")
    assert run(redis, config, projects).unchanged == 2


def test_files_last_changed_before_since_are_not_read(redis: Redis, config: Settings, projects: Path) -> None:
    log = Log()
    log.turn()
    path = log.write(projects)
    os.utime(path, (1_000, 1_000))
    path.chmod(0o600)
    assert run(redis, config, projects, since_ms=1_000_001).older == 1
    assert events(redis) == []
    assert run(redis, config, projects, since_ms=1_000_000).files == 1


def test_history_that_a_fork_repeats_counts_for_the_session_that_told_it_first(
    redis: Redis, config: Settings, projects: Path
) -> None:
    log = Log("zz-original")
    log.turn()
    fork = forked(log, "aa-fork")
    fork.turn("toolu_2", 2, prompt="The other way")
    fork.write(projects)
    log.write(projects)
    report = run(redis, config, projects)
    assert names(redis, "zz-original").count("PreToolUse") == 1
    assert names(redis, "aa-fork") == [
        "SessionStart",
        "UserPromptSubmit",
        "PreToolUse",
        "PostToolUse",
        "AssistantMessage",
        "AssistantMessage",
        "Stop",
        IMPORT_END,
    ]
    start = next(event for event in events(redis, "aa-fork") if event.kind == "SessionStart")
    assert b'"source":"fork"' in bytes(start.payload)
    assert b'"continues":"zz-original"' in bytes(start.payload)
    assert start.time_ms == events(redis, "aa-fork")[1].time_ms
    assert report.repeated == 6


def test_a_fork_that_did_nothing_yet_is_a_session(redis: Redis, config: Settings, projects: Path) -> None:
    log = Log("original")
    log.turn()
    log.write(projects)
    run(redis, config, projects)
    forked(log, "silent").write(projects)
    run(redis, config, projects)
    assert names(redis, "silent") == ["SessionStart", IMPORT_END]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_every_order_of_later_imports_gives_the_same_owners(
    order: tuple[int, ...], redis: Redis, config: Settings, projects: Path
) -> None:
    one = Log("one")
    one.turn()
    two = forked(one, "two")
    two.turn("toolu_2", 2)
    three = forked(two, "three")
    three.turn("toolu_3", 3)
    paths = [log.write(projects) for log in (one, two, three)]
    run(redis, config, projects)
    first = {event.id for event in events(redis)}
    for at in order:
        run(redis, config, paths[at], again=True)
    assert {event.id for event in events(redis)} == first


def test_a_kill_between_sending_and_noting_loses_nothing(
    redis: Redis, config: Settings, projects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log("original")
    log.turn()
    fork = forked(log, "fork")
    fork.turn("toolu_2", 2)
    fork.write(projects)
    log.write(projects)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("producers.transcripts.imported.Imported.keep", killed)
        with pytest.raises(KeyboardInterrupt):
            run(redis, config, projects)
    report = run(redis, config, projects)
    assert report.files == 2
    assert names(redis, "original").count("PreToolUse") == 2  # sent twice, under one id
    assert len({event.id for event in events(redis, "original") if event.kind == "PreToolUse"}) == 1
    assert run(redis, config, projects).unchanged == 2


def test_a_file_is_not_done_while_redis_has_not_answered(
    config: Settings, projects: Path, redis: Redis
) -> None:
    log = Log()
    log.turn()
    log.write(projects)
    nobody = connect("unix:///nonexistent/karl.sock")
    with pytest.raises(LineDown):
        run(nobody, config, projects)
    nobody.close()
    assert run(redis, config, projects).files == 1


def test_files_that_can_not_be_read_do_not_stop_the_others(
    redis: Redis, config: Settings, projects: Path
) -> None:
    log = Log()
    log.turn()
    path = log.write(projects)
    other = projects / "a.jsonl"
    other.write_text('{"type":"session_meta"}\n')
    report = run(redis, config, projects / "missing", other, path)
    assert [Path(item.path).name for item in report.refused] == ["missing", "a.jsonl"]
    assert (report.files, report.sessions) == (1, 1)
    assert run(redis, config, other).refused


def test_broken_lines_go_to_the_dead_letters_with_file_and_line(
    redis: Redis, config: Settings, projects: Path
) -> None:
    log, agent = Log(), Log(agent="a1")
    log.turn()
    agent.turn("toolu_in")
    path = log.write(projects)
    path.write_bytes(path.read_bytes() + b'{"type": API_TOKEN=hunter2hunter2\n' + log.data())
    inner = agent.write(projects, "s1/subagents/agent-a1.jsonl")
    inner.write_bytes(inner.read_bytes() + b"rubbish\n")
    report = run(redis, config, projects)
    letters = {letter.reason for letter in dead_letters.read(redis)}
    assert letters == {
        "s1.jsonl line 5: it ends before its end",
        "s1.jsonl line 5: it is no JSON object (in agent-a1.jsonl)",
    }
    assert report.dead == 2
    assert b"hunter2hunter2" not in b"".join(letter.data for letter in dead_letters.read(redis))
    assert set(report.by_reason) == {"it is no JSON object", "it ends before its end"}


def test_an_import_waits_while_a_stream_is_over_its_bound(
    redis: Redis, tmp_path: Path, projects: Path
) -> None:
    log = Log()
    for number in range(200):
        log.turn(f"toolu_{number}", number)
    waited = []

    def drain(seconds: float) -> None:
        waited.append(seconds)
        redis.flushall()

    tight = Settings(data_dir=tmp_path / "karl", stream_max_entries=100)
    run(redis, tight, log.write(projects), wait=drain)
    assert waited


def test_two_imports_at_once_are_refused(redis: Redis, config: Settings, projects: Path) -> None:
    log = Log()
    log.turn()
    log.write(projects)

    def second(*_: Any) -> None:
        run(redis, config, projects)

    with pytest.raises(Refused, match="another import"):
        run(redis, config, projects, progress=second)


def test_damaged_notes_are_named_and_may_be_moved_away(
    redis: Redis, config: Settings, projects: Path
) -> None:
    log = Log()
    log.turn()
    log.write(projects)
    config.data_dir.mkdir()
    notes = config.data_dir / "imports.sqlite"
    notes.write_bytes(b"no database at all" * 100)
    with pytest.raises(Refused, match=r"imports\.sqlite"):
        run(redis, config, projects)
    notes.unlink()
    assert run(redis, config, projects).files == 1
    with sqlite3.connect(notes) as connection:
        assert connection.execute("select count(*) from files").fetchone() == (1,)
    connection.close()


def test_progress_goes_from_nothing_to_all_bytes(redis: Redis, config: Settings, projects: Path) -> None:
    for session in ("one", "two"):
        log = Log(session)
        log.turn()
        log.write(projects)
    seen: list[tuple[int, int]] = []
    run(redis, config, projects, progress=lambda done, total, _: seen.append((done, total)))
    size = sum(path.stat().st_size for path in projects.iterdir())
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)


def test_real_transcripts_hold_what_a_plain_count_of_them_finds(
    redis: Redis, config: Settings, real_data: Path, tmp_path: Path
) -> None:
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        wanted = [item for item in archive if item.name.split("/")[-3:][0].startswith("claude-code")]
        archive.extractall(tmp_path / "real", members=wanted, filter="data")
    plain = counted(tmp_path / "real")
    report = run(redis, config, tmp_path / "real")
    assert report.refused == []
    assert report.dead == 0
    assert {event.session for event in events(redis)} == plain.sessions
    told = trajectories(redis)
    calls = [call for one in told for call in one.trajectory.events]
    assert Counter(call.call_id for call in calls) == Counter(plain.calls | plain.errors)
    assert {call.call_id for call in calls if call.success is False} >= plain.errors
    assert plain.tokens == messages(redis)


def messages(redis: Redis) -> dict[str, list[int]]:
    """The tokens of every message, by its id, as they were told."""
    import msgspec

    fields = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    found = [
        msgspec.json.decode(event.payload) for event in events(redis) if event.kind == "AssistantMessage"
    ]
    return {one["message_id"]: [one["usage"][name] for name in fields] for one in found if "usage" in one}
