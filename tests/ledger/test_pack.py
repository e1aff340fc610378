"""A compressed segment reads as the plain one did, at any place, and harm to it is found."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from karl.errors import LedgerDamaged
from karl.ledger import rewrite
from karl.ledger.files import open_segment, split_lines
from karl.ledger.latest import latest
from karl.ledger.reader import Reader, head, read_at
from karl.ledger.segments import list_segments
from karl.ledger.verify import verify
from karl.ledger.writer import newest_term
from tests.ledger.conftest import newest, open_writer, read_all, set_byte, write_some


@pytest.fixture
def packed(folder: Path) -> Path:
    """A ledger whose sealed segments are compressed."""
    write_some(folder, 12, segment_max_bytes=1500)
    for header, _ in rewrite.sealed(folder):
        rewrite.pack(folder, header.line.segment)
    return folder


def test_every_reader_sees_the_same_lines(folder: Path) -> None:
    write_some(folder, 12, segment_max_bytes=1500)
    before = (
        read_all(folder),
        list(latest(folder)),
        head(folder),
        list_segments(folder),
        newest_term(folder),
    )
    report = verify(folder)
    plain = sum(path.stat().st_size for path in folder.iterdir())
    sizes = [rewrite.pack(folder, header.line.segment) for header, _ in rewrite.sealed(folder)]
    assert len(sizes) > 3
    assert (
        read_all(folder), list(latest(folder)), head(folder), list_segments(folder), newest_term(folder)
    ) == before  # fmt: skip
    assert verify(folder) == report
    assert plain + sum(after - size for size, after in sizes) == sum(
        path.stat().st_size for path in folder.iterdir()
    )
    for line in before[0]:
        assert read_at(folder, line.segment, line.offset, line.end) == line


def test_any_bytes_of_a_large_segment_can_be_read(folder: Path) -> None:
    chance = random.Random(7)
    folder.mkdir()
    name = "0000000001-000000.jsonl"
    data = bytes(chance.choices(b"abcdefgh\n", k=3 * rewrite.FRAME_BYTES + 777))
    (folder / name).write_bytes(data)
    rewrite.pack(folder, name)
    assert not (folder / name).exists()
    with open_segment(folder, name) as file:
        assert file.size() == len(data)
        for _ in range(50):
            at, size = chance.randrange(len(data) + 100), chance.randrange(300_000)
            assert file.read_at(at, size) == data[at : at + size]
        assert b"".join(piece for _, piece in split_lines(file, 0, len(data))) == data


def test_the_zstd_of_others_reads_it(packed: Path) -> None:
    name = list_segments(packed)[0]
    path = packed / f"{name}.zst"
    with open_segment(packed, name) as file:
        whole = file.read_at(0, file.size())
    told = subprocess.run(
        [sys.executable, "-c", f"import pyzstd,sys; sys.stdout.buffer.write(pyzstd.open({str(path)!r}).read())"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert told.stdout == whole


def test_a_writer_goes_on_behind_compressed_segments(packed: Path) -> None:
    before = read_all(packed)
    write_some(packed, 2, term=2, first=12)
    assert read_all(packed)[: len(before)] == before
    assert verify(packed).findings == []


def test_unpacking_gives_the_very_bytes_back(folder: Path) -> None:
    write_some(folder, 6, segment_max_bytes=1500)
    name = list_segments(folder)[0]
    before = (folder / name).read_bytes()
    rewrite.pack(folder, name)
    rewrite.unpack(folder, name)
    assert (folder / name).read_bytes() == before
    assert not (folder / f"{name}.zst").exists()


def test_every_flipped_byte_of_a_compressed_segment_is_found(packed: Path) -> None:
    name = list_segments(packed)[1]
    path = packed / f"{name}.zst"
    whole = path.read_bytes()
    missed = []
    for offset in range(len(whole)):
        set_byte(path, offset, lambda byte: byte ^ 0x55)
        try:
            report = verify(packed)
            if report.ok and not report.findings and read_all(packed) == []:
                missed.append(offset)
            if report.ok and _bytes_of(packed, name) != _plain(whole):
                missed.append(offset)
        except LedgerDamaged:
            pass
        path.write_bytes(whole)
    assert missed == []


def _bytes_of(folder: Path, name: str) -> bytes:
    with open_segment(folder, name) as file:
        return file.read_at(0, file.size())


def _plain(packed: bytes) -> bytes:
    import pyzstd

    return pyzstd.decompress(packed)


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_a_compressed_segment_that_is_cut_off_is_damage(packed: Path, cut: int) -> None:
    path = packed / f"{list_segments(packed)[1]}.zst"
    path.write_bytes(path.read_bytes()[:cut])
    assert not verify(packed).ok
    with pytest.raises(LedgerDamaged):
        _read_to_the_end(packed)


def _read_to_the_end(folder: Path) -> None:
    with Reader(folder) as reader:
        while reader.poll(100):
            pass


def test_while_both_forms_are_there_the_plain_one_counts(folder: Path) -> None:
    write_some(folder, 6, segment_max_bytes=1500)
    before = read_all(folder)
    (folder / f"{list_segments(folder)[0]}.zst").write_bytes(b"half")
    assert read_all(folder) == before
    assert verify(folder).ok


def test_the_newest_segment_compressed_by_somebody_is_refused_by_the_writer(folder: Path) -> None:
    write_some(folder, 2)
    name = newest(folder).name
    rewrite.pack(folder, name)
    with pytest.raises(LedgerDamaged, match="unpack"):
        open_writer(folder, 2)
