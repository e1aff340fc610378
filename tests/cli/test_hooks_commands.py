"""`karl hooks install|uninstall|status`, `karl enable|disable`: on scratch settings, with the real hook."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from karl.errors import Refused
from producers.agents import CODEX_EVENTS, EVENTS, OLD_EVENTS
from producers.codex_trust import hook_hash
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
        self.codex = folder / "home" / ".codex"
        self.codex_file = self.codex / "hooks.json"
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
            if "karl-hook" in hook.get("command", "")
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


def trust(machine: Machine) -> None:
    """Say in Codex's settings what its user says with /hooks."""
    lines = []
    for event, groups in json.loads(machine.codex_file.read_text())["hooks"].items():
        label = "".join(f"_{c.lower()}" if c.isupper() else c for c in event)[1:]
        known = hook_hash(event, None, groups[0]["hooks"][0])
        lines += [f'[hooks.state."{machine.codex_file}:{label}:0:0"]', f'trusted_hash = "{known}"']
    (machine.codex / "config.toml").write_text("\n".join(lines))


def codex_status(machine: Machine, **more: str) -> tuple[int, dict[str, Any]]:
    result = machine.run("hooks", "status", "--agent", "codex", "--json", **more)
    return result.exit_code, json.loads(result.stdout)


def test_codex_gets_its_own_hook_and_is_told_how_to_trust_it(machine: Machine) -> None:
    machine.codex.mkdir()
    result = machine.run("hooks", "install", "--agent", "codex")
    assert result.exit_code == 0
    assert "/hooks" in result.stdout
    assert set(machine.hooked(machine.codex_file)) == set(CODEX_EVENTS)
    assert all("/codex.$$" in command for command in machine.hooked(machine.codex_file).values())
    assert not machine.user_file.exists()
    assert machine.run("hooks", "uninstall", "--agent", "codex").exit_code == 0
    assert list(machine.codex.iterdir()) == []


def test_a_hook_that_codex_was_not_told_to_trust_does_not_work(machine: Machine) -> None:
    machine.run("hooks", "install", "--agent", "codex")
    code, status = codex_status(machine)
    assert code == 1
    assert any("12 of 12" in problem and "/hooks" in problem for problem in status["problems"])
    assert any("no event of Codex" in note for note in status["notes"])
    trust(machine)
    code, status = codex_status(machine)
    assert (code, status["works"], status["problems"]) == (0, True, [])
    assert any("trusts the hook" in note for note in status["notes"])
    shown = machine.run("hooks", "status", "--agent", "codex")
    assert "12 of 12" in shown.stdout


def test_an_event_that_came_speaks_louder_than_missing_trust(machine: Machine) -> None:
    machine.run("hooks", "install", "--agent", "codex")
    command = machine.hooked(machine.codex_file)["Stop"]
    subprocess.run(["/bin/sh", "-c", command], input=b"{}", check=True)
    event = next((machine.data / "spool").glob("codex.*"))
    later = machine.codex_file.stat().st_mtime + 5
    os.utime(event, (later, later))
    code, status = codex_status(machine)
    assert (code, status["problems"]) == (0, [])
    assert status["last_event_ms"] == int(later * 1000)


def test_switches_of_codex_are_seen_and_its_own_settings_left_alone(machine: Machine) -> None:
    machine.codex.mkdir()
    config = machine.codex / "config.toml"
    config.write_text('[features]\nhooks = false\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ncommand = "x"\n')
    before = config.read_bytes()
    result = machine.run("hooks", "install", "--agent", "codex")
    assert "config.toml has hooks too (Stop)" in result.stdout
    code, status = codex_status(machine)
    assert code == 1
    assert any("features.hooks = false" in problem for problem in status["problems"])
    assert config.read_bytes() == before


def test_codex_home_is_respected(machine: Machine, tmp_path: Path) -> None:
    machine.run("hooks", "install", "--agent", "codex", CODEX_HOME=str(tmp_path / "elsewhere"))
    assert set(machine.hooked(tmp_path / "elsewhere" / "hooks.json")) == set(CODEX_EVENTS)
    assert not machine.codex.exists()


