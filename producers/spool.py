"""The spool: the folder on the agent's machine where the hook leaves events and the shipper finds them.

Invariants:
- A file is an event only by its name (`<agent>.<pid>`, then any number of `-`) and by being a regular file.
  Anything else is a stranger: never opened, followed or removed, and named once by `strangers`.
- Nothing leaves the folder but by `remove`, which the shipper calls when Redis has the event.
- `scan` never gives a file before an older one that it has seen, unless the caller skips the older one.
- The file `off` is the user's (`karl disable`), the file `full` is the shipper's; the hook obeys both.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from karl.errors import Refused
from producers.hook import AGENT_NAME

OFF = "off"
FULL = "full"
#: Held by the one shipper of this folder.
LOCK = ".ship.lock"
#: Folder of what the server was given a moment ago (producers.resend).
SENT = ".sent"

#: Bytes that `read` takes of one file; one more than the largest event has, so that an excess shows.
READ_MAX_BYTES = 64 * 1024 * 1024 + 1

#: Strangers remembered as named, so that a folder full of them costs no memory without end.
STRANGERS_MAX = 1000

_OWN = frozenset({OFF, FULL, LOCK, SENT})
_EVENT_FILE = re.compile(rf"({AGENT_NAME})\.([0-9]{{1,10}})-{{0,250}}")

#: When a file was last written (ns), by which process, and its name: the order in which events happened. Two
#: events of one agent may share a tick of the kernel's clock; then the younger process has the greater id,
#: and what `producers.spool_writer` leaves has rising numbers in its place.
_Key = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Item:
    """A waiting file: when it was last written (Unix time, ns) and its size in bytes, when it was seen."""

    name: str
    folder: Path
    agent: str
    mtime_ns: int
    size: int

    @property
    def path(self) -> Path:
        """Where it is: made when asked for, as a Path for each of many files costs what reading them does."""
        return self.folder / self.name


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits: files, their bytes, and when the oldest was written (Unix time, ns)."""

    files: int
    bytes: int
    oldest_ns: int | None

    def oldest_age_s(self, now_ns: int) -> float:
        """Say for how many seconds the oldest file has waited; 0 when none does."""
        return 0.0 if self.oldest_ns is None else max(0.0, (now_ns - self.oldest_ns) / 1e9)


