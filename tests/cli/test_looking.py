"""Finding sessions, `karl explain`, `karl replay`, `karl tail`: on real turns, and on hostile ones."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from karl.cli.main import cli
from karl.errors import NotFound, Refused
from karl.schema.record import TrajectoryBody
from karl.schema.trajectory import Usage
from karl.views.rebuild import rebuild
from tests.cli.running import KARL, environ, karl, real_karl
from tests.conftest import wait_until
from tests.export.telling import drafts, emissions
from tests.replay.turns import HOSTILE, data, hostile, told
from tests.views import ledgers

DRIVING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
MINUTE_MS = ledgers.MINUTE_MS


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data(tmp_path_factory.mktemp("good"), told())


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data(tmp_path_factory.mktemp("bad"), hostile())


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sessions that differ in all that can be asked for; one has no turn."""
    folder = tmp_path_factory.mktemp("several")
    counted = ledgers.trajectory("b", 0, prompt="Fix the ÜBER-long   Login\tpage", reward=0.9)
    body = msgspec.json.decode(counted.body, type=TrajectoryBody)
    body.trajectory.usage = Usage(input=1500, output=20, messages=2)
    ledgers.write(
        folder / "ledger",
        [
            ledgers.trajectory("a", 1, prompt="write the docs", reward=0.4),
            ledgers.Draft("trajectory", msgspec.json.encode(body)),
            ledgers.trajectory("b", 3, prompt="now the logout button", reward=0.7),
            ledgers.events("c", 2),
        ],
    )
    rebuild(folder / "views" / "views.sqlite", folder / "ledger", "1")
    return folder


def found(folder: Path, *options: str) -> list[str]:
    result = karl(folder, "sessions", "--json", *options)
    assert result.exit_code == 0, result.output
    return [row["session"] for row in json.loads(result.stdout)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ["c", "b", "a"]),
        (("--repo", "shop", "--limit", "1"), ["c"]),
        (("--repository", "none"), []),
        (("--until", "2026-09-21T14:30:00+00:00"), ["b", "a"]),
        (("--min-reward", "0.8"), ["b"]),
        (("--min-reward", "0.4", "--max-reward", "0.4"), ["a"]),
        (("--max-reward", "1"), ["b", "a"]),
        (("--failed",), ["b", "a"]),
        (("--search", "LOGIN über"), ["b"]),
        (("--search", "login button"), []),
        (("--search", "log"), ["b"]),
        (("--search", "100%"), []),
        (("--search", ""), ["b", "a"]),
        (("--sort", "reward"), ["b", "a", "c"]),
        (("--sort", "reward", "--reverse"), ["a", "b", "c"]),
        (("--sort", "turns", "--limit", "1"), ["b"]),
        (("--sort", "tokens", "--limit", "1"), ["b"]),
        (("--sort", "started", "--reverse"), ["b", "a", "c"]),
        (("--sort", "failed", "--failed", "--search", "the", "--agent", "claude-code"), ["b", "a"]),
    ],
)
def test_sessions_are_found_by_what_they_are_and_what_was_asked(
    several: Path, options: tuple[str, ...], expected: list[str]
) -> None:
    assert found(several, *options) == expected


def test_tokens_have_a_column_where_anybody_counted_them(several: Path, good: Path) -> None:
    assert "1.5 k" in karl(several, "sessions").stdout
    assert "tokens" not in karl(good, "sessions").stdout


def test_a_range_that_nothing_can_fit_is_misuse(several: Path) -> None:
    assert karl(several, "sessions", "--min-reward", "0.9", "--max-reward", "0.1").exit_code == 2
    assert karl(several, "sessions", "--min-reward", "7").exit_code == 2


def trajectory(folder: Path, turn: int = 0) -> str:
    document = json.loads(
        karl(
            folder, "show", json.loads(karl(folder, "sessions", "--json").stdout)[0]["session"], "--json"
        ).stdout
    )
    name: str = document["turns"][turn]["id"]
    return name


