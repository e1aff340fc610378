"""The views' file: rebuilt to the same bytes, swapped in one step, refused when it does not fit."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from karl.errors import LedgerDamaged, NotFound
from karl.ledger.reader import Position, Reader
from karl.views import store
from karl.views.queries import Views
from karl.views.rebuild import BATCH_LINES, Tail, begin, compare, rebuild
from tests.views import ledgers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ledgers.write(tmp_path / "ledger", ledgers.story(), segment_max_bytes=4000)
    return tmp_path


def views(folder: Path) -> Path:
    return folder / "views" / "views.sqlite"


def make(folder: Path) -> None:
    rebuild(views(folder), folder / "ledger", "1")


def test_two_rebuilds_give_the_same_bytes(folder: Path) -> None:
    ledgers.write(folder / "ledger", [ledgers.trajectory(f"s{n}", n) for n in range(300)])
    make(folder)
    first, name = views(folder).read_bytes(), views(folder).resolve().name
    make(folder)
    assert views(folder).read_bytes() == first
    assert views(folder).resolve().name != name


def test_a_rebuild_leaves_one_file_and_no_log(folder: Path) -> None:
    for _ in range(3):
        make(folder)
    names = {path.name for path in views(folder).parent.iterdir()}
    assert names == {"views.sqlite", "views.sqlite.lock", "views-000003.sqlite"}


def test_a_reader_keeps_its_moment_while_the_views_are_replaced(folder: Path) -> None:
    make(folder)
    with Views(views(folder)) as before:
        ledgers.write(folder / "ledger", [ledgers.trajectory("s-new", 0)])
        make(folder)
        assert before.counts().trajectories == 3
    with Views(views(folder)) as after:
        assert after.counts().trajectories == 4


def test_a_writer_notices_that_its_views_were_replaced(folder: Path) -> None:
    make(folder)
    opened = store.Store(views(folder), "1", folder / "ledger")
    assert not opened.replaced()
    make(folder)
    assert opened.replaced()
    opened.close()


def test_a_log_left_behind_by_an_old_file_does_not_reach_the_new_one(folder: Path) -> None:
    """A writer that dies leaves its log; whoever opened new views under that name would replay it."""
    begin(views(folder), "1")
    opened = store.Store(views(folder), "1", folder / "ledger")
    with Reader(folder / "ledger") as reader:
        opened.apply(reader.poll(5), Position())
    old = views(folder).resolve()
    log = old.with_name(old.name + "-wal").read_bytes()
    make(folder)
    opened.close()
    assert len(log) > 0
    assert not old.exists()
    assert compare(views(folder), folder / "ledger", "1").equal


def test_lines_that_do_not_follow_are_refused(folder: Path) -> None:
    begin(views(folder), "1")
    one, two = (
        store.Store(views(folder), "1", folder / "ledger"),
        store.Store(views(folder), "1", folder / "ledger"),
    )
    with Reader(folder / "ledger") as reader:
        lines = reader.poll(4)
        one.apply(lines, Position())
        with pytest.raises(store.Moved):
            two.apply(lines, Position())
        with pytest.raises(store.Moved):
            one.apply(reader.poll(4), Position())
    one.close()
    two.close()
    with Views(views(folder)) as opened:
        assert opened.position().seq == 4


@pytest.mark.parametrize("content", [b"", b"not a database" * 500])
def test_what_is_no_view_is_refused_by_readers_and_writers(folder: Path, content: bytes) -> None:
    views(folder).parent.mkdir()
    views(folder).write_bytes(content)
    with pytest.raises(store.ViewsUnusable):
        store.Store(views(folder), "1", folder / "ledger")
    with pytest.raises(store.ViewsUnusable, match="karl rebuild"):
        Views(views(folder))
    make(folder)
    with Views(views(folder)) as opened:
        assert opened.counts().trajectories == 3


def test_views_that_prefer_another_reward_version_are_refused(folder: Path) -> None:
    make(folder)
    with pytest.raises(store.ViewsUnusable, match="reward version"):
        store.Store(views(folder), "2", folder / "ledger")


def test_no_views_are_not_found_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="karl rebuild"):
        Views(views(tmp_path))


def test_a_rebuild_of_a_damaged_ledger_keeps_the_old_views(folder: Path) -> None:
    make(folder)
    before = views(folder).read_bytes()
    _damage(folder)
    with pytest.raises(LedgerDamaged):
        make(folder)
    assert views(folder).read_bytes() == before
    assert len(list(views(folder).parent.glob("views-*"))) == 1


def test_a_tail_gives_all_that_comes_before_the_damage(folder: Path) -> None:
    damaged_seq = _damage(folder)
    tail = Tail(folder / "ledger", Position())
    seen = []
    with pytest.raises(LedgerDamaged):  # noqa: PT012 - the batches before the damage come first
        while lines := tail.batch():
            seen += [line.seq for line in lines]
    tail.close()
    assert seen == list(range(1, damaged_seq))


def test_a_batch_is_bounded(folder: Path) -> None:
    ledgers.write(
        folder / "ledger", [ledgers.events(f"s{n}", 1) for n in range(BATCH_LINES + 500)], batch=500
    )
    tail = Tail(folder / "ledger", Position())
    sizes = []
    while lines := tail.batch():
        sizes.append(len(lines))
    tail.close()
    assert max(sizes) == BATCH_LINES


def test_a_comparison_finds_what_was_changed_by_hand(folder: Path) -> None:
    make(folder)
    connection = store.connect(views(folder).resolve())
    connection.execute("UPDATE sessions SET calls = calls + 1 WHERE session = 's-alpha'")
    connection.execute("DELETE FROM scores")
    connection.close()
    found = compare(views(folder), folder / "ledger", "1")
    assert (found.equal, found.differing) == (False, {"sessions": 1, "scores": 2})
    make(folder)
    assert compare(views(folder), folder / "ledger", "1").equal


def test_a_comparison_is_made_at_the_line_that_the_views_have_reached(folder: Path) -> None:
    make(folder)
    ledgers.write(folder / "ledger", [ledgers.trajectory("s-new", 0)])
    found = compare(views(folder), folder / "ledger", "1")
    assert found.equal
    assert not list(views(folder).parent.glob("check-*"))


def test_a_comparison_with_another_history_differs(folder: Path) -> None:
    make(folder)
    for segment in (folder / "ledger").iterdir():
        segment.unlink()
    ledgers.write(folder / "ledger", [ledgers.trajectory("s-else", n) for n in range(20)])
    assert not compare(views(folder), folder / "ledger", "1").equal


def _damage(folder: Path) -> int:
    """Flip a byte in a line of a middle segment, and give its seq."""
    tail = Tail(folder / "ledger", Position())
    line = tail.batch()[5]
    tail.close()
    fd = os.open(folder / "ledger" / line.segment, os.O_RDWR)
    os.pwrite(fd, b"\x00", line.offset + 40)
    os.close(fd)
    return line.seq


def test_a_rebuild_that_can_not_write_leaves_the_old_views_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(folder)
    before = views(folder).read_bytes()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("karl.views.rebuild.apply", full)
    with pytest.raises(store.ViewsBlocked, match="full"):
        make(folder)
    assert views(folder).read_bytes() == before
    assert len(list(views(folder).parent.glob("views-*"))) == 1
