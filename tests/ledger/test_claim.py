"""The claim: the larger term wins, whoever comes first, with or without the flock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from karl.errors import LeaseLost, LedgerHeld
from karl.ledger.claim import Claim
from karl.ledger.segments import LOCK
from tests.ledger.conftest import draft, ids, open_writer


def claim(folder: Path, term: int) -> Claim:
    folder.mkdir(exist_ok=True)
    return Claim(folder, term, attempts=0, pause=bool)


def overtaken(monkeypatch, by: bytes) -> None:
    """Let another claim come in between our look and our own claim."""
    real = os.write

    def late(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", real)
        real(fd, by)
        return real(fd, data)

    monkeypatch.setattr(os, "write", late)


@pytest.mark.parametrize("rival", [4, 5, 6])
def test_of_two_claims_at_once_without_the_flock_only_the_larger_stands(
    folder: Path, monkeypatch, rival: int
) -> None:
    ours = claim(folder, 5)
    overtaken(monkeypatch, b"%010d\n" % rival)
    if rival < 5:
        ours.take()
        ours.check()
    else:
        with pytest.raises(LedgerHeld, match=f"term {rival}"):
            ours.take()
    ours.close()


def test_a_larger_claim_ends_ours_and_a_smaller_one_does_not(folder: Path) -> None:
    ours = claim(folder, 5)
    ours.take()
    with (folder / LOCK).open("ab") as lock:
        lock.write(b"0000000003\n")
    ours.check()
    with (folder / LOCK).open("ab") as lock:
        lock.write(b"0000000006\n")
    for _ in range(2):
        with pytest.raises(LeaseLost, match="term 6"):
            ours.check()
    ours.close()


def test_a_refused_opener_leaves_the_writer_alone(folder: Path) -> None:
    with open_writer(folder, 5) as writer:
        lock = (folder / LOCK).read_bytes()
        for term in (4, 5):
            with pytest.raises(LedgerHeld):
                open_writer(folder, term)
        assert (folder / LOCK).read_bytes() == lock
        writer.append([draft(0)])
    assert ids(folder) == ["t0"]


def test_an_emptied_lock_file_ends_the_claim(folder: Path) -> None:
    ours = claim(folder, 5)
    ours.take()
    (folder / LOCK).write_bytes(b"")
    with pytest.raises(LeaseLost):
        ours.check()
    ours.close()