def test_show_tells_what_was_changed_and_what_went_wrong(good: Path) -> None:
    text = karl(good, "show", trajectory(good)).stdout
    assert "    -out" in text
    assert "    +in" in text
    assert "#5 Bash: failed, exit 2" in text
    assert "The page is there." in text
    assert re.search(r"4 +Grep +login", text)
    short = karl(good, "show", trajectory(good), "--no-diffs").stdout
    assert "-out" not in short
    assert "answer:" not in text
    assert "one\n    two" in karl(good, "show", trajectory(good), "--full").stdout
    document = json.loads(karl(good, "show", trajectory(good), "--json").stdout)
    (change,) = document["diffs"]
    assert change["call"] == 2
    assert change["files"][0]["hunks"][0]["lines"] == [" same", "-out", "+in"]


def test_explain_names_the_calls_behind_each_component(good: Path) -> None:
    text = karl(good, "explain", trajectory(good)).stdout
    assert "red, or its end is not known: #5" in text
    assert "corrected" in text
    assert "together" in text
    document = json.loads(karl(good, "explain", trajectory(good), "--json").stdout)
    assert document["agrees"] is True
    assert document["history"][1]["said"]["correction_detected"] is True
    assert [one["turn"] for one in json.loads(karl(good, "explain", "s1", "--json").stdout)] == [0, 1]
    assert karl(good, "explain", "s1").stdout.count("how the score came to be") == 2
    assert isinstance(karl(good, "explain", "zzz").exception, NotFound)


def test_replay_tells_each_moment_in_its_order(good: Path) -> None:
    result = real_karl(good, "replay", trajectory(good), "--no-wait")
    assert result.returncode == 0
    numbers = [int(one) for one in re.findall(rb"^ *(\d+) +\d+:\d\d ", result.stdout, re.MULTILINE)]
    assert numbers == list(range(1, 19))
    part = karl(good, "replay", trajectory(good), "--speed", "max", "--from", "3", "--to", "4").stdout
    assert re.findall(r"#1 Read", part) == ["#1 Read", "#1 Read"]
    assert "Login" not in part
    document = json.loads(karl(good, "replay", "s1", "--json", "--to", "3").stdout)
    assert [len(turn["moments"]) for turn in document] == [3, 3]
    assert document[0]["calls"][1]["diffs"][0]["path"] == "/w/shop/a.py"
    assert "none of them" in karl(good, "replay", trajectory(good), "--from", "99").stdout


@pytest.mark.parametrize(
    "options", [("--speed", "0"), ("--speed", "fast"), ("--speed", "nan"), ("--from", "5", "--to", "2")]
)
def test_replay_refuses_what_makes_no_sense(good: Path, options: tuple[str, ...]) -> None:
    assert karl(good, "replay", "s1", *options).exit_code == 2


def test_replay_on_a_terminal_listens_to_keys_and_leaves_the_terminal_as_it_was(good: Path) -> None:
    command = [str(KARL), "replay", "s1", "--speed", "0.001", "--max-pause", "3600"]
    with on_a_terminal(good, command) as (process, screen, terminal):
        wait_until(lambda: b"SessionStart" in screen(), "the first moment is shown")
        os.write(terminal, b" n")  # pause, and one step while it is paused
        wait_until(lambda: b"Add a Login page" in screen(), "the next moment is shown")
        os.write(terminal, b"q")
        assert process.wait(20) == 0
        assert b"stopped" in screen()


def test_ctrl_c_ends_a_replay(good: Path) -> None:
    command = [str(KARL), "replay", "s1", "--speed", "0.001", "--max-pause", "3600"]
    with on_a_terminal(good, command) as (process, screen, _):
        wait_until(lambda: b"SessionStart" in screen(), "the first moment is shown")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert b"Traceback" not in screen()


