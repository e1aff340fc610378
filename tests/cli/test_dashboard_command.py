"""`karl dashboard` bare, and `karl extract`: the seed's names, over what there is now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis

from karl.views.rebuild import rebuild
from tests.cli.running import karl
from tests.export.telling import drafts, emissions
from tests.producers.claude_log import Log
from tests.session.making import Script
from tests.views import ledgers


def test_a_dashboard_of_nothing_shows_that_there_is_nothing(tmp_path: Path) -> None:
    told = karl(tmp_path, "dashboard")
    assert told.exit_code == 0, told.output
    assert "nothing recorded yet" in told.stderr
    page = json.loads(karl(tmp_path, "dashboard", "--json").stdout)
    assert page["agents"] is None
    assert page["jobs"] is None


def test_a_dashboard_shows_the_agents_and_the_training(tmp_path: Path, redis_url: str) -> None:
    script = Script()
    script.prompt("Add a \x1b[31mlogin", project="shop")
    script.stop()
    ledgers.write(tmp_path / "ledger", drafts(emissions(script)))
    rebuild(tmp_path / "views" / "views.sqlite", tmp_path / "ledger", "2")
    told = karl(tmp_path, "dashboard", KARL_REDIS_URL=redis_url)
    assert told.exit_code == 0, told.output
    assert "adapter in use   none" in told.stdout
    assert "\x1b[31mlogin" not in told.stdout
    page = json.loads(karl(tmp_path, "dashboard", "--json", KARL_REDIS_URL=redis_url).stdout)
    assert page["line"]["trajectories"] == 1
    assert page["training"]["held_out_sessions"] == 0
    assert {one["queue"] for one in page["jobs"]} >= {"default", "train"}


def test_the_jobs_in_a_browser_are_still_a_command_below(tmp_path: Path) -> None:
    told = karl(tmp_path, "dashboard", "rq", "--help")
    assert told.exit_code == 0
    assert "--writable" in told.stdout
    assert karl(tmp_path, "dashboard", "nothing").exit_code == 2


@pytest.fixture
def claude(tmp_path: Path) -> Path:
    """Claude Code's folder with one session in it."""
    log = Log()
    log.turn()
    log.write(tmp_path / "claude" / "projects" / "-home-dev-shop")
    return tmp_path / "claude"


def test_extract_says_first_what_it_would_read_and_reads_it_once(
    claude: Path, tmp_path: Path, redis: Redis, redis_url: str
) -> None:
    where = {"CLAUDE_CONFIG_DIR": str(claude), "KARL_REDIS_URL": redis_url}
    first = json.loads(karl(tmp_path / "k", "extract", "--dry-run", "--json", **where).stdout)
    assert (first["files"], first["unchanged"]) == (1, 0)
    assert first["bytes"] > 0
    assert not (tmp_path / "k").exists()
    read = karl(tmp_path / "k", "extract", "--json", **where)
    assert read.exit_code == 0, read.output
    assert json.loads(read.stdout)["sessions"] == 1
    again = karl(tmp_path / "k", "extract", "--dry-run", **where)
    assert "0 files of" in again.stdout
    assert "1 are as they were at their last import" in again.stdout


def test_extract_without_a_folder_says_where_it_looked(tmp_path: Path) -> None:
    told = karl(tmp_path, "extract", "--dry-run", CLAUDE_CONFIG_DIR=str(tmp_path / "none"))
    assert "none/projects does not exist" in str(told.exception)
