"""`karl import claude`: what it says, how it exits, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis

from karl.errors import Refused
from tests.cli.running import karl, real_karl
from tests.producers.claude_log import Log


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    log = Log()
    log.turn()
    log.line("progress")
    log.write(tmp_path / "claude" / "projects" / "-home-dev-shop")
    return tmp_path / "claude" / "projects"


def test_an_import_says_what_came_in_and_a_second_one_that_nothing_changed(
    redis: Redis, redis_url: str, projects: Path, tmp_path: Path
) -> None:
    first = real_karl(tmp_path / "k", "import", "claude", str(projects), KARL_REDIS_URL=redis_url)
    assert first.returncode == 0
    assert b"7 events of 1 sessions from 1 files" in first.stdout
    assert b"1  progress" in first.stdout
    assert first.stderr == b""
    again = real_karl(tmp_path / "k", "import", "claude", str(projects), KARL_REDIS_URL=redis_url)
    assert b"1 files are as they were" in again.stdout
    assert redis.dbsize() == 1


def test_without_a_path_the_agents_own_folder_is_read(
    redis: Redis, redis_url: str, projects: Path, tmp_path: Path
) -> None:
    where = {"CLAUDE_CONFIG_DIR": str(projects.parent), "KARL_REDIS_URL": redis_url}
    result = karl(tmp_path / "k", "import", "claude", "--json", **where)
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["files"], report["sessions"], report["events"]) == (1, 1, 7)
    assert report["skipped"] == {"progress": 1}


def test_a_missing_default_folder_is_named_before_anything_else(tmp_path: Path) -> None:
    result = karl(tmp_path / "k", "import", "claude", CLAUDE_CONFIG_DIR=str(tmp_path / "none"))
    assert isinstance(result.exception, Refused)
    assert "none/projects does not exist" in str(result.exception)


def test_refused_files_are_listed_escaped_and_the_exit_code_is_1(
    redis: Redis, redis_url: str, projects: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd\x1b[2J.jsonl"
    odd.write_text('{"type":"session_meta"}\n')
    result = karl(
        tmp_path / "k", "import", "claude", str(odd), str(projects), "gone", KARL_REDIS_URL=redis_url
    )
    assert result.exit_code == 1
    assert "7 events" in result.stdout
    assert "\x1b" not in result.stderr
    assert "odd\\x1b[2J.jsonl" in result.stderr
    assert "gone: No such file or directory" in result.stderr


def test_since_is_a_span_or_a_date(redis: Redis, redis_url: str, projects: Path, tmp_path: Path) -> None:
    where = {"KARL_REDIS_URL": redis_url}
    new = karl(tmp_path / "k", "import", "claude", str(projects), "--since", "2999-01-01", "--json", **where)
    assert json.loads(new.stdout)["older"] == 1
    assert karl(tmp_path / "k", "import", "claude", str(projects), "--since", "soon", **where).exit_code == 2
