"""From the hook's real line to the stream with hostile input: the agent is never harmed, and nothing is lost."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from karl.errors import Refused
from karl.schema.event import decode_event
from karl.stream import dead_letters, keys
from producers.envelope import EnvelopeMaker
from producers.hook import hook_command
from producers.quiet import GRACE_S
from producers.ship import Shipper
from producers.spool import Spool
from tests.cli.running import KARL, environ
from tests.conftest import wait_until
from tests.fuzz.hostile import MIB, PAYLOADS, PROMPTS, SESSIONS, payload
from tests.producers.test_hook import run
from tests.producers.test_ship import Clock


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.prepare()
    return made


def shipped(spool: Spool, redis: Redis) -> tuple[list[str], int]:
    """Ship all there is; give the sessions of the events, and the number of dead letters."""
    clock = Clock()
    shipper = Shipper(spool, redis, EnvelopeMaker(node="n1"), clock=clock)
    for _ in range(3):  # seen, seen again after the grace time, and nothing left
        while (done := shipper.run_once()).count + done.dead + done.empty:
            assert not done.refused
        clock.s += 2 * GRACE_S
    found = []
    for partition in range(keys.PARTITIONS):
        for _, flat in redis.execute_command("XRANGE", keys.events_key(partition), "-", "+"):
            event = decode_event(flat[1])
            assert keys.partition_of(event.session) == partition
            found.append(event.session)
    return found, sum(1 for _ in dead_letters.read(redis))


def test_every_hostile_payload_passes_the_hook_unharmed_and_is_an_event_or_a_dead_letter(
    spool: Spool, redis: Redis, tmp_path: Path
) -> None:
    line = hook_command(spool.folder, "claude-code")
    given = [
        *PAYLOADS.values(),
        *(payload(prompt=prompt) for prompt in PROMPTS),
        *(payload(session_id=one) for one in SESSIONS),
    ]
    for data in given:
        run(line, data, HOME=str(tmp_path))
    run(line, payload(prompt="x" * (50 * MIB)))
    run(line, None)
    assert sorted(item.path.read_bytes() for item in spool.scan(10_000) if item.size < MIB * 40) == sorted(
        [*given, b""]
    )
    events, dead = shipped(spool, redis)
    assert len(events) + dead == sum(1 for data in given if data.strip()) + 1
    assert set(SESSIONS) <= set(events)
    assert spool.scan(10) == []
    assert not list(tmp_path.rglob("*PWNED*"))
    letters = list(dead_letters.read(redis))
    assert all(letter.reason and letter.where == "ship" for letter in letters)


def test_what_is_no_event_in_the_spool_is_left_alone_and_holds_nobody_up(
    spool: Spool, redis: Redis, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(payload(session_id="stolen"))
    folder = spool.folder
    (folder / "claude-code.1").symlink_to(victim)
    (folder / "claude-code.2").symlink_to("/dev/zero")
    (folder / "claude-code.3").symlink_to(tmp_path)
    (folder / "claude-code.4").symlink_to("nowhere")
    os.mkfifo(folder / "claude-code.5")
    (folder / "claude-code.6").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "claude-code.7"))
        for name in (
            b"claude-code.8\n",
            b"-rf",
            b"\xff\xfe.1",
            b"..claude-code.9",
            b"claude-code.9\x1b[2J",
            b"claude-code.99999999999",
        ):
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(payload(session_id="stranger"))
        (folder / "claude-code.10").write_bytes(payload(session_id="mine"))
        assert shipped(spool, redis) == (["mine"], 0)
    assert victim.read_bytes() == payload(session_id="stolen")
    assert len(list(folder.iterdir())) >= 13
    assert len(spool.strangers()) == 13


def test_a_planted_link_is_neither_followed_by_the_hook_nor_by_the_switches(
    spool: Spool, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    for name in ("off", "full"):
        (spool.folder / name).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        spool.switch_off()
    with pytest.raises(OSError, match="symbolic link"):
        spool.mark_full()
    for pid in range(os.getpid(), os.getpid() + 400):  # the names that the next shells would take
        (spool.folder / f"claude-code.{pid}").symlink_to(victim)
    run(hook_command(spool.folder, "claude-code"))
    assert not victim.exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), name=st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=20))  # fmt: skip
def test_the_hook_keeps_any_bytes_in_a_folder_of_any_name(tmp_path: Path, data: bytes, name: str) -> None:
    if name in {".", ".."} or len(os.fsencode(name)) > 200:
        return
    folder = tmp_path / "any" / name
    folder.mkdir(parents=True, exist_ok=True)
    run(hook_command(folder, "claude-code"), data)
    (left,) = folder.iterdir()
    assert left.read_bytes() == data
    assert left.stat().st_mode & 0o777 == 0o600
    left.unlink()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socket", "link to itself"])
def test_what_stands_in_place_of_a_git_file_does_not_hold_the_shipper_up(tmp_path: Path, kind: str) -> None:
    mark = tmp_path / "shop" / ".git"
    mark.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "pipe":
            os.mkfifo(mark)
        elif kind == "device":
            mark.symlink_to("/dev/zero")
        elif kind == "folder":
            mark.mkdir()
        elif kind == "socket":
            listening.bind(os.path.relpath(mark))
        else:
            mark.symlink_to(mark)
        event = EnvelopeMaker(node="n1").make(payload(cwd=str(mark.parent)), name="ev1")
    assert event.project == "shop"


def test_a_file_name_in_a_log_is_one_line_and_drives_no_terminal(
    spool: Spool, tmp_path: Path, redis_url: str
) -> None:
    (spool.folder / "x\n00:00:00 E forged\x1b[2J\u202e").touch()
    variables = {
        **os.environ,
        **environ(tmp_path, KARL_SPOOL_DIR=str(spool.folder), KARL_REDIS_URL=redis_url),
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [KARL, "ship"], env={k: v for k, v in variables.items() if v is not None}, stderr=output
        )
    try:
        wait_until(lambda: b"forged" in log.read_bytes(), "the stranger is named")
    finally:
        process.terminate()
        process.wait(30)
    (line,) = [line for line in log.read_text().splitlines() if "forged" in line]
    assert "left alone in the spool" in line
    assert line.isprintable()


def test_a_spool_that_is_a_file_or_a_pipe_is_refused(tmp_path: Path) -> None:
    for number, make in enumerate((Path.touch, os.mkfifo)):
        place = tmp_path / f"spool{number}"
        make(place)  # type: ignore[operator]
        with pytest.raises(Refused):
            Spool(place).prepare()
