"""The installer: the hook goes in, works, and leaves no trace when it goes out."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from karl.errors import Refused
from producers import agents, hook_line, install
from producers.agents import CLAUDE, CODEX, EVENTS, OLD_EVENTS, Agent, events_for, settings_files
from producers.hook import hook_command, hook_url, is_ours
from producers.hook_line import find_program
from producers.install import apply, plan, status

COMMAND = hook_command(Path("/home/u/.karl/spool"), "claude-code")
URL = hook_url(4517, "claude-code")
OLDER = ": karl-hook 0;s=/old/spool;cat >$s/x"
OTHERS = {"type": "command", "command": "/usr/local/bin/notify done"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "karl"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".claude" / "settings.json"


def write(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def put_in(file: Path, data: Path, command: str = COMMAND, **options: Any) -> None:
    apply(plan(file, command, "install", data_dir=data, **options))


def take_out(file: Path, data: Path) -> None:
    apply(plan(file, COMMAND, "uninstall", data_dir=data))


def commands(file: Path) -> dict[str, list[str]]:
    hooks = json.loads(file.read_text("utf-8-sig")).get("hooks", {})
    return {event: [e.get("command") for g in groups for e in g["hooks"]] for event, groups in hooks.items()}


def test_the_hook_goes_in_for_every_event_of_the_table(file: Path, data: Path) -> None:
    put_in(file, data)
    assert commands(file) == {event: [COMMAND] for event in EVENTS}
    entry = json.loads(file.read_text())["hooks"]["PreToolUse"][0]
    assert entry == {"hooks": [{"type": "command", "command": COMMAND, "timeout": 5}]}


def test_events_that_would_change_or_flood_the_agent_are_never_subscribed() -> None:
    never = {
        "MessageDisplay",
        "WorktreeCreate",
        "Elicitation",
        "ElicitationResult",
        "FileChanged",
        "PostToolBatch",
    }
    assert never.isdisjoint(EVENTS)
    assert set(OLD_EVENTS) < set(EVENTS)


def test_what_was_installed_runs_and_fills_the_spool(tmp_path: Path, file: Path, data: Path) -> None:
    spool = tmp_path / "it's a $spool"
    spool.mkdir()
    put_in(file, data, hook_command(spool, "claude-code", find_program("cat")))
    command = json.loads(file.read_text())["hooks"]["Stop"][0]["hooks"][0]["command"]
    done = subprocess.run(["/bin/sh", "-c", command], input=b"{}", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert [path.read_bytes() for path in spool.iterdir()] == [b"{}"]


def test_a_plan_changes_nothing_and_shows_the_difference(file: Path, data: Path) -> None:
    write(file, '{\n  "model": "opus"\n}')
    made = plan(file, COMMAND, "install", data_dir=data)
    assert made.changed
    assert file.read_text() == '{\n  "model": "opus"\n}'
    assert not data.exists()
    assert '-  "model": "opus"\n+  "model": "opus",\n' in made.diff
    assert "\\ No newline at end of file" in made.diff


def test_installing_twice_changes_nothing(file: Path, data: Path) -> None:
    write(file, "{}")
    put_in(file, data)
    once = file.read_bytes()
    again = plan(file, COMMAND, "install", data_dir=data)
    assert not again.changed
    assert again.diff == ""
    apply(again)
    assert file.read_bytes() == once


def test_uninstalling_what_was_never_installed_changes_nothing(file: Path, data: Path) -> None:
    assert not plan(file, COMMAND, "uninstall", data_dir=data).changed
    write(file, '{"hooks": {"Stop": []}}')
    assert not plan(file, COMMAND, "uninstall", data_dir=data).changed


def test_hooks_of_others_keep_their_place_and_their_order(file: Path, data: Path) -> None:
    mine = {
        "model": "opus",
        "hooks": {"Stop": [{"hooks": [OTHERS]}], "Notification": [{"hooks": [OTHERS]}]},
        "env": {"A": "b"},
    }
    write(file, json.dumps(mine, indent=4))
    put_in(file, data)
    after = json.loads(file.read_text())
    assert list(after) == ["model", "hooks", "env"]
    assert list(after["hooks"])[:2] == ["Stop", "Notification"]
    assert after["hooks"]["Stop"][0] == {"hooks": [OTHERS]}
    assert commands(file)["Stop"] == [OTHERS["command"], COMMAND]
    assert commands(file)["Notification"] == [OTHERS["command"]]


def test_the_style_of_the_file_is_kept(file: Path, data: Path) -> None:
    write(file, '{\r\n\t"model": "opus"\r\n}\r\n')
    put_in(file, data)
    text = file.read_bytes().decode()
    assert text.startswith('{\r\n\t"model": "opus",\r\n\t"hooks": {\r\n\t\t"SessionStart": [\r\n\t\t\t{\r\n')
    assert text.endswith("\r\n\t}\r\n}\r\n")
    assert text.count("\n") == text.count("\r\n")


@pytest.mark.parametrize(
    "content", ['{"a":1}', '{"a": 1}', '{"hooks":{"Stop":[]},"a":1}', '{"a": {}, "hooks": {}}']
)
def test_a_file_on_one_line_stays_on_one_line(file: Path, data: Path, content: str) -> None:
    write(file, content)
    put_in(file, data)
    text = file.read_text()
    assert "\n" not in text
    assert ('": ' in text.replace(json.dumps(COMMAND), '""')) is ('": ' in content)
    take_out(file, data)
    assert file.read_text() == content


def test_an_older_hook_is_replaced_in_place(file: Path, data: Path) -> None:
    write(file, json.dumps({"hooks": {"Stop": [{"hooks": [OTHERS]}]}}, indent=2))
    put_in(file, data, OLDER)
    old = file.read_text()
    put_in(file, data)
    assert file.read_text() == old.replace(json.dumps(OLDER), json.dumps(COMMAND))


def test_an_older_hook_on_an_event_that_is_not_wanted_any_more_goes(file: Path, data: Path) -> None:
    put_in(file, data, OLDER, events=("Stop", "MessageDisplay"))
    put_in(file, data)
    assert commands(file) == {event: [COMMAND] for event in EVENTS}


def test_a_hook_that_is_there_twice_becomes_one(file: Path, data: Path) -> None:
    twice = [
        {"hooks": [{"type": "command", "command": OLDER}, OTHERS]},
        {"hooks": [{"type": "command", "command": COMMAND}]},
    ]
    write(file, json.dumps({"hooks": {"Stop": twice}}, indent=2))
    put_in(file, data)
    assert commands(file)["Stop"] == [COMMAND, OTHERS["command"]]


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "{}\n",
        "{ }",
        "{\n}\n",
        "",
        "\n",
        ' {"hooks" : { } }',
        '{"hooks": {"Stop": [ ]}}',
        '\ufeff{"a": 1}\r\n',
        '{\n\n  "a": [\n1]}',
    ],
)
def test_uninstalling_gives_back_the_bytes_of_before(file: Path, data: Path, content: str) -> None:
    write(file, content)
    put_in(file, data)
    assert set(commands(file)) == set(EVENTS)
    take_out(file, data)
    assert file.read_bytes() == content.encode()
    assert not any((data / "hooks").iterdir())


def test_uninstalling_removes_the_file_and_the_folder_that_installing_made(file: Path, data: Path) -> None:
    file.parent.parent.mkdir()
    put_in(file, data)
    assert file.exists()
    take_out(file, data)
    assert not file.exists()
    assert not file.parent.exists()


def test_a_folder_that_was_there_or_is_used_since_stays(file: Path, data: Path) -> None:
    file.parent.mkdir(parents=True)
    put_in(file, data)
    take_out(file, data)
    assert file.parent.exists()
    file.parent.rmdir()
    put_in(file, data)
    (file.parent / "agents.md").write_text("")
    take_out(file, data)
    assert list(file.parent.iterdir()) == [file.parent / "agents.md"]


def test_the_way_back_survives_an_upgrade(file: Path, data: Path) -> None:
    write(file, '{"hooks": { } }')
    put_in(file, data, OLDER)
    put_in(file, data)
    take_out(file, data)
    assert file.read_text() == '{"hooks": { } }'


def test_two_files_with_the_same_content_find_their_own_way_back(tmp_path: Path, data: Path) -> None:
    one, other = tmp_path / "one.json", write(tmp_path / "other.json", "{}")
    put_in(one, data)
    put_in(other, data)
    take_out(one, data)
    take_out(other, data)
    assert not one.exists()
    assert other.read_text() == "{}"


def test_edits_made_since_are_kept_byte_for_byte(file: Path, data: Path) -> None:
    before = '{\n  "model": "opus",\n  "hooks": {\n    "Stop": [{"hooks": [{"type": "command", "command": "x"}]}]\n  }\n}\n'
    write(file, before)
    put_in(file, data)
    edited = file.read_text().replace('"opus"', '"sonnet",\n  "theme" :  "dark"')
    write(file, edited)
    take_out(file, data)
    assert file.read_text() == before.replace('"opus"', '"sonnet",\n  "theme" :  "dark"')


def test_a_hook_that_the_user_moved_into_a_group_of_his_own_is_found(file: Path, data: Path) -> None:
    ours = {"type": "command", "command": COMMAND, "timeout": 9}
    write(file, json.dumps({"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [OTHERS, ours, OTHERS]}]}}))
    take_out(file, data)
    assert file.read_text() == json.dumps(
        {"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [OTHERS, OTHERS]}]}}
    )


def test_uninstalling_without_a_record_still_removes_all_of_ours_and_only_that(
    file: Path, data: Path, tmp_path: Path
) -> None:
    before = json.dumps(
        {"hooks": {"Stop": [{"hooks": [OTHERS]}], "X": []}, "a": [1, {"b": "é"}]},
        indent=3,
        ensure_ascii=False,
    )
    write(file, before)
    put_in(file, data)
    take_out(file, tmp_path / "another data folder")
    assert file.read_text() == before


def test_a_damaged_record_is_not_followed(file: Path, data: Path) -> None:
    write(file, '{\n  "a": 1\n}')
    put_in(file, data)
    (record,) = (data / "hooks").iterdir()
    for damage in (b"", b"{", b"[]", b"{}", record.read_bytes().replace(b'"edits": [[', b'"edits": [["x", ')):
        record.write_bytes(damage)
        assert plan(file, COMMAND, "uninstall", data_dir=data).after == b'{\n  "a": 1\n}'


def test_the_record_holds_no_secret_of_the_settings_and_is_private(file: Path, data: Path) -> None:
    for content in (
        '{"env": {"TOKEN": "s3cret"}, "hooks": {"Stop": []}, "z": "s3cret"}',
        '{\n "env": {"TOKEN": "s3cret"}\n}',
    ):
        write(file, content)
        put_in(file, data)
        (record,) = (data / "hooks").iterdir()
        assert b"s3cret" not in record.read_bytes()
        assert stat.S_IMODE(record.stat().st_mode) == 0o600
        take_out(file, data)
        assert file.read_text() == content


def test_mode_is_kept_and_a_new_file_is_private(file: Path, data: Path, tmp_path: Path) -> None:
    write(file, "{}").chmod(0o640)
    put_in(file, data)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    put_in(tmp_path / "new.json", data)
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o600


def test_owner_is_kept_when_root_installs_for_somebody(file: Path, data: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(write(file, "{}"), 1234, 1235)
    put_in(file, data)
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1235)


def test_a_link_stays_a_link_and_its_target_is_edited(file: Path, data: Path, tmp_path: Path) -> None:
    target = write(tmp_path / "dotfiles" / "claude.json", '{"a": 1}')
    file.parent.mkdir(parents=True)
    file.symlink_to(target)
    put_in(file, data)
    assert file.is_symlink()
    assert set(commands(target)) == set(EVENTS)
    take_out(file, data)
    assert file.is_symlink()
    assert target.read_text() == '{"a": 1}'


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    file: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, "{}")
    made = plan(file, COMMAND, "install", data_dir=data)

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(install.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        apply(made)
    assert file.read_text() == "{}"
    assert [path.name for path in file.parent.iterdir()] == ["settings.json"]


def test_a_file_that_changed_since_the_plan_is_refused(file: Path, data: Path) -> None:
    made = plan(file, COMMAND, "install", data_dir=data)
    write(file, '{"model": "opus"}')
    with pytest.raises(Refused, match="changed meanwhile"):
        apply(made)
    assert file.read_text() == '{"model": "opus"}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{\n  // mine\n  "a": 1\n}', "line 2, column 3: a comment"),
        ('{"a": 1, /* x */ "b": 2}', "line 1, column 10: a comment"),
        ('{\n  "a": 1,\n}', r"line (2|3), column \d+: not JSON"),
        ('{"a": 1', "line 1, column 8: not JSON"),
        ('{"a": NaN}', "not plain JSON: NaN"),
        ("[" * 100_000, "not plain JSON"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        ("[]", "must be a JSON object"),
        ('"text"', "must be a JSON object"),
        ('{"hooks": []}', '"hooks" must be an object'),
        ('{"hooks": null}', '"hooks" must be an object'),
        ('{"hooks": {"Stop": {}}}', "hooks.Stop must be a list"),
        ('{"hooks": {"Stop": [{"type": "command"}]}}', r"hooks.Stop\[0\] must be an object with a list"),
        ('{"hooks": {"Stop": ["x"]}}', r"hooks.Stop\[0\] must be an object with a list"),
        ('{"hooks": {}, "hooks": {}}', '"hooks" stands there twice'),
        ('{"hooks": {"Stop": [], "Stop": []}}', '"Stop" stands there twice'),
    ],
)
def test_what_can_not_be_edited_with_certainty_is_refused(
    file: Path, data: Path, content: str | bytes, message: str
) -> None:
    write(file, content)
    before = file.read_bytes()
    with pytest.raises(Refused, match=message) as refusal:
        plan(file, COMMAND, "install", data_dir=data)
    assert str(file) in str(refusal.value)
    assert file.read_bytes() == before


def test_the_mistakes_of_others_do_not_keep_us_from_leaving(file: Path, data: Path) -> None:
    ours = json.dumps({"hooks": [{"type": "command", "command": COMMAND}]})
    write(file, f'{{"hooks": {{"Stop": [{ours}], "PreToolUse": "x", "Y": [3, {{"hooks": 4}}], "Z": {{}}}}}}')
    take_out(file, data)
    assert file.read_text() == '{"hooks": {"PreToolUse": "x", "Y": [3, {"hooks": 4}], "Z": {}}}'


def test_an_old_agent_is_given_only_events_that_it_knows() -> None:
    assert events_for((2, 1, 100)) == OLD_EVENTS
    assert events_for((2, 1, 101)) == EVENTS
    assert events_for((3, 0, 0)) == EVENTS
    assert events_for(None) == EVENTS


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo '2.1.114 (Claude Code)'", (2, 1, 114)),
        ("echo oops", None),
        ("exit 3", None),
        ("exec tail -f /dev/null", None),
    ],
)
def test_the_agent_is_asked_for_its_version(
    tmp_path: Path, script: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert agents.claude_version(timeout_s=0.2 if "tail" in script else 20) == expected


def test_an_agent_that_is_not_there_has_no_version() -> None:
    assert agents.claude_version("no-such-agent") is None


def test_settings_are_where_the_agent_reads_them(tmp_path: Path) -> None:
    files = settings_files({}, tmp_path / "home", tmp_path / "work")
    assert files["user"] == tmp_path / "home/.claude/settings.json"
    assert files["project"] == tmp_path / "work/.claude/settings.json"
    assert files["local"] == tmp_path / "work/.claude/settings.local.json"
    moved = settings_files({"CLAUDE_CONFIG_DIR": str(tmp_path / "cfg")}, tmp_path, tmp_path)
    assert moved["user"] == tmp_path / "cfg/settings.json"


def test_cat_is_absolute_and_its_absence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(find_program("cat")).is_absolute()
    monkeypatch.setattr(hook_line.shutil, "which", lambda name, path=None: None)
    with pytest.raises(Refused, match="no `cat`"):
        find_program("cat")


def look(file: Path, spool: Path) -> tuple[install.FileStatus, install.SpoolStatus]:
    seen = status({"user": file}, COMMAND, spool)
    return seen.files[0], seen.spool


def test_status_of_nothing(file: Path, tmp_path: Path) -> None:
    seen, spool = look(file, tmp_path / "spool")
    assert (seen.exists, seen.installed, seen.problem, seen.disabled_by) == (False, False, None, ())
    assert set(seen.events.values()) == {"missing"}
    assert (spool.exists, spool.writable, spool.private, spool.off, spool.full) == (
        False,
        False,
        False,
        False,
        False,
    )


def test_status_of_an_installed_hook(file: Path, data: Path, tmp_path: Path) -> None:
    put_in(file, data)
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o700)
    seen, spool = look(file, folder)
    assert seen.exists
    assert seen.installed
    assert (spool.exists, spool.writable, spool.private) == (True, True, True)


def test_status_tells_an_outdated_hook_from_a_missing_one(file: Path, data: Path, tmp_path: Path) -> None:
    put_in(file, data, OLDER, events=("Stop",))
    seen, _ = look(file, tmp_path)
    assert not seen.installed
    assert seen.events["Stop"] == "outdated"
    assert seen.events["SessionEnd"] == "missing"


@pytest.mark.parametrize("switch", ["disableAllHooks", "allowManagedHooksOnly"])
def test_status_sees_what_keeps_hooks_from_running(file: Path, tmp_path: Path, switch: str) -> None:
    write(file, json.dumps({switch: True}))
    assert look(file, tmp_path)[0].disabled_by == (switch,)
    write(file, json.dumps({switch: False}))
    assert look(file, tmp_path)[0].disabled_by == ()


def test_status_of_a_broken_file_is_a_problem_and_not_an_error(file: Path, tmp_path: Path) -> None:
    write(file, "{")
    seen, _ = look(file, tmp_path)
    assert seen.exists
    assert not seen.installed
    assert seen.problem is not None
    assert "line 1" in seen.problem


def test_status_of_a_spool_that_this_user_may_not_enter(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(install.Path, "is_dir", refuse)
    _, spool = look(file, tmp_path)
    assert (spool.exists, spool.writable) == (True, False)


def test_status_sees_the_flags_and_a_loose_spool(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "off").touch()
    (folder / "full").touch()
    _, spool = look(file, folder)
    assert (spool.private, spool.off, spool.full) == (False, True, True)


_leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
_json = st.recursive(
    _leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_entry = st.fixed_dictionaries(
    {"type": st.just("command"), "command": st.text(max_size=12)}, optional={"timeout": st.integers(1, 99)}
)
_group = st.fixed_dictionaries(
    {"hooks": st.lists(_entry, max_size=2)}, optional={"matcher": st.sampled_from(["Bash", "*", "", 'a"b\\'])}
)
_hooks = st.dictionaries(
    st.sampled_from([*EVENTS, "Interrupt", "Notification", "Ünknown"]),
    st.lists(_group, max_size=2),
    max_size=4,
)
_document = st.tuples(
    st.dictionaries(st.text(max_size=6).filter(lambda key: key != "hooks"), _json, max_size=3),
    st.none() | _hooks,
    st.booleans(),
).map(
    lambda parts: (
        parts[0]
        if parts[1] is None
        else ({"hooks": parts[1], **parts[0]} if parts[2] else {**parts[0], "hooks": parts[1]})
    )
)


def _first_member(more: str) -> Callable[[str], str]:
    """Write a member before all others, as json.dumps never would."""
    return lambda text: "{" + more + ("" if text[1:].lstrip().startswith("}") else ",") + text[1:]


_nasty = st.sampled_from(
    [
        lambda text: text,
        lambda text: text.replace('"hooks"', '"h\\u006foks"'),
        lambda text: text.replace('"Stop"', '"\\u0053top"'),
        lambda text: text.replace('"command"', '"comman\\u0064"'),
        _first_member('"n": 1e999, "m": -0.0, "k": ' + "9" * 400),
        _first_member('"twice": 1, "twice": {"twice": 2, "twice": []}'),
        _first_member('"text": "// no comment /* here */ \\ud800 \\u0000"'),
        _first_member('\t"deep":' + "[" * 40 + "]" * 40 + " "),
    ]
)


@st.composite
def _texts(draw: st.DrawFn) -> str:
    indent = draw(st.sampled_from([None, 0, 1, 2, 4, "\t"]))
    separators = draw(st.sampled_from([None, (",", ":"), (" , ", " : "), (",", ": ")]))
    text = json.dumps(draw(_document), indent=indent, separators=separators, ensure_ascii=draw(st.booleans()))
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n", "\n\n"])))
    text = draw(_nasty)(text)
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = text.encode("utf-8", "replace").decode()
    return (
        draw(st.sampled_from(["", "\ufeff", " \n"]))
        + text
        + draw(st.sampled_from(["", "\n", "\r\n", " \n\n"]))
    )


_often = hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_often
@given(
    text=_texts(),
    agent=st.sampled_from([CLAUDE, CODEX]),
    versions=st.lists(st.tuples(st.sampled_from([OLDER, COMMAND]), st.booleans()), min_size=1, max_size=3),
)
def test_any_settings_come_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, text: str, agent: Agent, versions: list[tuple[str, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = write(folder / "settings.json", text)
    for command, posts in versions:
        url = URL if posts and agent.posts else None
        put_in(file, folder / "karl", command, agent=agent, url=url)
    hooks = json.loads(file.read_text("utf-8-sig"))["hooks"]
    for event, handler in agent.handlers(command, None, url).items():
        entries = [entry for group in hooks[event] for entry in group["hooks"]]
        ours = [e for e in entries if is_ours(e.get("command")) or is_ours(e.get("url"))]
        assert [{**entry, "timeout": handler["timeout"]} for entry in ours] == [handler]
    assert not plan(file, command, "install", data_dir=folder / "karl", agent=agent, url=url).changed
    take_out(file, folder / "karl")
    assert file.read_bytes() == text.encode()


@_often
@given(text=_texts(), edited=st.booleans())
def test_any_settings_keep_what_is_not_ours_without_a_record(
    tmp_path_factory: pytest.TempPathFactory, text: str, edited: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = write(folder / "settings.json", text)
    put_in(file, folder / "karl")
    added = '{"edited since": [1 , 2],'
    if edited and json.loads(text.lstrip("\ufeff")):
        text = text.replace("{", added, 1)
        write(file, file.read_bytes().decode().replace("{", added, 1))
    take_out(file, folder / "elsewhere")
    assert _without_empties(json.loads(file.read_text("utf-8-sig"))) == _without_empties(
        json.loads(text.lstrip("\ufeff"))
    )
    hooks = json.loads(text.lstrip("\ufeff")).get("hooks")
    if hooks and all(hooks.values()):  # nothing of the user's was empty, so nothing could be taken for ours
        assert file.read_bytes() == text.encode()


def _without_empties(settings: dict[str, Any]) -> dict[str, Any]:
    hooks = {event: groups for event, groups in settings.get("hooks", {}).items() if groups}
    rest = [(key, value) for key, value in settings.items() if key != "hooks"]
    return dict([*rest, ("hooks", hooks)] if hooks else rest)


def test_a_file_that_is_no_file_is_refused_at_once(file: Path, data: Path) -> None:
    file.parent.mkdir(parents=True)
    os.mkfifo(file)
    with pytest.raises(Refused, match="no file"):
        put_in(file, data)
    assert stat.S_ISFIFO(file.stat().st_mode)
    found = status({"user": file}, COMMAND, data / "spool").files[0]
    assert "no file" in str(found.problem)


def test_links_in_a_circle_are_an_error_of_the_system_with_the_file_s_name(file: Path, data: Path) -> None:
    file.parent.mkdir(parents=True)
    file.symlink_to(file.name)
    with pytest.raises(OSError, match="symbolic links") as caught:
        put_in(file, data)
    assert str(caught.value.filename) == str(file)


def test_a_file_of_two_names_is_refused_rather_than_parted(file: Path, data: Path, tmp_path: Path) -> None:
    target = write(tmp_path / "dotfiles" / "claude.json", '{"a": 1}')
    file.parent.mkdir(parents=True)
    file.hardlink_to(target)
    with pytest.raises(Refused, match="hard links"):
        put_in(file, data)
    assert file.samefile(target)
    assert target.read_text() == '{"a": 1}'


def test_a_file_that_has_become_a_link_meanwhile_is_left_alone(
    file: Path, data: Path, tmp_path: Path
) -> None:
    made = plan(write(file, "{}"), COMMAND, "install", data_dir=data)
    file.unlink()
    file.symlink_to(write(tmp_path / "real.json", "{}"))
    with pytest.raises(Refused, match="meanwhile"):
        apply(made)
    assert file.is_symlink()
    assert file.read_text() == "{}"


def test_extended_attributes_are_kept(file: Path, data: Path) -> None:
    write(file, "{}")
    try:
        os.setxattr(file, "user.note", b"mine")
    except (OSError, AttributeError):
        pytest.skip("no extended attributes here")
    put_in(file, data)
    assert os.getxattr(file, "user.note") == b"mine"


@pytest.mark.parametrize("levels", [100, 300, 980, 5000])
def test_settings_deeper_than_can_be_edited_are_refused_whatever_calls(
    file: Path, data: Path, levels: int
) -> None:
    text = '{"a": ' + "[" * levels + "]" * levels + "}"
    write(file, text)
    with pytest.raises(Refused):
        put_in(file, data)
    assert file.read_text() == text


def test_brackets_in_words_are_no_levels(file: Path, data: Path) -> None:
    text = json.dumps({"a": "[{" * 500, 'b"[': ["\\", "[" * 200]})
    write(file, text)
    put_in(file, data)
    take_out(file, data)
    assert file.read_text() == text
