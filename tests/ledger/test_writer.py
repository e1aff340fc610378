"""The writer: each record once, on disk before it is reported, and nothing after a failure."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from karl.errors import FsyncFailed, KarlError, LeaseLost, LedgerHeld, Unreadable
from karl.ledger import recovery
from karl.ledger.reader import Head, head
from karl.ledger.segments import LOCK, list_segments, read_header
from karl.ledger.verify import verify
from karl.ledger.writer import SEAL_MIN_BYTES, Draft, newest_term
from tests.conftest import ROOT
from tests.ledger.conftest import draft, events, ids, newest, open_writer, read_all, trajectory, write_some


def test_what_is_appended_is_read_back_in_order(folder: Path) -> None:
    with open_writer(folder, 1) as writer:
        assert writer.append([draft(0), draft(1)]) == 3
        assert writer.append([draft(2)]) == 4
        assert writer.next_seq == 5
        assert writer.head == read_all(folder)[-1].hash
    lines = read_all(folder)
    assert [line.seq for line in lines] == [1, 2, 3, 4]
    assert [bytes(line.body) for line in lines[1:]] == [trajectory(n) for n in range(3)]
    assert lines[1].source == (5, "100-0")
    assert lines[1].time == "2026-01-01T12:00:00.000Z"


def test_an_entry_at_or_below_its_partitions_watermark_is_left_out(folder: Path) -> None:
    with open_writer(folder, 1) as writer:
        writer.append([draft(9), draft(9), draft(10), draft(8), draft(3, partition=6)])
        assert writer.append([draft(10)]) == writer.next_seq - 1
        assert writer.repeated == 3
        assert writer.watermarks == {5: "100-10", 6: "100-3"}
    assert ids(folder) == ["t9", "t10", "t3"]


def test_the_watermarks_are_read_back_from_the_ledger_over_terms_and_segments(folder: Path) -> None:
    write_some(folder, 5, segment_max_bytes=1000)
    write_some(folder, 8, term=2, first=2, segment_max_bytes=1000)
    with open_writer(folder, 3) as writer:
        assert writer.watermarks == {5: "100-9"}
    assert ids(folder) == [f"t{n}" for n in range(10)]


def test_a_record_that_came_from_no_stream_is_never_left_out(folder: Path) -> None:
    with open_writer(folder, 1) as writer:
        writer.append([Draft("trajectory", trajectory(1)), Draft("trajectory", trajectory(2))])
    assert ids(folder) == ["t1", "t2"]
    assert read_all(folder)[1].source is None


@pytest.mark.parametrize(
    "bad",
    [
        Draft("trajectory", b"{}\n", 1, "1-0"),
        Draft("trajectory", b"not json", 1, "1-0"),
        Draft("segment", b"{}", 1, "1-0"),
        Draft("trajectory", b"{}", 64, "1-0"),
        Draft("trajectory", b"{}", None, "1-0"),
        Draft("trajectory", b"{}", 1, "1"),
    ],
)
def test_a_draft_that_would_spoil_the_ledger_is_named_and_nothing_is_written(
    folder: Path, bad: Draft
) -> None:
    with open_writer(folder, 1) as writer:
        before = newest(folder).read_bytes()
        with pytest.raises(Unreadable, match=rf"{bad.stream_id!r} of partition {bad.partition}"):
            writer.append([draft(0), bad])
        assert newest(folder).read_bytes() == before
        writer.append([draft(0)])
    assert ids(folder) == ["t0"]


def test_a_full_segment_is_followed_by_one_that_seals_it(folder: Path) -> None:
    write_some(folder, 20, segment_max_bytes=2000)
    names = list_segments(folder)
    assert len(names) > 3
    assert names == [f"0000000001-{n:06d}.jsonl" for n in range(len(names))]
    for before, after in pairwise(names):
        header = read_header(folder, after)
        assert header is not None
        assert header.body.seals[0].segment == before
        assert header.body.seals[0].length == (folder / before).stat().st_size
    assert verify(folder).ok
    assert ids(folder) == [f"t{n}" for n in range(20)]


def test_a_term_is_never_used_twice(folder: Path) -> None:
    write_some(folder, term=7)
    assert newest_term(folder) == 7
    for term in (1, 7):
        with pytest.raises(LedgerHeld, match="term 7"):
            open_writer(folder, term)
    (folder / LOCK).unlink()
    assert newest_term(folder) == 7
    with pytest.raises(LedgerHeld, match="term 7"):
        open_writer(folder, 7)
    open_writer(folder, 8).close()


def test_a_term_that_was_claimed_and_not_used_counts_too(folder: Path) -> None:
    folder.mkdir()
    (folder / LOCK).write_bytes(b"00000\0\0\x000000000041\n")
    assert newest_term(folder) == 41
    with pytest.raises(LedgerHeld):
        open_writer(folder, 41)
    open_writer(folder, 42).close()


def test_an_empty_folder_has_no_term_and_no_head(folder: Path) -> None:
    assert newest_term(folder) == 0
    assert head(folder) == Head()
    assert read_all(folder) == []


def test_of_two_writers_the_older_one_is_refused_before_it_writes(folder: Path) -> None:
    with open_writer(folder, 1) as old, open_writer(folder, 2) as new:
        sizes = {path: path.stat().st_size for path in folder.iterdir()}
        for _ in range(3):
            with pytest.raises(LeaseLost, match="term 2"):
                old.append([draft(0)])
        assert {path: path.stat().st_size for path in folder.iterdir()} == sizes
        new.append([draft(0)])
    assert ids(folder) == ["t0"]


def test_a_writer_whose_lease_ran_out_is_refused_before_it_writes(folder: Path) -> None:
    trusted = True
    with open_writer(folder, 1, trusted=lambda: trusted) as writer:
        trusted = False
        with pytest.raises(LeaseLost):
            writer.append([draft(0)])
        trusted = True  # renewed in time after all
        writer.append([draft(1)])
    assert ids(folder) == ["t1"]


def test_a_write_during_which_another_took_over_is_not_reported_as_done(folder: Path, monkeypatch) -> None:
    """The pause between check and write, which no lease can exclude, and no flock if the heir goes on."""
    old = open_writer(folder, 1)
    old.append([draft(0)])
    heirs = []
    real = os.write

    def paused(fd: int, data: bytes) -> int:
        monkeypatch.undo()
        heirs.append(open_writer(folder, 2))
        heirs[0].append([draft(1)])
        return real(fd, data)

    monkeypatch.setattr(os, "write", paused)
    with pytest.raises(LeaseLost, match="term 2"):
        old.append([draft(1), draft(2)])
    with pytest.raises(KarlError):
        old.append([draft(3)])
    heirs[0].append([draft(2)])
    old.close()
    heirs[0].close()
    assert ids(folder) == ["t0", "t1", "t2"]
    report = verify(folder)
    assert report.ok
    assert [(f.severity, f.segment) for f in report.findings] == [("warning", "0000000001-000000.jsonl")]
    assert "past the segment's seal" in report.findings[0].reason


def test_a_take_over_during_the_start_of_a_segment_leaves_the_stale_one_out(
    folder: Path, monkeypatch
) -> None:
    old = open_writer(folder, 1, segment_max_bytes=100)
    heirs = []
    real = os.open

    def paused(path: object, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_EXCL:
            monkeypatch.undo()
            heirs.append(open_writer(folder, 2))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", paused)
    with pytest.raises(LeaseLost, match="term 2"):
        old.append([draft(0)])
    old.close()
    heirs[0].append([draft(0)])
    heirs[0].close()
    assert list_segments(folder)[1] == "0000000001-000001.jsonl"
    assert ids(folder) == ["t0"]
    report = verify(folder)
    assert report.ok
    assert [f.segment for f in report.findings] == ["0000000001-000001.jsonl"]


def test_a_paused_holder_of_the_flock_is_waited_for_a_bounded_number_of_times(folder: Path) -> None:
    write_some(folder, 1)
    pauses: list[int] = []
    with (folder / LOCK).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with open_writer(folder, 2, attempts=7, pause=lambda: pauses.append(1)) as writer:
            assert len(pauses) == 7
            writer.append([draft(1)])
    assert ids(folder) == ["t0", "t1"]


def test_the_flock_is_free_between_appends(folder: Path) -> None:
    with open_writer(folder, 1) as writer, (folder / LOCK).open("rb") as other:
        writer.append([draft(0)])
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_writer_whose_lock_file_was_removed_stops(folder: Path) -> None:
    with open_writer(folder, 1) as writer:
        (folder / LOCK).unlink()
        with pytest.raises(LeaseLost, match="removed"):
            writer.append([draft(0)])


def test_a_writer_whose_folder_was_removed_stops(folder: Path) -> None:
    with open_writer(folder, 1) as writer:
        shutil.rmtree(folder)
        with pytest.raises(LeaseLost):
            writer.append([draft(0)])


def test_foreign_bytes_in_our_segment_stop_the_writer(folder: Path) -> None:
    with open_writer(folder, 1) as writer:
        with newest(folder).open("ab") as stranger:
            stranger.write(b"hello\n")
        with pytest.raises(LedgerHeld):
            writer.append([draft(0)])
        with pytest.raises(KarlError):
            writer.append([draft(0)])


def test_a_closed_writer_refuses(folder: Path) -> None:
    writer = open_writer(folder, 1)
    writer.close()
    writer.close()
    with pytest.raises(FsyncFailed, match="closed"):
        writer.append([draft(0)])


def test_after_a_failed_fsync_nothing_is_written_any_more(folder: Path, monkeypatch) -> None:
    writer = open_writer(folder, 1)
    writer.append([draft(0)])

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(recovery.os, "fdatasync", fail)
        with pytest.raises(FsyncFailed, match="Input/output error"):
            writer.append([draft(1)])
    size = newest(folder).stat().st_size
    with pytest.raises(FsyncFailed):
        writer.append([draft(1)])
    assert newest(folder).stat().st_size == size
    writer.close()
    # The bytes may or may not be there; the next writer finds out, and the record is there once.
    with open_writer(folder, 2) as heir:
        heir.append([draft(1), draft(2)])
    assert ids(folder) == ["t0", "t1", "t2"]


def test_a_disk_that_fails_while_a_writer_opens_leaves_the_ledger_as_it_was(
    folder: Path, monkeypatch
) -> None:
    write_some(folder, 3)
    before = newest(folder).read_bytes()

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(recovery.os, "fdatasync", fail)
        with pytest.raises(FsyncFailed):
            open_writer(folder, 2)
    assert newest(folder).read_bytes() == before
    open_writer(folder, 3).close()
    assert ids(folder) == ["t0", "t1", "t2"]


def test_a_write_that_was_cut_short_ends_the_writer_and_is_cut_off_by_the_next(
    folder: Path, monkeypatch
) -> None:
    writer = open_writer(folder, 1)
    writer.append([draft(0)])
    real = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: real(fd, data[: len(data) - 30]))
        with pytest.raises(FsyncFailed, match="make room"):
            writer.append([draft(1), draft(2)])
    with pytest.raises(FsyncFailed):
        writer.append([draft(3)])
    writer.close()
    with open_writer(folder, 2) as heir:
        assert heir.recovery is not None
        assert heir.watermarks == {5: "100-1"}
        heir.append([draft(1), draft(2)])
    assert ids(folder) == ["t0", "t1", "t2"]
    assert verify(folder).ok


WRITE_UNTIL_FULL = """
import resource, sys
from pathlib import Path
from karl.errors import FsyncFailed
from tests.ledger.conftest import draft, open_writer

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
writer = open_writer(Path(sys.argv[1]), int(sys.argv[3]))
done = -1
try:
    for n in range(1000):
        writer.append([draft(2 * n), draft(2 * n + 1)])
        done = 2 * n + 1
