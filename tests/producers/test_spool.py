"""The spool as its reader sees it: order, identity, strangers and flags."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import Refused
from producers import spool as module
from producers.spool import LOCK, Item, Spool

T = 1_700_000_000_000_000_000


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "karl" / "spool")
    made.prepare()
    return made


def put(spool: Spool, name: str, data: bytes = b"{}", mtime_ns: int = T) -> Path:
    path = spool.folder / name
    path.write_bytes(data)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def names(items: list[Item]) -> list[str]:
    return [item.name for item in items]


def test_the_folder_is_made_for_its_owner_alone(spool: Spool) -> None:
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    spool.prepare()


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("")
    with pytest.raises(Refused, match="is a file"):
        Spool(tmp_path / "spool").prepare()


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "none")
    assert spool.scan(10) == []
    assert spool.depth().files == 0
    assert not spool.is_off()
    assert not spool.is_full()


def test_an_item_says_who_when_and_how_much(spool: Spool) -> None:
    path = put(spool, "claude-code.123-", b'{"a":1}')
    assert spool.scan(10) == [Item("claude-code.123-", path.parent, "claude-code", T, 7)]


def test_files_come_oldest_first_then_by_process_then_by_name(spool: Spool) -> None:
    for name, age in [("a.9", 0), ("a.10", 0), ("a.10-", 0), ("a.10--", 0), ("b.1", 5), ("a.99999", -5)]:
        put(spool, name, mtime_ns=T + age)
    assert names(spool.scan(10)) == ["a.99999", "a.9", "a.10", "a.10-", "a.10--", "b.1"]


def test_a_file_is_given_again_until_it_is_removed(spool: Spool) -> None:
    put(spool, "a.1")
    put(spool, "a.2", mtime_ns=T + 1)
    first = spool.scan(1)
    assert spool.scan(1) == first
    spool.remove(first)
    assert names(spool.scan(1)) == ["a.2"]
    assert not first[0].path.exists()


def test_removing_what_is_gone_is_no_error(spool: Spool) -> None:
    put(spool, "a.1").unlink()
    spool.remove([Item("a.1", spool.folder, "a", T, 2)])


def test_what_arrives_between_scans_comes_after_what_was_known(spool: Spool) -> None:
    for n in range(5):
        put(spool, f"a.{n}", mtime_ns=T + n)
    assert names(spool.scan(2)) == ["a.0", "a.1"]
    put(spool, "a.9", mtime_ns=T + 9)
    assert names(spool.scan(10)) == ["a.0", "a.1", "a.2", "a.3", "a.4", "a.9"]


def test_names_to_skip_are_left_out_and_keep_their_place(spool: Spool) -> None:
    for n in range(4):
        put(spool, f"a.{n}", mtime_ns=T + n)
    assert names(spool.scan(2, skip={"a.0", "a.1"})) == ["a.2", "a.3"]
    assert names(spool.scan(2, skip={"a.0", "a.1", "a.2", "a.3"})) == []
    assert names(spool.scan(2)) == ["a.0", "a.1"]


def test_a_file_that_somebody_else_removed_is_forgotten(spool: Spool) -> None:
    put(spool, "a.1")
    put(spool, "a.2", mtime_ns=T + 1)
    assert len(spool.scan(2)) == 2
    (spool.folder / "a.1").unlink()
    assert names(spool.scan(2)) == ["a.2"]


def test_a_name_that_is_used_again_is_a_new_event(spool: Spool) -> None:
    put(spool, "a.1")
    spool.remove(spool.scan(1))
    put(spool, "a.1", b"{ }", mtime_ns=T + 1)
    assert [(item.mtime_ns, item.size) for item in spool.scan(1)] == [(T + 1, 3)]


def test_listing_happens_once_for_a_long_backlog(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(100):
        put(spool, f"a.{n}", mtime_ns=T + n)
    listings = []
    real = module.os.scandir
    monkeypatch.setattr(module.os, "scandir", lambda path: listings.append(path) or real(path))
    seen = []
    for _ in range(10):
        batch = spool.scan(10)
        seen += names(batch)
        spool.remove(batch)
    assert seen == [f"a.{n}" for n in range(100)]
    assert len(listings) == 1


@given(
    files=st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 99)), max_size=20, unique_by=lambda pair: pair[1]
    ),
    limit=st.integers(1, 6),
    held=st.sets(st.integers(1, 99), max_size=5),
)
def test_every_file_comes_once_in_order_and_held_ones_last(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[int, int]], limit: int, held: set[int]
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    for age, pid in files:
        put(spool, f"a.{pid}", mtime_ns=T + age)
    skip = {f"a.{pid}" for pid in held}
    seen: list[str] = []
    for holding in (skip, frozenset[str]()):
        while batch := spool.scan(limit, holding):
            seen += names(batch)
            spool.remove(batch)
    order = [f"a.{pid}" for _, pid in sorted(files)]
    assert seen == [name for name in order if name not in skip] + [name for name in order if name in skip]


def test_a_file_is_read_as_it_was_scanned(spool: Spool) -> None:
    put(spool, "a.1", b'{"a":1}')
    (item,) = spool.scan(1)
    assert spool.read(item) == b'{"a":1}'


def test_a_file_that_is_gone_reads_as_none(spool: Spool) -> None:
    path = put(spool, "a.1")
    (item,) = spool.scan(1)
    path.unlink()
    assert spool.read(item) is None


def test_a_file_that_grew_since_the_scan_waits_for_the_next_one(spool: Spool) -> None:
    """An event's identity hangs on the time of its file: half of it under one time is another event."""
    put(spool, "a.1", b'{"a":')
    (item,) = spool.scan(1)
    put(spool, "a.1", b'{"a":1}', mtime_ns=T + 7)
    assert spool.read(item) is None
    (again,) = spool.scan(1)
    assert (again.mtime_ns, spool.read(again)) == (T + 7, b'{"a":1}')


