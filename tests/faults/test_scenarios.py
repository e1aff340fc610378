"""The worst that can happen to a line, one at a time: nothing is lost, nothing is there twice, and it goes on."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from producers.hook import hook_command
from tests.conftest import ROOT, wait_until
from tests.faults import checker
from tests.faults.disks import NO_MOUNT, Disk, may_mount
from tests.faults.line import RealLine
from tests.faults.page import ERROR
from tests.faults.torture import settle, torture

needs_mount = pytest.mark.skipif(not may_mount(), reason=NO_MOUNT)


class Scene:
    """A line of one process each, and what its hooks were told so far."""

    def __init__(self, line: RealLine) -> None:
        self.line = line
        self.told = checker.Told()
        self._numbers = itertools.count()

    def turns(self, count: int) -> None:
        """Let agents make so many turns of four events, in three sessions."""
        for turn in range(count):
            call = {"tool_name": "Bash", "tool_use_id": f"c{turn}", "tool_input": {"command": "true"}}
            for kind, more in (
                ("UserPromptSubmit", {"prompt": "Do it"}),
                ("PreToolUse", call),
                ("PostToolUse", {**call, "tool_response": {"stdout": "x" * 2000}}),
                ("Stop", {}),
            ):
                payload = self.payload(f"s-{turn % 3}", kind, **more)
                assert self.line.hook(payload)
                self.told.accepted(payload)

    def payload(self, session: str, kind: str, **more: Any) -> dict[str, Any]:
        return {"session_id": session, "hook_event_name": kind, "n": next(self._numbers), **more}

    def ended(self) -> list[str]:
        """Start again what ended by itself since; gives what that was."""
        return self.line.tend()

    def waiting(self, where: str) -> int:
        return checker.waiting(self.line.folder, self.line.redis)[where]

    def lines(self) -> list[dict[str, Any]]:
        return checker.lines_of(self.line.folder)

    def kept(self) -> None:
        """Wait until everything is in, and hold the line against all that it promises."""
        for session in self.told.most:  # no turn stays open
            payload = self.payload(session, "SessionEnd")
            assert self.line.hook(payload)
            self.told.accepted(payload)
        broken = settle(self.line)
        environment = self.line.environment
        assert (
            broken
            + checker.broken_promises(self.line.folder, self.line.redis, self.told, environment=environment)
            == []
        )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One line for all scenes: what one of them does to it is still checked at the end of the next."""
    folder = tmp_path_factory.mktemp("scenes") / "data"
    with RealLine(folder, disks=may_mount(), fsync="always", start=False) as line:
        for name in ("ship", "sessions-1", "ledger-1", "views"):
            line.start(name)
        made = Scene(line)
        made.turns(3)
        made.kept()
        yield made


@needs_mount
def test_a_full_disk_ends_the_writer_and_with_room_again_nothing_is_lost(scene: Scene) -> None:
    scene.line.disks["ledger"].fill()
    scene.turns(6)
    ended: list[str] = []
    wait_until(lambda: ended.extend(scene.ended()) or ended, "the writer ends")
    assert ended == ["ledger-1 ended with 1"]
    scene.line.disks["ledger"].make_room()
    scene.kept()


@needs_mount
def test_a_read_only_disk_is_waited_out_and_nothing_is_lost(scene: Scene) -> None:
    scene.line.end("ledger-1")
    assert scene.line.disks["ledger"].read_only()
    before = scene.lines()
    scene.line.start("ledger-1")
    scene.turns(6)
    wait_until(lambda: scene.waiting("records") >= 6, "records wait for the ledger")
    scene.ended()
    assert scene.lines() == before
    scene.line.disks["ledger"].writable()
    scene.kept()


@pytest.mark.parametrize("lose", [0, 1])
def test_one_failed_fsync_ends_the_writer_and_nothing_is_lost_or_doubled(scene: Scene, lose: int) -> None:
    page = scene.line.pages["ledger-1"]
    page.put("lose", lose)
    page.put("fail", 1)
    scene.turns(6)
    ended: list[str] = []
    wait_until(lambda: ended.extend(scene.ended()) or ended, "the writer ends")
    assert ended == ["ledger-1 ended with 1"]
    scene.kept()


def test_a_write_that_reaches_the_disk_in_part_ends_the_writer_and_nothing_is_lost_or_doubled(
    scene: Scene,
) -> None:
    page = scene.line.pages["ledger-1"]
    page.put("how", ERROR)
    page.put("torn", 1500)
    scene.turns(6)
    ended: list[str] = []
    wait_until(lambda: ended.extend(scene.ended()) or ended, "the writer ends")
    assert ended == ["ledger-1 ended with 1"]
    scene.kept()
    assert list((scene.line.folder / "ledger").glob("*.torn-*"))


def test_a_writer_whose_clock_jumps_back_by_a_day_goes_on(scene: Scene) -> None:
    scene.turns(2)
    wait_until(lambda: not scene.waiting("spool"), "all is shipped")
    scene.line.pages["ledger-1"].put("clock_s", -86400)
    scene.turns(4)
    scene.kept()
    scene.line.pages["ledger-1"].put("clock_s", 0)
    times = [line["time"] for line in scene.lines()]
    assert times != sorted(times)


