"""A file is settled when it was seen unchanged for the grace time, whatever the wall clock says."""

from __future__ import annotations

from pathlib import Path

from producers.quiet import GRACE_S, SEEN_MAX, Quiet
from producers.spool import Item


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def item(mtime_ns: int = 0, size: int = 0, name: str = "a.1") -> Item:
    return Item(name, Path("/"), "a", mtime_ns, size)


def test_a_file_that_looks_old_at_the_first_look_is_not_settled() -> None:
    quiet = Quiet(Clock())
    assert not quiet.is_settled(item(mtime_ns=0))


def test_a_file_is_settled_after_the_grace_time_without_a_change() -> None:
    clock = Clock()
    quiet = Quiet(clock)
    quiet.is_settled(item())
    clock.s += GRACE_S - 0.1
    assert not quiet.is_settled(item())
    clock.s += 0.1
    assert quiet.is_settled(item())


def test_a_change_of_time_or_size_begins_the_grace_time_anew() -> None:
    clock = Clock()
    quiet = Quiet(clock)
    for change in (item(), item(mtime_ns=5), item(mtime_ns=5, size=3)):
        assert not quiet.is_settled(change)
        clock.s += GRACE_S
    assert quiet.is_settled(item(mtime_ns=5, size=3))


def test_what_is_remembered_is_bounded() -> None:
    quiet = Quiet(Clock())
    for number in range(SEEN_MAX + 10):
        quiet.is_settled(item(name=f"a.{number}"))
    assert len(quiet._seen) == SEEN_MAX