def test_a_huge_file_is_not_read_whole(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_MAX_BYTES", 10)
    put(spool, "a.1", b"x" * 50)
    (item,) = spool.scan(1)
    assert item.size == 50
    assert spool.read(item) == b"x" * 10


def test_strangers_are_left_alone_and_named_once(spool: Spool, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    put(spool, "notes.txt")
    put(spool, ".hidden")
    put(spool, "Claude.1")
    put(spool, "a.1x")
    (spool.folder / "a.2").symlink_to(secret)
    (spool.folder / "a.3").mkdir()
    os.mkfifo(spool.folder / "a.4")
    put(spool, "a.5")
    there = sorted(path.name for path in spool.folder.iterdir())
    assert names(spool.scan(10)) == ["a.5"]
    assert sorted(spool.strangers()) == [".hidden", "Claude.1", "a.1x", "a.2", "a.3", "a.4", "notes.txt"]
    spool.scan(10)
    assert spool.strangers() == []
    assert sorted(path.name for path in spool.folder.iterdir()) == there
    assert spool.depth().files == 1


def test_our_own_files_are_no_strangers(spool: Spool) -> None:
    spool.switch_off()
    spool.mark_full()
    put(spool, LOCK, b"")
    assert spool.scan(10) == []
    assert spool.strangers() == []
    assert spool.depth().files == 0


def test_a_stranger_that_takes_a_known_name_is_neither_followed_nor_waited_for(
    spool: Spool, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    for name, swap in [("a.1", lambda path: path.symlink_to(secret)), ("a.2", os.mkfifo), ("a.3", os.mkdir)]:
        put(spool, name, b"")
        item = next(item for item in spool.scan(10) if item.name == name)
        item.path.unlink()
        swap(item.path)
        assert spool.read(item) is None
        assert name not in names(spool.scan(10))


def test_a_file_of_another_user_becomes_a_stranger(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    put(spool, "a.1")
    put(spool, "a.2", mtime_ns=T + 1)
    real = os.open

    def guarded(path: str, flags: int, *rest: int) -> int:
        if str(path).endswith("a.1"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *rest)

    monkeypatch.setattr(module.os, "open", guarded)
    first = spool.scan(1)[0]
    assert spool.read(first) is None
    assert names(spool.scan(10)) == ["a.2"]
    assert spool.strangers() == ["a.1"]


def test_depth_counts_files_and_bytes_and_tells_the_age_of_the_oldest(spool: Spool) -> None:
    assert spool.depth().oldest_age_s(T) == 0
    put(spool, "a.1", b"12345", mtime_ns=T)
    put(spool, "a.2", b"123", mtime_ns=T + 5_000_000_000)
    depth = spool.depth()
    assert (depth.files, depth.bytes) == (2, 8)
    assert depth.oldest_age_s(T + 8_000_000_000) == 8
    assert depth.oldest_age_s(T - 1) == 0


def test_switching_off_and_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.switch_off()
    spool.switch_off()
    assert spool.is_off()
    spool.switch_on()
    spool.switch_on()
    assert not spool.is_off()


def test_marking_full_and_clearing(spool: Spool) -> None:
    spool.mark_full()
    assert spool.is_full()
    spool.clear_full()
    spool.clear_full()
    assert not spool.is_full()
