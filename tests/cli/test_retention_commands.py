"""`karl archive`, `karl integrity`, `karl dedup`, `karl erase`: what they say, change and leave alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from karl.ledger.writer import Draft
from tests.cli.running import KARL, environ, karl, real_karl
from tests.conftest import wait_until
from tests.views import ledgers


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A ledger of several segments."""
    drafts = [ledgers.trajectory("s", turn) for turn in range(8)]
    ledgers.write(tmp_path / "ledger", drafts, segment_max_bytes=6000, batch=1)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "ledger").iterdir()}


def test_archive_without_apply_changes_nothing(told: Path) -> None:
    before = files(told)
    result = karl(told, "archive", "--days", "0")
    assert result.exit_code == 0
    assert "would be compressed" in result.stdout
    assert files(told) == before
    assert (
        json.loads(karl(told, "archive", "--days", "0", "--json").stdout)["segments"]
        == sorted(name for name in before if name.endswith(".jsonl"))[:-1]
    )


def test_archive_compresses_sealed_segments_and_every_command_reads_them(told: Path) -> None:
    verified = karl(told, "verify").stdout
    karl(told, "rebuild")
    shown = karl(told, "show", "s", "--json").stdout
    assert "segments:" in karl(told, "archive", "--days", "0", "--apply").stdout
    names = sorted(files(told))
    assert [name for name in names if name.endswith(".jsonl")] == [names[-3]]  # then ERASING and LOCK
    assert karl(told, "verify").stdout == verified
    assert karl(told, "rebuild", "--check").exit_code == 0
    assert karl(told, "show", "s", "--json").stdout == shown
    assert "0 segments would be" in karl(told, "archive", "--days", "0").stdout


def test_archive_leaves_young_segments_alone_and_restore_gives_the_bytes_back(told: Path) -> None:
    before = files(told)
    assert "0 segments would be" in karl(told, "archive", "--days", "36500").stdout
    karl(told, "archive", "--days", "0", "--apply")
    done = json.loads(karl(told, "archive", "--restore", "--apply", "--json").stdout)
    assert done["segments"] > 1
    after = files(told)
    after.pop("ERASING")
    assert after == before


def test_integrity_tells_what_is_wrong_from_what_may_be_missing(tmp_path: Path) -> None:
    good = ledgers.trajectory("s", 0)
    ledgers.write(tmp_path / "ledger", [good])
    result = karl(tmp_path, "integrity")
    assert result.exit_code == 0
    assert "1 no skill: traj_s_0" in result.stdout
    body = msgspec.json.decode(good.body)
    body |= {"id": "traj_odd", "session": "", "time_ms": 0}
    body["score"]["reward"] = 1.5
    ledgers.write(tmp_path / "odd" / "ledger", [Draft("trajectory", msgspec.json.encode(body))])
    found = karl(tmp_path / "odd", "integrity", "--json")
    assert found.exit_code == 1
    told = json.loads(found.stdout)
    assert {trouble["what"] for trouble in told["troubles"] if trouble["wrong"] and trouble["count"]} == {
        "no session",
        "no time",
        "reward outside of 0 to 1",
    }
    assert told["ok"] is False


def test_dedup_finds_the_same_and_with_alike_the_better_of_equals(tmp_path: Path) -> None:
    first = ledgers.trajectory("a", 0, reward=0.5)
    better = ledgers.trajectory("b", 0, reward=0.7)
    drafts = [first, better, first, ledgers.trajectory("a", 1, prompt="something else")]
    ledgers.write(tmp_path / "ledger", drafts)
    plain = json.loads(karl(tmp_path, "dedup", "--json").stdout)
    assert (plain["same"], plain["alike"], plain["lines"]) == (1, 0, [[4, 4]])
    alike = karl(tmp_path, "dedup", "--alike", "--json")
    assert alike.exit_code == 1
    told = json.loads(alike.stdout)
    assert (told["same"], told["alike"], told["kept"]) == (1, 1, {"traj_a_0": "traj_b_0"})
    assert told["lines"] == [[2, 2], [4, 4]]


def test_turns_of_one_session_that_say_the_same_are_no_repetition(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", [ledgers.trajectory("a", turn) for turn in (0, 2)])
    assert karl(tmp_path, "dedup", "--alike").exit_code == 0


@pytest.mark.parametrize("arguments", [(), ("--session", "s", "--resume")])
def test_erase_without_saying_what_is_misuse(told: Path, arguments: tuple[str, ...]) -> None:
    result = karl(told, "erase", *arguments)
    assert result.exit_code == 2
    assert "say what to erase" in result.stderr


def test_erase_without_apply_says_what_would_go_and_changes_nothing(told: Path) -> None:
    before = files(told)
    assert "8 records" in karl(told, "erase", "--session", "s").stdout
    assert json.loads(karl(told, "erase", "--before", "1d", "--json").stdout)["sessions"] == ["s"]
    assert "0 records" in karl(told, "erase", "--session", "other").stdout
    assert "0 erasures" in karl(told, "erase", "--resume").stdout
    assert files(told) == before


@pytest.fixture
def line(told: Path) -> Iterator[Path]:
    """The real line over that ledger."""
    variables = {**os.environ, **environ(told)}
    clean = {name: value for name, value in variables.items() if value is not None}
    with (told / "up.log").open("wb") as log:
        running = subprocess.Popen([KARL, "up"], env=clean, stdout=log, stderr=log)
        try:
            wait_until(
                lambda: (
                    '"seq"' in karl(told, "status", "--json").stdout and karl(told, "sessions").exit_code == 0
                ),
                "the views are there",
            )
            yield told
        finally:
            running.terminate()
            running.wait(30)


def test_a_user_erases_and_dedups_while_the_line_runs(line: Path) -> None:
    erased = real_karl(line, "erase", "--session", "s", "--reason", "asked for", "--apply", "--json")
    assert erased.returncode == 0, erased.stderr
    report = json.loads(erased.stdout)
    assert (report["sessions"], report["views"], report["append_only_file"]) == (["s"], True, True)
    assert report["records"] >= 8
    assert json.loads(real_karl(line, "verify", "--json").stdout)["findings"] == []
    assert real_karl(line, "rebuild", "--check").returncode == 0
    assert b"erasure of" in real_karl(line, "tail").stdout
    assert real_karl(line, "show", "s").returncode == 1
    again = real_karl(line, "dedup", "--apply")
    assert again.returncode == 0, again.stderr
