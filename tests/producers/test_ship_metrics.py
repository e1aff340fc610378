"""What the shipper tells of itself: the spool, what went out, what was taken out, and why something stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from redis import Redis

from karl.metrics import table
from karl.stream.connect import connect
from producers.envelope import EnvelopeMaker
from producers.quiet import GRACE_S
from producers.redact import Redactor
from producers.ship import Shipper
from producers.spool import Spool
from producers.watch import of_shipper

T = 1_700_000_000_000_000_000
REDACTOR = Redactor()


class Scene:
    """A shipper whose clock stands still, and the sum of what it counted since the test began."""

    def __init__(self, folder: Path, redis: Redis, **more: int) -> None:
        self.spool = Spool(folder)
        self.spool.prepare()
        self.now_s = 1000.0
        self.shipper = Shipper(
            self.spool,
            redis,
            EnvelopeMaker(node="n1", redactor=REDACTOR),
            clock=lambda: self.now_s,
            now_ns=self.now_ns,
            jitter=lambda: 0.5,
            **more,
        )
        self._before = self._counted()

    def now_ns(self) -> int:
        return T + int(self.now_s * 1e9)

    def hook(self, number: int, text: str, *, session: str = "s1") -> int:
        path = self.spool.folder / f"claude-code.{number}"
        path.write_text(f'{{"hook_event_name":"Stop","session_id":"{session}","text":"{text}"}}')
        os.utime(path, ns=(T, T))
        return path.stat().st_size

    def told(self) -> dict[str, float]:
        """Give the samples by name, and by name and rule."""
        return {
            " ".join((sample.metric.name, *sample.labels)): sample.value
            for watcher in of_shipper(self.shipper, self.now_ns)
            for sample in watcher()
        }

    def grown(self) -> dict[str, float]:
        return {name: value - self._before[name] for name, value in self._counted().items()}

    @staticmethod
    def _counted() -> dict[str, float]:
        rows = (table.SHIPPED_BYTES, table.PUSHED_BYTES, table.PUSHES_REFUSED)
        pushes = {table.PUSH_DURATION.name: float(sum(table.PUSH_DURATION.counts))}
        return pushes | {row.name: row.values[()] for row in rows}


@pytest.fixture
def scene(tmp_path: Path, redis: Redis) -> Scene:
    return Scene(tmp_path / "spool", redis)


def test_what_waits_is_told_with_its_age_and_what_went_out_with_its_bytes(scene: Scene) -> None:
    size = sum(scene.hook(number, "x") for number in range(3))
    scene.shipper.check_bound()
    waits = scene.told()
    assert waits["karl_spool_files"] == 3
    assert waits["karl_spool_bytes"] == size
    assert waits["karl_spool_oldest_age_seconds"] == 1000
    assert waits["karl_spool_full"] == 0
    assert waits["karl_shipped_events_total"] == 0
    scene.shipper._round()
    scene.now_s += 60
    scene.shipper.check_bound()
    went = scene.told()
    assert went["karl_spool_files"] == went["karl_spool_bytes"] == went["karl_spool_oldest_age_seconds"] == 0
    assert went["karl_shipped_events_total"] == 3
    grown = scene.grown()
    assert grown["karl_shipped_bytes_total"] == size
    assert grown["karl_pushed_bytes_total"] > size  # an envelope more for each
    assert grown["karl_push_duration_seconds"] == 1
    assert grown["karl_pushes_refused_total"] == 0
    assert table.REDIS_UP.values[()] == 1


def test_redactions_are_told_by_rule_and_never_fall(scene: Scene) -> None:
    name = "karl_redactions_total github-token"
    for number in range(3):
        scene.hook(number, "ghp_" + "a1B2" * 9)
        scene.shipper._round()
        assert scene.told()[name] == number + 1
    assert not [key for key in scene.told() if "ghp_" in key]


def test_what_is_no_event_is_told_as_a_dead_letter(scene: Scene) -> None:
    scene.hook(1, "x")
    (scene.spool.folder / "claude-code.2").write_text("{no")
    os.utime(scene.spool.folder / "claude-code.2", ns=(T, T))
    scene.shipper._round()
    scene.now_s += GRACE_S + 1  # nobody writes it any more
    scene.shipper._round()
    assert scene.told()["karl_dead_letters_total"] == 1
    assert scene.told()["karl_shipped_events_total"] == 1


def test_back_pressure_is_told_while_it_lasts(tmp_path: Path, redis: Redis) -> None:
    scene = Scene(tmp_path / "spool", redis, stream_max=2)
    for number in range(5):
        scene.hook(number, "x")
    scene.shipper._round()
    for number in range(5, 8):
        scene.hook(number, "x")
    scene.shipper._round()
    assert scene.told()["karl_held_back_partitions"] == 1
    redis.flushall()
    for _ in range(3):
        scene.shipper._round()
    assert scene.told()["karl_held_back_partitions"] == 0
    assert scene.told()["karl_shipped_events_total"] == 8


def test_a_server_that_is_away_is_told_and_every_batch_that_it_refused(tmp_path: Path) -> None:
    away = connect(f"unix://{tmp_path / 'nobody'}")
    scene = Scene(tmp_path / "spool", away)
    scene.hook(1, "x")
    scene.shipper._round()
    scene.shipper._round()
    assert scene.grown()["karl_pushes_refused_total"] == 2
    assert table.REDIS_UP.values[()] == 0
    assert scene.told()["karl_shipped_events_total"] == 0
    assert scene.told()["karl_spool_files"] == 1
    away.close()


def test_a_full_spool_is_told(tmp_path: Path, redis: Redis) -> None:
    scene = Scene(tmp_path / "spool", redis, spool_max_bytes=10)
    scene.hook(1, "x")
    scene.shipper.check_bound()
    told = scene.told()
    assert told["karl_spool_full"] == 1
    assert told["karl_spool_max_bytes"] == 10


def test_a_folder_that_changes_all_the_time_is_looked_at_as_often_as_another(scene: Scene) -> None:
    """Its time says nothing then: a change in the same tick of the clock would not show."""

    class Stop:
        looks = 0

        def wait(self, seconds: float) -> bool:
            self.looks += 1
            scene.now_s += seconds
            os.utime(scene.spool.folder, ns=(scene.now_ns(), scene.now_ns()))
            return False

    os.utime(scene.spool.folder, ns=(scene.now_ns(), scene.now_ns()))
    stop = Stop()
    scene.shipper._await_change(stop, scene.shipper._folder_time(), waiting=0)  # type: ignore[arg-type]
    assert stop.looks == 1
