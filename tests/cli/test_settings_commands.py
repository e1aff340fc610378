"""`karl config` and `karl help`: everything is listed, secrets are not shown."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from karl.cli.table import COMMANDS, GROUPS
from karl.retired import RENAMED, RETIRED
from karl.settings import Settings, read_settings, variable
from tests.cli.running import karl, real_karl
from workers.processes import LINE
from workers.supervise import commands_of


def test_config_lists_every_setting_and_hides_passwords(tmp_path: Path) -> None:
    result = karl(tmp_path, "config", "--json", KARL_REDIS_URL="redis://me:hunter2@host:1/0")
    rows = {row["variable"]: row for row in json.loads(result.stdout)}
    assert list(rows) == [variable(item.name) for item in dataclasses.fields(Settings)]
    assert rows["KARL_REDIS_URL"]["value"] == "redis://me:***@host:1/0"
    assert (rows["KARL_REDIS_URL"]["set"], rows["KARL_FLEET"]["set"]) == (True, False)
    assert "hunter2" not in karl(tmp_path, "config", KARL_REDIS_URL="redis://me:hunter2@host:1/0").stdout


def test_a_wrong_setting_is_exit_code_2_and_names_the_nearest(tmp_path: Path) -> None:
    result = real_karl(tmp_path, "config", KARL_FLET="x")
    assert result.returncode == 2
    assert b"did you mean KARL_FLEET?" in result.stderr


def test_a_setting_of_an_earlier_system_is_told_what_became_of_it(tmp_path: Path) -> None:
    result = real_karl(tmp_path, "config", KARL_FORCE_WRITE="1")
    assert result.returncode == 2
    assert b"KARL_FORCE_WRITE is not a setting of KARL any more" in result.stderr
    assert b"KARL_CANONICAL_WRITER" in result.stderr


def test_what_is_gone_is_no_setting_and_what_replaces_it_is_one() -> None:
    known = {variable(item.name) for item in dataclasses.fields(Settings)}
    assert known.isdisjoint(RETIRED)
    named = {name for now in (*RETIRED.values(), *RENAMED) for name in re.findall(r"KARL_[A-Z_]+[A-Z]", now)}
    assert named <= known


def test_only_the_named_nodes_may_write_the_ledger(tmp_path: Path) -> None:
    elsewhere = {"KARL_CANONICAL_WRITER": "a, b", "KARL_NODE": "c"}
    refused = real_karl(tmp_path, "worker", "ledger", **elsewhere)
    assert refused.returncode == 1
    assert b"this node, c, may not write the ledger" in refused.stderr
    assert b"may not write the ledger; a, b may" in real_karl(tmp_path, "status", **elsewhere).stderr
    cut_off = real_karl(tmp_path, "up", **elsewhere)
    assert cut_off.returncode == 1
    assert b"nobody else can reach the server that runs here" in cut_off.stderr
    everybody = read_settings({"KARL_NODE": "c"})
    named = read_settings({"KARL_NODE": "b", "KARL_CANONICAL_WRITER": "a, b"})
    other = read_settings(elsewhere)
    assert (everybody.may_write, named.may_write, other.may_write) == (True, True, False)
    assert [command.name for command in commands_of(named)] == [
        process.name for process in LINE if not process.only_if
    ]
    assert [command.name for command in commands_of(other)] == ["ship", "sessions"]


def test_help_lists_every_command_under_its_heading(tmp_path: Path) -> None:
    text = karl(tmp_path, "help").stdout
    for row in COMMANDS:
        assert row.name in text
    for heading in GROUPS.values():
        assert f"{heading}:" in text


def test_help_explains_one_command(tmp_path: Path) -> None:
    assert "Usage: karl show [OPTIONS] ID" in karl(tmp_path, "help", "show").stdout.replace("cli ", "karl ")
    assert "payloads" in karl(tmp_path, "help", "import", "hooks").stdout


def test_help_about_no_command_is_misuse(tmp_path: Path) -> None:
    for words in (("nope",), ("show", "more"), ("import", "nope")):
        result = karl(tmp_path, "help", *words)
        assert result.exit_code == 2
        assert "karl help" in result.stderr
