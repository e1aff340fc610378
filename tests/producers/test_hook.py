"""The hook under real shells: it must keep every event, and never be noticed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from karl.errors import SettingsError
from karl.settings import read_settings
from producers.hook import VERSION, hook_command, is_ours

EVENT = b'{"hook_event_name":"Stop","session_id":"s1"}'

#: Every shell of this machine that an agent may run the line with; `sh` is always there.
SHELLS = {
    name: [path, *extra]
    for name, extra in {"sh": [], "dash": [], "bash": [], "zsh": [], "ksh": [], "busybox": ["sh"]}.items()
    if (path := shutil.which(name))
}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    return SHELLS[request.param]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def run(
    command: str,
    payload: bytes | None = EVENT,
    *,
    shell: list[str] | None = None,
    preexec: Callable[[], None] | None = None,
    **environ: str,
) -> None:
    """Run the line as an agent does, and insist that nobody could have noticed."""
    done = subprocess.run(
        [*(shell or ["/bin/sh"]), "-c", command],
        input=payload,
        stdin=subprocess.DEVNULL if payload is None else None,
        capture_output=True,
        env={"PATH": os.environ["PATH"], **environ},
        preexec_fn=preexec,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def events(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir()) if re.search(r"\.\d+-*$", path.name)]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "waited 30 s in vain"
        pause.wait(0.005)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can write to, not even root (who ignores modes)."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    mounted = os.geteuid() == 0 and _mount("tmpfs", folder, "ro")
    if not mounted:
        if os.geteuid() == 0:
            pytest.skip("root ignores modes, and mounting is not allowed here")
        folder.chmod(0o500)
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)
    else:
        folder.chmod(0o700)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, mounted on a folder."""
    folder = tmp_path / "small"
    folder.mkdir()
    if not _mount("tmpfs", folder, "size=64k"):
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _mount(kind: str, folder: Path, options: str) -> bool:
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        return False
    argv = [mount, "-t", kind, "-o", options, kind, str(folder)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_every_shell_keeps_the_event_as_it_came(shell: list[str], spool: Path) -> None:
    run(hook_command(spool, "claude-code"), shell=shell)
    assert events(spool) == [EVENT]
    (path,) = spool.iterdir()
    assert re.fullmatch(r"claude-code\.\d+", path.name)


def test_what_the_user_typed_is_for_the_owner_alone(shell: list[str], spool: Path) -> None:
    run(hook_command(spool, "codex"), shell=shell)
    (path,) = spool.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "it's",
        'a"quote',
        "$HOME",
        "`id`",
        "$(id)",
        "a;b&c|d",
        "back\\slash",
        "né-日本",
        "-n",
        "a\nb",
        "*",
        "~",
        "!x",
    ],
)
def test_a_spool_path_may_hold_any_character(shell: list[str], tmp_path: Path, name: str) -> None:
    spool = tmp_path / name
    spool.mkdir()
    run(hook_command(spool, "claude-code"), shell=shell)
    assert events(spool) == [EVENT]


@pytest.mark.parametrize(
    "payload", [b"", b"\x00\xff\xfe\n\r\x1a", b"not json", b"\n" * 70_000, b'{"a":1}\n\n']
)
def test_any_bytes_arrive_unchanged(shell: list[str], spool: Path, payload: bytes) -> None:
    run(hook_command(spool, "claude-code"), payload, shell=shell)
    assert events(spool) == [payload]


def test_a_payload_of_20_mb_arrives_whole(shell: list[str], spool: Path) -> None:
    payload = json.dumps({"text": "x" * 20_000_000}).encode()
    run(hook_command(spool, "claude-code"), payload, shell=shell)
    assert events(spool) == [payload]


def test_forty_hooks_at_once_do_not_mix_their_events(spool: Path) -> None:
    payloads = [json.dumps({"n": n, "text": chr(97 + n % 26) * 1_000_000}).encode() for n in range(40)]
    command = hook_command(spool, "claude-code")
    with ThreadPoolExecutor(40) as pool:
        list(pool.map(lambda payload: run(command, payload), payloads))
    assert sorted(events(spool)) == sorted(payloads)


def test_a_taken_name_is_never_written_to(shell: list[str], spool: Path) -> None:
    """The same process id comes again: after a wrap-around, or from another container on this folder."""
    command = hook_command(spool, "claude-code")
    before = f'echo first >"{spool}/claude-code.$$"; echo second >"{spool}/claude-code.$$-"; '
    run(before + command, shell=shell)
    assert events(spool) == [b"first\n", b"second\n", EVENT]
    assert sorted(path.name.count("-") for path in spool.iterdir()) == [1, 2, 3]


