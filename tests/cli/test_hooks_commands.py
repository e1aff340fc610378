"""`karl hooks install|uninstall|status`, `karl enable|disable`: on scratch settings, with the real hook."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from karl.errors import Refused
from producers.install import EVENTS, OLD_EVENTS
from tests.cli.running import karl, real_karl

OTHERS = '{\n\t"permissions": {"allow": ["Bash(ls:*)"]},\n\t"hooks": {"Stop": [{"hooks": []}]}\n}'


class Machine:
    """One user's machine: a home, a repository, a data folder, programs on PATH."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.config = folder / "home" / ".claude"
        self.repository = folder / "repository"
        self.programs = folder / "programs"
        for path in (self.config, self.repository, self.programs):
            path.mkdir(parents=True)
        self.user_file = self.config / "settings.json"
        self.environ = {
            "HOME": str(folder / "home"),
            "CLAUDE_CONFIG_DIR": str(self.config),
            "PATH": f"{self.programs}:/usr/bin:/bin",
        }

    def run(self, *arguments: str, **more: str) -> Result:
        return karl(self.data, *arguments, **{**self.environ, **more})

    def status(self, **more: str) -> tuple[int, dict[str, Any]]:
        result = self.run("hooks", "status", "--json", **more)
        return result.exit_code, json.loads(result.stdout)

    def has_claude(self, version: str) -> None:
        program = self.programs / "claude"
        program.write_text(f"#!/bin/sh\necho '{version} (Claude Code)'\n")
        program.chmod(0o755)

    def hooked(self, file: Path | None = None) -> dict[str, str]:
        """Give the hook's command line by event."""
        hooks = json.loads((file or self.user_file).read_text()).get("hooks", {})
        return {
            event: hook["command"]
            for event, groups in hooks.items()
            for group in groups
            for hook in group["hooks"]
            if "karl-hook" in hook["command"]
        }

    def fire(self) -> int:
        """Run the installed hook as an agent does; give the number of events in the spool after it."""
        command = self.hooked()["Stop"]
        done = subprocess.run(["/bin/sh", "-c", command], input=b"{}", capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        return len(list((self.data / "spool").glob("claude-code.*")))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path)
    monkeypatch.chdir(made.repository)
    return made


def test_install_puts_a_hook_that_records_into_the_users_settings(machine: Machine) -> None:
    result = machine.run("hooks", "install")
    assert result.exit_code == 0
    assert str(machine.user_file) in result.stdout
    assert "karl up" in result.stdout
    assert set(machine.hooked()) == set(EVENTS)
    assert machine.fire() == 1
    assert (machine.data / "spool").stat().st_mode & 0o077 == 0


def test_installing_twice_changes_nothing(machine: Machine) -> None:
    machine.run("hooks", "install")
    before = machine.user_file.read_bytes()
    result = machine.run("hooks", "install")
    assert result.exit_code == 0
    assert "nothing was changed" in result.stdout
    assert machine.user_file.read_bytes() == before


def test_a_dry_run_shows_the_diff_and_writes_nothing(machine: Machine) -> None:
    machine.user_file.write_text(OTHERS)
    result = machine.run("hooks", "install", "--dry-run")
    assert result.exit_code == 0
    assert "+++" in result.stdout
    assert "karl-hook" in result.stdout
    assert machine.user_file.read_text() == OTHERS
    assert not machine.data.exists()


@pytest.mark.parametrize(("scope", "name"), [("project", "settings.json"), ("local", "settings.local.json")])
def test_a_scope_of_the_repository_writes_there(machine: Machine, scope: str, name: str) -> None:
    assert machine.run("hooks", "install", "--scope", scope).exit_code == 0
    assert set(machine.hooked(machine.repository / ".claude" / name)) == set(EVENTS)
    assert not machine.user_file.exists()


