"""A follower's folder: a ledger that grows by what its source sends, checked before it is written.

    open: mark -> recover the newest segment -> take: check -> write -> fdatasync -> stand behind it

Invariants:
- What `take` has returned for is on disk, and goes on from what was there: each line's checksum, seq, term
  and chain, and each header's seal, were checked before a byte was written.
- The marker FOLLOWER lies in the folder from before the first byte. Where it lies no ledger worker writes; it
  is locked while a process follows, so that there is one, and nobody promotes the copy meanwhile.
- After any error of the disk nothing is written any more.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from karl.errors import FsyncFailed, LedgerDamaged, LedgerHeld, LineDown, Refused
from karl.ledger.claim import Claim
from karl.ledger.frame import Line
from karl.ledger.reader import START, Position
from karl.ledger.recovery import cut_off, put, recover, sync_folder
from karl.ledger.rewrite import alone
from karl.ledger.segments import FOLLOWER, Cut, list_segments, newest_term
from karl.ledger.verify import verify
from karl.replica.erasures import erase_here, erasures_in
from karl.replica.lines import check_start, follow_on

_log = logging.getLogger("karl")


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the marker says: the source's address, and since when the folder is a copy (ISO-8601).

    `erasing` are the erasures of the source that are under way in the copy.
    """

    source: str
    since: str
    erasing: list[str] = []


def mark_of(folder: Path) -> Mark | None:
    """Say of which source a folder is a copy; null for a ledger of its own. Raises Refused."""
    path = folder / FOLLOWER
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Refused(
            f"{path} can not be read: {error}; `karl worker follow --from` writes it anew"
        ) from error


def refuse_copy(folder: Path) -> None:
    """Refuse to write into a copy. Raises LedgerHeld, saying what to do."""
    if (folder / FOLLOWER).exists():
        raise LedgerHeld(
            f"{folder} is a copy that `karl worker follow` keeps, and nobody else writes into it; "
            "where its source is lost, `karl replica promote` makes it the ledger"
        )


