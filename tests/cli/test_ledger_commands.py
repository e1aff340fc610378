"""`karl verify`, `karl rebuild`, `karl normalize`: what they print, and how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import karl, real_karl
from tests.views import ledgers

OLD = b'{"id":"t1","session_id":"s","skill":"review","tool_calls":[{"tool":"Bash","success":true}]}\n'


@pytest.fixture
def told(tmp_path: Path) -> Path:
    drafts = [ledgers.trajectory("s", turn) for turn in range(4)]
    ledgers.write(tmp_path / "ledger", drafts)
    return tmp_path


def damage(folder: Path) -> None:
    segment = next((folder / "ledger").glob("*.jsonl"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)


def test_verify_of_a_sound_ledger_exits_0(told: Path) -> None:
    report = json.loads(karl(told, "verify", "--json").stdout)
    assert (report["ok"], report["records"], report["trajectories"]) == (True, 4, 4)
    result = karl(told, "verify")
    assert result.exit_code == 0
    assert "sound" in result.stdout


def test_verify_of_a_damaged_ledger_exits_1_and_says_where(told: Path) -> None:
    damage(told)
    result = karl(told, "verify")
    assert result.exit_code == 1
    assert "damage: 0000000001-000000.jsonl at byte" in result.stdout
    as_json = real_karl(told, "verify", "--json")
    assert as_json.returncode == 1
    report = json.loads(as_json.stdout)
    assert report["ok"] is False
    assert report["findings"]


def test_rebuild_makes_views_that_its_check_calls_equal(told: Path) -> None:
    assert "4 records" in karl(told, "rebuild").stdout
    assert json.loads(karl(told, "rebuild", "--json").stdout)["records"] == 4
    assert karl(told, "rebuild", "--check").stdout.startswith("equal")
    found = real_karl(told, "rebuild", "--check", "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout) == {"equal": True, "seq": 5, "differing": {}}


def test_a_check_of_views_that_prefer_another_version_says_what_differs(told: Path) -> None:
    karl(told, "rebuild")
    result = karl(told, "rebuild", "--check", KARL_REWARD_VERSION="1")
    assert result.exit_code == 1
    assert "different: 1 rows of meta" in result.stdout


def test_rebuild_of_nothing_gives_empty_views(tmp_path: Path) -> None:
    result = karl(tmp_path, "rebuild")
    assert (result.exit_code, result.stdout) == (0, "0 records, up to line 0\n")
    assert json.loads(karl(tmp_path, "status", "--json").stdout)["views"]["seq"] == 0


def test_normalize_writes_records_to_stdout_and_the_report_to_stderr(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_bytes(OLD)
    result = karl(tmp_path, "normalize", str(tmp_path / "old.jsonl"))
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert (record["schema_version"], record["id"], record["skill"]["name"]) == (2, "t1", "review")
    assert "1 records read, 1 changed; 0 lines unreadable" in result.stderr


def test_normalize_names_unreadable_lines_and_exits_1(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_bytes(OLD + b"\n[1]\n" + OLD + b"{broken\n")
    result = karl(tmp_path, "normalize", str(tmp_path / "old.jsonl"), "--dry-run", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["read"], report["unreadable"]) == (2, 2)
    assert [item["line"] for item in report["reasons"]] == [3, 5]


def test_normalize_replaces_the_output_when_all_is_written(tmp_path: Path) -> None:
    source, output = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    source.write_bytes(OLD * 3)
    output.write_bytes(b"what was there")
    karl(tmp_path, "normalize", str(source), "--dry-run", "--output", str(output))
    assert output.read_bytes() == b"what was there"
    result = karl(tmp_path, "normalize", str(source), "--output", str(output))
    assert "3 records read" in result.stdout
    assert len(output.read_bytes().splitlines()) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"old.jsonl", "new.jsonl"}


def test_what_was_normalized_is_not_changed_again(tmp_path: Path) -> None:
    first = real_karl(tmp_path, "normalize", "-", stdin=OLD)
    second = real_karl(tmp_path, "normalize", "-", "--json", stdin=first.stdout)
    assert second.stdout == first.stdout
    assert json.loads(second.stderr)["changed"] == 0


def test_a_file_may_be_read_and_replaced_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "store.jsonl"
    path.write_bytes(OLD * 2)
    assert karl(tmp_path, "normalize", str(path), "--output", str(path)).exit_code == 0
    assert all(json.loads(line)["schema_version"] == 2 for line in path.read_bytes().splitlines())
