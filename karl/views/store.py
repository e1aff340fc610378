"""The views' file: opening it to write or to read, and putting another one in its place.

    views.sqlite -> views-000002.sqlite      (a link; the file it names has its -wal and -shm beside it)

Invariants:
- What a reader opens is whole: new views are built in a file of their own, which the link names only
  when it is finished. A log (-wal) never meets another file than its own, as it would if one file
  were moved over another.
- Each batch and the position behind it are one transaction; a batch that does not begin where the
  views end is refused. So two writers, or a kill at any moment, leave the views right.
- Files are made and the link is moved under the lock `<name>.lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from karl.disk import sync
from karl.errors import KarlError, NotFound
from karl.ledger.frame import Line
from karl.ledger.reader import Position
from karl.views import schema
from karl.views.project import apply, read_position

#: Seconds to wait while another process writes.
BUSY_S = 10.0
#: Memory for pages of the file, in KiB.
_CACHE_KIB = 16 * 1024


class ViewsUnusable(KarlError):
    """Raised when there are no views, or none that this version made; they can be made anew."""


class ViewsBlocked(KarlError):
    """Raised when the views can not be written now: a full disk, a lock that is held too long."""


class Moved(KarlError):
    """Raised when lines do not begin where the views end: somebody else has written meanwhile."""


class Store:
    """Views open for writing. Raises ViewsUnusable when there are none that fit."""

    def __init__(self, path: Path, reward_version: str, ledger: Path) -> None:
        self._path = path
        self._ledger = ledger
        self._reward_version = reward_version
        self._identity = identity(path)
        if self._identity is None:
            raise ViewsUnusable(f"there are no views at {path}")
        try:
            self._connection, self.position = self._open()
        except sqlite3.OperationalError as error:
            raise ViewsBlocked(f"{path} can not be read: {error}") from error
        except (ViewsUnusable, sqlite3.DatabaseError) as error:
            raise ViewsUnusable(f"the views in {path} are of no use: {error}") from error

    def _open(self) -> tuple[sqlite3.Connection, Position]:
        connection = connect(self._path.resolve())
        try:
            if schema.made_for(connection) != (str(schema.FORMAT), self._reward_version):
                raise ViewsUnusable("they have another format, or prefer another reward version")  # noqa: TRY301
            return connection, read_position(connection)
        except BaseException:
            connection.close()
            raise

    def apply(self, lines: Sequence[Line], before: Position) -> list[str]:
        """Take in the lines that follow `before`; gives a sentence for each that is not understood.

        Raises Moved when the views end elsewhere by now, ViewsBlocked, and ViewsUnusable when the
        file is damaged.
        """
        try:
            with transaction(self._connection):
                self.position = read_position(self._connection)
                if self.position != before:
                    raise Moved("other lines than these come next")
                complaints = apply(self._connection, lines, self._reward_version, self._ledger)
                self.position = read_position(self._connection)
        except sqlite3.OperationalError as error:
            raise ViewsBlocked(f"{self._path} can not be written: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ViewsUnusable(f"{self._path} is damaged: {error}") from error
        return complaints

    def replaced(self) -> bool:
        """Say whether other views, or none, are in this one's place by now; costs one stat."""
        return identity(self._path) != self._identity

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def identity(path: Path) -> tuple[int, int] | None:
    """Name the file that a path leads to; None when there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def connect(file: Path) -> sqlite3.Connection:
    """Open a views file to write, with transactions left to the caller."""
    connection = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # A power cut may take the last batches, never the order of them: the ledger has them still.
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open the views to read, inside a transaction: all that is read belongs to one moment.

    Raises NotFound when there are none yet, ViewsUnusable when another version made them.
    """
    for _ in range(5):
        before = identity(path)
        if before is None:
            raise NotFound("there are no views yet; `karl up` makes them, and so does `karl rebuild`")
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None
        )
        try:
            connection.execute("BEGIN")
            found, _ = schema.made_for(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            # Swapped between the look and the opening, the file may be gone or without its log.
            if identity(path) == before:
                raise ViewsUnusable(f"the views can not be read: {error}; run `karl rebuild`") from error
            continue
        if identity(path) != before:
            connection.close()
        elif found != str(schema.FORMAT):
            connection.close()
            raise ViewsUnusable("another version of KARL made these views; run `karl rebuild`")
        else:
            return connection
    raise ViewsUnusable("the views are being replaced over and over; try again")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the right to write, and commit at the end; nothing stays when anything is raised."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock under which files are made and the link is moved; waits for it."""
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path.with_name(path.name + ".lock"), flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def next_file(path: Path) -> Path:
    """Name a file for new views, by a number that was not in use; under the lock."""
    number = max((_number(path, file) for file in _files(path)), default=0) + 1
    file = path.with_name(f"{path.stem}-{number:06d}{path.suffix}")
    remove(file)
    return file


def put_in_place(path: Path, file: Path) -> None:
    """Make the link name a finished file, in one step, and remove the others; under the lock.

    Who has the old file open goes on with it until it looks at the link again.
    """
    for name in (file, file.parent):
        sync(name)
    link = path.with_name(f".{path.name}.new")
    link.unlink(missing_ok=True)
    link.symlink_to(file.name)
    link.replace(path)
    for old in _files(path):
        if old != file:
            remove(old)


def remove(file: Path) -> None:
    """Remove a database and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _files(path: Path) -> list[Path]:
    return [file for file in path.parent.glob(f"{path.stem}-*{path.suffix}") if _number(path, file) > 0]


def _number(path: Path, file: Path) -> int:
    digits = file.name.removeprefix(f"{path.stem}-").removesuffix(path.suffix)
    return int(digits) if digits.isascii() and digits.isdigit() else 0
