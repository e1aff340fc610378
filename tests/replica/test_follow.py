"""A follower: byte for byte the source's ledger, whatever is killed, and nothing that does not go on from it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec
import pytest

from karl.errors import LedgerForked, LedgerHeld, LineDown, Refused
from karl.ledger.erase import Wanted, blank, find
from karl.ledger.rewrite import pack, sealed
from karl.ledger.segments import FOLLOWER
from karl.ledger.verify import verify
from karl.replica.copy import Copy, Mark, lock_copy, mark_of, refuse_copy
from karl.schema.record import ErasedBody, ErasureBody
from tests.ledger.conftest import Draft, draft, ids, newest, open_writer, set_byte, trajectory, write_some
from tests.replica.conftest import Origin, segments
from workers.follow import FollowWorker

STOP = threading.Event()


def catch_up(worker: FollowWorker) -> None:
    """Run until the source has no more."""
    worker.run_once(STOP)
    while worker.behind.lines:
        worker.run_once(STOP)


def test_a_copy_has_the_bytes_of_its_source_over_many_segments_and_terms(
    tmp_path: Path, copied: Path
) -> None:
    ledger = Origin(tmp_path / "ledger", segment_max_bytes=4000)
    ledger.append(30)
    worker = ledger.follower(copied)
    catch_up(worker)
    ledger.end()
    ledger.begin()
    worker._connect = ledger.client
    worker.forget()
    ledger.append(30)
    catch_up(worker)
    assert len(segments(copied)) > 5
    assert segments(copied) == segments(ledger.folder)
    assert verify(copied).ok
    worker.close()
    ledger.end()


def test_what_the_writer_has_not_confirmed_is_not_given(ledger: Origin, copied: Path) -> None:
    ledger.append(2)
    ledger.append(3, confirmed=False)
    with ledger.follower(copied)._copy as copy:
        worker = FollowWorker(ledger.client, copy, copied, follower="f1")
        catch_up(worker)
        assert ids(copied) == ["t0", "t1"]
        ledger.confirm()
        catch_up(worker)
        assert ids(copied) == ["t0", "t1", "t2", "t3", "t4"]
        worker.forget()


def test_bytes_of_a_replaced_writer_past_the_seal_are_not_given(tmp_path: Path, copied: Path) -> None:
    folder = tmp_path / "ledger"
    write_some(folder, 3)
    ledger = Origin.__new__(Origin)
    ledger.folder, ledger.segment_max_bytes, ledger.count, ledger.term = folder, 1 << 20, 3, 1
    ledger.begin()
    with (folder / "0000000001-000000.jsonl").open("ab") as file:
        file.write(b"what a sleeper wrote\n")
    ledger.append(2)
    worker = ledger.follower(copied)
    catch_up(worker)
    worker.close()
    ledger.end()
    assert ids(copied) == ids(folder) == ["t0", "t1", "t2", "t3", "t4"]
    assert b"sleeper" not in b"".join(segments(copied).values())


def test_a_line_larger_than_a_chunk_is_copied_whole(
    ledger: Origin, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("karl.replica.source.CHUNK_BYTES", 1000)
    ledger.append(5)
    ledger.write([Draft("events", trajectory(9, events=300), 5, "100-9")])
    ledger.append(0)
    worker = ledger.follower(copied)
    catch_up(worker)
    worker.close()
    assert segments(copied) == segments(ledger.folder)


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_a_copy_that_was_cut_off_in_the_middle_of_a_line_goes_on(
    ledger: Origin, copied: Path, cut: int
) -> None:
    ledger.append(5)
    worker = ledger.follower(copied)
    catch_up(worker)
    worker.close()
    path = newest(copied)
    os.truncate(path, path.stat().st_size - cut)
    worker = ledger.follower(copied)
    assert [found.copy for found in worker._copy.cuts] == [f"{path.name}.torn-1"]
    catch_up(worker)
    worker.close()
    assert segments(copied) == segments(ledger.folder)
    assert (copied / f"{path.name}.torn-1").exists()


def test_a_copy_that_was_cut_off_in_a_header_goes_on(tmp_path: Path, copied: Path) -> None:
    ledger = Origin(tmp_path / "ledger", segment_max_bytes=2000)
    ledger.append(10)
    worker = ledger.follower(copied)
    catch_up(worker)
    worker.close()
    os.truncate(newest(copied), 17)
    worker = ledger.follower(copied)
    catch_up(worker)
    worker.close()
    ledger.end()
    assert segments(copied) == segments(ledger.folder)


def test_a_source_whose_bytes_are_damaged_is_not_copied_from_there_on(ledger: Origin, copied: Path) -> None:
    ledger.append(3)
    worker = ledger.follower(copied)
    catch_up(worker)
    before = segments(copied)
    start = newest(ledger.folder).stat().st_size
    ledger.append(3)
    set_byte(newest(ledger.folder), start + 400, lambda byte: byte ^ 1)
    with pytest.raises(LedgerForked):
        catch_up(worker)
    assert segments(copied) == before
    worker.close()


def test_another_ledger_than_the_one_that_was_followed_is_refused(
    ledger: Origin, tmp_path: Path, copied: Path
) -> None:
    ledger.append(3)
    worker = ledger.follower(copied)
    catch_up(worker)
    worker.close()
    other = Origin(tmp_path / "other")
    other.append(8)
    before = segments(copied)
    worker = other.follower(copied)
    with pytest.raises(LedgerForked, match=r"differ at 0000000001-000000\.jsonl"):
        catch_up(worker)
    assert segments(copied) == before
    worker.close()
    other.end()


def test_a_source_that_has_less_than_its_copy_is_refused(
    ledger: Origin, tmp_path: Path, copied: Path
) -> None:
    ledger.append(3)
    old = segments(ledger.folder)
    ledger.append(3)
    worker = ledger.follower(copied)
    catch_up(worker)
    worker.close()
    (tmp_path / "restored").mkdir()
    for name, data in old.items():
        (tmp_path / "restored" / name).write_bytes(data)
    restored = Origin.__new__(Origin)
    restored.folder, restored.segment_max_bytes, restored.count, restored.term = (
        tmp_path / "restored",
        1 << 20,
        3,
        1,
    )
    restored.begin()
    worker = restored.follower(copied)
    with pytest.raises(LedgerForked, match=r"the source has \d+ bytes of it"):
        catch_up(worker)
    worker.close()
    restored.end()


def test_the_place_that_is_asked_from_is_what_the_source_may_let_go(ledger: Origin, copied: Path) -> None:
    ledger.append(4)
    worker = ledger.follower(copied)
    assert ledger.serving.source.farthest is None
    catch_up(worker)
    assert ledger.serving.source.farthest.seq == 0  # it asked from the start; what came it has not confirmed
    worker.run_once(STOP)
    farthest = ledger.serving.source.farthest
    assert (farthest.name, farthest.seq, farthest.head) == ("f1", 5, ledger.writer.head)
    worker.close()


def test_who_only_looks_confirms_nothing(ledger: Origin) -> None:
    ledger.append(1)
    with ledger.client() as client:
        assert client.listing().end.seq == 2
    assert ledger.serving.source.farthest is None


def test_a_copy_is_not_written_by_a_ledger_worker_and_not_followed_twice(
    ledger: Origin, copied: Path
) -> None:
    worker = ledger.follower(copied)
    with pytest.raises(LedgerHeld, match="karl replica promote"):
        refuse_copy(copied)
    with pytest.raises(Refused, match="is at work"):
        ledger.follower(copied)
    with pytest.raises(Refused, match="is at work"):
        lock_copy(copied)
    worker.close()
    assert mark_of(copied) == Mark(ledger.url, "2026-01-01T00:00:00Z")
    refuse_copy(ledger.folder)


def test_a_ledger_of_its_own_becomes_a_copy_only_when_that_is_said(ledger: Origin, tmp_path: Path) -> None:
    ledger.append(4)
    own = tmp_path / "own"
    own.mkdir()
    for name, data in segments(ledger.folder).items():
        (own / name).write_bytes(data)
    with pytest.raises(Refused, match="--rejoin"):
        ledger.follower(own)
    assert not (own / FOLLOWER).exists()
    ledger.append(4)
    worker = ledger.follower(own, rejoin=True)
    catch_up(worker)
    worker.close()
    assert segments(own) == segments(ledger.folder)


def test_a_writer_that_is_still_alive_is_shut_out_of_what_becomes_a_copy(
    ledger: Origin, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    with open_writer(own, 1) as writer:
        writer.append([draft(0)])
        Copy.open(own, Mark("http://source", "now"), rejoin=True).close()
        with pytest.raises(Exception, match="not ours any more"):
            writer.append([draft(1)])


def test_a_follower_does_not_follow_its_own_folder(ledger: Origin) -> None:
    worker = ledger.follower(ledger.folder, rejoin=True)
    with pytest.raises(LedgerHeld, match="itself"):
        worker.run_once(STOP)
    worker.close()


def test_a_source_that_is_away_is_waited_for(ledger: Origin, copied: Path) -> None:
    ledger.append(2)
    worker = ledger.follower(copied)
    ledger.end()
    with pytest.raises(LineDown, match="no ledger can be copied"):
        worker.run_once(STOP)
    worker.forget()
    ledger.begin()
    worker._connect = ledger.client
    catch_up(worker)
    worker.close()
    assert segments(copied) == segments(ledger.folder)


def erase(ledger: Origin, session: str = "s") -> None:
    """Erase as `karl erase` does: named first, blanked, then said."""
    found = find(ledger.folder, Wanted(frozenset({session})))
    body = ErasureBody(
        "er1", found.lines, found.records, found.bytes, by="", node="n", time_ms=1, sessions=[session]
    )
    ledger.write([Draft("erasure", msgspec.json.encode(body))])
    ledger.writer._segment_max = 0  # what comes next begins a segment
    ledger.write([Draft("erased", msgspec.json.encode(ErasedBody("er0", "n", 1)))])
    ledger.writer._segment_max = ledger.segment_max_bytes
    blank(ledger.folder, found.lines, Wanted(frozenset({session})))
    ledger.write([Draft("erased", msgspec.json.encode(ErasedBody("er1", "n", 1)))])


def test_what_is_erased_at_the_source_is_erased_in_the_copy_before_it_is_confirmed(
    ledger: Origin, copied: Path
) -> None:
    ledger.append(4)
    worker = ledger.follower(copied)
    catch_up(worker)
    assert b'"e2-0"' in b"".join(segments(copied).values())
    erase(ledger)
    catch_up(worker)
    assert b'"e2-0"' not in b"".join(segments(copied).values())
    assert segments(copied) == segments(ledger.folder)
    assert verify(copied).ok
    assert mark_of(copied).erasing == []
    worker.close()


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_erasure_that_a_crash_broke_off_in_the_copy_is_ended_when_it_goes_on(
    ledger: Origin, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(4)
    worker = ledger.follower(copied)
    catch_up(worker)
    erase(ledger)
    with monkeypatch.context() as patch:
        patch.setattr("karl.replica.copy.erase_here", die)
        with pytest.raises(KeyboardInterrupt):
            catch_up(worker)
    worker.close()
    assert b'"e2-0"' in b"".join(segments(copied).values())
    worker = ledger.follower(copied)
    assert segments(copied) == segments(ledger.folder)
    worker.close()


def test_a_copy_of_compressed_segments_has_their_own_bytes(tmp_path: Path, copied: Path) -> None:
    ledger = Origin(tmp_path / "ledger", segment_max_bytes=3000)
    ledger.append(12)
    plain = segments(ledger.folder)
    for header, _ in sealed(ledger.folder)[:-1]:
        pack(ledger.folder, header.line.segment)
    assert len(segments(ledger.folder)) < len(plain)
    worker = ledger.follower(copied)
    catch_up(worker)
    worker.close()
    ledger.end()
    assert segments(copied) == plain
