"""Codex's hooks: the line that its user trusted once, its own settings, and what it says of trust."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from karl.errors import Refused
from producers.agents import (
    AGENTS,
    CLAUDE,
    CODEX,
    CODEX_EVENTS,
    codex_files,
    codex_folder,
)
from producers.codex_trust import codex_status, hook_hash, read_config, trust_of
from producers.hook import hook_command, hook_url
from producers.install import apply, plan, status

COMMAND = hook_command(Path("/home/u/.karl/spool"), "codex")
#: A change of this line takes away the trust of everybody who has installed it: the hash is of its text.
GOLDEN = (
    ": karl-hook 1;s=/home/u/.karl/spool;"
    "case ${KARL_DISABLE:-0} in 0|[Ff][Aa][Ll][Ss][Ee]|[Nn][Oo]|[Oo][Ff][Ff])"
    '[ -e "$s/off" ]||[ -e "$s/full" ]||{ umask 077;set -C;f="$s/codex.$$";'
    'while [ -e "$f" ]|| ! true >"$f";do [ -e "$f" ]||exit 0;f="$f-";done;'
    'LC_ALL=C /bin/cat >>"$f"||:; } 2>/dev/null;esac;exit 0'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / ".codex"
    made.mkdir()
    return made


def put_in(file: Path, **options: Any) -> None:
    apply(plan(file, COMMAND, "install", data_dir=file.parent / "karl", agent=CODEX, **options))


def take_out(file: Path) -> None:
    apply(plan(file, COMMAND, "uninstall", data_dir=file.parent / "karl", agent=CODEX))


def trusted(file: Path, **instead: str) -> str:
    """Write what Codex writes when every hook of a file has been trusted."""
    lines = ["[hooks.state]"]
    for event, groups in json.loads(file.read_text())["hooks"].items():
        for at, group in enumerate(groups):
            for place, handler in enumerate(group["hooks"]):
                label = "".join(f"_{c.lower()}" if c.isupper() else c for c in event)[1:]
                known = instead.get(event, hook_hash(event, group.get("matcher"), handler))
                lines += [f'[hooks.state."{file}:{label}:{at}:{place}"]', f'trusted_hash = "{known}"']
    return "\n".join(lines) + "\n"


def test_the_command_line_is_the_one_that_was_trusted() -> None:
    assert COMMAND == GOLDEN


def test_every_event_of_codex_gets_the_hook_within_its_limits(folder: Path) -> None:
    file = folder / "hooks.json"
    put_in(file)
    hooks = json.loads(file.read_text())["hooks"]
    assert list(hooks) == list(CODEX_EVENTS)
    timeouts = {event: groups[0]["hooks"][0]["timeout"] for event, groups in hooks.items()}
    assert timeouts.pop("SessionEnd") == timeouts.pop("Interrupt") == 3
    assert set(timeouts.values()) == {5}
    assert {group["hooks"][0]["command"] for groups in hooks.values() for group in groups} == {COMMAND}


def test_hooks_of_others_keep_the_places_by_which_codex_knows_them(folder: Path) -> None:
    file = folder / "hooks.json"
    others = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "a"}]}]}}
    file.write_text(json.dumps(others, indent=2))
    before = file.read_bytes()
    put_in(file)
    assert json.loads(file.read_text())["hooks"]["Stop"][0] == others["hooks"]["Stop"][0]
    take_out(file)
    assert file.read_bytes() == before


def test_a_file_that_nobody_may_write_keeps_its_mode(folder: Path) -> None:
    file = folder / "hooks.json"
    file.write_text('{"hooks":{}}')
    file.chmod(0o444)
    put_in(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    take_out(file)
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ('{"hooks":{}}', 0o444)


def test_settings_are_where_codex_reads_them(tmp_path: Path) -> None:
    repository = tmp_path / "shop"
    inside = repository / "src" / "deep"
    inside.mkdir(parents=True)
    (repository / ".git").mkdir()
    files = codex_files({}, tmp_path / "home", inside)
    assert files["user"] == tmp_path / "home/.codex/hooks.json"
    assert files["project"] == repository / ".codex/hooks.json"
    moved = codex_files({"CODEX_HOME": str(tmp_path / "cfg")}, tmp_path, tmp_path)
    assert moved["user"] == tmp_path / "cfg/hooks.json"
    assert moved["project"] == tmp_path / ".codex/hooks.json"
    assert codex_folder({"CODEX_HOME": "~/x"}, tmp_path).is_absolute()


def test_codex_can_not_post(folder: Path) -> None:
    with pytest.raises(Refused, match="commands only"):
        put_in(folder / "hooks.json", url=hook_url(4517, "codex"))
    assert not (folder / "hooks.json").exists()


def test_claude_posts_all_but_the_start_of_a_session() -> None:
    url = hook_url(4517, "claude-code")
    handlers = CLAUDE.handlers(COMMAND, None, url)
    assert handlers["SessionStart"]["command"] == COMMAND
    posted = {event: handler for event, handler in handlers.items() if handler["type"] == "http"}
    assert set(handlers) - set(posted) == {"SessionStart"}
    assert {handler["url"] for handler in posted.values()} == {url}
    assert all("$KARL_HTTP_TOKEN" in handler["headers"]["Authorization"] for handler in posted.values())


def test_each_row_can_be_told_by_its_name() -> None:
    assert {name: agent.name for name, agent in AGENTS.items()} == {name: name for name in AGENTS}


def test_a_change_of_transport_changes_the_entries_in_their_place(folder: Path) -> None:
    file = folder / "settings.json"
    url = hook_url(4517, "claude-code")
    file.write_text(
        '{\n  "hooks": {"Stop": [{"matcher": "x", "hooks": [{"type": "command", "command": "a"}]}]}\n}'
    )
    data = folder / "karl"
    for address in (None, url, None):
        apply(plan(file, COMMAND, "install", data_dir=data, url=address))
        entry = json.loads(file.read_text())["hooks"]["Stop"][1]["hooks"][0]
        assert (entry.get("url"), entry.get("command")) == (address, None if address else COMMAND)
    once = file.read_bytes()
    apply(plan(file, COMMAND, "install", data_dir=data, url=url))
    apply(plan(file, COMMAND, "install", data_dir=data))
    assert file.read_bytes() == once


def test_hooks_that_post_are_current_only_at_the_port_that_is_set(folder: Path) -> None:
    file = folder / "settings.json"
    url = hook_url(4517, "claude-code")
    apply(plan(file, COMMAND, "install", data_dir=folder / "karl", url=url))
    for asked, expected in ((url, True), (hook_url(4518, "claude-code"), False), (None, False)):
        (seen,) = status({"user": file}, COMMAND, folder, url=asked).files
        assert (seen.installed, seen.posts) == (expected, True)


def test_the_hash_is_of_the_definition_with_its_keys_in_order() -> None:
    handler = {"timeout": 5, "command": "é", "type": "command", "statusMessage": "m", "unknown": 1}
    text = (
        '{"event_name":"pre_tool_use","hooks":[{"async":false,"command":"é","statusMessage":"m",'
        '"timeout":5,"type":"command"}],"matcher":"Bash"}'
    )
    import hashlib

    assert hook_hash("PreToolUse", "Bash", handler) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert hook_hash("Stop", "Bash", handler) == hook_hash("Stop", None, handler)
    assert hook_hash("Stop", None, {"command": "x"}) == hook_hash(
        "Stop", None, {"command": "x", "timeout": 600}
    )


def test_trust_is_told_event_by_event(folder: Path) -> None:
    file = folder / "hooks.json"
    file.write_text('{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "a"}]}]}}')
    put_in(file)
    config = trusted(file, PreToolUse="sha256:of-another-line")
    config = config.replace(
        f'[hooks.state."{file}:session_end:0:0"]', f'[hooks.state."{file}:session_end:0:0"]\nenabled = false'
    )
    config = config.replace(f"{file}:interrupt:0:0", f"{file}:interrupt:7:0")
    (folder / "config.toml").write_text(config)
    found = trust_of(file, json.loads(file.read_text()), read_config(folder / "config.toml"))
    special = {"PreToolUse": "another", "SessionEnd": "off", "Interrupt": "unseen"}
    assert found == {event: special.get(event, "trusted") for event in CODEX_EVENTS}


def test_a_folder_behind_a_link_is_known_by_both_names(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    put_in(link / "hooks.json")
    (folder / "config.toml").write_text(trusted(folder / "hooks.json"))
    seen = codex_status({"user": link / "hooks.json"}, link)
    assert set(seen.trust["user"].values()) == {"trusted"}


def test_nothing_is_trusted_where_codex_has_no_settings(folder: Path) -> None:
    put_in(folder / "hooks.json")
    seen = codex_status({"user": folder / "hooks.json", "project": folder / "none.json"}, folder)
    assert set(seen.trust["user"].values()) == {"unseen"}
    assert "project" not in seen.trust
    assert not seen.config.exists


@pytest.mark.parametrize(
    ("text", "switch", "inline", "ours"),
    [
        ("", None, (), False),
        ("[features]\nhooks = true\n", None, (), False),
        ("[features]\nhooks = false\n", "features.hooks", (), False),
        ("[features]\ncodex_hooks = false\n", "features.codex_hooks", (), False),
        ('[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype="command"\ncommand="x"\n', None, ("Stop",), False),
        (f"[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ncommand={json.dumps(COMMAND)}\n", None, ("Stop",), True),
        ("hooks = 3\nfeatures = [1]\n", None, (), False),
        ('[hooks]\nStop = "x"\nstate = 4\n', None, (), False),
    ],
)
def test_codex_settings_say_what_keeps_hooks_from_running(
    folder: Path, text: str, switch: str | None, *, inline: tuple[str, ...], ours: bool
) -> None:
    (folder / "config.toml").write_text(text)
    found = read_config(folder / "config.toml")
    assert (found.switched_off, found.inline, found.inline_ours) == (switch, inline, ours)
    assert found.problem is None


@pytest.mark.parametrize("data", [b"[features\n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_settings_that_codex_can_not_read_either_are_a_problem(folder: Path, data: bytes) -> None:
    (folder / "config.toml").write_bytes(data)
    problem = read_config(folder / "config.toml").problem
    assert problem is not None
    assert str(folder / "config.toml") in problem


def test_a_settings_file_that_is_a_folder_is_a_problem(folder: Path) -> None:
    (folder / "config.toml").mkdir()
    assert "can not be read" in str(read_config(folder / "config.toml").problem)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"hooks": 3}', '{"hooks": {"Stop": [3, {"hooks": [4]}]}}'])
def test_hooks_of_any_shape_are_looked_at_without_an_error(folder: Path, text: str) -> None:
    (folder / "hooks.json").write_text(text)
    assert not any(codex_status({"user": folder / "hooks.json"}, folder).trust.values())
    assert list(folder.iterdir()) == [folder / "hooks.json"]


def test_a_config_that_is_a_pipe_or_without_a_bottom_is_a_problem(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    assert "no file" in str(read_config(tmp_path / "config.toml").problem)
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000)
    assert read_config(tmp_path / "deep.toml").problem
    os.mkfifo(tmp_path / "hooks.json")
    assert codex_status({"user": tmp_path / "hooks.json"}, tmp_path).trust == {}
