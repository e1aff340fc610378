"""Verify: it finds every fault, says where and how much, and goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.ledger import verify as verify_module
from karl.ledger.frame import read_line, write_line
from karl.ledger.seen import SeenIds
from karl.ledger.segments import list_segments
from karl.ledger.verify import Finding, Report, verify
from karl.ledger.writer import Draft
from tests.ledger.conftest import (
    SALT,
    annotation,
    draft,
    events,
    newest,
    open_writer,
    read_all,
    score,
    set_byte,
    trajectory,
    write_some,
)


def damages(folder: Path) -> list[Finding]:
    report = verify(folder)
    found = [finding for finding in report.findings if finding.severity == "damage"]
    assert report.ok is not bool(found)
    assert report.damages == len(found)
    return found


def reframe(folder: Path, segment: str, change: dict[int, dict[str, object]]) -> None:
    """Write a segment anew with members of some lines changed, all checksums and links right again."""
    lines = (folder / segment).read_bytes().splitlines(keepends=True)
    prev = read_line(lines[0], segment, 0).prev
    out = []
    for place, data in enumerate(lines):
        old = read_line(data, segment, 0)
        members: dict[str, object] = {
            "body": bytes(old.body), "seq": old.seq, "term": old.term, "time": old.time, "kind": old.kind,
            "source": old.source, "prev": prev, "salt": SALT,
        }  # fmt: skip
        line, prev = write_line(**(members | change.get(place, {})))  # type: ignore[arg-type]
        out.append(line)
    (folder / segment).write_bytes(b"".join(out))


def test_a_sound_ledger_is_counted(folder: Path) -> None:
    write_some(folder, 10, segment_max_bytes=2000)
    with open_writer(folder, 2) as writer:
        writer.append(
            [
                Draft("events", events("x", "y")),
                Draft("annotation", annotation("t3")),
                Draft("score", score("t4")),
            ]
        )
    report = verify(folder)
    lines = read_all(folder)
    assert report.ok
    assert report.findings == []
    assert (report.records, report.events, report.trajectories) == (13, 22, 10)
    assert report.segments == len(list_segments(folder))
    assert report.bytes == sum(path.stat().st_size for path in folder.glob("*.jsonl"))
    assert (report.seq, report.head) == (lines[-1].seq, lines[-1].hash)


def test_no_folder_and_an_empty_folder_are_sound(folder: Path) -> None:
    assert verify(folder) == Report()
    folder.mkdir()
    assert verify(folder) == Report()


@pytest.mark.parametrize("change", [lambda b: b ^ 1, lambda b: b ^ 0x80, lambda b: 10 if b != 10 else 32])
def test_every_single_flipped_byte_is_found(folder: Path, change) -> None:
    with open_writer(folder, 1, segment_max_bytes=500) as writer:
        for n in range(2):
            writer.append([Draft("events", events(f"e{n}"), 5, f"100-{n}")])
    with open_writer(folder, 2) as writer:
        writer.append([Draft("events", events("e2"), 5, "100-2")])
    names = list_segments(folder)
    assert len(names) == 3
    for name in names:
        path = folder / name
        whole = path.read_bytes()
        for place in range(len(whole)):
            set_byte(path, place, change)
            found = damages(folder)
            assert found, (name, place)
            assert any(f.segment == name and f.offset <= place for f in found), (name, place, found)
            path.write_bytes(whole)
    assert verify(folder).ok


def test_after_damage_it_goes_on_and_says_how_many_bytes_were_lost(folder: Path) -> None:
    write_some(folder, 10)
    lines = read_all(folder)
    path = newest(folder)
    whole = bytearray(path.read_bytes())
    whole[lines[3].offset + 5 : lines[5].end - 5] = b"\n" * (lines[5].end - lines[3].offset - 10)
    path.write_bytes(whole)
    report = verify(folder)
    (finding,) = report.findings
    assert finding.severity == "damage"
    assert (finding.offset, finding.bytes) == (lines[3].offset, lines[5].end - lines[3].offset)
    assert "next valid line is 7" in finding.reason
    assert report.records == 7
    assert report.seq == lines[-1].seq


def test_an_old_line_after_damage_is_found_too(folder: Path) -> None:
    write_some(folder, 4)
    path = newest(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"x" * 50 + b"\n", lines[1], *lines[3:]]))
    found = damages(folder)
    assert found[0].bytes == 51
    assert any(finding.seq == 2 and "seq is 2 after 3" in finding.reason for finding in found)


@pytest.mark.parametrize("cut", [1, 30])
def test_a_torn_tail_is_a_warning(folder: Path, cut: int) -> None:
    write_some(folder, 3)
    last = read_all(folder)[-1]
    path = newest(folder)
    path.write_bytes(path.read_bytes()[: last.end - cut])
    report = verify(folder)
    assert report.ok
    (finding,) = report.findings
    assert (finding.severity, finding.offset) == ("warning", last.offset)
    assert finding.bytes == last.end - cut - last.offset
    assert report.records == 2


def test_a_torn_tail_of_an_older_segment_is_damage(folder: Path) -> None:
    write_some(folder, 12, segment_max_bytes=1500)
    path = folder / list_segments(folder)[1]
    path.write_bytes(path.read_bytes()[:-7])
    found = damages(folder)
    assert {finding.segment for finding in found} == {path.name}
    assert sum(finding.bytes for finding in found if "missing before" in finding.reason) == 7


def test_a_removed_a_repeated_and_a_swapped_line_are_found(folder: Path) -> None:
    write_some(folder, 6)
    path = newest(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (
        lines[:2] + lines[3:],
        lines[:4] + lines[3:],
        [*lines[:2], lines[3], lines[2], *lines[4:]],
    ):
        path.write_bytes(b"".join(changed))
        found = damages(folder)
        assert found
        assert found[0].seq is not None


def test_the_loss_of_the_last_line_of_a_sealed_segment_is_found(folder: Path) -> None:
    write_some(folder, 3)
    path = newest(folder)
    open_writer(folder, 2).close()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert damages(folder)


def test_a_missing_segment_is_found_wherever_it_was(folder: Path) -> None:
    write_some(folder, 12, segment_max_bytes=1500)
    names = list_segments(folder)
    for name in names[:-1]:
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        found = damages(folder)
        assert any(f.segment == name and "missing" in f.reason for f in found)
        (folder / name).write_bytes(data)
    assert verify(folder).ok


def test_a_fork_is_found_though_every_checksum_is_right(folder: Path) -> None:
    write_some(folder, 4)
    open_writer(folder, 2).close()
    first = list_segments(folder)[0]
    reframe(folder, first, {2: {"time": "2020-01-01T00:00:00.000Z"}})
    found = damages(folder)
    assert found[0].segment == first
    assert "sealed" in found[0].reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seq": 9}, "seq is 9"),
        ({"term": 2}, "term is 2"),
        ({"prev": "0" * 64}, "another predecessor"),
        ({"source": (5, "100-0")}, "written twice"),
        ({"source": (5, "1")}, "stream id"),
        ({"kind": "segment"}, "first in its segment"),
        ({"kind": "score"}, "the body is no score"),
        (
            {"body": trajectory(1, events=3).replace(b't1"', b't2"').replace(b"e1-0", b"e0-0")},
            "event e0-0 is",
        ),
        ({"kind": "annotation", "body": annotation("t9")}, "about trajectory t9"),
        ({"kind": "score", "body": score("t2")}, "about trajectory t2"),
        ({"body": b'{"id":"t1"}'}, "the body is no trajectory"),
        ({"kind": "events", "body": events("x").replace(b'"id":"x"', b'"id":7')}, "the body is no events"),
    ],
)
def test_what_no_writer_would_write_is_found_though_every_checksum_is_right(
    folder: Path, change, reason
) -> None:
    write_some(folder, 2)
    reframe(folder, newest(folder).name, {2: change})
    found = damages(folder)
    assert any(reason in finding.reason for finding in found), found
    assert found[0].offset == verify_offset(folder, 2)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (trajectory(0), "trajectory t0 is there already"),
        (events("e0-0", "e0-1"), "its events are there already, e0-0 the first"),
    ],
)
def test_a_record_that_came_twice_is_a_warning(folder: Path, body: bytes, reason: str) -> None:
    write_some(folder, 1)
    with open_writer(folder, 2) as writer:
        writer.append([Draft("trajectory" if b"turn" in body else "events", body, 5, "200-0")])
    report = verify(folder)
    assert report.ok
    assert [reason in finding.reason for finding in report.findings] == [True]


def verify_offset(folder: Path, place: int) -> int:
    return sum(len(data) for data in newest(folder).read_bytes().splitlines(keepends=True)[:place])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"records":3', b'"records":4', "counts 4 records"),
        (b'"5":"100-2"', b'"5":"100-1"', "watermarks"),
        (b'"partitions":64', b'"partitions":32', "32 partitions"),
        (b'"format":2', b'"format":9', "format 9"),
        (b'"head":"', b'"head":"0', "another line"),
    ],
)
def test_a_header_that_does_not_fit_is_found(folder: Path, old: bytes, new: bytes, reason: str) -> None:
    write_some(folder, 3)
    open_writer(folder, 2).close()
    body = bytes(read_all(folder)[-1].body)
    reframe(folder, newest(folder).name, {0: {"body": body.replace(old, new)}})
    assert any(reason in finding.reason for finding in damages(folder))


def test_a_kind_that_a_later_karl_may_write_is_a_warning(folder: Path) -> None:
    with open_writer(folder, 1) as writer:
        writer.append([Draft("weather", b"{}")])
    report = verify(folder)
    assert report.ok
    assert [finding.reason for finding in report.findings] == ["unknown kind weather"]


def test_stale_bytes_stale_segments_and_strangers_are_warnings_with_their_size(folder: Path) -> None:
    write_some(folder, 2)
    shutil.copytree(folder, other := folder.parent / "other")
    write_some(other, 2, term=2, first=2)
    write_some(folder, 1, term=3, first=2)
    stale = folder / "0000000002-000000.jsonl"
    shutil.copy(other / stale.name, stale)
    with (folder / "0000000001-000000.jsonl").open("ab") as file:
        file.write(b"late")
    (folder / "notes.txt").write_text("hm")
    report = verify(folder)
    assert report.ok
    assert [(f.severity, f.segment, f.bytes) for f in report.findings] == [
        ("warning", "0000000001-000000.jsonl", 4),
        ("warning", stale.name, stale.stat().st_size),
        ("warning", "notes.txt", 2),
    ]
    assert report.records == 3


def test_findings_are_bounded_and_still_counted(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(verify_module, "FINDINGS_MAX", 3)
    with open_writer(folder, 1) as writer:
        writer.append([Draft("score", score(f"t{n}")) for n in range(10)])
    report = verify(folder)
    assert len(report.findings) == 3
    assert report.damages == 10


def test_progress_ends_at_the_whole(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(verify_module, "_PROGRESS", 1000)
    write_some(folder, 10, segment_max_bytes=2000)
    told: list[tuple[int, int]] = []
    verify(folder, progress=lambda done, whole: told.append((done, whole)))
    assert len(told) > 3
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] == verify(folder).bytes


def test_a_writer_may_go_on_while_the_ledger_is_verified(folder: Path, monkeypatch) -> None:
    write_some(folder, 3)
    monkeypatch.setattr(verify_module, "_PROGRESS", 1)
    writer = open_writer(folder, 2, segment_max_bytes=700)
    appended = iter(range(3, 100))
    report = verify(folder, progress=lambda _done, _whole: writer.append([draft(next(appended))]))
    writer.close()
    assert report.ok
    assert not report.findings
    assert report.records == 3


@given(st.lists(st.text(max_size=3)))
def test_a_set_of_ids_agrees_with_a_set(names: list[str]) -> None:
    seen, model = SeenIds(), set()
    for name in names:
        assert seen.add(name) is (name not in model)
        model.add(name)
    assert len(seen) == len(model)
    assert all(name in seen for name in model)
    assert "never there" not in seen


def test_a_set_of_ids_grows_and_forgets_nothing() -> None:
    seen = SeenIds()
    assert all(seen.add(str(n)) for n in range(5000))
    assert not any(seen.add(str(n)) for n in range(5000))
    assert len(seen) == 5000
