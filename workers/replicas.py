"""What a person asks of the ledger's copies: how far they are, and to make one of them the ledger."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from karl.errors import LedgerForked, LineDown, Refused
from karl.ledger.latest import position_after
from karl.ledger.reader import Position, head
from karl.ledger.segments import list_segments
from karl.ledger.verify import Report, verify
from karl.replica.copy import lock_copy, mark_of, unmark
from karl.replica.lines import has_line
from karl.replica.protocol import Asked
from karl.settings import Settings
from karl.stream import keys
from workers.line import on_line
from workers.replication import Replicas, read_head
from workers.start import ledger_token, ledger_worker

if TYPE_CHECKING:
    from redis import Redis

#: A person waits for the source's answer: so many seconds.
ANSWER_S = 5.0

#: Told the bytes read and the bytes in all.
Progress = Callable[[int, int], object]

_log = logging.getLogger("karl")


class Lag(msgspec.Struct, frozen=True):
    """What a copy lacks: lines, bytes, and seconds between the last lines of both, by the source's clock."""

    lines: int
    bytes: int
    seconds: float
    source_seq: int


class CopyState(msgspec.Struct, frozen=True):
    """A copy: of whom, its last line, whether a process follows, and its lag; null when that is unknown."""

    source: str
    since: str
    seq: int
    head: str
    running: bool
    behind: Lag | None


class Status(msgspec.Struct, frozen=True):
    """What `karl replica status` shows; a part is null where it is not, and `notes` say why."""

    ok: bool
    copy: CopyState | None
    replicas: Replicas | None
    notes: list[str]


class Promoted(msgspec.Struct, frozen=True):
    """What was made of a copy, and what it lacks or has lost, in words; nothing without --force."""

    folder: str
    seq: int
    head: str
    term: int
    lost: list[str]


def status_of(settings: Settings) -> Status:
    """Look at the copy in the data folder, ask its source, read what the writer says. Raises KarlError."""
    copy, notes = copy_state(settings)
    sound = not notes
    replicas = None
    try:
        with on_line(settings, "karl-status") as redis:
            replicas = told_by_writer(redis)
    except LineDown as error:
        notes.append(f"what the writer says can not be read: {error}")
    if copy is None and replicas is None:
        notes.append(f"{settings.ledger} is no copy, and no writer serves the ledger (KARL_LEDGER_PORT)")
        sound = False
    return Status(sound, copy, replicas, notes)


def copy_state(settings: Settings) -> tuple[CopyState | None, list[str]]:
    """Look at the copy in the data folder, if it is one, and say what keeps its lag from being known.

    Raises Refused and LedgerDamaged.
    """
    mark = mark_of(settings.ledger)
    if mark is None:
        return None, []
    position = position_after(settings.ledger)
    behind, notes = None, []
    try:
        behind = _lag(settings, mark.source, position)
    except (LineDown, LedgerForked, Refused) as error:
        notes.append(str(error))
    running = _is_running(settings)
    return CopyState(mark.source, mark.since, position.seq, position.head, running, behind), notes


def _lag(settings: Settings, source: str, at: Position) -> Lag:
    """Ask the source how far it is from our last line. Raises LineDown and LedgerForked."""
    from karl.replica.client import Client  # noqa: PLC0415 - for who asks a source only

    with Client(source, ledger_token(settings), answer_s=ANSWER_S) as client:
        listing = client.listing()
        # Without a follower's name: what is in our files need not be on our disk yet.
        asked = Asked(at.segment or listing.segments[0].segment, at.offset, at.head, 0.0, None)
        ahead, _ = client.ask(asked)
    lines = ahead.end.seq - at.seq
    last = head(settings.ledger).time
    seconds = _seconds(ahead.end.time) - _seconds(last) if lines and last else 0.0
    return Lag(lines, ahead.behind, round(max(0.0, seconds), 3), ahead.end.seq)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _is_running(settings: Settings) -> bool:
    try:
        lock = lock_copy(settings.ledger)
    except Refused:
        return True
    if lock is not None:
        os.close(lock)
    return False


def told_by_writer(redis: Redis) -> Replicas | None:
    """Read what the ledger's writer says of its followers; null when it serves none. Raises LineDown."""
    said = _get(redis, keys.LEDGER_FOLLOWERS)
    try:
        return msgspec.json.decode(said, type=Replicas) if said else None
    except msgspec.MsgspecError as error:
        raise LineDown(f"{keys.LEDGER_FOLLOWERS} is not what a writer says: {error}") from error


def promote(settings: Settings, *, force: bool, progress: Progress) -> Promoted:
    """Make the copy in the data folder the ledger, under a new term; with `force`, any folder of a ledger.

    Raises Refused where that would lose something, or two would write; LineDown, LedgerDamaged, FsyncFailed.
    """
    folder = settings.ledger
    if not settings.may_write:
        may = ", ".join(settings.canonical_writer)
        raise Refused(
            f"{settings.node} may not write the ledger: KARL_CANONICAL_WRITER names {may}; "
            "name this node, in all places, and promote then"
        )
    lock = lock_copy(folder)
    if lock is None and not force:
        raise Refused(
            f"{folder} is no copy; with --force it is made the ledger, if it is a backup for example"
        )
    try:
        report = verify(folder, progress=progress)
        with on_line(settings, "karl-promote") as redis:
            lost = _what_is_lost(settings, redis, report)
            if lost and not force:
                raise Refused(f"{'; '.join(lost)}. With --force it is done all the same, and that is lost")
            return _take_over(settings, redis, report, lost)
    finally:
        if lock is not None:
            os.close(lock)


def _what_is_lost(settings: Settings, redis: Redis, report: Report) -> list[str]:
    """Say in words what the ledger would lose. Raises Refused while somebody writes it."""
    if holder := _get(redis, keys.LEDGER_LEASE):
        name = holder.decode("utf-8", "replace")
        raise Refused(f"{name} holds the ledger's lease: end it, or wait until its lease has run out")
    lost = []
    if not list_segments(settings.ledger):
        lost.append("the copy is empty")
    if not report.ok:
        lost.append(f"the copy is damaged in {report.damages} places (`karl verify` says where)")
    known = read_head(redis.get(keys.LEDGER_HEAD))
    if known and known.seq > report.seq:
        lost.append(
            f"the copy ends at line {report.seq}, and lines up to {known.seq} have left the streams: "
            f"{known.seq - report.seq} lines are only where the ledger was"
        )
    elif known and not has_line(settings.ledger, known.seq, known.hash):
        lost.append(f"line {known.seq} of the copy is not the one that was ledgered: it is another ledger")
    return lost


def _take_over(settings: Settings, redis: Redis, report: Report, lost: list[str]) -> Promoted:
    """Begin the next term here, so that the old ledger is behind and is refused."""
    if lost:
        _log.warning("promoted with --force: %s", "; ".join(lost))
        redis.delete(keys.LEDGER_HEAD)
    if mark_of(settings.ledger):
        unmark(settings.ledger)
    worker = ledger_worker(settings, redis)
    try:
        term = worker.take_over_now()
    finally:
        worker.forget()
    return Promoted(str(settings.ledger), report.seq, report.head, term, lost)


def _get(redis: Redis, key: str) -> bytes | None:
    value = redis.get(key)
    return value if isinstance(value, bytes) else None
