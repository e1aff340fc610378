"""Lines that must go on from a place: every change of their bytes shows, and nothing else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from karl.errors import LedgerDamaged, LedgerForked, Unreadable
from karl.ledger.files import open_segment
from karl.ledger.frame import NO_HASH
from karl.ledger.reader import START, Position
from karl.replica.lines import check_start, follow_on, has_line, line_before, whole_lines
from tests.ledger.conftest import read_all, write_some

NAME = "0000000001-000000.jsonl"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lines") / "ledger"
    write_some(folder, 4)
    write_some(folder, 3, term=2, first=4)
    return folder


def test_a_segment_s_lines_go_on_from_its_start_and_from_each_of_its_lines(written: Path) -> None:
    data = (written / NAME).read_bytes()
    lines = follow_on(data, Position(NAME, 0, 0, NO_HASH))
    assert [line.seq for line in lines] == [1, 2, 3, 4, 5]
    for line in lines:
        rest = follow_on(data[line.end :], Position(NAME, line.end, line.seq, line.hash))
        assert [one.seq for one in rest] == list(range(line.seq + 1, 6))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_change_of_the_bytes_is_noticed(written: Path, data: st.DataObject) -> None:
    good = (written / NAME).read_bytes()
    start = data.draw(st.integers(0, len(good) - 1))
    size = data.draw(st.integers(0, 40))
    put = data.draw(st.binary(max_size=40) | st.just(good[:start][-200:]))
    changed = good[:start] + put + good[start + size :]
    try:
        lines = follow_on(changed, Position(NAME, 0, 0, NO_HASH))
    except (LedgerForked, LedgerDamaged):
        return
    # Whole lines that are missing from the end are no fork: they may come.
    assert good.startswith(changed)
    assert not lines or lines[-1].end == len(changed)


def test_a_segment_seals_the_one_before_it_as_it_is_and_no_other(written: Path) -> None:
    *first, header = read_all(written)[:6]
    last = first[-1]
    check_start(header, Position(NAME, last.end, last.seq, last.hash))
    for wrong in (
        Position(NAME, last.end - 1, last.seq, last.hash),
        Position(NAME, last.end, last.seq, NO_HASH),
        START,
    ):
        with pytest.raises(LedgerForked, match="does not follow upon"):
            check_start(header, wrong)
    check_start(first[0], START)


def test_the_line_before_a_byte_is_found_where_one_ends_there(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("karl.replica.lines._STEP", 7)
    with open_segment(written, NAME) as file:
        ends = {line.end: line for line in read_all(written) if line.segment == NAME}
        for offset in range(1, file.size() + 2):
            if offset in ends:
                assert line_before(file, NAME, offset) == ends[offset]
            else:
                with pytest.raises(Unreadable):
                    line_before(file, NAME, offset)


def test_whole_lines_end_at_a_line_s_end_before_the_stop(written: Path) -> None:
    data = (written / NAME).read_bytes()
    first = data.index(b"\n") + 1
    with open_segment(written, NAME) as file:
        assert whole_lines(file, 0, len(data), 5).startswith(data[:first])
        assert whole_lines(file, 0, len(data), first) == data[:first]
        assert whole_lines(file, 0, len(data), 1 << 20) == data
        assert whole_lines(file, 0, first, 1 << 20) == data[:first]
        assert whole_lines(file, 0, first - 1, 1 << 20) == b""
        assert whole_lines(file, len(data), len(data), 1 << 20) == b""


def test_a_folder_has_a_line_when_its_hash_is_there_under_its_number(written: Path, tmp_path: Path) -> None:
    for line in read_all(written):
        assert has_line(written, line.seq, line.hash)
        assert not has_line(written, line.seq, NO_HASH)
        assert not has_line(written, line.seq + 1, line.hash)
    assert not has_line(tmp_path / "none", 1, NO_HASH)
    assert not has_line(written, 99, NO_HASH)