except FsyncFailed as error:
    try:
        writer.append([draft(5000)])
    except FsyncFailed:
        print(done, error)
"""


@pytest.mark.parametrize("limit", [500, 3000, 3333])
def test_at_a_real_limit_of_file_size_all_that_was_reported_is_kept(folder: Path, limit: int) -> None:
    argv = [sys.executable, "-c", WRITE_UNTIL_FULL, str(folder), str(limit), "1"]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    done = int(ended.stdout.split()[0])
    with open_writer(folder, 2) as heir:
        assert heir.recovery is not None
        kept = int(heir.watermarks.get(5, "100--1")[4:])
        assert done <= kept <= done + 1
        heir.append([draft(n) for n in range(done + 5)])
    assert ids(folder) == [f"t{n}" for n in range(done + 5)]
    assert verify(folder).ok


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root to mount a tmpfs")
def test_on_a_full_disk_all_that_was_reported_is_kept(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a tmpfs here")
    try:
        argv = [sys.executable, "-c", WRITE_UNTIL_FULL, str(disk / "ledger"), str(1 << 30), "1"]
        ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
        done = int(ended.stdout.split()[0])
        assert ids(disk / "ledger")[: done + 1] == [f"t{n}" for n in range(done + 1)]
        with pytest.raises(FsyncFailed):  # there is no room for the copy of the torn tail either
            open_writer(disk / "ledger", 2)
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        with open_writer(disk / "ledger", 3) as heir:
            heir.append([draft(done + 1), draft(done + 2)])
        assert ids(disk / "ledger")[: done + 3] == [f"t{n}" for n in range(done + 3)]
        assert verify(disk / "ledger").ok
    finally:
        subprocess.run(["umount", str(disk)], check=True)


APPEND_FOR_EVER = """
import sys
from pathlib import Path
from tests.ledger.conftest import draft, open_writer