def test_a_payload_twice_is_two_events_and_a_file_twice_is_one(scene: Scene, tmp_path: Path) -> None:
    payload = scene.payload("s-0", "Notification", message="the same words")
    for _ in range(2):
        assert scene.line.hook(payload)
        scene.told.accepted(payload)
    place = scene.line.last_event
    wait_until(lambda: not scene.waiting("spool"), "both are shipped")
    again = scene.payload("s-0", "Notification", message="other words")
    assert scene.line.hook(again)
    scene.told.accepted(again)
    place = scene.line.last_event
    kept = Path(shutil.copy2(place, tmp_path)) if place.exists() else None
    if kept is None:
        pytest.skip("the shipper was faster than the copy")
    wait_until(lambda: not place.exists(), "it is shipped")
    hidden = scene.line.spool / ".incoming"
    shutil.copy2(kept, hidden)
    hidden.rename(place)
    wait_until(lambda: not place.exists(), "its copy is shipped")
    scene.kept()


def test_a_line_whose_server_lost_all_its_data_goes_on_under_larger_terms_and_ids(tmp_path: Path) -> None:
    with RealLine(tmp_path / "data", fsync="always", start=False) as line:
        for name in ("ship", "sessions-1", "ledger-1"):
            line.start(name)
        scene = Scene(line)
        scene.turns(6)
        wait_until(
            lambda: not any(scene.waiting(stop) for stop in ("spool", "events", "records")), "all is in"
        )
        before = scene.lines()
        line.end("server")
        shutil.rmtree(tmp_path / "data" / "redis" / "appendonlydir")
        line.start("server")
        scene.turns(6)
        wait_until(lambda: not scene.waiting("spool") and not scene.waiting("records"), "all is in again")
        wait_until(lambda: not _lost(scene), "every event is there")
        after = scene.lines()
        assert list(checker.broken_chain(after)) == []
        # What was sent a moment before may be there twice: nobody remembers its ids.
        assert not [promise for promise in checker.broken_records(after) if "out of order" in promise]
        assert after[-1]["term"] > before[-1]["term"]


def _lost(scene: Scene) -> list[str]:
    return [promise for promise in checker.broken_events(scene.lines(), scene.told) if "lost" in promise]


@pytest.mark.parametrize("harm", [Disk.fill, Disk.read_only])
@needs_mount
def test_a_hook_without_room_ends_well_and_what_it_left_whole_is_all_that_counts(
    tmp_path: Path, harm: Callable[[Disk], object]
) -> None:
    disk = Disk(tmp_path / "data" / "spool", 1)
    try:
        whole = _hooked(disk.folder, 0, size=100)
        harm(disk)
        for n, size in enumerate([10, 10_000, 100_000, 2_000_000], 1):
            _hooked(disk.folder, n, size=size)
        assert sorted(_numbers(disk.folder)) == [whole]
        disk.writable()
        disk.make_room()
        _hooked(disk.folder, 9, size=100)
        assert sorted(_numbers(disk.folder)) == [whole, 9]
    finally:
        disk.close()


def _hooked(spool: Path, n: int, *, size: int) -> int:
    payload = {"session_id": "s", "hook_event_name": "Notification", "n": n, "message": "x" * size}
    done = subprocess.run(
        ["/bin/sh", "-c", hook_command(spool, "claude-code")],
        input=json.dumps(payload).encode(), capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return n


def _numbers(spool: Path) -> Iterator[int]:
    """Give the numbers of the events that lie there whole."""
    for path in spool.glob("claude-code.*"):
        try:
            yield json.loads(path.read_bytes())["n"]
        except ValueError:
            continue


def test_a_write_torn_at_any_place_is_recovered_from_and_every_record_is_there_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.torn", str(tmp_path), "23"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    died = json.loads(done.stdout)
    assert died["claim"] == 11  # each byte of a term and its line end
    assert died["header"] > 15
    assert died["batch"] > 25
    lines = checker.lines_of(tmp_path)
    assert list(checker.broken_chain(lines)) == []
    numbers = [line["body"]["n"] for line in lines if line["kind"] == "events"]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_power_cut_of_the_server_while_everything_is_under_way_loses_nothing(tmp_path: Path) -> None:
    done = torture(tmp_path / "data", seed=5, faults=3, fsync="everysec", events_between=100, only="power")
    assert done.broken == []
    assert done.faults["(bytes of the append-only file lost)"] > 0


@pytest.mark.skipif(may_mount() or not shutil.which("unshare"), reason="these tests may mount by themselves")
def test_what_needs_a_mount_passes_in_a_namespace() -> None:
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip(NO_MOUNT)
    done = subprocess.run(
        [*inside, sys.executable, "-m", "pytest", "-q", "-k", "full_disk or read_only or without_room", os.path.relpath(__file__, ROOT)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
