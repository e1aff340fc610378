"""The ledger from its end: the same records as from its start, the other way round."""

from __future__ import annotations

from pathlib import Path

import pytest

from karl.errors import LedgerDamaged
from karl.ledger import latest as latest_module
from karl.ledger.latest import latest, position_after
from karl.ledger.reader import START, Reader
from karl.ledger.segments import list_segments
from tests.ledger.conftest import newest, read_all, set_byte, write_some


@pytest.mark.parametrize("chunk", [1, 64, 700, 1 << 18])
def test_it_gives_what_the_reader_gives_backwards(
    folder: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_some(folder, 12, segment_max_bytes=1500)
    write_some(folder, 3, term=2, first=12)
    assert len(list_segments(folder)) > 3
    monkeypatch.setattr(latest_module, "_CHUNK", chunk)
    records = [line for line in read_all(folder) if line.kind != "segment"]
    assert list(latest(folder)) == records[::-1]


def test_of_nothing_there_is_nothing(folder: Path) -> None:
    assert list(latest(folder)) == []
    assert position_after(folder) == START


def test_a_torn_tail_is_passed_over(folder: Path) -> None:
    write_some(folder, 3)
    whole = list(latest(folder))
    end = position_after(folder)
    with newest(folder).open("ab") as file:
        file.write(b'{"seq":99,"torn')
    assert list(latest(folder)) == whole
    assert position_after(folder) == end


def test_a_reader_goes_on_from_the_end_with_what_comes_next(folder: Path) -> None:
    write_some(folder, 3)
    end = position_after(folder)
    with Reader(folder, end) as reader:
        assert reader.poll(10) == []
        write_some(folder, 2, term=2, first=3)
        assert [line.seq for line in reader.poll(10)][-1] == position_after(folder).seq


def test_a_damaged_line_is_said_to_be_damaged_when_it_is_reached(folder: Path) -> None:
    write_some(folder, 4)
    lines = read_all(folder)
    set_byte(newest(folder), lines[2].offset + 20, lambda byte: byte ^ 1)
    found = latest(folder)
    assert next(found) == lines[-1]
    assert next(found) == lines[-2]
    with pytest.raises(LedgerDamaged):
        next(found)