def test_replay_writes_a_page_and_does_not_replace_one_unasked(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert karl(good, "replay", "s1", "--html", str(path)).exit_code == 0
    page = path.read_bytes()
    assert page.startswith(b"<!doctype html>")
    assert isinstance(karl(good, "replay", "s1", "--html", str(path)).exception, Refused)
    assert karl(good, "replay", trajectory(good, 1), "--html", str(path), "--force").exit_code == 0
    assert len(path.read_bytes()) < len(page)
    assert real_karl(good, "replay", "s1", "--html", "-").stdout == page


def test_tail_shows_the_last_records_oldest_first(good: Path) -> None:
    lines = karl(good, "tail", "--limit", "2").stdout.splitlines()
    assert len(lines) == 2
    assert "corrected" in lines[0]
    assert "turn 1: 1 calls" in lines[1]
    news = [json.loads(line) for line in karl(good, "tail", "--json").stdout.splitlines()]
    assert [one["seq"] for one in news] == sorted(one["seq"] for one in news)
    turn = next(one for one in news if one["kind"] == "trajectory")
    assert (turn["calls"], turn["failures"], turn["prompt"]) == (5, 1, "Add a Login page")
    said = next(one for one in news if one["kind"] == "annotation")
    assert (said["agent"], said["said"]["correction_detected"]) == ("claude-code", True)
    assert karl(good, "tail", "--agent", "codex").stdout == "no record fits\n"
    assert len(karl(good, "tail", "--session", "s", "--limit", "2", "--json").stdout.splitlines()) == 2


def test_tail_needs_no_views_and_leaves_the_probes_of_the_doctor_out(tmp_path: Path) -> None:
    assert karl(tmp_path, "tail").stdout == "nothing recorded yet\n"
    probe = ledgers.trajectory("karl-doctor-1", 0, agent="karl-doctor")
    ledgers.write(tmp_path / "ledger", [*ledgers.story(), probe])
    news = [json.loads(line) for line in karl(tmp_path, "tail", "--json").stdout.splitlines()]
    assert news
    assert "karl-doctor" not in {one["agent"] for one in news if "agent" in one}


def test_tail_follows_what_comes_and_ends_cleanly(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", [ledgers.trajectory("old", 0)])
    with following(tmp_path, "--limit", "1", "--json", "--agent", "claude-code") as (process, seen):
        wait_until(lambda: b'"old"' in seen(), "the last record is shown")
        ledgers.write(
            tmp_path / "ledger",
            [ledgers.trajectory("other", 0, agent="codex"), *drafts(emissions(told()))],
        )
        wait_until(lambda: b'"turn":1' in seen(), "what came is shown")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        news = [json.loads(line) for line in seen().splitlines()]
        assert news[0]["session"] == "old"
        assert {one["session"] for one in news[1:]} == {"s1"}


def test_tail_waits_for_a_ledger_that_does_not_exist_yet(tmp_path: Path) -> None:
    with following(tmp_path, "--json") as (process, seen):
        ledgers.write(tmp_path / "ledger", [ledgers.trajectory("new", 0)])
        wait_until(lambda: b'"new"' in seen(), "the first record is shown")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_tail_ends_when_nobody_reads_it_any_more(good: Path) -> None:
    variables = {name: value for name, value in {**os.environ, **environ(good)}.items() if value is not None}
    process = subprocess.Popen(
        [KARL, "tail", "-f"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    "arguments",
    [
        ("sessions",),
        ("sessions", "--json"),
        ("show", "s1"),
        ("show", "TRAJECTORY"),
        ("show", "TRAJECTORY", "--full"),
        ("show", "TRAJECTORY", "--json"),
        ("explain", "s1"),
        ("explain", "TRAJECTORY", "--json"),
        ("replay", "s1", "--no-wait"),
        ("replay", "s1", "--no-wait", "--full"),
        ("replay", "s1", "--json"),
        ("tail",),
        ("tail", "--json"),
    ],
    ids=" ".join,
)
def test_nothing_recorded_drives_the_terminal(bad: Path, arguments: tuple[str, ...]) -> None:
    named = [trajectory(bad) if one == "TRAJECTORY" else one for one in arguments]
    # With colours on, click hands everything through; ours are switched off, so what is left was recorded.
    result = CliRunner().invoke(cli, named, env=environ(bad, NO_COLOR="1"), color=True)
    assert result.exit_code == 0, result.output
    assert not DRIVING.search(result.stdout)
    assert "x1b" in result.stdout or "u001b" in result.stdout or arguments[0] == "explain"


def test_json_holds_what_was_recorded_as_it_was(bad: Path) -> None:
    document = json.loads(karl(bad, "show", trajectory(bad), "--json").stdout)
    assert document["record"]["trajectory"]["context"]["prompt_text"] == HOSTILE


class Collected:
    """What a process has written so far to a descriptor of ours."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._data = b""

    def __call__(self) -> bytes:
        try:
            while more := os.read(self._fd, 65536):
                self._data += more
        except (BlockingIOError, OSError):
            pass
        return self._data


@contextmanager
def on_a_terminal(
    folder: Path, command: list[str]
) -> Iterator[tuple[subprocess.Popen[bytes], Collected, int]]:
    """Run a command on a terminal of its own: (process, what it showed, where to type)."""
    ours, theirs = pty.openpty()
    variables = {
        name: value for name, value in {**os.environ, **environ(folder)}.items() if value is not None
    }
    process = subprocess.Popen(command, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield process, Collected(ours), ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@contextmanager
def following(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Collected]]:
    """Run `karl tail -f`; gives the process, and what it printed so far."""
    variables = {
        name: value for name, value in {**os.environ, **environ(folder)}.items() if value is not None
    }
    ours, theirs = os.pipe()
    process = subprocess.Popen([KARL, "tail", "-f", *options], env=variables, stdout=theirs)
    os.close(theirs)
    try:
        yield process, Collected(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def shelled(folder: Path, line: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `$karl` is the command."""
    variables = {name: value for name, value in {**os.environ, **environ(folder, **more)}.items() if value}
    return subprocess.run(
        ["bash", "-c", line],
        env={**variables, "karl": str(KARL)},
        capture_output=True,
        encoding="latin-1",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["sessions", "tail --json", "export --format jsonl --output -"])
def test_a_disk_that_is_full_below_stdout_is_one_line_and_exit_code_1(good: Path, command: str) -> None:
    result = shelled(good, f"$karl {command} >/dev/full")
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["karl: [Errno 28] No space left on device"]


@pytest.mark.parametrize("command", ["sessions", "tail", "export --format jsonl --output -", "verify"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_who_closes_our_output_wants_none(good: Path, command: str, closed: str) -> None:
    result = shelled(good, f"$karl {command} {closed}")
    assert result.returncode == 0
    assert "Traceback" not in result.stderr


def test_what_an_encoding_does_not_have_is_shown_as_an_escape(bad: Path) -> None:
    result = shelled(bad, "$karl sessions", PYTHONIOENCODING="latin-1")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\\u2026" in result.stdout  # the sign of a prompt that is cut


@pytest.mark.parametrize("command", ["show", "sessions --agent", "explain", "tail --session"])
def test_an_argument_that_is_no_text_names_nothing(good: Path, command: str) -> None:
    result = shelled(good, f"$karl {command} $'\\xff'")
    assert "Traceback" not in result.stderr
    assert result.returncode == ("tail" not in command)


def test_the_ids_that_an_error_lists_can_not_drive_the_terminal(tmp_path: Path) -> None:
    both = [ledgers.trajectory(f"s\u202e-{number}", number) for number in range(2)]
    ledgers.write(tmp_path / "ledger", both)
    rebuild(tmp_path / "views" / "views.sqlite", tmp_path / "ledger", "1")
    result = shelled(tmp_path, "$karl show s")
    assert result.returncode == 1
    assert "s\\x202e-0, s\\x202e-1" in result.stderr


def test_on_80_columns_a_session_has_one_line_with_its_id_and_its_numbers_whole(several: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen(
        [KARL, "sessions"],
        env={name: value for name, value in {**os.environ, **environ(several)}.items() if value},
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ):
        os.close(theirs)
        printed = everything(ours)
    rows = [line.split() for line in re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines()]
    starts = {row[0]: row for row in rows if row and row[0] in {"a", "b", "c"}}
    assert len(starts) == 3
    assert "0.8000" in starts["b"]
    assert rows.index(starts["a"]) - rows.index(starts["c"]) == 2


def everything(fd: int) -> str:
    """Read what a terminal was sent until nobody has it open any more."""
    data = b""
    with suppress(OSError):
        while more := os.read(fd, 65536):
            data += more
    os.close(fd)
    return data.decode()
