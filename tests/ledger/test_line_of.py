"""A line found by its number, in whatever segment it lies."""

from __future__ import annotations

from pathlib import Path

from karl.ledger import rewrite
from karl.ledger.latest import line_of
from karl.ledger.reader import walk
from karl.ledger.segments import list_segments
from tests.views import ledgers


def test_every_line_is_found_by_its_number_and_no_other(tmp_path: Path) -> None:
    for _ in range(2):  # two terms, each of several segments
        ledgers.write(tmp_path, [ledgers.trajectory(f"s{n}", 0) for n in range(12)], segment_max_bytes=9000)
    segments = list_segments(tmp_path)
    assert len(segments) == 4
    rewrite.pack(tmp_path, segments[1])
    lines = list(walk(tmp_path))
    assert [line_of(tmp_path, line.seq) for line in lines] == lines
    assert line_of(tmp_path, 0) is None
    assert line_of(tmp_path, lines[-1].seq + 1) is None
    assert line_of(tmp_path / "nothing", 1) is None
