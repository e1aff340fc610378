"""`karl up`: real children, real signals, a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from karl.errors import KarlError, NotFound
from karl.stream.server import answers, find_server, socket_path
from karl.views.queries import Views
from tests.conftest import wait_until
from workers.supervise import Restart

#: Runs `up` in a process of its own, with the children that are given as JSON.
DRIVER = """
import json, os, signal, sys
from karl.errors import KarlError
from karl.settings import read_settings
from workers.child import Command
from workers.supervise import up
signal.signal(signal.SIGINT, signal.default_int_handler)
given = json.loads(sys.argv[1])
commands = [Command(name, tuple(argv), stop_s) for name, argv, stop_s in given["commands"]]
try:
    code = up(read_settings(os.environ), os.environ, commands=commands, supervised=given["supervised"])
except KarlError as error:
    print("karl:", error, file=sys.stderr)
    code = 1
heavy = {"redis", "rich", "re2", "msgspec", "click"} & set(sys.modules)
print("heavy:", sorted(heavy), file=sys.stderr)
sys.exit(code)
"""

#: Ends when its stdin closes, like a worker; tells its name when it is told to end.
GOOD = 'trap "echo {name} >>ended; exit 0" TERM; echo {name} is here; read -r _ || {{ echo orphan {name} >>ended; }}'


def sh(name: str, script: str, stop_s: float = 10.0) -> tuple[str, list[str], float]:
    return name, ["/bin/sh", "-c", script], stop_s


def good(name: str) -> tuple[str, list[str], float]:
    return sh(name, GOOD.format(name=name))


class Up:
    """A running `karl up` over one data folder."""

    def __init__(self, folder: Path, command: list[str], **settings: str) -> None:
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KARL_")}
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**clean, "KARL_DATA_DIR": str(folder / "data"), **settings},
                stdin=subprocess.PIPE,
                stderr=log,
            )

    @property
    def said(self) -> str:
        return self._log.read_text("utf-8")

    @property
    def ended(self) -> list[str]:
        file = self.folder / "ended"
        return file.read_text().split("\n")[:-1] if file.exists() else []

    def await_word(self, text: str, times: int = 1) -> None:
        wait_until(
            lambda: self.said.count(text) >= times or self.process.poll() is not None, f"it says {text!r}"
        )
        assert self.said.count(text) >= times, self.said

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(30)
        assert self.process.stdin
        self.process.stdin.close()
        return code

    def answers(self) -> bool:
        return answers(socket_path(self.folder / "data"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def make(*commands: Any, supervised: bool = False, real: bool = False, **settings: str) -> Up:
        given = json.dumps({"commands": commands, "supervised": supervised})
        argv = ["-P", "-m", "karl.cli", "up"] if real else ["-c", DRIVER, given]
        up = Up(tmp_path, [sys.executable, *argv], **settings)
        started.append(up)
        return up

    yield make
    for up in started:
        up.process.kill()
        up.wait()
    wait_until(lambda: not any(up.answers() for up in started), "no server is left")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_children_in_the_order_of_the_line_and_then_the_server(
    start: Callable[..., Up], number: signal.Signals
) -> None:
    up = start(good("first"), good("second"), good("third"))
    for name in ("first", "second", "third"):
        up.await_word(f"{name} is here")
    assert up.answers()
    assert up.stop(number) == 0
    assert up.ended == ["first", "second", "third"]
    assert not up.answers()


def test_a_ctrl_c_that_a_wrapper_repeats_is_still_a_clean_end(start: Callable[..., Up]) -> None:
    up = start(
        sh("slow", 'trap "echo asked; sleep 0.3; echo clean >>ended; exit 0" TERM; echo here; read -r _')
    )
    up.await_word("here")
    up.process.send_signal(signal.SIGINT)
    up.await_word("asked")
    assert up.stop(signal.SIGINT) == 0
    assert up.ended == ["clean"]


def test_every_line_of_a_child_stands_under_its_name_and_can_not_drive_the_terminal(
    start: Callable[..., Up],
) -> None:
    up = start(sh("noisy", r"printf 'one\ntwo \033[2Jthree\nlast words' >&2; read -r _"))
    up.await_word("three")
    assert up.stop() == 0
    lines = up.said.splitlines()
    assert "noisy | one" in lines
    assert "noisy | two \ufffd[2Jthree" in lines
    assert "noisy | last words" in lines
    assert "\033" not in up.said


def test_a_child_that_dies_is_started_again_loudly_and_later_each_time(start: Callable[..., Up]) -> None:
    up = start(sh("frail", "echo alive; exit 3"), good("steady"))
    up.await_word("frail  | alive", 3)
    assert up.stop() == 0
    deaths = [line for line in up.said.splitlines() if "FRAIL ended with exit code 3" in line]
    assert "in 0.2 s" in deaths[0]
    assert "in 0.4 s" in deaths[1]
    assert up.said.count("steady is here") == 1


def test_the_wait_doubles_up_to_ten_seconds_and_starts_anew_after_a_minute_of_health() -> None:
    now = [0.0]
    restart = Restart(lambda: now[0])
    waits = []
    for _ in range(8):
        waits.append(restart.after_death())
        restart.started()
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    now[0] += 59.0
    assert restart.after_death() == 10.0
    now[0] += 600.0  # waiting is not living
    assert restart.after_death() == 10.0
    restart.started()
    now[0] += 60.0
    assert restart.after_death() == 0.2


def test_a_child_that_is_killed_or_can_not_be_started_is_tried_again(
    start: Callable[..., Up], tmp_path: Path
) -> None:
    program = tmp_path / "late"
    program.write_text("#!/bin/sh\necho it is there now: $$.\nread -r _\n")
    program.chmod(0o755)
    up = start(sh("victim", 'echo "pid=$$."; read -r _'), ("late", [str(program)], 10.0))
    up.await_word("it is there now")
    os.kill(int(up.said.split("pid=")[1].split(".")[0]), signal.SIGKILL)
    up.await_word("VICTIM killed by SIGKILL")
    up.await_word("pid=", 2)
    program.unlink()  # from here on it can not be started any more
    os.kill(int(up.said.split("there now: ")[1].split(".")[0]), signal.SIGKILL)
    up.await_word("LATE could not be started")
    program.write_text("#!/bin/sh\necho and again\nread -r _\n")
    program.chmod(0o755)
    up.await_word("and again")
    assert up.stop() == 0


def test_a_child_that_does_not_end_is_killed_after_its_deadline(start: Callable[..., Up]) -> None:
    up = start(sh("deaf", "trap '' TERM; echo here; while :; do read -r _ || sleep 0.05; done", 0.2))
    up.await_word("here")
    assert up.stop() == 0
    assert "deaf did not end within 0.2 s" in up.said
    assert not up.answers()


def test_children_and_server_end_when_the_supervisor_is_killed(start: Callable[..., Up]) -> None:
    up = start(good("one"), good("two"))
    up.await_word("one is here")
    up.await_word("two is here")
    up.process.kill()
    up.wait()
    wait_until(lambda: set(up.ended) == {"orphan one", "orphan two"}, "the children notice")
    wait_until(lambda: not up.answers(), "the server ends")


def test_a_new_one_can_start_at_once_after_the_old_was_killed(start: Callable[..., Up]) -> None:
    old = start(good("child"))
    old.await_word("child is here")
    old.process.kill()
    old.wait()
    new = start(good("child"))
    new.await_word("child is here", 2)
    assert new.answers()
    assert new.stop() == 0


def test_a_second_one_on_the_same_folder_is_refused_with_the_first_ones_process_id(
    start: Callable[..., Up],
) -> None:
    first = start(good("child"))
    first.await_word("child is here")
    second = start(good("child"))
    assert second.wait() == 1
    assert f"as process {first.process.pid}" in second.said
    assert first.stop() == 0


def test_a_folder_that_can_not_be_used_is_refused(start: Callable[..., Up], tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    up = start(good("child"))
    assert up.wait() == 1
    assert "can not be used" in up.said
    assert "KARL_DATA_DIR" in up.said


def test_a_server_that_dies_is_started_again(start: Callable[..., Up]) -> None:
    up = start(good("child"))
    up.await_word("child is here")
    os.kill(_pid_of(up.folder, "unixsocket:"), signal.SIGKILL)
    up.await_word("REDIS ended")
    wait_until(up.answers, "the server is back")
    assert up.said.count("child is here") == 1
    assert up.stop() == 0


def test_a_server_whose_guard_dies_is_replaced(start: Callable[..., Up]) -> None:
    up = start(good("child"))
    up.await_word("child is here")
    os.kill(_pid_of(up.folder, "karl-redis"), signal.SIGKILL)
    up.await_word("REDIS ended")
    wait_until(up.answers, "the server is back")
    assert up.stop() == 0
    wait_until(lambda: not up.answers(), "the orphan is gone too")


def test_being_told_to_stop_while_the_server_starts_is_a_clean_end(
    start: Callable[..., Up], tmp_path: Path
) -> None:
    path = _fake_server(tmp_path, "echo loading >>'{folder}/ended'; exec sleep 60")
    up = start(good("child"), PATH=path)
    wait_until(lambda: up.ended == ["loading"], "the server loads")
    assert up.stop() == 0
    assert "child is here" not in up.said


def test_being_told_to_stop_while_the_server_comes_back_still_ends_the_children_cleanly(
    start: Callable[..., Up], tmp_path: Path
) -> None:
    up = start(good("child"), PATH=_fake_server(tmp_path, "exec '{folder}/programs/now' \"$@\""))
    now = tmp_path / "programs" / "now"
    up.await_word("child is here")
    now.unlink()
    now.write_text(f"#!/bin/sh\necho loading >>'{tmp_path}/ended'; exec sleep 60\n")
    now.chmod(0o755)
    os.kill(_pid_of(up.folder, "unixsocket:"), signal.SIGKILL)
    wait_until(lambda: up.ended == ["loading"], "the server loads")
    assert up.stop() == 0
    assert up.ended == ["loading", "child"]


def test_a_server_that_can_not_start_is_an_error_at_once(start: Callable[..., Up], tmp_path: Path) -> None:
    up = start(good("child"), PATH=_fake_server(tmp_path, "exit 1"))
    assert up.wait() == 1
    assert "did not start" in up.said


def test_with_a_redis_of_its_own_no_server_is_started(start: Callable[..., Up]) -> None:
    up = start(sh("child", 'echo "at $KARL_REDIS_URL"; read -r _'), KARL_REDIS_URL="redis://:secret@host:1/0")
    up.await_word("at redis://:secret@host:1/0")
    assert not (up.folder / "data" / "redis").exists()
    assert up.stop() == 0
    assert "(Redis: redis://:***@host:1/0)" in up.said


def test_children_learn_where_the_embedded_server_is(start: Callable[..., Up]) -> None:
    up = start(sh("child", 'echo "at $KARL_REDIS_URL"; read -r _'))
    up.await_word(f"at unix://{socket_path(up.folder / 'data')}")
    assert up.stop() == 0


def test_a_supervised_one_ends_when_its_stdin_closes(start: Callable[..., Up]) -> None:
    up = start(good("child"), supervised=True)
    up.await_word("child is here")
    assert up.process.stdin
    up.process.stdin.close()
    assert up.process.wait(30) == 0
    assert up.ended == ["child"]


def test_the_supervisor_loads_nothing_heavy(start: Callable[..., Up]) -> None:
    up = start(good("child"))
    up.await_word("child is here")
    assert up.stop() == 0
    assert "heavy: []" in up.said


def test_the_real_line_takes_events_from_the_spool_to_the_views(start: Callable[..., Up]) -> None:
    up = start(real=True)
    spool = up.folder / "data" / "spool"
    wait_until(spool.is_dir, "the shipper has made the spool")
    for number, kind in enumerate(("UserPromptSubmit", "Stop"), 1):
        payload = {"session_id": "s-1", "hook_event_name": kind, "cwd": "/p", "prompt": "Hello"}
        (spool / f"claude-code.{number}").write_text(json.dumps(payload))
    wait_until(lambda: _trajectories(up.folder / "data" / "views" / "views.sqlite") == 1, "the turn is there")
    assert up.stop() == 0
    assert "Traceback" not in up.said


def _trajectories(path: Path) -> int:
    try:
        with Views(path) as views:
            return views.counts().trajectories
    except (NotFound, KarlError):
        return 0


def _fake_server(folder: Path, script: str) -> str:
    programs = folder / "programs"
    programs.mkdir()
    fake = programs / "valkey-server"
    fake.write_text("#!/bin/sh\n" + script.format(folder=folder) + "\n")
    fake.chmod(0o755)
    (programs / "now").symlink_to(find_server())
    return f"{programs}:{os.environ['PATH']}"


def _pid_of(folder: Path, *words: str) -> int:
    """Find the process of this test, by its folder, whose command line has all these words."""
    lines = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    found = dict(line.split()[:2] for line in lines if all(word in line for word in (str(folder), *words)))
    tops = [pid for pid, parent in found.items() if parent not in found]  # a subshell has its parent's words
    assert len(tops) == 1, lines
    return int(tops[0])
