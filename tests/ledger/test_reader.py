"""The reader: each line that counts once, in order, and a loud stop when the past has changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import LedgerDamaged, LedgerRewound
from karl.ledger import reader as reader_module
from karl.ledger.frame import write_line
from karl.ledger.reader import Head, Reader, head, read_at
from karl.ledger.segments import list_segments
from karl.ledger.writer import Draft
from tests.ledger.conftest import (
    SALT,
    draft,
    events,
    ids,
    newest,
    open_writer,
    read_all,
    set_byte,
    write_some,
)


def stale_line(folder: Path, n: int) -> bytes:
    """What a replaced writer of the newest segment would still append."""
    last = read_all(folder)[-1]
    return write_line(
        draft(n).body, seq=last.seq + 1, term=last.term, time=last.time, kind="trajectory",
        source=(5, f"100-{n}"), prev=last.hash, salt=SALT,
    )[0]  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_any_size_of_bite_gives_the_same_lines(folder: Path, limit: int) -> None:
    write_some(folder, 12, segment_max_bytes=1500)
    write_some(folder, 3, term=2, first=12)
    whole = read_all(folder)
    with Reader(folder) as reader:
        bites = []
        while bite := reader.poll(limit):
            assert len(bite) <= limit
            bites += bite
    assert bites == whole
    assert [line.seq for line in whole] == list(range(1, len(whole) + 1))
    assert ids(folder) == [f"t{n}" for n in range(15)]


@pytest.mark.parametrize("chunk", [1, 10, 700])
def test_the_size_of_a_read_does_not_matter(folder: Path, chunk: int, monkeypatch) -> None:
    write_some(folder, 5, segment_max_bytes=1500)
    whole = read_all(folder)
    monkeypatch.setattr(reader_module, "_CHUNK", chunk)
    assert read_all(folder) == whole
    assert head(folder).hash == whole[-1].hash


@given(steps=st.lists(st.integers(0, 3), max_size=25), resume=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_live_tail_sees_the_same_as_one_who_comes_late(tmp_path_factory, steps, resume) -> None:
    """0: poll, 1: append, 2: take over, 3: start a segment."""
    folder = tmp_path_factory.mktemp("ledger")
    term = 1
    writer = open_writer(folder, term, segment_max_bytes=1500)
    tail = Reader(folder)
    seen = []
    for n, step in enumerate(steps):
        if step == 0:
            seen += tail.poll(2)
        elif step == 2:
            writer.close()
            term += 1
            writer = open_writer(folder, term, segment_max_bytes=1500)
        else:
            writer.append([draft(10 * n + i) for i in range(step)])
        if resume:
            tail.close()
            tail = Reader(folder, tail.position)
    seen += tail.poll(1000)
    tail.close()
    writer.close()
    assert seen == read_all(folder)
    assert head(folder).seq == seen[-1].seq


def test_a_line_longer_than_a_read_is_read_whole(folder: Path) -> None:
    name = "x" * 1_500_000
    with open_writer(folder, 1) as writer:
        writer.append([draft(0), Draft("events", events(name)), draft(1)])
        writer.append([Draft("events", events(name + "y"))])
    kinds = [line.kind for line in read_all(folder) if line.kind != "segment"]
    assert kinds == ["trajectory", "events", "trajectory", "events"]
    assert head(folder).records == 4


def test_a_torn_tail_is_never_returned_and_its_end_is_waited_for(folder: Path) -> None:
    write_some(folder, 2)
    more = stale_line(folder, 2)
    with Reader(folder) as reader:
        assert len(reader.poll(10)) == 3
        for byte in more[:-1]:
            with newest(folder).open("ab") as file:
                file.write(bytes([byte]))
            assert reader.poll(10) == []
            assert head(folder).seq == 3
        with newest(folder).open("ab") as file:
            file.write(b"\n")
        assert [line.seq for line in reader.poll(10)] == [4]


def test_bytes_past_a_seal_are_not_returned(folder: Path) -> None:
    write_some(folder, 2)
    with Reader(folder) as live:
        assert len(live.poll(10)) == 3
        stale = stale_line(folder, 2)
        path = newest(folder)
        open_writer(folder, 2).close()
        with path.open("ab") as file:
            file.write(stale)
        assert [line.kind for line in live.poll(10)] == ["segment"]
    assert ids(folder) == ["t0", "t1"]
    write_some(folder, 1, term=3, first=2)
    assert ids(folder) == ["t0", "t1", "t2"]


def test_one_who_read_a_stale_line_before_the_take_over_is_told(folder: Path) -> None:
    write_some(folder, 2)
    path = newest(folder)
    before = path.read_bytes()
    stale = stale_line(folder, 2)
    path.write_bytes(before + stale)
    with Reader(folder) as live:
        assert len(live.poll(10)) == 4
        path.write_bytes(before)
        open_writer(folder, 2).close()
        path.write_bytes(before + stale)
        for _ in range(2):
            with pytest.raises(LedgerRewound, match="sealed"):
                live.poll(10)
        with Reader(folder, live.position) as resumed, pytest.raises(LedgerRewound):
            resumed.poll(10)


def test_a_segment_that_no_later_one_names_is_left_out(folder: Path) -> None:
    write_some(folder, 2)
    shutil.copytree(folder, stale := folder.parent / "stale")
    write_some(folder, 1, term=3, first=2)
    write_some(stale, 5, term=2, first=2)
    with Reader(stale) as fooled:
        fooled.poll(100)
        name = "0000000002-000000.jsonl"
        shutil.copy(stale / name, folder / name)
        with Reader(folder, fooled.position) as moved, pytest.raises(LedgerRewound, match="names it"):
            moved.poll(10)
    assert ids(folder) == ["t0", "t1", "t2"]
    with open_writer(folder, 4) as heir:
        heir.append([draft(3)])
    assert ids(folder) == ["t0", "t1", "t2", "t3"]


def test_a_ledger_that_became_shorter_is_rewound(folder: Path) -> None:
    write_some(folder, 3)
    with Reader(folder) as reader:
        lines = reader.poll(10)
        newest(folder).write_bytes(newest(folder).read_bytes()[: lines[-1].offset])
        with pytest.raises(LedgerRewound, match="shorter"):
            reader.poll(10)


def test_another_ledger_in_the_same_place_is_rewound(folder: Path) -> None:
    write_some(folder, 3)
    with Reader(folder) as reader:
        reader.poll(10)
    shutil.rmtree(folder)
    with pytest.raises(LedgerRewound, match="gone"):
        Reader(folder, reader.position).poll(1)
    write_some(folder, 3, first=1)
    write_some(folder, 3, term=2, first=4)
    with Reader(folder, reader.position) as resumed, pytest.raises(LedgerRewound):
        resumed.poll(10)


def test_a_fork_at_the_very_place_where_one_stopped_is_rewound(folder: Path) -> None:
    write_some(folder, 2)
    with Reader(folder) as reader:
        reader.poll(10)
    path = newest(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    path.with_name("LOCK").unlink()
    shutil.rmtree(folder)
    with open_writer(folder, 1) as writer:  # the same bytes but for one letter
        writer.append([Draft("trajectory", draft(0).body.replace(b'"t0"', b'"T0"'), 5, "100-0")])
        writer.append([draft(1), draft(2)])
    with Reader(folder, reader.position) as resumed, pytest.raises(LedgerRewound, match="predecessor"):
        resumed.poll(10)


def test_damage_is_raised_where_it_is_and_what_comes_before_is_returned(folder: Path) -> None:
    write_some(folder, 5)
    broken = read_all(folder)[3]
    set_byte(newest(folder), broken.offset + 30, lambda byte: byte ^ 4)
    with Reader(folder) as reader:
        assert [line.seq for line in reader.poll(100)] == [1, 2, 3]
        for _ in range(2):
            with pytest.raises(LedgerDamaged) as caught:
                reader.poll(100)
            assert (caught.value.segment, caught.value.offset) == (newest(folder).name, broken.offset)


def test_a_removed_line_breaks_the_chain(folder: Path) -> None:
    write_some(folder, 5)
    lines = newest(folder).read_bytes().splitlines(keepends=True)
    newest(folder).write_bytes(b"".join(lines[:3] + lines[4:]))
    with Reader(folder) as reader:
        assert len(reader.poll(100)) == 3
        with pytest.raises(LedgerDamaged, match="seq is 5 after 3"):
            reader.poll(100)


def test_a_missing_segment_and_one_too_short_are_damage(folder: Path) -> None:
    write_some(folder, 12, segment_max_bytes=1500)
    middle = folder / list_segments(folder)[2]
    data = middle.read_bytes()
    middle.write_bytes(data[:-1])
    with Reader(folder) as reader:
        assert reader.poll(1000)
        with pytest.raises(LedgerDamaged, match="missing before the seal"):
            reader.poll(1000)
    middle.unlink()
    with Reader(folder) as reader, pytest.raises(LedgerDamaged, match="the segment is missing"):
        reader.poll(1000)


def test_head_counts_records_and_not_headers(folder: Path) -> None:
    write_some(folder, 12, segment_max_bytes=1500)
    lines = read_all(folder)
    last = lines[-1]
    assert head(folder) == Head(last.seq, last.hash, last.segment, 1, last.time, 12)
    open_writer(folder, 2).close()
    found = head(folder)
    assert (found.records, found.term, found.seq) == (12, 2, last.seq + 1)


def test_head_says_when_the_last_line_is_damaged(folder: Path) -> None:
    write_some(folder, 2)
    set_byte(newest(folder), read_all(folder)[-1].end - 30, lambda byte: byte ^ 1)
    with pytest.raises(LedgerDamaged):
        head(folder)


def test_one_line_is_read_by_its_place(folder: Path) -> None:
    write_some(folder, 4)
    line = read_all(folder)[2]
    assert read_at(folder, line.segment, line.offset, line.end) == line
    with pytest.raises(LedgerDamaged):
        read_at(folder, line.segment, line.offset + 1, line.end)
    with pytest.raises(LedgerDamaged, match="missing"):
        read_at(folder, "0000000009-000000.jsonl", 0, 10)


def test_nothing_new_costs_no_reading_of_headers(folder: Path, monkeypatch) -> None:
    write_some(folder, 12, segment_max_bytes=1500)
    with Reader(folder) as reader:
        reader.poll(1000)
        monkeypatch.setattr(reader_module, "chain_after", None)
        assert reader.poll(1000) == []


def test_a_take_over_between_the_listing_and_the_read_lets_no_stale_line_through(
    folder: Path, monkeypatch
) -> None:
    write_some(folder, 2)
    path, stale = newest(folder), stale_line(folder, 2)
    real = reader_module.list_segments

    def overtaken(where: Path) -> list[str]:
        names = real(where)
        monkeypatch.setattr(reader_module, "list_segments", real)
        open_writer(folder, 2).close()
        with path.open("ab") as file:
            file.write(stale)
        return names

    with Reader(folder) as live:
        live.poll(10)
        monkeypatch.setattr(reader_module, "list_segments", overtaken)
        assert [line.kind for line in live.poll(10) + live.poll(10)] == ["segment"]


def test_a_position_inside_a_line_is_another_ledgers(folder: Path) -> None:
    write_some(folder, 3)
    with Reader(folder) as reader:
        reader.poll(2)
    with Reader(folder, reader.position._replace(offset=reader.position.offset + 1)) as lost:
        for _ in range(2):
            with pytest.raises(LedgerRewound, match="no line ends there"):
                lost.poll(1)


def test_a_sealed_segment_with_another_last_line_is_damage_and_for_who_resumes_a_rewind(folder: Path) -> None:
    write_some(folder, 3)
    path = newest(folder)
    before = read_all(folder)[-1]
    open_writer(folder, 2).close()
    changed, _ = write_line(
        bytes(before.body), seq=before.seq, term=1, time="2020-01-01T00:00:00.000Z", kind=before.kind,
        source=before.source, prev=before.prev, salt=SALT,
    )  # fmt: skip
    path.write_bytes(path.read_bytes()[: before.offset] + changed)
    with Reader(folder) as reader:
        assert len(reader.poll(100)) == 4
        with pytest.raises(LedgerDamaged, match="the one that was sealed"):
            reader.poll(100)
    with (
        Reader(folder, reader.position) as resumed,
        pytest.raises(LedgerRewound, match="the one that was sealed"),
    ):
        resumed.poll(100)
