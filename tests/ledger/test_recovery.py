"""Recovery: a torn tail is cut off and kept aside; damage is refused and left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from karl.errors import LedgerDamaged
from karl.ledger import recovery
from karl.ledger.frame import read_line, write_line
from karl.ledger.reader import head
from karl.ledger.segments import list_segments, read_header
from karl.ledger.verify import verify
from tests.ledger.conftest import SALT, draft, ids, newest, open_writer, read_all, set_byte, write_some


def copy_of(source: Path, target: Path) -> Path:
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


@pytest.fixture
def quick_disk(monkeypatch) -> None:
    """No waiting for the disk, where a test opens a ledger hundreds of times."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda fd: None)


@pytest.mark.usefixtures("quick_disk")
def test_at_every_length_of_the_last_record_the_rest_is_kept(folder: Path, tmp_path: Path) -> None:
    write_some(folder, 3)
    whole = newest(folder).read_bytes()
    start = read_all(folder)[-1].offset
    for length in range(start, len(whole) + 1):
        torn = copy_of(folder, tmp_path / str(length))
        path = newest(torn)
        path.write_bytes(whole[:length])
        kept = 3 if length == len(whole) else 2
        assert ids(torn) == [f"t{n}" for n in range(kept)]
        with open_writer(torn, 2) as writer:
            assert writer.watermarks == {5: f"100-{kept - 1}"}
            if length in {start, len(whole)}:
                assert writer.recovery is None
            else:
                assert writer.recovery is not None
                (cut,) = writer.recovery.cuts
                assert (cut.segment, cut.offset, cut.bytes) == (path.name, start, length - start)
                assert (torn / cut.copy).read_bytes() == whole[start:length]
            writer.append([draft(2), draft(3)])
        assert path.read_bytes() == whole[: start if kept == 2 else length]
        assert ids(torn) == ["t0", "t1", "t2", "t3"]
        report = verify(torn)
        assert report.ok
        assert not report.findings
        assert len(report.cuts) == (0 if length in {start, len(whole)} else 1)


@pytest.mark.usefixtures("quick_disk")
def test_at_every_length_of_a_header_the_segment_is_set_aside(folder: Path, tmp_path: Path) -> None:
    write_some(folder, 2)
    open_writer(folder, 2).close()
    whole = newest(folder).read_bytes()
    for length in range(len(whole)):
        torn = copy_of(folder, tmp_path / str(length))
        newest(torn).write_bytes(whole[:length])
        assert ids(torn) == ["t0", "t1"]
        assert head(torn).records == 2
        with open_writer(torn, 3) as writer:
            assert writer.recovery is not None
            (cut,) = writer.recovery.cuts
            assert (cut.segment, cut.bytes) == ("0000000002-000000.jsonl", length)
            assert (torn / cut.copy).read_bytes() == whole[:length]
            writer.append([draft(2)])
        assert ids(torn) == ["t0", "t1", "t2"]
        assert list_segments(torn) == ["0000000001-000000.jsonl", "0000000003-000000.jsonl"]
        assert verify(torn).ok


def test_the_very_first_header_may_be_torn(folder: Path) -> None:
    open_writer(folder, 1).close()
    newest(folder).write_bytes(newest(folder).read_bytes()[:50])
    write_some(folder, 2, term=2)
    assert ids(folder) == ["t0", "t1"]
    assert read_all(folder)[0].seq == 1
    assert verify(folder).ok


def test_several_writers_that_died_while_they_began_are_all_set_aside(folder: Path) -> None:
    write_some(folder, 2)
    for term in (2, 3, 4):
        (folder / f"{term:010d}-000000.jsonl").write_bytes(b"{"[: term % 2])
    with open_writer(folder, 5) as writer:
        assert writer.recovery is not None
        assert [cut.segment[:10] for cut in writer.recovery.cuts] == [
            "0000000004",
            "0000000003",
            "0000000002",
        ]
    assert ids(folder) == ["t0", "t1"]


@pytest.mark.parametrize("garbage", [b"\0" * 5000, b"\n", b"\xff\n\xff\n", b'{"seq":5}\n', b"x" * 70_000])
def test_garbage_at_the_end_is_a_torn_tail(folder: Path, garbage: bytes) -> None:
    write_some(folder, 2)
    with newest(folder).open("ab") as file:
        file.write(garbage)
    with open_writer(folder, 2) as writer:
        assert writer.recovery is not None
        assert writer.recovery.cuts[0].bytes == len(garbage)
        writer.append([draft(2)])
    assert ids(folder) == ["t0", "t1", "t2"]
    assert verify(folder).ok


