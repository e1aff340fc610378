"""What the doctor sees of Codex's hook, and of hooks that post."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from producers.codex_trust import hook_hash
from tests.doctor.conftest import Home

QUICK = ("--no-probe",)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path)


def codex(home: Home) -> Path:
    assert home.karl("hooks", "install", "--agent", "codex").exit_code == 0
    return home.folder / "home" / ".codex" / "hooks.json"


def test_a_machine_without_codex_hears_nothing_of_it(home: Home) -> None:
    names = [check["name"] for check in home.installed().visit(*QUICK).told["checks"]]
    assert not [name for name in names if name.startswith("codex")]


def test_codex_without_the_hook_is_a_hint_and_a_failure_where_it_was_asked_for(home: Home) -> None:
    program = home.folder / "bin" / "codex"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = f"{program.parent}:/usr/bin:/bin"
    assert home.installed().visit(*QUICK, PATH=path)["hook/codex"]["verdict"] == "warn"
    assert home.visit(*QUICK, "--agent", "codex")["hook/codex"]["verdict"] == "fail"


def test_a_hook_that_codex_does_not_trust_is_named_and_one_that_it_trusts_is_fine(home: Home) -> None:
    file = codex(home)
    check = home.visit(*QUICK)["hook/codex"]
    assert (check["verdict"], "/hooks" in check["hint"]) == ("warn", True)
    lines = []
    for event, groups in json.loads(file.read_text())["hooks"].items():
        label = "".join(f"_{c.lower()}" if c.isupper() else c for c in event)[1:]
        known = hook_hash(event, None, groups[0]["hooks"][0])
        lines += [f'[hooks.state."{file}:{label}:0:0"]', f'trusted_hash = "{known}"']
    file.with_name("config.toml").write_text("\n".join(lines))
    check = home.visit(*QUICK)["hook/codex"]
    assert (check["verdict"], "12 of 12" in check["seen"]) == ("ok", True)


def test_switches_of_codex_and_a_hook_in_two_places_are_failures(home: Home) -> None:
    file = codex(home)
    command = json.loads(file.read_text())["hooks"]["Stop"][0]["hooks"][0]["command"]
    settings = (
        f"[features]\nhooks = false\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ncommand = {json.dumps(command)}\n"
    )
    file.with_name("config.toml").write_text(settings)
    visit = home.visit(*QUICK)
    assert "features.hooks" in visit["hook/codex switch"]["seen"]
    assert visit["hook/codex twice"]["verdict"] == "fail"


def test_hooks_that_post_need_somebody_who_listens(home: Home) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
        home.environ["KARL_HTTP_PORT"] = port
        assert home.karl("hooks", "install", "--transport", "http").exit_code == 0
        visit = home.visit(*QUICK)
        assert port in visit["hook/http"]["seen"]
        assert visit["hook/claude-code"]["verdict"] == "ok"
        listener.listen()
        assert "hook/http" not in home.visit(*QUICK).failing


def test_mending_keeps_hooks_that_post(home: Home) -> None:
    home.environ["KARL_HTTP_PORT"] = "4517"
    assert home.karl("hooks", "install", "--transport", "http").exit_code == 0
    home.hooks.write_text(home.hooks.read_text().replace(":4517/", ":4518/"))
    assert home.visit(*QUICK)["hook/claude-code"]["verdict"] == "fail"
    home.visit(*QUICK, "--fix")
    assert "http://127.0.0.1:4517/" in home.hooks.read_text()
    assert "4518" not in home.hooks.read_text()
