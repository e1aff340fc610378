"""What earlier imports of transcripts brought: which session told a fact first, and which files are done.

Kept in `imports.sqlite` in the data folder. It may be deleted: importing again then changes nothing but
which of two forked sessions a shared history counts for.

Invariants:
- What is noted here is in Redis already: notes are kept after the batch that they are about was answered.
- A fact belongs to the first session that told of it, whatever is imported later, in whatever order.
- One import at a time writes a data folder's notes.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from karl.errors import Refused
from producers.importing import alone

_SCHEMA = """
create table if not exists sessions (id integer primary key, name text not null unique);
create table if not exists owners (fact blob primary key, session integer not null) without rowid;
create table if not exists files (
    agent text not null, path text not null, size integer not null, mtime_ns integer not null,
    primary key (agent, path)) without rowid;
"""


class Stamp(NamedTuple):
    """A file as it was when it was looked at."""

    path: Path
    size: int
    mtime_ns: int


class Imported:
    """The notes of one agent's imports; `keep` writes what was noted since the last one."""

    def __init__(self, connection: sqlite3.Connection, agent: str) -> None:
        self._db = connection
        self._agent = agent
        self._sessions: dict[str, int] = {name: n for n, name in connection.execute("select * from sessions")}
        self._names = {number: name for name, number in self._sessions.items()}
        self._new: dict[bytes, str] = {}

    def owner(self, origin: str) -> str | None:
        """Give the session that told a fact first; null when none did."""
        fact = self._fact(origin)
        if fact in self._new:
            return self._new[fact]
        row = self._db.execute("select session from owners where fact = ?", (fact,)).fetchone()
        return self._names[row[0]] if row else None

    def own(self, origin: str, session: str) -> None:
        """Note who told a fact that nobody had told."""
        self._new[self._fact(origin)] = session

    def is_done(self, stamp: Stamp) -> bool:
        """Say whether a file was imported as it is now."""
        row = self._db.execute(
            "select size, mtime_ns from files where agent = ? and path = ?", (self._agent, _name(stamp.path))
        ).fetchone()
        return row is not None and tuple(row) == (stamp.size, stamp.mtime_ns)

    def keep(self, done: Iterable[Stamp] = ()) -> None:
        """Write down what was noted, and the files that are done with it, in one transaction."""
        with self._db:
            owners = [(fact, self._number(session)) for fact, session in self._new.items()]
            self._db.executemany("insert or ignore into owners values (?, ?)", owners)
            self._db.executemany(
                "insert or replace into files values (?, ?, ?, ?)",
                [(self._agent, _name(path), size, mtime_ns) for path, size, mtime_ns in done],
            )
        self._new.clear()

    def _number(self, session: str) -> int:
        number = self._sessions.get(session)
        if number is None:
            number = self._db.execute(
                "insert into sessions (name) values (?) returning id", (session,)
            ).fetchone()[0]
            self._sessions[session], self._names[number] = number, session
        return number

    def _fact(self, origin: str) -> bytes:
        data = f"{self._agent}\n{origin}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=12).digest()


@contextmanager
def imported(data_dir: Path, agent: str) -> Iterator[Imported]:
    """Open the notes of a data folder. Raises Refused when another import runs, or they can not be used."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{data_dir} can not be made: {error.strerror or error}") from error
    path = data_dir / "imports.sqlite"
    if path.is_symlink():
        raise Refused(f"{path} is a link; move it away")
    with alone(data_dir / "imports.lock", f"another import into {data_dir}"):
        try:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("pragma journal_mode = wal")
                connection.execute("pragma synchronous = normal")
                connection.executescript(_SCHEMA)
                yield Imported(connection, agent)
        except sqlite3.DatabaseError as error:
            raise Refused(
                f"{path} can not be used: {error}; move it away and import again, which brings nothing twice"
            ) from error


def _name(path: Path) -> str:
    """Give a path as SQLite can keep it; a name may be no text."""
    return str(path).encode("utf-8", "backslashreplace").decode()
