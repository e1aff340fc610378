"""Disasters that come to ledgers, by name. Torn tails are in test_recovery.py, flipped bytes in test_verify.py."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from karl.errors import FsyncFailed, LeaseLost, LedgerDamaged, LedgerHeld
from karl.ledger.frame import read_line
from karl.ledger.reader import Reader
from karl.ledger.segments import list_segments
from karl.ledger.verify import verify
from karl.ledger.writer import Draft, Writer, newest_term
from tests.conftest import ROOT
from tests.ledger.conftest import NOON, draft, events, ids, newest, open_writer, read_all, write_some

HAND_OVERS = 1000


class Victim:
    """A writer in a process of its own that appends as fast as it can, and tells each append it was promised."""

    def __init__(self, folder: Path, term: int) -> None:
        out, self._told = os.pipe()[::-1]
        self.term = term
        self.pid = os.fork()
        if not self.pid:
            os._exit(_append_until_replaced(folder, term, out))
        os.close(out)
        os.set_blocking(self._told, True)

    def await_first(self) -> None:
        """Wait until it writes."""
        assert os.read(self._told, 1) == b"."

    def promised(self) -> int:
        """Wait for its end; give how many appends it was promised."""
        count = 1
        while data := os.read(self._told, 65536):
            count += len(data)
        os.close(self._told)
        _, status = os.waitpid(self.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        return count


def _append_until_replaced(folder: Path, term: int, out: int) -> int:
    """Run in the child: exit 0 when it was replaced, 1 for anything else."""
    try:
        with open_writer(folder, term) as writer:
            for n in range(1_000_000):
                writer.append([Draft("events", events(f"{term}-{n}"), None, None)])
                os.write(out, b".")
    except (LeaseLost, LedgerHeld):
        return 0
    except BaseException:  # noqa: BLE001 - the code tells the parent
        return 1
    return 1


def test_writers_that_are_paused_and_wake_after_a_take_over_put_nothing_stale_into_the_ledger(
    folder: Path,
) -> None:
    """A thousand hand-overs: each writer is stopped at a random moment, replaced, and let go on.

    They are forked from a process of their own: one that has run other tests is large, and slow to fork.
    """
    module = [sys.executable, "-m", "tests.ledger.test_disasters", str(folder)]
    done = subprocess.run(module, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    promised = {int(term): count for term, count in json.loads(done.stdout).items()}
    seen: dict[int, int] = {}
    last = 0
    for line in read_all(folder):
        assert line.term >= last, "a record of a replaced writer after its heir's"
        last = line.term
        if line.kind == "events":
            seen[line.term] = seen.get(line.term, 0) + 1
    assert len(promised) == HAND_OVERS + 1
    for term, count in promised.items():
        # One that was written and not promised counts too, if it was there when the heir looked.
        assert seen[term] - count in {0, 1}, f"term {term}: {count} promised, {seen[term]} there"
    assert verify(folder).ok


def hand_overs(folder: Path) -> dict[int, int]:
    """Let writers take each other's place; gives how many appends each was promised, by its term."""
    chance = random.Random(20261121)
    promised: dict[int, int] = {}
    writer = Victim(folder, 1)
    writer.await_first()
    for term in range(2, HAND_OVERS + 2):
        spin_until = time.perf_counter() + chance.random() * 0.004
        while time.perf_counter() < spin_until:
            pass
        os.kill(writer.pid, signal.SIGSTOP)
        heir = Victim(folder, term)
        heir.await_first()
        os.kill(writer.pid, signal.SIGCONT)
        promised[writer.term] = writer.promised()
        writer = heir
    os.kill(writer.pid, signal.SIGSTOP)
    open_writer(folder, HAND_OVERS + 2).close()
    os.kill(writer.pid, signal.SIGCONT)
    promised[writer.term] = writer.promised()
    return promised


def test_a_copy_of_a_segment_under_a_free_name_is_found_and_read_by_nobody(folder: Path) -> None:
    write_some(folder, 8, segment_max_bytes=1500)
    before = ids(folder)
    names = list_segments(folder)
    shutil.copy(folder / names[0], folder / "0000000001-000777.jsonl")
    report = verify(folder)
    assert report.findings
    with pytest.raises(LedgerDamaged):
        ids(folder)
    (folder / "0000000001-000777.jsonl").unlink()
    assert ids(folder) == before


def test_an_old_copy_of_a_segment_in_the_place_of_the_new_one_is_damage(folder: Path) -> None:
    write_some(folder, 3)
    backup = newest(folder).read_bytes()
    write_some(folder, 6, first=3, term=2)
    open_writer(folder, 3).close()
    name = list_segments(folder)[1]
    (folder / name).write_bytes(backup)
    assert not verify(folder).ok
    with pytest.raises(LedgerDamaged):
        ids(folder)


def test_two_segments_that_changed_places_are_damage(folder: Path) -> None:
    write_some(folder, 8, segment_max_bytes=1500)
    first, second = list_segments(folder)[:2]
    (folder / first).rename(folder / "aside")
    (folder / second).rename(folder / first)
    (folder / "aside").rename(folder / second)
    assert not verify(folder).ok
    with pytest.raises(LedgerDamaged):
        ids(folder)