class Spool:
    """The folder as its one reader sees it. Methods raise OSError when the folder can not be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._place = str(folder)
        self._waiting: dict[str, _Key] = {}
        self._strangers: dict[str, bool] = {}  # name -> named already
        self._unreadable: set[str] = set()

    def prepare(self) -> None:
        """Make the folder, for its owner alone. Raises Refused when something else has its name."""
        if self.folder.exists() and not self.folder.is_dir():
            raise Refused(f"the spool {self.folder} is a file; move it away, or set KARL_SPOOL_DIR")
        for folder in (*reversed(self.folder.parents), self.folder):
            if not folder.exists():  # `parents=True` would leave those above open to others
                folder.mkdir(mode=0o700, exist_ok=True)

    def scan(self, limit: int, skip: AbstractSet[str] = frozenset()) -> list[Item]:
        """Give up to `limit` waiting files, oldest first, leaving out the names in `skip`.

        A file is given again until it is removed, so a caller that holds some back passes their names.
        Cost: one lstat per file given, and a listing of the folder (with an lstat per new file: 0.9 s for
        200,000 of them) only when the files known from the last listing are fewer than `limit`. That is
        sound because what has come since is younger. Memory: some 250 bytes per waiting file.
        """
        found = self._known(limit, skip)
        if len(found) < limit and self._list():
            found = self._known(limit, skip)
        return found

    def read(self, item: Item) -> bytes | None:
        """Give the bytes of a file; at most READ_MAX_BYTES.

        None when it is gone, or is not as it was scanned (it is still being written): a later scan
        has it with its new time. An event's identity hangs on that time, so the two must agree.
        None also when it belongs to another user (an agent run as root): that makes it a stranger.
        """
        try:
            file = _open_plainly(f"{self._place}/{item.name}")
        except (FileNotFoundError, IsADirectoryError):
            return None
        except PermissionError:
            self._unreadable.add(item.name)
            self._waiting.pop(item.name, None)
            return None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return None
            data = _read(file, min(READ_MAX_BYTES, item.size))
            now = os.fstat(file)
        finally:
            os.close(file)
        same = (now.st_mtime_ns, now.st_size) == (item.mtime_ns, item.size)
        return data if same and len(data) == min(item.size, READ_MAX_BYTES) else None

    def has_changed(self, item: Item) -> bool:
        """Say whether a file is not as it was scanned; one that is gone is not."""
        return self._look(item.name) != item

    def remove(self, items: Iterable[Item]) -> None:
        """Remove files whose events are safe elsewhere. One that is gone already is as good."""
        for item in items:
            with suppress(FileNotFoundError):
                os.unlink(f"{self._place}/{item.name}")  # noqa: PTH108 - no Path for each
            self._waiting.pop(item.name, None)

    def depth(self) -> Depth:
        """Count what waits: one lstat per file (0.6 s for 200,000 files)."""
        files, size, oldest = 0, 0, None
        for entry in self._entries():
            if (status := _event_status(entry)) is not None:
                files += 1
                size += status.st_size
                oldest = status.st_mtime_ns if oldest is None else min(oldest, status.st_mtime_ns)
        return Depth(files=files, bytes=size, oldest_ns=oldest)

    def last_of(self, agent: str) -> int | None:
        """Say when an agent's youngest waiting event was written (Unix time, ns); None when none waits."""
        times = [
            status.st_mtime_ns
            for entry in self._entries()
            if entry.name.startswith(f"{agent}.") and (status := _event_status(entry)) is not None
        ]
        return max(times, default=None)

    def strangers(self) -> list[str]:
        """Name what the listings have met and left alone; each name is given once."""
        new = [name for name, named in self._strangers.items() if not named]
        self._strangers.update(dict.fromkeys(new, True))
        return new

    def is_off(self) -> bool:
        """Say whether the user has switched the hook off."""
        return (self.folder / OFF).exists()

    def switch_off(self) -> None:
        """Make the hook do nothing, in every agent of this user, from its next call on."""
        self.prepare()
        _put_flag(self.folder / OFF)

    def switch_on(self) -> None:
        """Make the hook take events again."""
        (self.folder / OFF).unlink(missing_ok=True)

    def is_full(self) -> bool:
        """Say whether the hook was told that the spool is over its bound."""
        return (self.folder / FULL).exists()

    def mark_full(self) -> None:
        """Tell the hook to leave events alone until `clear_full`."""
        _put_flag(self.folder / FULL)

    def clear_full(self) -> None:
        """Tell the hook that there is room again."""
        (self.folder / FULL).unlink(missing_ok=True)

    def _known(self, limit: int, skip: AbstractSet[str]) -> list[Item]:
        """Look again at files of the last listing, oldest first; forget those that are gone."""
        found: list[Item] = []
        gone: list[str] = []
        for name in self._waiting:
            if len(found) >= limit:
                break
            if name in skip:
                continue
            item = self._look(name)
            if item is None:
                gone.append(name)
            else:
                found.append(item)
        for name in gone:
            del self._waiting[name]
        return found

    def _look(self, name: str) -> Item | None:
        try:
            status = os.lstat(f"{self._place}/{name}")
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return Item(name, self.folder, name.partition(".")[0], status.st_mtime_ns, status.st_size)

    def _list(self) -> bool:
        """List the folder and say whether there is anything new; known files keep their place."""
        waiting: dict[str, _Key] = {}
        strangers: dict[str, bool] = {}
        for entry in self._entries():
            name = entry.name
            if (known := self._waiting.get(name)) is not None:
                waiting[name] = known
            elif (key := None if name in self._unreadable else _key(entry)) is not None:
                waiting[name] = key
            elif name not in _OWN and len(strangers) < STRANGERS_MAX and _is_there(entry):
                strangers[name] = self._strangers.get(name, False)
        new = not waiting.keys() <= self._waiting.keys()
        self._waiting = dict(sorted(waiting.items(), key=lambda pair: pair[1]))
        self._strangers = strangers
        return new

    def _entries(self) -> Iterable[os.DirEntry[str]]:
        try:
            with os.scandir(self.folder) as entries:
                yield from entries
        except FileNotFoundError:
            return  # no hook has been installed yet, so nothing waits


def _open_plainly(path: str) -> int:
    """Open a file that a stranger may have replaced: follow no link, wait for no pipe."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "a link has taken the place of the file", path) from error
        raise


def _read(file: int, size: int) -> bytes:
    """Give so many bytes of a regular file, or fewer where it ends."""
    data = os.read(file, size)
    while len(data) < size and (more := os.read(file, size - len(data))):
        data += more
    return data


def _put_flag(path: Path) -> None:
    """Make an empty file; a link is not followed to where it would make one."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))


def _is_there(entry: os.DirEntry[str]) -> bool:
    """Tell a stranger from an event that somebody has removed since the listing began."""
    return os.path.lexists(entry.path)


def _event_status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Give the status of an event's file, None for a stranger or for a file that is gone."""
    if _EVENT_FILE.fullmatch(entry.name) is None:
        return None
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _key(entry: os.DirEntry[str]) -> _Key | None:
    status = _event_status(entry)
    if status is None:
        return None
    pid = entry.name.partition(".")[2].rstrip("-")
    return status.st_mtime_ns, int(pid), entry.name
