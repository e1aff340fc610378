"""Make the views anew from the ledger, and compare the present ones with such a making.

Invariants:
- The same ledger and reward version give the same file, byte for byte.
- The views in use are read and written by others meanwhile; the new ones take their place at once.
- Memory does not grow with the ledger.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from karl.errors import LedgerDamaged, LedgerRewound
from karl.ledger.frame import Line
from karl.ledger.reader import START, Position, Reader
from karl.views import schema, store
from karl.views.project import apply, read_position

#: What one batch holds at most, in lines and in bytes.
BATCH_LINES = 1000
BATCH_BYTES = 16 * 1024 * 1024
#: Sentences about records not understood that a report keeps.
COMPLAINTS_MAX = 100
#: Lines asked of the reader at once: a few of the largest must fit into memory.
_STEP = 50

Progress = Callable[[int], object]


class Report(msgspec.Struct, frozen=True):
    """What a rebuild took in: records, up to line `seq`; `complaints` name the first not understood."""

    records: int
    seq: int
    head: str
    complaints: list[str]


class Comparison(msgspec.Struct, frozen=True):
    """Whether views equal a rebuild up to the same line; for each table the rows that differ."""

    equal: bool
    seq: int
    differing: dict[str, int]


class Tail:
    """The lines of a ledger from a position on, in batches bounded in lines and in bytes.

    `position` lies behind the last batch that was given.
    """

    def __init__(self, folder: Path, position: Position) -> None:
        self._folder = folder
        self._reader = Reader(folder, position)
        self.position = position

    def batch(self) -> list[Line]:
        """Give the next lines; none when there is nothing new. Raises what Reader.poll raises.

        Everything before a damaged place is given before the damage is raised.
        """
        lines: list[Line] = []
        size = 0
        while len(lines) < BATCH_LINES and size < BATCH_BYTES:
            try:
                more = self._poll(min(_STEP, BATCH_LINES - len(lines)))
            except LedgerDamaged:
                if not lines:
                    raise
                break
            if not more:
                break
            lines += more
            size += sum(line.end - line.offset for line in more)
        return lines

    def close(self) -> None:
        """Let go of the open segment."""
        self._reader.close()

    def _poll(self, limit: int) -> list[Line]:
        try:
            lines = self._reader.poll(limit)
        except LedgerDamaged:
            # The reader may have passed lines in this call that it did not give: ask for them again.
            self.close()
            self._reader = Reader(self._folder, self.position)
            if limit == 1:
                raise
            return self._poll(1)
        if lines:
            last = lines[-1]
            self.position = Position(last.segment, last.end, last.seq, last.hash)
        return lines


def rebuild(path: Path, ledger: Path, reward_version: str, progress: Progress = bool) -> Report:
    """Build views of the whole ledger and put them in the place of those at `path`.

    `progress` is called with the seq reached. Raises LedgerDamaged, and ViewsBlocked when the disk is
    full; the old views stay then.
    """
    with store.locked(path):
        file = store.next_file(path)
        try:
            report = build(file, ledger, reward_version, progress)
        except sqlite3.OperationalError as error:
            store.remove(file)
            raise store.ViewsBlocked(f"{file} can not be written: {error}") from error
        except BaseException:
            store.remove(file)
            raise
        store.put_in_place(path, file)
    return report


def begin(path: Path, reward_version: str) -> None:
    """Put empty views at `path` if there are none: whoever follows the ledger fills them."""
    with store.locked(path):
        if store.identity(path) is not None:
            return
        file = store.next_file(path)
        _finish(_empty(file, reward_version))
        store.put_in_place(path, file)


def build(
    file: Path, ledger: Path, reward_version: str, progress: Progress = bool, *, up_to: int | None = None
) -> Report:
    """Make views in a new file, of the ledger's lines up to the seq `up_to`, or of all."""
    connection = _empty(file, reward_version)
    complaints: list[str] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        tail = Tail(ledger, START)
        try:
            while lines := _until(tail.batch(), up_to):
                complaints += apply(connection, lines, reward_version, ledger)
                del complaints[COMPLAINTS_MAX:]
                progress(lines[-1].seq)
        finally:
            tail.close()
        position = read_position(connection)
        records = connection.execute("SELECT value FROM counters WHERE name = 'records'").fetchone()[0]
        connection.execute("COMMIT")
    finally:
        _finish(connection)
    return Report(records, position.seq, position.head, complaints)


def compare(path: Path, ledger: Path, reward_version: str, progress: Progress = bool) -> Comparison:
    """Compare the views with what a rebuild up to the same line gives.

    The rebuild is made in a temporary folder beside the views. Raises NotFound when there are none.
    """
    live = store.connect_to_read(path)
    try:
        position = read_position(live)
        with tempfile.TemporaryDirectory(prefix="check-", dir=path.parent) as folder:
            file = Path(folder) / "views.sqlite"
            try:
                build(file, ledger, reward_version, progress, up_to=position.seq)
            except LedgerRewound:
                return Comparison(equal=False, seq=position.seq, differing={"position": 1})
            again = store.connect_to_read(file)
            try:
                differing = {name: _differing(live, again, name) for name in schema.TABLES}
            finally:
                again.close()
    finally:
        live.close()
    return Comparison(
        equal=not any(differing.values()),
        seq=position.seq,
        differing={name: count for name, count in differing.items() if count},
    )


def _empty(file: Path, reward_version: str) -> sqlite3.Connection:
    connection = store.connect(file)
    # The file is thrown away if anything goes wrong, so nothing need be undone in it.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    schema.create(connection, reward_version)
    return connection


def _finish(connection: sqlite3.Connection) -> None:
    """Lay the rows out in order, leave the file ready for a writer beside readers, and close it."""
    try:
        if not connection.in_transaction:
            connection.execute("VACUUM")
            connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _until(lines: list[Line], up_to: int | None) -> list[Line]:
    return lines if up_to is None else [line for line in lines if line.seq <= up_to]


def _differing(one: sqlite3.Connection, other: sqlite3.Connection, table: str) -> int:
    """Count the rows of a table that are in one of two databases only, reading both in one order."""
    order = f"SELECT * FROM {table} ORDER BY 1"  # noqa: S608 - a table of ours
    left, right = one.execute(order), other.execute(order)
    count = 0
    a, b = left.fetchone(), right.fetchone()
    while a is not None or b is not None:
        if a == b:
            a, b = left.fetchone(), right.fetchone()
            continue
        count += 1
        if a is not None and b is not None and a[0] == b[0]:
            a, b = left.fetchone(), right.fetchone()
        elif b is None or (a is not None and a[0] < b[0]):
            a = left.fetchone()
        else:
            b = right.fetchone()
    return count