def test_a_missing_segment_is_damage_for_readers_and_for_the_check_and_the_writer_goes_on(
    folder: Path,
) -> None:
    write_some(folder, 8, segment_max_bytes=1500)
    (folder / list_segments(folder)[1]).unlink()
    assert not verify(folder).ok
    with pytest.raises(LedgerDamaged, match="missing"):
        ids(folder)
    with open_writer(folder, 2) as writer:  # what comes must not be lost for what is
        writer.append([draft(8)])
    assert not verify(folder).ok


def test_a_lock_file_from_a_backup_stops_the_writer_that_it_does_not_know(folder: Path) -> None:
    write_some(folder, 1)
    backup = (folder / "LOCK").read_bytes()
    with open_writer(folder, 2) as writer:
        writer.append([draft(1)])
        (folder / "LOCK").write_bytes(backup)
        with pytest.raises(LeaseLost):
            writer.append([draft(2)])
    assert newest_term(folder) == 2  # by the segment's name
    assert ids(folder) == ["t0", "t1"]


def test_a_folder_that_was_swapped_for_its_backup_under_the_writer_takes_nothing_more_from_it(
    folder: Path,
) -> None:
    write_some(folder, 1)
    shutil.copytree(folder, folder.with_name("backup"))
    with open_writer(folder, 2) as writer:
        writer.append([draft(1)])
        folder.rename(folder.with_name("old"))
        shutil.copytree(folder.with_name("backup"), folder)
        with pytest.raises(LeaseLost, match="another folder is in its place"):
            writer.append([draft(2)])
    assert ids(folder) == ["t0"]
    assert ids(folder.with_name("old")) == ["t0", "t1"]
    assert verify(folder).ok
    assert verify(folder.with_name("old")).ok


def test_a_ledger_that_moved_to_another_host_as_a_copy_goes_on_there_and_the_old_one_is_a_prefix(
    folder: Path,
) -> None:
    write_some(folder, 5, segment_max_bytes=2000)
    there = folder.with_name("there")
    shutil.copytree(folder, there)
    write_some(there, 3, first=5, term=2)
    old, new = read_all(folder), read_all(there)
    assert [line.hash for line in new[: len(old)]] == [line.hash for line in old]
    assert ids(there) == [f"t{n}" for n in range(8)]
    assert verify(there).ok
    with Reader(there) as reader:
        assert len(reader.poll(1000)) == len(new)


def test_a_clock_that_jumps_back_changes_no_order(folder: Path) -> None:
    times = iter([NOON, NOON, NOON - timedelta(days=1), NOON - timedelta(days=400), NOON + timedelta(days=9)])
    with open_writer(folder, 1, clock=lambda: next(times)) as writer:
        for n in range(4):
            writer.append([draft(n)])
    assert ids(folder) == ["t0", "t1", "t2", "t3"]
    assert verify(folder).findings == []


def test_the_ledger_on_a_disk_that_becomes_read_only_keeps_what_it_promised(folder: Path) -> None:
    with open_writer(folder, 1) as writer:
        writer.append([draft(0)])
        os.close(writer._fd)
        writer._fd = os.open(newest(folder), os.O_RDONLY)
        with pytest.raises(FsyncFailed):
            writer.append([draft(1)])
        with pytest.raises(FsyncFailed, match="open a new one"):
            writer.append([draft(1)])
    write_some(folder, 1, first=1, term=2)
    assert ids(folder) == ["t0", "t1"]
    assert verify(folder).ok


def test_garbage_of_every_length_behind_the_last_record_costs_nothing_of_what_is_before(folder: Path) -> None:
    chance = random.Random(3)
    write_some(folder, 1)
    for term, size in enumerate([1, 2, 17, 18, 19, 100, 4096, 70_000], start=2):
        with newest(folder).open("ab") as file:
            file.write(chance.randbytes(size).replace(b"\n", b" "))
        write_some(folder, 1, first=term - 1, term=term)
    assert ids(folder) == [f"t{n}" for n in range(9)]
    assert verify(folder).ok


def test_every_truncation_of_a_whole_segment_keeps_every_line_before_it(folder: Path, tmp_path: Path) -> None:
    write_some(folder, 2)
    name = newest(folder).name
    whole = newest(folder).read_bytes()
    ends = [line.end for line in read_all(folder)]
    for cut in range(ends[0], len(whole) + 1, 7):
        copy = tmp_path / f"cut-{cut}"
        shutil.copytree(folder, copy)
        os.truncate(copy / name, cut)
        with open_writer(copy, 2):
            pass
        kept = [line for line in read_all(copy) if line.segment == name]
        assert [line.end for line in kept] == [end for end in ends if end <= cut]
        assert all(read_line(whole[line.offset : line.end], name, line.offset) == line for line in kept)


def test_opening_over_and_over_without_a_record_keeps_the_chain(folder: Path) -> None:
    write_some(folder, 1)
    for term in range(2, 30):
        open_writer(folder, term).close()
    write_some(folder, 1, first=1, term=30)
    assert ids(folder) == ["t0", "t1"]
    assert verify(folder).ok
    assert isinstance(open_writer(folder, 31), Writer)


if __name__ == "__main__":
    print(json.dumps(hand_overs(Path(sys.argv[1]))))
