"""The views worker: follows the ledger, survives kills, and makes anew what does not fit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.errors import KarlError, LedgerDamaged
from karl.settings import read_settings
from karl.views.queries import Views
from karl.views.rebuild import compare, rebuild
from tests.conftest import ROOT, wait_until
from tests.views import ledgers
from workers import views as worker_module
from workers.views import ViewsWorker

PROGRAM = """
import os, sys
from karl.settings import read_settings
from workers.start import run_views
sys.exit(run_views(read_settings(os.environ)))
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[ViewsWorker]:
    made = ViewsWorker(tmp_path / "views" / "views.sqlite", tmp_path / "ledger", "1")
    yield made
    made.close()


class Impatient(threading.Event):
    """A stop that nobody sets, and on which nobody waits long; remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        return False


def trajectories(tmp_path: Path) -> int:
    try:
        with Views(tmp_path / "views" / "views.sqlite") as views:
            return views.counts().trajectories
    except KarlError:
        return -1


def test_it_waits_for_a_ledger_that_does_not_exist_yet(worker: ViewsWorker, tmp_path: Path) -> None:
    stop = Impatient()
    for _ in range(20):
        worker.run_once(stop)
    assert trajectories(tmp_path) == 0
    ledgers.write(tmp_path / "ledger", ledgers.story())
    worker.run_once(stop)
    assert trajectories(tmp_path) == 3


def test_its_waits_grow_while_nothing_comes_and_start_over_when_something_does(
    worker: ViewsWorker, tmp_path: Path
) -> None:
    stop = Impatient()
    for _ in range(20):
        worker.run_once(stop)
    assert stop.waits[0] == worker_module.WAIT_MIN_S
    assert stop.waits == sorted(stop.waits)
    assert stop.waits[-1] == worker_module.WAIT_MAX_S
    ledgers.write(tmp_path / "ledger", ledgers.story())
    for _ in range(2):
        worker.run_once(stop)
    assert stop.waits[-1] == worker_module.WAIT_MIN_S


def test_it_goes_on_with_views_that_were_rebuilt_meanwhile(worker: ViewsWorker, tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", ledgers.story())
    stop = Impatient()
    worker.run_once(stop)
    rebuild(tmp_path / "views" / "views.sqlite", tmp_path / "ledger", "1")
    ledgers.write(tmp_path / "ledger", [ledgers.trajectory("s-new", 0)])
    worker.run_once(stop)
    assert trajectories(tmp_path) == 4


@pytest.mark.parametrize("harm", ["gone", "garbage", "another reward version"])
def test_views_that_are_of_no_use_are_made_anew(worker: ViewsWorker, tmp_path: Path, harm: str) -> None:
    path = tmp_path / "views" / "views.sqlite"
    ledgers.write(tmp_path / "ledger", ledgers.story())
    rebuild(path, tmp_path / "ledger", "0" if harm == "another reward version" else "1")
    if harm == "gone":
        path.unlink()
    if harm == "garbage":
        path.resolve().write_bytes(b"x" * 5000)
    stop = Impatient()
    for _ in range(3):
        worker.run_once(stop)
    assert compare(path, tmp_path / "ledger", "1").equal
    assert trajectories(tmp_path) == 3


def test_a_ledger_with_another_history_is_read_from_its_start(worker: ViewsWorker, tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", ledgers.story())
    stop = Impatient()
    worker.run_once(stop)
    worker.forget()
    for segment in (tmp_path / "ledger").iterdir():
        segment.unlink()
    ledgers.write(tmp_path / "ledger", [ledgers.trajectory("s-else", 0)])
    for _ in range(3):
        worker.run_once(stop)
    assert trajectories(tmp_path) == 1


def test_damage_in_the_ledger_ends_it_after_what_comes_before(worker: ViewsWorker, tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", [ledgers.trajectory(f"s{n}", 0) for n in range(4)])
    segment = next((tmp_path / "ledger").glob("*.jsonl"))
    data = bytearray(segment.read_bytes())
    data[-40] ^= 1
    segment.write_bytes(data)
    with pytest.raises(LedgerDamaged):  # noqa: PT012 - what comes before the damage comes first
        for _ in range(3):
            worker.run_once(Impatient())
    assert trajectories(tmp_path) == 3


def test_a_rebuild_ends_when_the_process_is_told_to(worker: ViewsWorker, tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", ledgers.story())
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "views.sqlite").write_bytes(b"x" * 5000)
    stop = threading.Event()
    stop.set()
    worker.run_once(stop)
    assert trajectories(tmp_path) == -1
    assert not list((tmp_path / "views").glob("views-*"))


def test_views_are_right_after_kills_at_any_moment(tmp_path: Path) -> None:
    """A real process, killed again and again while another appends; nothing is counted twice or missed."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    rounds, each = 6, 40
    environ = {**os.environ, "KARL_DATA_DIR": str(tmp_path)}
    for round_ in range(rounds):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL
        )
        drafts = [ledgers.trajectory(f"s{round_}-{n}", n) for n in range(each)]
        ledgers.write(tmp_path / "ledger", drafts, segment_max_bytes=20_000, batch=3)
        least = chance.randrange(round_ * each, (round_ + 1) * each)
        wait_until(lambda: trajectories(tmp_path) >= least, f"{least} are in the views (seed {seed})")
        child.send_signal(signal.SIGKILL)
        child.wait()
    child = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environ, stderr=subprocess.PIPE)
    assert child.stderr is not None
    assert b"views: ready" in child.stderr.readline()
    wait_until(lambda: trajectories(tmp_path) == rounds * each, f"all are in the views (seed {seed})")
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0
    child.stderr.close()
    settings = read_settings({"KARL_DATA_DIR": str(tmp_path)})
    assert compare(settings.views, settings.ledger, settings.reward_version).equal
