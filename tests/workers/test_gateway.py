"""A gateway's event files through the real line: nothing of the flows is lost, whatever happens to the files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from karl.errors import LineDown, Refused
from karl.schema.event import decode_events
from karl.settings import Settings, read_settings
from karl.stream import dead_letters, keys
from karl.stream.connect import connect
from producers import gateway_lines, importing
from producers.flow_entries import ENTRY_EVENTS
from producers.gateway import NOTED_EVERY, Gateway, GatewayReport, follow_gateway, import_gateway, notes_path
from tests.cli.running import KARL
from tests.conftest import wait_until
from tests.producers.gateway_log import Log
from tests.workers.conftest import Line


class Scene:
    """A folder of event files, and what its import makes of it."""

    def __init__(self, line: Line, redis_url: str, folder: Path) -> None:
        self.line = line
        self.settings: Settings = read_settings(
            {"KARL_DATA_DIR": str(folder / "karl"), "KARL_REDIS_URL": redis_url, "KARL_NODE": "n1"}
        )
        self.log = Log(folder / "events")
        self.worker = line.sessions()

    def poll(self, now_ms: int = 0) -> GatewayReport:
        """Import as at a time; by default while everything has just been written."""
        report = import_gateway(self.log.folder, self.line.redis, self.settings, now_ms=lambda: now_ms)
        self.line.drain(self.worker)
        return report

    def turns(self) -> list[dict[str, Any]]:
        return self.line.records("trajectory")

    def calls(self) -> list[int]:
        return sorted(turn["trajectory"]["trajectory"]["total_tools"] for turn in self.turns())


@pytest.fixture
def scene(line: Line, redis_url: str, tmp_path: Path) -> Any:
    made = Scene(line, redis_url, tmp_path)
    yield made
    made.worker.close()


def test_a_flow_is_a_scored_turn_with_its_steps_and_its_skill(scene: Scene) -> None:
    scene.log.start("nightly sync", reason="x")
    scene.log.step(0, "nightly sync", duration_ms=51)
    scene.log.step(1, "nightly sync", kind="ntfy_push", ok=False, error=None)
    scene.log.complete("nightly sync", first_error="ntfy is down")
    report = scene.poll()
    assert (report.envelopes, report.runs, report.completed, report.events) == (6, 1, 1, 7)
    (turn,) = scene.turns()
    reading = turn["trajectory"]
    assert (turn["agent"], turn["project"], reading["domain"]) == ("gateway", *["mesh-orchestration"] * 2)
    assert reading["skill"]["name"] == "flow:nightly sync"
    assert reading["context"]["prompt_text"] == "cron:nightly sync"
    assert [call["tool_name"] for call in reading["trajectory"]["events"]] == ["CaptainAsk", "NtfyPush"]
    assert [call["success"] for call in reading["trajectory"]["events"]] == [True, False]
    assert reading["trajectory"]["events"][0]["duration_ms"] == 51


# --- what the daemon before ours lost, by name ---


def test_a_flow_whose_start_and_end_come_in_different_polls_is_one_turn(scene: Scene) -> None:
    scene.log.start()
    scene.log.step(0)
    assert scene.poll().events == 4
    assert scene.turns() == []
    scene.log.step(1)
    scene.log.complete()
    assert scene.poll().events == 3
    assert scene.calls() == [2]


def test_lines_of_a_day_long_past_may_come_in_two_polls_too(scene: Scene) -> None:
    now_ms = time.time_ns() // 1_000_000
    scene.log.day = "2020-01-01"
    scene.log.start()
    scene.log.step(0)
    scene.poll(now_ms)
    assert scene.turns() == []
    scene.log.complete()
    scene.poll(now_ms)
    assert scene.calls() == [1]


def test_a_poll_on_the_empty_file_of_a_new_day_loses_nothing_of_that_day(scene: Scene) -> None:
    scene.log.seq = 40
    scene.log.flow()
    scene.poll()
    scene.log.day, scene.log.seq, scene.log.clock = "2026-06-04", 0, 0
    scene.log.write(b"")
    scene.poll()
    for number in range(7):
        scene.log.flow(f"f{number}")
    scene.poll()
    assert len(scene.turns()) == 8


def test_a_new_day_that_counts_from_one_while_it_is_polled_loses_nothing(scene: Scene) -> None:
    scene.log.seq = 40
    scene.log.flow()
    scene.poll()
    scene.log.day, scene.log.seq, scene.log.clock = "2026-06-04", 0, 0
    scene.log.start()
    scene.log.step(0)
    scene.poll()
    scene.log.step(1)
    scene.log.complete()
    scene.poll()
    assert scene.calls() == [2, 2]


def test_numbers_that_come_after_higher_ones_are_read(scene: Scene) -> None:
    log = scene.log
    late = [log.line("step:start", step=0, step_kind="inject", seq=7, at=7)]
    late.append(log.line("step:complete", step=0, step_kind="inject", ok=True, seq=8, at=8))
    log.start(seq=6, at=6)
    log.complete(seq=11, at=11)
    log.write(*late)
    scene.poll()
    assert scene.calls() == [1]


def test_numbers_that_come_after_higher_ones_in_a_later_poll_are_kept(scene: Scene) -> None:
    log = scene.log
    late = [log.line("step:complete", step=0, step_kind="inject", ok=True, seq=8, at=8)]
    log.start(seq=6, at=6)
    log.write(log.line("step:start", step=0, step_kind="inject", seq=7, at=7))
    log.complete(seq=11, at=11)
    scene.poll()
    log.write(*late)
    assert scene.poll().events == 1
    (turn,) = scene.turns()
    (late_record,) = scene.line.records("events")
    assert late_record["of"] == turn["id"]


def test_the_same_flow_twice_in_one_second_is_two_turns_and_the_failure_stays(scene: Scene) -> None:
    for ok in (True, False):
        scene.log.start(at=5)
        scene.log.write(scene.log.line("step:start", step=0, step_kind="inject", at=5))
        end = {"step_kind": "inject", "ok": ok, "error": None if ok else "boom", "at": 5}
        scene.log.write(scene.log.line("step:complete", step=0, **end))
        scene.log.complete(at=5, first_error=None if ok else "boom")
    scene.poll()
    assert sorted(turn["trajectory"]["trajectory"]["failures"] for turn in scene.turns()) == [0, 1]


def test_two_runs_of_one_flow_at_once_are_two_turns(scene: Scene) -> None:
    log = scene.log
    log.start()
    log.start()
    for number in (0, 0):
        log.write(log.line("step:start", step=number, step_kind="inject"))
    for number in (0, 0):
        log.write(log.line("step:complete", step=number, step_kind="inject", ok=True))
    log.complete()
    log.complete()
    scene.poll()
    assert scene.calls() == [1, 1]


def test_what_is_written_after_midnight_to_yesterdays_file_is_read(scene: Scene) -> None:
    log = scene.log
    log.start(at=86_390)
    scene.poll()
    today = Log(log.folder, "2026-06-04")
    today.flow("other")
    scene.poll()
    log.step(0)
    log.complete()
    scene.poll()
    assert scene.calls() == [1, 2]


# --- again, torn, broken, replaced ---


def test_a_folder_imported_again_or_elsewhere_or_without_its_notes_adds_nothing(
    scene: Scene, tmp_path: Path
) -> None:
    for number in range(3):
        scene.log.flow(f"f{number}")
        scene.log.flow("same")
    scene.poll()
    before = scene.line.records()
    assert scene.poll().envelopes == 0
    notes_path(scene.log.folder, scene.settings).unlink()
    assert scene.poll().envelopes == 36
    copy = tmp_path / "copy"
    scene.log.folder.rename(copy)
    import_gateway(copy, scene.line.redis, scene.settings)
    scene.line.drain(scene.worker)
    assert scene.line.records() == before


def test_a_torn_last_line_is_read_when_it_is_whole(scene: Scene) -> None:
    scene.log.flow()
    data = scene.log.path.read_bytes()
    scene.log.path.write_bytes(data[:-20])
    report = scene.poll()
    assert (report.torn, report.completed, report.dead) == (1, 0, 0)
    scene.log.path.write_bytes(data)
    report = scene.poll()
    assert (report.torn, report.completed, report.envelopes) == (0, 1, 1)
    assert scene.calls() == [2]


def test_a_whole_last_line_without_its_end_is_read_at_once(scene: Scene) -> None:
    scene.log.flow()
    scene.log.path.write_bytes(scene.log.path.read_bytes()[:-1])
    assert scene.poll().completed == 1
    scene.log.path.write_bytes(scene.log.path.read_bytes() + b"\n")
    scene.log.flow("other")
    assert scene.poll().completed == 1


def test_broken_lines_are_dead_letters_and_spoil_nothing(scene: Scene, redis: Redis) -> None:
    log = scene.log
    log.start()
    log.write(
        b"{no json\n",
        b"\xff\xfe\n",
        b"[1]\n",
        b"\n",
        log.line("heartbeat", None),
        b'{"type":"flow:start",',
    )
    log.write(log.line("step:start", step=0, step_kind="inject"))
    log.step(1)
    log.complete()
    report = scene.poll()
    assert report.dead == len(list(dead_letters.read(redis))) == 5
    assert report.by_reason["it names no flow"] == 1
    assert scene.calls() == [2]


def test_other_files_are_named_and_left_alone(scene: Scene) -> None:
    scene.log.flow()
    (scene.log.folder / "events-2026-06-03.jsonl.gz").write_bytes(b"x")
    (scene.log.folder / "notes").mkdir()
    assert scene.poll().foreign == ["events-2026-06-03.jsonl.gz", "notes"]


def test_a_file_that_was_replaced_is_read_from_its_beginning(scene: Scene) -> None:
    scene.log.flow("old")
    scene.log.flow("older")
    scene.poll()
    scene.log.path.unlink()
    scene.log.flow("new")
    report = scene.poll()
    assert (report.again, report.completed) == ([scene.log.path.name], 1)
    assert len(scene.turns()) == 3


def test_a_run_that_nobody_completes_is_closed_and_its_late_end_is_kept(scene: Scene) -> None:
    scene.log.start()
    scene.log.step(0)
    scene.poll(now_ms=2**41)
    (turn,) = scene.turns()
    assert turn["closed_by"] == "import_end"
    scene.log.complete()
    scene.poll()
    assert [record["after"] for record in scene.line.records("events")] == [turn["id"]]


def test_runs_after_one_in_which_the_gateway_died_are_whole(scene: Scene) -> None:
    log = scene.log
    log.start(at=0)
    log.write(log.line("step:start", step=0, step_kind="inject", at=1))
    for at in (60, 120, 180):
        log.start(at=at)
        log.write(log.line("step:start", step=0, step_kind="inject", at=at))
        log.write(log.line("step:complete", step=0, step_kind="inject", ok=True, duration_ms=2000, at=at + 2))
        log.complete(at=at + 2, duration_ms=2000)
    scene.poll()
    assert [turn["trajectory"]["timing"]["duration_s"] for turn in scene.turns()] == [2.0] * 3


def test_a_start_that_is_written_after_its_steps_begins_their_run_now_and_when_all_is_read_again(
    scene: Scene,
) -> None:
    log = scene.log
    start = log.line("flow:start", trigger_kind="cron", seq=1, at=1)
    log.step(0)
    log.complete()
    report = scene.poll()
    assert (report.events, report.waiting) == (0, 3)
    log.write(start)
    report = scene.poll()
    assert (report.events, report.waiting) == (5, 0)
    assert scene.calls() == [1]
    before = scene.line.ledgered()
    notes_path(log.folder, scene.settings).unlink()
    assert scene.poll().events == 5
    assert scene.line.ledgered() == before


def test_steps_whose_start_never_comes_are_kept(scene: Scene) -> None:
    scene.log.step(0)
    scene.log.complete()
    assert scene.poll().events == 0
    report = scene.poll(now_ms=2**41)
    assert (report.events, report.waiting) == (3, 0)
    assert scene.calls() == [1]


def test_a_copy_that_begins_in_the_middle_of_a_run_adds_nothing(scene: Scene, tmp_path: Path) -> None:
    scene.log.start(at=86_390)
    scene.log.step(0)
    today = Log(scene.log.folder, "2026-06-04")
    today.step(1)
    today.complete()
    scene.poll()
    before = scene.line.records()
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / today.path.name).write_bytes(today.path.read_bytes())
    assert import_gateway(copy, scene.line.redis, scene.settings).events == 3
    scene.line.drain(scene.worker)
    assert scene.line.records() == before


def test_lines_without_numbers_are_known_again_in_a_copy_that_has_only_some(
    scene: Scene, tmp_path: Path
) -> None:
    log = scene.log
    log.flow("other")
    for kind, step in (
        ("flow:start", None),
        ("step:start", 0),
        ("step:complete", 0),
        ("flow:complete", None),
    ):
        log.write(log.line(kind, "f", step, seq=None, step_kind="x", ok=True))
    scene.poll()
    before = scene.line.records()
    copy = tmp_path / "copy"
    copy.mkdir()
    some = [line for line in log.path.read_bytes().splitlines(keepends=True) if b'"f"' in line]
    (copy / log.path.name).write_bytes(b"".join(some))
    assert import_gateway(copy, scene.line.redis, scene.settings).events == 5
    scene.line.drain(scene.worker)
    assert scene.line.records() == before


def test_equal_lines_without_numbers_are_two_runs(scene: Scene) -> None:
    for _ in range(2):
        for kind in ("flow:start", "step:start", "step:complete", "flow:complete"):
            step = 0 if kind.startswith("step") else None
            scene.log.write(scene.log.line(kind, "f", step, seq=None, at=5, ok=True))
    scene.poll()
    assert scene.calls() == [1, 1]


def test_a_torn_last_line_is_a_dead_letter_once_its_day_is_over(scene: Scene, redis: Redis) -> None:
    scene.log.flow()
    with scene.log.path.open("ab") as file:
        file.write(b'{"seq":99,"ts":"2026')
    os.utime(scene.log.path, (2**30, 2**30))
    day_ms = 1_780_444_800_000
    assert scene.poll(now_ms=day_ms + 3_600_000).torn == 1
    report = scene.poll(now_ms=day_ms + 30 * 3_600_000)
    assert (report.torn, report.dead) == (0, 1)
    assert "line 7: the last line of a day that is over" in next(dead_letters.read(redis)).reason
    assert scene.poll(now_ms=day_ms + 31 * 3_600_000).dead == 0


def test_a_dead_letter_names_its_line_in_the_whole_file(scene: Scene, redis: Redis) -> None:
    scene.log.flow()
    scene.poll()
    scene.log.write(b"{bad}\n")
    scene.poll()
    assert "line 7:" in next(dead_letters.read(redis)).reason


def test_a_file_that_goes_away_or_can_not_be_read_keeps_no_other_from_being_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open
    Log(scene.log.folder, "2026-06-01").flow("gone")
    Log(scene.log.folder, "2026-06-02").flow("secret")
    scene.log.flow()

    def refuse(path: Path, *given: Any, **named: Any) -> Any:
        if path.name == "events-2026-06-01.jsonl":
            path.unlink()
        if path.name == "events-2026-06-02.jsonl":
            raise PermissionError(13, "Permission denied")
        return opened(path, *given, **named)

    monkeypatch.setattr(Path, "open", refuse)
    report = scene.poll()
    assert report.unreadable == {"events-2026-06-02.jsonl": "Permission denied"}
    assert (report.completed, scene.calls()) == (1, [2])
    monkeypatch.undo()
    assert scene.poll().completed == 1


def test_a_file_rewritten_in_place_is_noticed_though_its_size_is_the_same(scene: Scene) -> None:
    scene.log.flow("aaaa")
    scene.poll()
    scene.log.path.write_bytes(scene.log.path.read_bytes().replace(b"aaaa", b"bbbb"))
    assert scene.poll().again == [scene.log.path.name]
    assert len(scene.turns()) == 2


def test_a_file_cut_to_nothing_while_a_run_is_under_way_loses_nothing_of_the_run(scene: Scene) -> None:
    scene.log.start()
    scene.log.write(scene.log.line("step:start", step=0, step_kind="inject"))
    scene.poll()
    scene.log.path.write_bytes(b"")
    scene.log.write(scene.log.line("step:complete", step=0, step_kind="inject", ok=True))
    scene.log.complete()
    scene.poll()
    assert scene.calls() == [1]
    assert scene.turns()[0]["trajectory"]["trajectory"]["successes"] == 1


def test_a_follower_waits_a_moment_for_numbers_that_were_passed_over_and_not_for_ever(
    scene: Scene,
) -> None:
    log = scene.log
    late = log.line("step:complete", step=0, step_kind="inject", ok=True, seq=8, at=8)
    log.start(seq=6, at=6)
    log.write(log.line("step:start", step=0, step_kind="inject", seq=7, at=7))
    log.complete(seq=9, at=9)
    now = 1_780_444_800_000 + 9_500
    scene.settings.data_dir.mkdir()
    gateway = Gateway(log.folder, scene.line.redis, scene.settings, now_ms=lambda: now, settle_ms=2000)
    assert [gateway.catch_up(), gateway.catch_up()] == [2, 0]
    log.write(late)
    assert gateway.catch_up() == 2
    log.start(seq=13, at=9)
    assert gateway.catch_up() == 0
    now += 2000
    assert gateway.catch_up() == 1
    scene.line.drain(scene.worker)
    (turn,) = scene.turns()
    assert [call["success"] for call in turn["trajectory"]["trajectory"]["events"]] == [True]


def test_a_follower_stops_when_told_though_a_stream_is_full(scene: Scene) -> None:
    scene.log.flow(steps=ENTRY_EVENTS)  # more events than one entry holds
    stop = threading.Event()
    small = read_settings(
        {
            "KARL_DATA_DIR": str(scene.settings.data_dir),
            "KARL_REDIS_URL": scene.settings.redis_url,
            "KARL_STREAM_MAX_ENTRIES": "1",
        }
    )
    thread = threading.Thread(
        target=follow_gateway,
        args=(scene.log.folder, scene.line.redis, small, stop),
        kwargs={"every_s": 0.05},
    )
    thread.start()
    told = 2 + 2 * ENTRY_EVENTS + 1
    wait_until(lambda: events(scene.line.redis) == told, "the stream is over its bound")
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert scene.poll().events == told
    assert scene.calls() == [ENTRY_EVENTS]


def test_without_redis_nothing_counts_as_read(scene: Scene) -> None:
    scene.log.flow()
    with pytest.raises(LineDown):
        import_gateway(scene.log.folder, connect("redis://127.0.0.1:1/0"), scene.settings)
    assert scene.poll().completed == 1
    assert scene.calls() == [2]


@pytest.mark.parametrize("broken", [2, 9, 13])
def test_an_import_that_breaks_off_between_two_notes_is_read_again_and_counts_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    monkeypatch.setattr(gateway_lines, "BATCH_LINES", 10)
    for number in range(40):
        scene.log.flow(f"f{number}")
    real, pushes = importing.push, 0

    def push(*given: Any, **named: Any) -> Any:
        nonlocal pushes
        pushes += 1
        if pushes == broken:
            raise LineDown("gone")
        return real(*given, **named)

    monkeypatch.setattr(importing, "push", push)
    with pytest.raises(LineDown):
        scene.poll()
    assert scene.poll().completed >= 40 - 10 * NOTED_EVERY // 6
    assert scene.calls() == [2] * 40
    ids = scene.line.ledgered()
    assert len(set(ids)) == len(ids) == 40 * 7


def test_two_at_once_on_one_folder_are_refused(scene: Scene) -> None:
    stop = threading.Event()
    stop.set()
    lock = notes_path(scene.log.folder, scene.settings).with_suffix(".lock")
    scene.poll()
    from producers.importing import alone

    with alone(lock, "another"), pytest.raises(Refused, match="is running"):
        follow_gateway(scene.log.folder, scene.line.redis, scene.settings, stop, every_s=0.1)


def test_notes_that_can_not_be_read_mean_reading_again(scene: Scene) -> None:
    scene.log.flow()
    scene.poll()
    before = scene.line.records()
    notes_path(scene.log.folder, scene.settings).write_bytes(b"{torn")
    assert scene.poll().envelopes == 6
    assert scene.line.records() == before


def test_a_follower_that_is_killed_again_and_again_loses_and_repeats_nothing(
    scene: Scene, redis: Redis, environ_of: Callable[[Settings], dict[str, str]]
) -> None:
    total = 0
    for round_ in range(4):
        process = subprocess.Popen(
            [KARL, "import", "gateway", str(scene.log.folder), "--follow", "--every", "0.05"],
            env=environ_of(scene.settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            before = events(redis)
            for number in range(40):
                scene.log.flow(f"f{round_}-{number}")
                total += 1
            wait_until(lambda before=before: events(redis) > before, "the follower has begun")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    scene.poll()
    assert scene.calls() == [2] * total


def test_a_follower_ends_cleanly_and_says_what_it_did(
    scene: Scene, redis: Redis, environ_of: Callable[[Settings], dict[str, str]]
) -> None:
    scene.log.flow()
    process = subprocess.Popen(
        [KARL, "import", "gateway", str(scene.log.folder), "--follow", "--every", "0.05", "--json"],
        env=environ_of(scene.settings), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: events(redis) == 7, "the flow is in the stream")
    scene.log.flow("other")
    wait_until(lambda: events(redis) == 14, "what was written later is, too")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["completed"] == 2


def events(redis: Redis) -> int:
    rows: list[Any] = []
    for partition in range(keys.PARTITIONS):
        rows += redis.xrange(keys.events_key(partition)) or []
    return sum(len(decode_events(fields[1])) for _, fields in rows)


@pytest.fixture
def environ_of() -> Callable[[Settings], dict[str, str]]:
    def make(settings: Settings) -> dict[str, str]:
        own = {
            "KARL_DATA_DIR": str(settings.data_dir),
            "KARL_REDIS_URL": settings.redis_url,
            "KARL_NODE": "n1",
        }
        return {**{name: value for name, value in os.environ.items() if not name.startswith("KARL_")}, **own}

    return make
