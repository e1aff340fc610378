"""`karl config` and `karl help`: everything is listed, secrets are not shown."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from karl.cli.table import COMMANDS, GROUPS
from karl.settings import Settings, variable
from tests.cli.running import karl, real_karl


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