class Copy:
    """One process's right to let a copy grow; made by `Copy.open`."""

    def __init__(self, folder: Path, lock: int, mark: Mark, position: Position, cuts: Sequence[Cut]) -> None:
        #: Behind the last line that is on disk.
        self.position = position
        #: What opening has set aside: what a crash had left half-written, and what is not the source's.
        self.cuts = cuts
        self._folder = folder
        self._lock = lock
        self._mark = mark
        self._fd = -1
        self._open = ""
        self._sound = True

    @classmethod
    def open(
        cls,
        folder: Path,
        mark: Mark,
        *,
        rejoin: bool = False,
        set_apart: Callable[[], Sequence[Cut]] = tuple,
    ) -> Copy:
        """Make, or go on with, the copy in a folder.

        With `rejoin` the folder may be a ledger that was written here, or copied by hand: who might still
        write it is shut out, `set_apart` may take out of it what is not the source's, and the rest is
        verified whole. Raises Refused where it may not be done, LedgerDamaged and FsyncFailed.
        """
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        unmarked = not (folder / FOLLOWER).exists() and list_segments(folder)
        if unmarked and not rejoin:
            raise Refused(
                f"{folder} has a ledger that is no copy; end its ledger worker, and say --rejoin to make it "
                "one: nothing is taken out of it, and it is refused where it differs from the source"
            )
        lock = _lock_marker(folder)
        try:
            begun = _marked(lock).erasing
            _write_mark(lock, folder, msgspec.structs.replace(mark, erasing=begun))
            if rejoin:
                _shut_out(folder)
            apart = set_apart()
            found = recover(folder)
            for cut in found.cuts:
                cut_off(folder, cut)
            if rejoin:
                _make_sure(folder)
            if begun:
                with alone(folder):
                    erase_here(folder, begun)
            _write_mark(lock, folder, mark)
        except BaseException:
            os.close(lock)
            raise
        seal = found.state.seal
        position = Position(seal.segment, seal.length, found.state.seq, seal.head) if seal else START
        return cls(folder, lock, mark, position, [*apart, *found.cuts])

    def take(self, segment: str, data: bytes) -> list[Line]:
        """Check bytes that go on from our position, bring them to disk, and give their lines.

        Where `segment` is another one than ours, they are its first, and seal ours as it stands. Raises
        LedgerForked or LedgerDamaged when they do not go on (nothing is written then), and FsyncFailed.
        What the source says that it has erased is erased here too before this returns.
        """
        if not self._sound:
            raise FsyncFailed(f"this copy in {self._folder} could not finish a write; start the follower")
        before = self.position
        begins = segment != before.segment
        lines = follow_on(data, before._replace(segment=segment, offset=0) if begins else before)
        if not lines:
            return lines
        if begins:
            check_start(lines[0], before)
        with self._erasing(erasures_in(lines)):
            if begins:
                self._create(segment)
                # On disk before its lines, as a writer has it: a header that is torn has nothing behind it.
                self._write(data[: lines[0].end], 0)
                data = data[lines[0].end :]
            self._write(data, lines[0].end if begins else before.offset)
        last = lines[-1]
        self.position = Position(last.segment, last.end, last.seq, last.hash)
        return lines

    def close(self) -> None:
        """Stop; what was taken needs nothing more, and the folder stays a copy."""
        self._sound = False
        for fd in (self._fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _erasing(self, erasures: list[str]) -> Iterator[None]:
        """Do what brings lines to disk, and then what these erasures among them ask for, whatever dies.

        Raises LineDown, before anything is done, while somebody archives in this folder.
        """
        if not erasures:
            yield
            return
        try:
            _write_mark(self._lock, self._folder, msgspec.structs.replace(self._mark, erasing=erasures))
            with alone(self._folder):
                yield
                erase_here(self._folder, erasures)
            _write_mark(self._lock, self._folder, self._mark)
        except Refused as error:
            raise LineDown(str(error)) from error

    def _create(self, segment: str) -> None:
        self._sound = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(self._folder / segment, flags, 0o600)
        except OSError as error:
            raise FsyncFailed(f"{self._folder / segment} can not be created: {error}") from error
        self._use(fd, segment)
        sync_folder(self._folder)
        self._sound = True

    def _write(self, data: bytes, offset: int) -> None:
        """Bring bytes to disk at the end of the newest segment."""
        if not data:
            return
        segment = self._open or self.position.segment
        if not self._open:
            self._use(os.open(self._folder / segment, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), segment)
        self._sound = False
        if os.fstat(self._fd).st_size != offset:
            raise LedgerHeld(
                f"somebody else wrote into {self._folder / segment}; nobody but the follower may"
            )
        put(self._fd, self._folder / segment, data)
        self._sound = True

    def _use(self, fd: int, segment: str) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._open = fd, segment


def lock_copy(folder: Path) -> int | None:
    """Take the right to change a copy; null where the folder is none. Raises Refused while one follows."""
    try:
        fd = os.open(folder / FOLLOWER, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    return _locked(fd, folder)


def unmark(folder: Path) -> None:
    """Make a copy a ledger of its own; for who has locked it."""
    (folder / FOLLOWER).unlink()
    sync_folder(folder)


def _lock_marker(folder: Path) -> int:
    """Make the marker where there is none, and give the lock on it. Raises Refused and OSError."""
    return _locked(
        os.open(folder / FOLLOWER, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), folder
    )


def _marked(lock: int) -> Mark:
    """Read the marker that is locked; an empty one where it says nothing."""
    try:
        return msgspec.json.decode(os.pread(lock, os.fstat(lock).st_size, 0), type=Mark)
    except msgspec.MsgspecError:
        return Mark("", "")  # new, or cut off by a crash: it is written anew now


def _write_mark(lock: int, folder: Path, mark: Mark) -> None:
    """Bring the marker to disk. Raises FsyncFailed."""
    data = msgspec.json.encode(mark) + b"\n"
    try:
        if os.pread(lock, len(data) + 1, 0) != data:
            os.pwrite(lock, data, 0)
            os.ftruncate(lock, len(data))
            os.fsync(lock)
            sync_folder(folder)
            sync_folder(folder.parent)
    except OSError as error:
        raise FsyncFailed(f"{folder / FOLLOWER}: {error}; make room, then start again") from error


def _locked(fd: int, folder: Path) -> int:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Refused(f"a `karl worker follow` is at work in {folder}; end it first") from None
    return fd


def _make_sure(folder: Path) -> None:
    """Verify a ledger, and bring it to disk: nobody saw how its files came here. Raises LedgerDamaged."""
    _log.info("follow: verifying what is in %s", folder)
    report = verify(folder)
    for finding in report.findings:
        if finding.severity == "damage":
            raise LedgerDamaged(finding.segment, finding.offset, finding.reason)
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _shut_out(folder: Path) -> None:
    """Claim a term larger than any that was used here, so that a writer that still runs writes no more."""
    claim = Claim(folder, newest_term(folder) + 1, attempts=1, pause=bool)
    try:
        claim.take()
    finally:
        claim.close()