folder = Path(sys.argv[1])
writer = open_writer(folder, int(sys.argv[2]), segment_max_bytes=20_000)
n = int(writer.watermarks.get(5, "100--1")[4:]) + 1
while True:
    writer.append([draft(n + i) for i in range(7)])
    n += 7
    print(n, flush=True)
"""


def test_a_writer_killed_at_any_moment_loses_nothing_it_reported_and_repeats_nothing(folder: Path) -> None:
    reported = 0
    for term in range(1, 13):
        argv = [sys.executable, "-c", APPEND_FOR_EVER, str(folder), str(term)]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(1 + term * term % 23):
                reported = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            for line in process.stdout:
                reported = int(line)
        assert len(ids(folder)) >= reported
    open_writer(folder, 100).close()
    names = ids(folder)
    assert names == [f"t{n}" for n in range(len(names))]
    assert len(names) >= reported > 0
    assert verify(folder).ok


def test_a_writer_stopped_in_the_middle_of_its_work_finds_itself_replaced(folder: Path) -> None:
    argv = [sys.executable, "-c", APPEND_FOR_EVER, str(folder), "1"]
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        with open_writer(folder, 2) as heir:
            mark = int(heir.watermarks[5][4:])
            heir.append([draft(mark + 1)])
            os.kill(process.pid, signal.SIGCONT)
            reported = [int(line) for line in process.stdout]
            assert "LeaseLost" in process.stderr.read()
            heir.append([draft(mark + 2)])
    assert max(reported, default=0) <= mark + 1
    assert ids(folder) == [f"t{n}" for n in range(mark + 3)]
    assert verify(folder).ok


def test_opening_and_the_head_read_no_segment_but_the_newest(folder: Path) -> None:
    write_some(folder, 30, segment_max_bytes=2000)
    older = list_segments(folder)[:-1]
    assert len(older) > 5
    for name in older:
        path = folder / name
        path.write_bytes(b"x" * path.stat().st_size)
    assert head(folder).records == 30
    with open_writer(folder, 2) as writer:
        assert writer.watermarks == {5: "100-29"}
        writer.append([draft(30)])
    assert head(folder).records == 31
    assert not verify(folder).ok


def test_a_writer_that_ends_leaves_its_heir_little_to_read(folder: Path) -> None:
    large = Draft("events", events("x" * SEAL_MIN_BYTES))
    with open_writer(folder, 1) as writer:
        writer.seal()
        assert len(list_segments(folder)) == 1  # a small one is left as it is
        writer.append([large])
        writer.seal()
        writer.seal()
    assert newest(folder).stat().st_size < 1000
    assert len(list_segments(folder)) == 2
    write_some(folder, 1, term=2)
    assert verify(folder).ok


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_reads_every_line(folder: Path) -> None:
    write_some(folder, 10, segment_max_bytes=2000)
    files = sorted(str(path) for path in folder.glob("*.jsonl"))
    ran = subprocess.run(
        ["jq", "-c", "[.seq, .kind, .body.id]", *files], capture_output=True, text=True, check=True
    )
    rows = [json.loads(row) for row in ran.stdout.splitlines()]
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert [row[2] for row in rows if row[1] == "trajectory"] == [f"t{n}" for n in range(10)]