def test_hooks_with_one_process_id_race_for_a_name_and_all_win(shell: list[str], spool: Path) -> None:
    # `$$` stays the parent's in a subshell, which makes as many hooks with one id as we like.
    command = hook_command(spool, "claude-code")
    race = "".join(f"(printf %s '{{\"n\":{n}}}' | ({command})) & " for n in range(20)) + "wait"
    run(race, shell=shell)
    assert sorted(json.loads(event)["n"] for event in events(spool)) == list(range(20))


def test_a_planted_pipe_does_not_hold_the_agent_up(shell: list[str], spool: Path) -> None:
    run(f'mkfifo "{spool}/claude-code.$$"; ' + hook_command(spool, "claude-code"), shell=shell)
    assert [path.read_bytes() for path in spool.iterdir() if path.is_file()] == [EVENT]


def test_without_a_spool_folder_nothing_happens(shell: list[str], tmp_path: Path) -> None:
    run(hook_command(tmp_path / "removed", "claude-code"), shell=shell)
    assert list(tmp_path.iterdir()) == []


def test_a_spool_path_below_a_file_is_no_obstacle(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run(hook_command(tmp_path / "file" / "spool", "claude-code"), shell=shell)
    run(hook_command(tmp_path / "file", "claude-code"), shell=shell)


def test_a_read_only_spool_is_no_obstacle(shell: list[str], read_only: Path) -> None:
    run(hook_command(read_only, "claude-code"), shell=shell)
    assert list(read_only.iterdir()) == []


def test_a_full_disk_is_no_obstacle_and_leaves_a_beginning_that_does_not_parse(
    shell: list[str], full_disk: Path
) -> None:
    payload = json.dumps({"text": "x" * 200_000}).encode()
    run(hook_command(full_disk, "claude-code"), payload, shell=shell)
    (kept,) = events(full_disk)
    assert len(kept) < len(payload)
    assert payload.startswith(kept)
    with pytest.raises(ValueError):
        json.loads(kept)


def test_a_limit_on_file_sizes_is_no_obstacle(shell: list[str], spool: Path) -> None:
    """The kernel kills `cat` here, and shells like to tell of a killed child."""
    payload = b'{"text":"' + b"x" * 200_000 + b'"}'

    def limit() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    run(hook_command(spool, "claude-code"), payload, shell=shell, preexec=limit)
    assert events(spool) == [payload[:8192]]


def test_no_file_handle_left_is_no_obstacle(shell: list[str], spool: Path) -> None:
    run("ulimit -n 10; " + hook_command(spool, "claude-code"), shell=shell)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_obstacle(shell: list[str], spool: Path, closed: str) -> None:
    run(f"exec {closed}; " + hook_command(spool, "claude-code"), shell=shell)
    assert len(events(spool)) == 1
    assert events(spool) == [b"" if closed.startswith("<") else EVENT]


def test_a_full_standard_output_is_no_obstacle(shell: list[str], spool: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    run("exec >/dev/full 2>/dev/full; " + hook_command(spool, "claude-code"), shell=shell)
    assert events(spool) == [EVENT]


def test_a_missing_cat_is_no_obstacle(shell: list[str], spool: Path) -> None:
    run(hook_command(spool, "claude-code", cat="/nowhere/cat"), shell=shell)


def test_an_empty_search_path_and_a_strange_field_separator_are_no_obstacle(
    shell: list[str], spool: Path
) -> None:
    run(hook_command(spool, "claude-code"), shell=shell, PATH="", IFS="/")
    assert events(spool) == [EVENT]


@pytest.mark.parametrize("option", ["errexit", "nounset", "noclobber", "noglob"])
def test_shell_options_of_the_environment_are_no_obstacle(shell: list[str], spool: Path, option: str) -> None:
    run(f"set -o {option}; " + hook_command(spool, "claude-code"), shell=shell)
    assert events(spool) == [EVENT]
    run(f"set -o {option}; " + hook_command(spool / "none", "claude-code"), shell=shell)
    run(f"set -o {option}; " + hook_command(spool, "claude-code", cat="/nowhere/cat"), shell=shell)


@pytest.mark.parametrize("flag", ["off", "full"])
def test_a_flag_in_the_spool_silences_the_hook(shell: list[str], spool: Path, flag: str) -> None:
    (spool / flag).touch()
    run(hook_command(spool, "claude-code"), shell=shell)
    assert events(spool) == []


@pytest.mark.parametrize("value", ["", "0", "false", "No", "OFF", "1", "true", "Yes", "ON"])
def test_the_hook_and_the_settings_agree_on_what_karl_disable_means(
    shell: list[str], spool: Path, value: str
) -> None:
    run(hook_command(spool, "claude-code"), shell=shell, KARL_DISABLE=value)
    assert (events(spool) == []) is read_settings({"KARL_DISABLE": value}).disable


def test_a_karl_disable_that_the_settings_refuse_silences_the_hook(shell: list[str], spool: Path) -> None:
    with pytest.raises(SettingsError):
        read_settings({"KARL_DISABLE": "please"})
    run(hook_command(spool, "claude-code"), shell=shell, KARL_DISABLE="please")
    assert events(spool) == []


def test_a_hook_killed_half_way_leaves_a_beginning_that_does_not_parse(shell: list[str], spool: Path) -> None:
    with subprocess.Popen(
        [*shell, "-c", hook_command(spool, "claude-code")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as hook:
        assert hook.stdin is not None
        hook.stdin.write(b'{"text":"' + b"x" * 300_000)
        hook.stdin.flush()
        wait_until(lambda: any(path.stat().st_size > 0 for path in spool.iterdir()))
        os.killpg(hook.pid, signal.SIGKILL)
        out, err = hook.communicate()
    assert (out, err) == (b"", b"")
    (kept,) = events(spool)
    with pytest.raises(ValueError):
        json.loads(kept)


def test_a_cat_killed_half_way_is_not_noticed(shell: list[str], spool: Path, tmp_path: Path) -> None:
    suicide = tmp_path / "cat"
    suicide.write_text("#!/bin/sh\nprintf half\nkill -9 $$\n")
    suicide.chmod(0o755)
    run(hook_command(spool, "claude-code", cat=str(suicide)), shell=shell)
    assert events(spool) == [b"half"]


def test_an_agent_that_goes_away_ends_the_hook(shell: list[str], spool: Path) -> None:
    with subprocess.Popen([*shell, "-c", hook_command(spool, "claude-code")], stdin=subprocess.PIPE) as hook:
        assert hook.stdin is not None
        hook.stdin.write(b'{"half":')
        hook.stdin.close()
        assert hook.wait(30) == 0
    assert events(spool) == [b'{"half":']


@pytest.mark.parametrize("agent", ["", "Claude", "a b", "a.b", "../x", "a$b", "x" * 33, "-x"])
def test_a_name_that_can_not_be_a_file_name_is_refused(agent: str) -> None:
    with pytest.raises(ValueError, match="agent's name"):
        hook_command(Path("/spool"), agent)


@pytest.mark.parametrize("folder", ["spool", "~/spool", "/a\0b", "/caf\udce9"])
def test_a_spool_path_that_settings_can_not_hold_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="spool folder"):
        hook_command(Path(folder), "claude-code")


def test_a_relative_cat_is_refused() -> None:
    with pytest.raises(ValueError, match="path of cat"):
        hook_command(Path("/spool"), "claude-code", cat="cat")


def test_our_line_is_known_in_any_version() -> None:
    command = hook_command(Path("/home/u/.karl/spool"), "claude-code")
    assert is_ours(command)
    assert command.startswith(f": karl-hook {VERSION};")
    assert is_ours(": karl-hook 12;anything")


@pytest.mark.parametrize(
    "command", [None, 1, [], "", "karl-hook 1;", ": karl-hook;", "echo ': karl-hook 1;'", ": karl-hookx 1;"]
)
def test_a_line_of_others_is_not_ours(command: object) -> None:
    assert not is_ours(command)


def test_the_line_is_one_line_of_plain_ascii() -> None:
    command = hook_command(Path("/home/u/.karl/spool"), "claude-code")
    assert command.isascii()
    assert command.isprintable()


def test_the_benchmark_measures_a_hook_that_keeps_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.hook import measure

    monkeypatch.setenv("KARL_DISABLE", "1")
    figures = measure(rounds=2)
    assert figures["1 KB"]["/bin/true"]["ratio"] == 1
    assert all(row["median_ms"] > 0 for cases in figures.values() for row in cases.values())
