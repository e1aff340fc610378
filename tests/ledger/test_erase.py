"""Bodies can be taken out of the ledger: they are gone, and everything else is as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import LedgerRewound, Refused
from karl.ledger import rewrite
from karl.ledger.erase import Found, Wanted, blank, find, unfinished
from karl.ledger.frame import BLANK
from karl.ledger.reader import Reader, read_at
from karl.ledger.segments import list_segments
from karl.ledger.verify import verify
from karl.ledger.writer import Draft
from karl.schema.record import ErasedBody, ErasureBody
from karl.schema.routing import ExemplarBody
from tests.ledger.conftest import WHO, events, ids, open_writer, read_all, trajectory, write_some


def of(session: str, body: bytes, time_ms: int = 1) -> bytes:
    whole = msgspec.json.decode(body)
    return msgspec.json.encode(whole | {"session": session, "time_ms": time_ms})


def exemplar(name: str, *, of: str = "") -> bytes:
    return msgspec.json.encode(ExemplarBody(name, "ship", f"get {name} out", "ann", 1, of=of))


def write_two(folder: Path, count: int = 6, *, term: int = 1, **changes: object) -> None:
    """Write trajectories of sessions `mine` and `yours` in turn, at 1000, 2000, ... ms."""
    with open_writer(folder, term, **changes) as writer:
        for n in range(count):
            body = of(("mine", "yours")[n % 2], trajectory(n), 1000 * (n + 1))
            writer.append([Draft("trajectory", body, 5, f"100-{n}")])


def erasure(found: Found, name: str = "x") -> bytes:
    return msgspec.json.encode(
        ErasureBody(name, found.lines, found.records, found.bytes, "me", "n", 1, sessions=found.sessions)
    )


def erase(folder: Path, wanted: Wanted, term: int = 2) -> Found:
    found = find(folder, wanted)
    with open_writer(folder, term) as writer:
        writer.append([Draft("erasure", erasure(found))])
        blank(folder, found.lines, wanted)
        writer.append([Draft("erased", msgspec.json.encode(ErasedBody("x", "n", 1)))])
    return found


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


@pytest.mark.parametrize("size", [1500, 1 << 20])
def test_a_sessions_records_are_gone_and_the_chain_holds(folder: Path, size: int) -> None:
    write_two(folder, segment_max_bytes=size)
    before = read_all(folder)
    found = erase(folder, Wanted(sessions=frozenset({"mine"})))
    after = read_all(folder)
    assert (found.records, found.sessions, found.partly) == (3, ["mine"], [])
    assert b"mine" not in bytes_of(folder).replace(b'"sessions":["mine"]', b"")
    assert ids(folder) == ["t1", "t3", "t5"]
    assert [(line.seq, line.hash, line.offset, line.end) for line in before] == [
        (line.seq, line.hash, line.offset, line.end) for line in after[: len(before)]
    ]
    report = verify(folder)
    assert (report.ok, report.findings, report.erased) == (True, [], 3)
    assert unfinished(folder) == []


def test_what_happened_before_a_time_is_found_and_nothing_else(folder: Path) -> None:
    write_two(folder)
    found = find(folder, Wanted(before_ms=3000))
    assert (found.records, found.sessions) == (2, ["mine", "yours"])
    assert found.partly == ["mine", "yours"]
    assert find(folder, Wanted(before_ms=1)) == Found()


def test_reading_an_erased_record_says_so(folder: Path) -> None:
    write_two(folder)
    line = read_all(folder)[1]
    erase(folder, Wanted(sessions=frozenset({"mine"})))
    with pytest.raises(LedgerRewound, match="erased"):
        read_at(folder, line.segment, line.offset, line.end)
    assert read_all(folder)[1].kind == BLANK


def test_a_reader_that_was_under_way_goes_on(folder: Path) -> None:
    write_two(folder, segment_max_bytes=1500)
    whole = read_all(folder)
    with Reader(folder) as reader:
        first = reader.poll(3)
        erase(folder, Wanted(sessions=frozenset({"mine"})))
        rest = reader.poll(1000)
    assert [line.hash for line in [*first, *rest]][: len(whole)] == [line.hash for line in whole]


def test_a_compressed_segment_stays_one(folder: Path) -> None:
    write_two(folder, segment_max_bytes=1500)
    open_writer(folder, 2).close()
    for header, _ in rewrite.sealed(folder):
        rewrite.pack(folder, header.line.segment)
    packed = len(list(folder.glob("*.zst")))
    erase(folder, Wanted(sessions=frozenset({"mine"})), term=3)
    assert len(list(folder.glob("*.zst"))) == packed
    assert ids(folder) == ["t1", "t3", "t5"]
    assert verify(folder).findings == []


def test_what_a_replaced_writer_left_past_a_seal_goes_too_and_other_lines_there_stay(folder: Path) -> None:
    write_two(folder, count=2)
    stale = folder / list_segments(folder)[0]
    kept = stale.read_bytes()
    write_two_more = [of(name, events(f"late-{name}")) for name in ("mine", "yours")]
    with open_writer(folder, 2) as writer:
        writer.append([Draft("events", body, 6, f"7-{n}") for n, body in enumerate(write_two_more)])
        lines = (folder / writer.segment).read_bytes().splitlines(keepends=True)[1:]
    stale.write_bytes(kept + b"".join(lines))  # past its seal
    erase(folder, Wanted(sessions=frozenset({"mine"})), term=3)
    left = stale.read_bytes()[len(kept) :]
    assert b"late-mine" not in left
    assert b"late-yours" in left


def test_torn_copies_of_the_session_are_removed_and_others_stay(folder: Path) -> None:
    write_two(folder, count=2)
    name = list_segments(folder)[0]
    (folder / f"{name}.torn-1").write_bytes(b'{"seq":9,..."session":"mine"')
    (folder / f"{name}.torn-2").write_bytes(b'{"seq":9,..."session":"yours"')
    erase(folder, Wanted(sessions=frozenset({"mine"})))
    assert [path.name[-1] for path in folder.glob("*.torn-*")] == ["2"]


def test_an_erasure_that_was_begun_is_warned_of_and_can_be_ended(folder: Path) -> None:
    write_two(folder)
    wanted = Wanted(sessions=frozenset({"mine"}))
    found = find(folder, wanted)
    with open_writer(folder, 2) as writer:
        writer.append([Draft("erasure", erasure(found))])
    report = verify(folder)
    assert report.ok
    assert ["unfinished" in finding.reason for finding in report.findings] == [True]
    ((body, _),) = unfinished(folder)
    assert blank(folder, body.lines, wanted) == 3
    assert blank(folder, body.lines, wanted) == 0
    assert verify(folder).findings == []


def test_a_body_that_was_taken_out_without_a_record_is_damage(folder: Path) -> None:
    write_two(folder)
    open_writer(folder, 2).close()
    blank(folder, find(folder, Wanted(sessions=frozenset({"mine"}))).lines, Wanted())
    report = verify(folder)
    assert not report.ok
    assert "no erasure names it" in report.findings[0].reason


def test_records_about_an_erased_trajectory_are_no_damage(folder: Path) -> None:
    from tests.ledger.conftest import annotation

    write_some(folder, 2)
    with open_writer(folder, 2) as writer:
        writer.append([Draft("annotation", annotation("t0").replace(b'"s"', b'"other"'))])
    erase(folder, Wanted(sessions=frozenset({WHO["session"]})), term=3)  # type: ignore[arg-type]
    assert verify(folder).findings == []


def test_exemplars_made_of_an_erased_sessions_prompts_go_with_it_and_others_stay(folder: Path) -> None:
    with open_writer(folder, 1) as writer:
        writer.append([Draft("exemplar", exemplar("e-early", of="t0"), 5, "99-0")])
    write_two(folder, count=4, term=2)
    more = [exemplar("e-of-mine", of="t2"), exemplar("e-of-yours", of="t1"), exemplar("e-of-none")]
    with open_writer(folder, 3) as writer:
        writer.append([Draft("exemplar", body, 5, f"200-{n}") for n, body in enumerate(more)])
    found = erase(folder, Wanted(sessions=frozenset({"mine"})), term=4)
    assert (found.records, found.sessions, found.partly) == (4, ["mine"], [])
    left = bytes_of(folder)
    assert (b"e-early" in left, b"e-of-mine" in left) == (False, False)
    assert (b"e-of-yours" in left, b"e-of-none" in left) == (True, True)
    assert verify(folder).findings == []


def test_what_stands_until_something_else_is_said_does_not_go_by_its_age(folder: Path) -> None:
    kinds = ["skills", "router", "routing", "shadow", "exemplar"]
    with open_writer(folder, 1) as writer:
        writer.append([Draft(kind, b'{"time_ms":1000}', 5, f"100-{n}") for n, kind in enumerate(kinds)])
    erase(folder, Wanted(before_ms=2000))
    left = [line.kind for line in read_all(folder)]
    assert [kind for kind in left if kind in kinds] == ["skills", "router", "routing", "exemplar"]


def test_an_exemplar_of_a_turn_that_a_replaced_writer_left_past_a_seal_goes_with_any_erasure(
    folder: Path,
) -> None:
    write_two(folder, count=2)
    stale = folder / list_segments(folder)[0]
    kept = stale.read_bytes()
    with open_writer(folder, 2) as writer:
        left_over = [exemplar("e-of-mine", of="t0"), exemplar("e-of-none")]
        writer.append([Draft("exemplar", body, 6, f"7-{n}") for n, body in enumerate(left_over)])
        lines = (folder / writer.segment).read_bytes().splitlines(keepends=True)[1:]
    stale.write_bytes(kept + b"".join(lines))
    erase(folder, Wanted(sessions=frozenset({"mine"})), term=3)
    left = stale.read_bytes()[len(kept) :]
    assert (b"e-of-mine" in left, b"e-of-none" in left) == (False, True)


def test_two_at_a_time_are_refused(folder: Path) -> None:
    folder.mkdir()
    with rewrite.alone(folder), pytest.raises(Refused, match="another process"), rewrite.alone(folder):
        pass


_DIES = """
import os, signal, sys
from pathlib import Path
from karl.ledger import rewrite
from karl.ledger.erase import Wanted, blank, unfinished
real, left = rewrite.sync_folder, [int(sys.argv[2])]
def dying(folder):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(folder)
rewrite.sync_folder = dying
folder = Path(sys.argv[1])
((body, _),) = unfinished(folder)
blank(folder, body.lines, Wanted(sessions=frozenset(body.sessions)))
"""


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_eraser_that_is_killed_leaves_a_sound_ledger_and_the_next_ends_it(
    folder: Path, after: int
) -> None:
    write_two(folder, 8, segment_max_bytes=1500)
    wanted = Wanted(sessions=frozenset({"mine"}))
    with open_writer(folder, 2) as writer:
        writer.append([Draft("erasure", erasure(find(folder, wanted)))])
    died = subprocess.run([sys.executable, "-c", _DIES, str(folder), str(after)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert verify(folder).ok
    ((body, _),) = unfinished(folder)
    blank(folder, body.lines, wanted)
    report = verify(folder)
    assert (report.findings, report.erased) == ([], 4)
    assert not list(folder.glob("*.new"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["mine", "yours"]), min_size=1, max_size=12), st.integers(600, 4000))
def test_any_mix_of_sessions_keeps_what_is_not_meant(
    tmp_path_factory: pytest.TempPathFactory, owners: list[str], size: int
) -> None:
    folder = tmp_path_factory.mktemp("any") / "ledger"
    with open_writer(folder, 1, segment_max_bytes=size) as writer:
        for n, owner in enumerate(owners):
            writer.append([Draft("trajectory", of(owner, trajectory(n)), 5, f"100-{n}")])
    if "mine" in owners:
        erase(folder, Wanted(sessions=frozenset({"mine"})))
    assert ids(folder) == [f"t{n}" for n, owner in enumerate(owners) if owner == "yours"]
    assert verify(folder).findings == []