def test_a_settings_file_can_be_named(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "mine.json"
    assert machine.run("hooks", "install", "--settings", str(file)).exit_code == 0
    assert set(machine.hooked(file)) == set(EVENTS)
    assert machine.run("hooks", "status", "--settings", str(file)).exit_code == 0
    assert machine.run("hooks", "uninstall", "--settings", str(file)).exit_code == 0
    assert not file.parent.exists()


@pytest.mark.parametrize("before", [OTHERS, "{}", None])
def test_uninstall_leaves_the_bytes_of_before_or_no_file(machine: Machine, before: str | None) -> None:
    if before is not None:
        machine.user_file.write_text(before)
    machine.run("hooks", "install")
    result = machine.run("hooks", "uninstall")
    assert result.exit_code == 0
    assert (machine.user_file.read_text() if machine.user_file.exists() else None) == before


def test_uninstall_where_there_is_no_hook_says_so(machine: Machine) -> None:
    machine.user_file.write_text(OTHERS)
    result = machine.run("hooks", "uninstall")
    assert result.exit_code == 0
    assert "already" in result.stdout
    assert machine.user_file.read_text() == OTHERS


def test_what_was_done_can_be_had_as_json(machine: Machine) -> None:
    first, second = (json.loads(machine.run("hooks", "install", "--json").stdout) for _ in range(2))
    assert first["file"] == str(machine.user_file)
    assert (first["changed"], second["changed"]) == (True, False)


def test_settings_that_are_no_json_are_refused_with_the_place_and_left_alone(machine: Machine) -> None:
    broken = '{\n  "hooks": {,}\n}'
    machine.user_file.write_text(broken)
    result = machine.run("hooks", "install")
    assert isinstance(result.exception, Refused)
    assert "line 2" in str(result.exception)
    assert machine.user_file.read_text() == broken
    code, status = machine.status()
    assert code == 1
    assert any("line 2" in problem for problem in status["problems"])


def test_an_older_claude_code_gets_only_the_events_that_it_knows(machine: Machine) -> None:
    machine.has_claude("2.0.14")
    machine.run("hooks", "install")
    assert set(machine.hooked()) == set(OLD_EVENTS)
    assert machine.status()[0] == 0


def test_an_upgrade_of_claude_code_makes_the_hook_incomplete_until_it_is_installed_again(
    machine: Machine,
) -> None:
    machine.has_claude("2.0.14")
    machine.run("hooks", "install")
    machine.has_claude("2.1.200")
    code, status = machine.status()
    assert code == 1
    assert "incomplete" in status["problems"][0]
    machine.run("hooks", "install")
    assert machine.status()[0] == 0


def test_status_is_1_before_installing_and_0_after(machine: Machine) -> None:
    code, status = machine.status()
    assert code == 1
    assert status["works"] is False
    assert any("karl hooks install" in problem for problem in status["problems"])
    machine.run("hooks", "install")
    code, status = machine.status()
    assert (code, status["works"], status["problems"]) == (0, True, [])
    shown = machine.run("hooks", "status")
    assert shown.exit_code == 0
    assert f"{len(EVENTS)} of {len(EVENTS)}" in shown.stdout


def test_a_hook_for_another_data_folder_counts_as_outdated(machine: Machine, tmp_path: Path) -> None:
    machine.run("hooks", "install")
    code, status = machine.status(KARL_DATA_DIR=str(tmp_path / "other"))
    assert code == 1
    assert any("outdated" in problem for problem in status["problems"])


def test_status_notices_switches_that_keep_every_hook_from_running(machine: Machine) -> None:
    machine.user_file.write_text('{"disableAllHooks": true}')
    machine.run("hooks", "install")
    code, status = machine.status()
    assert code == 1
    assert any("disableAllHooks" in problem for problem in status["problems"])


def test_status_notices_that_the_spool_folder_is_gone(machine: Machine) -> None:
    machine.run("hooks", "install")
    (machine.data / "spool").rmdir()
    assert machine.status()[0] == 1
    machine.run("hooks", "install")
    assert machine.status()[0] == 0


def test_disable_silences_the_hook_until_enable(machine: Machine) -> None:
    machine.run("hooks", "install")
    before = machine.user_file.read_bytes()
    assert machine.run("disable").exit_code == 0
    assert machine.fire() == 0
    code, status = machine.status()
    assert code == 1
    assert any("karl enable" in problem for problem in status["problems"])
    assert machine.run("enable").exit_code == 0
    assert machine.fire() == 1
    assert machine.status()[0] == 0
    assert machine.user_file.read_bytes() == before


def test_status_notices_karl_disable_in_the_environment(machine: Machine) -> None:
    machine.run("hooks", "install")
    code, status = machine.status(KARL_DISABLE="1")
    assert code == 1
    assert any("KARL_DISABLE" in problem for problem in status["problems"])


def test_the_real_command_exits_as_documented(machine: Machine) -> None:
    missing = real_karl(machine.data, "hooks", "status", **machine.environ)
    assert missing.returncode == 1
    assert real_karl(machine.data, "hooks", "install", **machine.environ).returncode == 0
    assert real_karl(machine.data, "hooks", "status", **machine.environ).returncode == 0
    machine.user_file.write_text("[1]")
    refused = real_karl(machine.data, "hooks", "install", **machine.environ)
    assert refused.returncode == 1
    assert refused.stderr.startswith(b"karl: ")
    assert b"Traceback" not in refused.stderr
