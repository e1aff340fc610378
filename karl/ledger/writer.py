"""The one writer of the ledger: opening with recovery, and appending in groups.

    open: claim -> recover the newest segment -> start our own, which seals it
    append: check claim and lease -> write -> fdatasync -> check the claim again -> report

Invariants:
- What `append` has returned for is on disk, and counts for every reader and every later writer.
- A stream entry at or below its partition's watermark is left out: it is in the ledger already.
- After anything went wrong between the start of a write and its report, nothing is written any more.
- Opening reads the newest segment, and no other.

Not here: the right to a term (see karl/stream/lease.py), its claim on the folder (`claim.py`), and what
opening does to the newest segment (`recovery.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from karl.errors import FsyncFailed, LeaseLost, LedgerHeld, Unreadable
from karl.ledger.claim import Claim
from karl.ledger.frame import (
    FORMAT,
    PARTITIONS,
    SEGMENT,
    StreamId,
    check_body,
    check_kind,
    draw_salt,
    read_stream_id,
    write_line,
)
from karl.ledger.recovery import EMPTY, State, cut_off, put, recover, sync_folder
from karl.ledger.segments import Cut, HeaderBody, Seal, newest_term, segment_name

__all__ = ["Draft", "Recovery", "Writer", "newest_term"]

#: Bytes of a segment that an heir reads in a few milliseconds.
SEAL_MIN_BYTES = 512 * 1024

_BEFORE_ALL = StreamId(-1, 0)


class Draft(NamedTuple):
    """A record to be: `body` is one JSON value without a line end, written as it is.

    `stream_id` is where it came from in the records stream of `partition`; both null for what
    came from no stream, which is then never taken for a repetition.
    """

    kind: str
    body: bytes
    partition: int | None = None
    stream_id: bytes | str | None = None


class Recovery(NamedTuple):
    """What opening took out of the folder; the bytes are in the `copy` of each cut."""

    cuts: list[Cut]


class Writer:
    """The right and the means to append, under one term; made by `Writer.open`."""

    def __init__(
        self,
        folder: Path,
        claim: Claim,
        *,
        term: int,
        clock: Callable[[], datetime],
        segment_max_bytes: int,
        trusted: Callable[[], bool],
        salt: Callable[[], str],
    ) -> None:
        self.recovery: Recovery | None = None
        #: Drafts left out so far because the ledger has them.
        self.repeated = 0
        self._folder = folder
        self._claim = claim
        self._term = term
        self._clock = clock
        self._segment_max = segment_max_bytes
        self._trusted = trusted
        self._salt = salt
        self._state = EMPTY
        self._fd = -1
        self._segment = ""
        self._offset = 0
        self._n = 0
        #: False from the start of a write until it is known to be on disk; then we must not go on.
        self._sound = True

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        term: int,
        clock: Callable[[], datetime],
        segment_max_bytes: int,
        trusted: Callable[[], bool],
        attempts: int = 1,
        pause: Callable[[], object] = bool,
        salt: Callable[[], str] = draw_salt,
    ) -> Writer:
        """Take the folder over under a term larger than any before, and start a segment in it.

        `clock` gives the time for the lines, `salt` what keeps their digests from telling what they are of;
        `trusted` says whether the lease can be relied on now.
        `attempts`, with a `pause()` after each, bound how long somebody else's write is waited for.
        Raises LedgerHeld, LeaseLost, LedgerDamaged (no line is changed then) and FsyncFailed.
        """
        if not folder.is_dir():
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
        claim = Claim(folder, term, attempts=attempts, pause=pause)
        writer = cls(
            folder,
            claim,
            term=term,
            clock=clock,
            segment_max_bytes=segment_max_bytes,
            trusted=trusted,
            salt=salt,
        )
        try:
            with claim.courtesy():
                writer._take_over()
        except BaseException:
            writer.close()
            raise
        return writer

    @property
    def next_seq(self) -> int:
        """The seq of the next line."""
        return self._state.seq + 1

    @property
    def head(self) -> str:
        """The hash of the last line."""
        return self._state.head

    @property
    def segment(self) -> str:
        """The name of the segment that is being written."""
        return self._segment

    @property
    def watermarks(self) -> dict[int, str]:
        """The last ledgered stream id of each partition that has one."""
        return {partition: str(mark) for partition, mark in sorted(self._state.marks.items())}

    def append(self, drafts: Sequence[Draft]) -> int:
        """Write records, with one write and one fdatasync for all, and return the last seq.

        Raises Unreadable when a draft would spoil the ledger (nothing is written), LeaseLost when
        we may not write any more (what was not reported may be written again by the next writer),
        and FsyncFailed when the disk did not confirm; the process must end then.
        """
        self._refuse_if_unsound()
        with self._claim.courtesy():
            if self._offset >= self._segment_max:
                self._start_segment([])
            data, state = self._frame(drafts)
            if data:
                self._write(data)
                self._state = state
                if any(draft.kind == "erasure" for draft in drafts):
                    self._start_segment([])  # what it names must be in sealed segments to be taken out
        return self._state.seq

    def seal(self) -> None:
        """Start a segment of nothing, when ours is large: the next writer reads the newest before it writes.

        Raises as `append` does.
        """
        self._refuse_if_unsound()
        if self._offset >= SEAL_MIN_BYTES:
            with self._claim.courtesy():
                self._start_segment([])

    def close(self) -> None:
        """Stop writing. What was appended needs nothing more."""
        self._sound = False
        self._claim.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refuse_if_unsound(self) -> None:
        if not self._sound:
            raise FsyncFailed(
                f"this writer of {self._folder} was closed or could not finish a write; open a new one"
            )

    def _frame(self, drafts: Sequence[Draft]) -> tuple[bytes, State]:
        """Make the lines of what is new among the drafts, and the state after them."""
        time = _stamp(self._clock())
        seq, head, records, marks, seal = self._state
        marks = dict(marks)
        lines: list[bytes] = []
        for draft in drafts:
            source = _check(draft)
            if source:
                partition, mark = source
                if mark <= marks.get(partition, _BEFORE_ALL):
                    continue
                marks[partition] = mark
            seq += 1
            line, head = write_line(
                draft.body,
                seq=seq,
                term=self._term,
                time=time,
                kind=draft.kind,
                source=(source[0], str(source[1])) if source else None,
                prev=head,
                salt=self._salt(),
            )
            lines.append(line)
        self.repeated += len(drafts) - len(lines)
        return b"".join(lines), State(seq, head, records + len(lines), marks, seal)

    def _write(self, data: bytes) -> None:
        """Bring bytes to disk at the end of our segment. After any error the writer is unsound."""
        self._check_right()
        if os.fstat(self._fd).st_size != self._offset:
            self._sound = False
            raise LedgerHeld(f"somebody else wrote into {self._segment}; stop them, and open anew")
        self._sound = False
        put(self._fd, self._folder / self._segment, data)
        self._claim.check()
        self._offset += len(data)
        self._sound = True

    def _check_right(self) -> None:
        self._claim.check()
        if not self._trusted():
            raise LeaseLost("the ledger")

    def _start_segment(self, cuts: list[Cut]) -> None:
        """Start the next segment of our term; its header seals what we have written or found."""
        if self._fd >= 0:
            seal = Seal(self._segment, self._offset, self._state.head)
            self._state = self._state._replace(seal=seal)
        name = segment_name(self._term, self._n)
        line, head = write_line(
            msgspec.json.encode(self._header(name, cuts)),
            seq=self._state.seq + 1,
            term=self._term,
            time=_stamp(self._clock()),
            kind=SEGMENT,
            source=None,
            prev=self._state.head,
            salt=self._salt(),
        )
        self._check_right()
        self._create(name)
        self._write(line)
        self._state = self._state._replace(seq=self._state.seq + 1, head=head)
        self._n += 1

    def _header(self, name: str, cuts: list[Cut]) -> HeaderBody:
        state = self._state
        return HeaderBody(
            format=FORMAT,
            segment=name,
            partitions=PARTITIONS,
            records=state.records,
            seals=[state.seal] if state.seal else [],
            watermarks=self.watermarks,
            cuts=cuts,
        )

    def _create(self, name: str) -> None:
        """Create an empty segment, its name on disk, and make it the one we write to."""
        self._sound = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(self._folder / name, flags, 0o600)
        except FileExistsError as error:
            raise LedgerHeld(
                f"{name} exists already; another process writes under term {self._term}"
            ) from error
        except OSError as error:
            raise FsyncFailed(f"{self._folder / name} can not be created: {error}") from error
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._segment, self._offset = fd, name, 0
        sync_folder(self._folder)

    def _take_over(self) -> None:
        """Claim the folder, recover what the last writer left, and seal it with our first segment."""
        self._claim.take()
        found = recover(self._folder)
        self._state = found.state
        self._start_segment(found.cuts)
        for cut in found.cuts:
            cut_off(self._folder, cut)
        if found.cuts:
            self.recovery = Recovery(found.cuts)


def _check(draft: Draft) -> tuple[int, StreamId] | None:
    """Give a draft's source, if it has one. Raises Unreadable when its line would spoil the ledger."""
    try:
        check_kind(draft.kind)
        check_body(draft.body)
        return _source(draft)
    except Unreadable as error:
        origin = f"record {draft.stream_id!r} of partition {draft.partition}"
        raise Unreadable(f"{origin}: {error.reason}") from error


def _source(draft: Draft) -> tuple[int, StreamId] | None:
    if draft.stream_id is None:
        return None
    if draft.partition is None or not 0 <= draft.partition < PARTITIONS:
        raise Unreadable(f"a partition is 0 to {PARTITIONS - 1}, not {draft.partition}")
    return draft.partition, read_stream_id(draft.stream_id)


def _stamp(time: datetime) -> str:
    """Write a time that knows its zone as UTC in milliseconds: 2026-01-01T00:00:00.000Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