def test_a_second_torn_tail_of_a_segment_does_not_overwrite_the_copy_of_the_first(folder: Path) -> None:
    write_some(folder, 2)
    path = newest(folder)
    (folder / f"{path.name}.torn-1").write_bytes(b"the first")
    with path.open("ab") as file:
        file.write(b"the second")
    open_writer(folder, 2).close()
    assert (folder / f"{path.name}.torn-1").read_bytes() == b"the first"
    assert (folder / f"{path.name}.torn-2").read_bytes() == b"the second"


def test_a_flipped_byte_before_the_last_record_is_damage_and_nothing_is_changed(folder: Path) -> None:
    write_some(folder, 3)
    path = newest(folder)
    set_byte(path, read_all(folder)[-2].offset + 20, lambda byte: byte ^ 1)
    before = path.read_bytes()
    with pytest.raises(LedgerDamaged, match="valid lines follow"):
        open_writer(folder, 2)
    assert path.read_bytes() == before
    assert list_segments(folder) == [path.name]


def test_a_broken_header_with_lines_after_it_is_damage(folder: Path) -> None:
    write_some(folder, 3)
    set_byte(newest(folder), 10, lambda byte: byte ^ 1)
    with pytest.raises(LedgerDamaged):
        open_writer(folder, 2)


def test_a_segment_of_nothing_but_broken_lines_is_damage_and_not_set_aside(folder: Path) -> None:
    write_some(folder, 3)
    path = newest(folder)
    path.write_bytes(path.read_bytes().replace(b'"crc"', b'"cfc"'))
    with pytest.raises(LedgerDamaged):
        open_writer(folder, 2)
    assert path.exists()


def test_a_line_written_twice_in_the_newest_segment_is_damage(folder: Path) -> None:
    write_some(folder, 3)
    path = newest(folder)
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1])
    with pytest.raises(LedgerDamaged, match="seq"):
        open_writer(folder, 2)


def test_a_segment_under_another_name_is_damage(folder: Path) -> None:
    write_some(folder, 3)
    newest(folder).rename(folder / "0000000004-000000.jsonl")
    with pytest.raises(LedgerDamaged, match="another segment's"):
        open_writer(folder, 5)


def test_a_later_format_is_not_touched(folder: Path) -> None:
    write_some(folder, 1)
    path = newest(folder)
    line = path.read_bytes().splitlines(keepends=True)[0]
    parts = read_line(line, path.name, 0)
    body = bytes(parts.body).replace(b'"format":2', b'"format":3')
    later, _ = write_line(
        body, seq=1, term=1, time=parts.time, kind="segment", source=None, prev=parts.prev, salt=SALT
    )
    path.write_bytes(later)
    with pytest.raises(LedgerDamaged, match="format 3"):
        open_writer(folder, 2)
    assert path.read_bytes() == later


def test_what_recovery_cut_is_told_in_the_new_segments_header(folder: Path) -> None:
    write_some(folder, 2)
    with newest(folder).open("ab") as file:
        file.write(b"torn")
    with open_writer(folder, 2) as writer:
        assert writer.recovery is not None
        header = read_header(folder, writer.segment)
        assert header is not None
        assert header.body.cuts == writer.recovery.cuts


def test_a_crash_between_sealing_and_cutting_leaves_bytes_that_nobody_reads(folder: Path) -> None:
    write_some(folder, 2)
    path = newest(folder)
    with path.open("ab") as file:
        file.write(b"torn")
    whole = path.read_bytes()
    open_writer(folder, 2).close()
    path.write_bytes(whole)
    write_some(folder, 1, term=3, first=2)
    assert ids(folder) == ["t0", "t1", "t2"]
    report = verify(folder)
    assert report.ok
    assert [(f.severity, f.bytes) for f in report.findings] == [("warning", 4)]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system can not drop pages")
def test_the_newest_segment_is_synced_and_dropped_from_memory_before_it_is_read(
    folder: Path, monkeypatch
) -> None:
    write_some(folder, 2)
    steps: list[str] = []
    real_sync, real_read = recovery.sync, recovery.read_line
    monkeypatch.setattr(recovery, "sync", lambda fd: (steps.append("sync"), real_sync(fd)))
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, *_: steps.append("drop"))
    monkeypatch.setattr(recovery, "read_line", lambda *a: (steps.append("read"), real_read(*a))[1])
    open_writer(folder, 2).close()
    assert steps[:3] == ["sync", "drop", "read"]
