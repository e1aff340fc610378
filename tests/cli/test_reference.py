"""docs/commands.md and docs/settings.md are what the code says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from karl.cli import reference
from karl.cli.main import load
from karl.cli.table import COMMANDS
from karl.settings import Settings, variable


def test_the_pages_in_the_repository_are_up_to_date() -> None:
    assert reference.main(["--check"]) == 0, "run `make docs`"


def test_pages_that_fell_behind_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    assert reference.main(["--check"]) == 1
    assert "commands.md" in capsys.readouterr().err
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0


def test_the_settings_page_does_not_depend_on_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = reference.settings_page()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert reference.settings_page() == before
    assert str(Path.home()) not in before
    for item in dataclasses.fields(Settings):
        assert f"`{variable(item.name)}`" in before


def test_every_command_is_on_its_page_with_its_options() -> None:
    page = reference.commands_page()
    for row in COMMANDS:
        assert f"### karl {row.name}\n" in page
    assert "| `--since` WHEN |" in page
    assert "--supervised" not in page


def test_every_command_that_reads_speaks_json() -> None:
    for row in COMMANDS:
        if row.reads and row.name != "help":
            assert any(item.name == "as_json" for item in load(row).params), row.name
