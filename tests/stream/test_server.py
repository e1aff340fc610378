"""The embedded server starts, answers, and does not outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from karl.errors import LineDown
from karl.stream.connect import connect
from karl.stream.server import Server, answers, socket_path
from tests.conftest import wait_until


def test_a_killed_parent_leaves_no_server_running(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, time; from karl.stream.server import Server; "
        "s = Server(pathlib.Path(sys.argv[1])); s.start(); print('up', flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    client = connect(f"unix://{socket_path(tmp_path)}")
    server_pid = client.info("server")["process_id"]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not answers(socket_path(tmp_path)), "the server stops answering")
    wait_until(lambda: not _alive(server_pid), "the server's process ends")
    client.close()


def test_data_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    for round_ in range(2):
        server = Server(tmp_path)
        server.start()
        client = connect(server.url)
        assert client.xlen("s") == round_
        client.xadd("s", {"d": "x"})
        client.close()
        server.stop()


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = Server(tmp_path)
    first.start()
    with pytest.raises(LineDown, match="karl up"):
        Server(tmp_path).start()
    first.stop()


def test_a_data_folder_with_odd_characters_is_reached(tmp_path: Path) -> None:
    server = Server(tmp_path / "50% #1?")
    server.start()
    client = connect(server.url)
    assert client.ping()
    client.close()
    server.stop()


def test_a_data_folder_with_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    server = Server(deep)
    server.start()
    assert len(str(socket_path(deep))) < 100
    server.stop()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