def test_a_repository_has_a_file_of_codex_at_its_root(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine.repository / ".git").mkdir()
    (machine.repository / "src").mkdir()
    monkeypatch.chdir(machine.repository / "src")
    result = machine.run("hooks", "install", "--agent", "codex", "--scope", "project")
    assert "leave it out of the repository" in result.stdout
    assert set(machine.hooked(machine.repository / ".codex" / "hooks.json")) == set(CODEX_EVENTS)


def test_all_agents_are_installed_looked_at_and_left_together(machine: Machine) -> None:
    done = json.loads(machine.run("hooks", "install", "--agent", "all", "--json").stdout)
    assert [(one["agent"], one["changed"]) for one in done["agents"]] == [
        ("claude-code", True),
        ("codex", True),
    ]
    trust(machine)
    result = machine.run("hooks", "status", "--agent", "all", "--json")
    assert (result.exit_code, json.loads(result.stdout)["works"]) == (0, True)
    shown = machine.run("hooks", "status", "--agent", "all").stdout
    assert "Claude Code" in shown
    assert "Codex" in shown
    assert machine.run("hooks", "uninstall", "--agent", "all").exit_code == 0
    assert not machine.user_file.exists()
    assert not machine.codex_file.exists()


def test_a_refusal_for_one_agent_leaves_the_others_untouched(machine: Machine) -> None:
    machine.codex.mkdir()
    machine.codex_file.write_text("{,}")
    result = machine.run("hooks", "install", "--agent", "all")
    assert isinstance(result.exception, Refused)
    assert not machine.user_file.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("install", "--agent", "codex", "--scope", "local"),
        ("install", "--agent", "codex", "--transport", "http"),
        ("install", "--agent", "all", "--settings", "x.json"),
        ("install", "--agent", "gemini"),
    ],
)
def test_options_that_do_not_go_together_are_misuse(machine: Machine, arguments: tuple[str, ...]) -> None:
    assert machine.run("hooks", *arguments, KARL_HTTP_PORT="4517").exit_code == 2
    assert not machine.codex_file.exists()


def test_an_agent_may_be_named_as_its_events_are(machine: Machine) -> None:
    assert machine.run("hooks", "install", "--agent", "claude-code").exit_code == 0
    assert set(machine.hooked()) == set(EVENTS)


def test_events_over_http_need_a_port(machine: Machine) -> None:
    result = machine.run("hooks", "install", "--transport", "http")
    assert isinstance(result.exception, Refused)
    assert "KARL_HTTP_PORT" in str(result.exception)
    machine.has_claude("2.0.14")
    result = machine.run("hooks", "install", "--transport", "http", KARL_HTTP_PORT="4517")
    assert "too old" in str(result.exception)


def test_events_over_http_are_set_up_with_the_token_in_no_settings_file(machine: Machine) -> None:
    port = _unused_port()
    result = machine.run("hooks", "install", "--transport", "http", KARL_HTTP_PORT=port)
    assert result.exit_code == 0
    token = (machine.data / "http.token").read_text().strip()
    assert "KARL_HTTP_TOKEN" in result.stdout
    assert token not in result.stdout
    text = machine.user_file.read_text()
    assert token not in text
    assert set(machine.hooked()) == {"SessionStart"}
    assert text.count(f"http://127.0.0.1:{port}/v1/events/claude-code") == len(EVENTS) - 1
    code, status = machine.status(KARL_HTTP_PORT=port)
    assert code == 1
    assert any("nothing listens" in problem for problem in status["problems"])
    machine.run("hooks", "install")
    assert set(machine.hooked()) == set(EVENTS)
    assert machine.status()[0] == 0


def test_the_token_is_never_shown_among_the_settings(machine: Machine) -> None:
    shown = machine.run("config", "--json", KARL_HTTP_TOKEN="a-token-of-mine-1234")
    assert "KARL_HTTP_TOKEN" in shown.stdout
    assert "a-token-of-mine-1234" not in shown.stdout


def _unused_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
