"""The store of vectors: what comes back is what was put in, whoever was killed, and within its bound."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.encoders.encoder import Vectors
from karl.encoders.store import Kept, Store, key_of, slot_bytes
from tests.conftest import ROOT, wait_until

DIM = 16


def key(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def vector(of: bytes, dim: int = DIM) -> Vectors:
    """The one vector that belongs to a key."""
    return np.frombuffer((of * dim)[: dim * 4], dtype=np.uint8)[: dim * 4 : 4].astype(np.float32)


def filled(numbers: Sequence[int]) -> dict[bytes, Vectors]:
    return {key(number): vector(key(number)) for number in numbers}


def same(found: dict[bytes, Vectors]) -> bool:
    return all((row == vector(name)).all() for name, row in found.items())


@settings(max_examples=30, deadline=None)
@given(
    puts=st.lists(st.lists(st.integers(0, 60), max_size=12), max_size=8),
    asked=st.lists(st.integers(0, 60), max_size=20),
    slots=st.integers(0, 40),
)
def test_what_comes_back_is_what_was_put_in_and_the_bound_holds(
    tmp_path_factory: pytest.TempPathFactory, puts: list[list[int]], asked: list[int], slots: int
) -> None:
    folder = tmp_path_factory.mktemp("store")
    most = slots * slot_bytes(DIM)
    store = Store(folder, max_bytes=most)
    for numbers in puts:
        store.put(filled(numbers), DIM)
        assert store.held_bytes <= most
        found = store.get([key(number) for number in asked], DIM)
        assert same(found)
        assert store.held_bytes <= most
    again = Store(folder, max_bytes=most).get([key(number) for number in range(61)], DIM)
    assert same(again)
    assert set(again) <= set(filled([number for numbers in puts for number in numbers]))


def test_all_is_kept_while_there_is_room(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=200 * slot_bytes(DIM))
    store.put(filled(range(100)), DIM)
    found = Store(tmp_path, max_bytes=200 * slot_bytes(DIM)).get([key(number) for number in range(100)], DIM)
    assert len(found) == 100
    assert same(found)


def test_what_is_asked_for_stays_when_the_store_is_full(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=64 * slot_bytes(DIM))
    store.put(filled([0, 1]), DIM)
    for number in range(2, 400):
        store.put(filled([number]), DIM)
        assert key(0) in store.get([key(0)], DIM)
    assert key(1) not in store.get([key(1)], DIM)


def test_vectors_of_several_lengths_share_the_bound(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=100 * slot_bytes(DIM))
    for number in range(300):
        dim = DIM if number % 2 else DIM * 2
        store.put({key(number): vector(key(number), dim)}, dim)
        assert store.held_bytes <= 100 * slot_bytes(DIM)
    assert store.get([key(299)], DIM)
    assert store.get([key(298)], DIM * 2)
    assert not store.get([key(298)], DIM)


def test_a_flipped_byte_anywhere_makes_a_slot_absent_and_never_wrong(tmp_path: Path) -> None:
    Store(tmp_path, max_bytes=1 << 20).put(filled(range(5)), DIM)
    (segment,) = tmp_path.glob("*.vectors")
    whole = segment.read_bytes()
    for at in range(0, len(whole), 7):
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = Store(tmp_path, max_bytes=1 << 20).get([key(number) for number in range(5)], DIM)
        assert len(found) == 4
        assert same(found)


def test_a_torn_end_is_cut_by_the_next_writer(tmp_path: Path) -> None:
    Store(tmp_path, max_bytes=1 << 20).put(filled(range(3)), DIM)
    (segment,) = tmp_path.glob("*.vectors")
    with segment.open("ab") as opened:
        opened.write(b"half a slot")
    store = Store(tmp_path, max_bytes=1 << 20)
    assert len(store.get([key(number) for number in range(3)], DIM)) == 3
    store.put(filled([3]), DIM)
    assert len(store.get([key(number) for number in range(4)], DIM)) == 4
    assert segment.stat().st_size == 4 * slot_bytes(DIM)


_WRITER = """
import sys
from pathlib import Path
from karl.encoders.store import Store
from tests.encoders.test_store import DIM, filled
store = Store(Path(sys.argv[1]), max_bytes=int(sys.argv[2]))
at = int(sys.argv[3])
while at < int(sys.argv[4]):
    store.put(filled(range(at, at + 50)), DIM)
    at += 50
"""


def _writer(folder: Path, most: int, start: int, end: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", _WRITER, str(folder), str(most), str(start), str(end)]
    return subprocess.Popen(arguments, cwd=ROOT)


def test_writers_killed_in_the_middle_leave_nothing_wrong(tmp_path: Path) -> None:
    most = 1000 * slot_bytes(DIM)
    chance = random.Random(7)
    for number in range(3):
        start = number * 1_000_000
        writer = _writer(tmp_path, most, start, start + 1_000_000)
        store = Store(tmp_path, max_bytes=most)
        mark = start + 50 * chance.randint(1, 60)
        wait_until(lambda store=store, mark=mark: store.get([key(mark)], DIM), "it has written for a while")
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        fresh = Store(tmp_path, max_bytes=most)
        found = fresh.get([key(one) for one in range(start, start + 4000)], DIM)
        assert found
        assert same(found)
        fresh.put(filled([-1 - number]), DIM)
        assert same(fresh.get([key(-1 - number)], DIM))
        assert fresh.held_bytes <= most


def test_two_processes_share_what_they_write(tmp_path: Path) -> None:
    most = 4000 * slot_bytes(DIM)
    writers = [_writer(tmp_path, most, start, start + 500) for start in (0, 500)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = Store(tmp_path, max_bytes=most).get([key(number) for number in range(1000)], DIM)
    assert len(found) == 1000
    assert same(found)


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    Store(folder, max_bytes=1 << 20).put(filled([1]), DIM)
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


class Counting:
    """An encoder that counts what it was asked."""

    def __init__(self, version: str) -> None:
        self.name, self.version, self.dim = "counting", version, 2
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return np.array([[len(text), float(self.version)] for text in texts], dtype=np.float32)


def test_a_text_is_encoded_once_and_anew_for_another_version(tmp_path: Path) -> None:
    first, second = Counting("1"), Counting("2")
    for _ in range(2):
        rows = Kept(first, Store(tmp_path, max_bytes=1 << 20)).encode(["a", "bb", "a"])
        assert rows.tolist() == [[1, 1], [2, 1], [1, 1]]
    assert first.asked == ["a", "bb"]
    assert Kept(second, Store(tmp_path, max_bytes=1 << 20)).encode(["a"]).tolist() == [[1, 2]]
    assert Kept(second, Store(tmp_path, max_bytes=0)).encode([]).shape == (0, 2)


def test_keys_tell_encoder_version_and_text_apart() -> None:
    keys = {key_of(*parts) for parts in (("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a", "b", "d"))}
    assert len(keys) == 4


def test_a_folder_that_can_not_be_used_any_more_costs_time_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, encoder = tmp_path / "vectors", Counting("1")
    kept = Kept(encoder, Store(folder, max_bytes=1 << 20))
    kept.encode(["a"])
    shutil.rmtree(folder)
    folder.write_text("no folder")
    assert kept.encode(["a", "bb"]).tolist() == [[1, 1], [2, 1]]
    assert kept.encode(["ccc"]).tolist() == [[3, 1]]
    assert caplog.text.count("not kept any more") == 1
