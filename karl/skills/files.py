"""Files and folders of strangers, read with care: nothing is run, and no link leads out of what was named.

Invariants:
- Below the folder that somebody named no symbolic link is followed out of it; the folder itself may be one.
- A pipe, a socket or a device is not opened; of a file no more than a bound is read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from karl.errors import Unreadable
from karl.skills.told import Problem

#: Bytes of a skill's file that are read; its fields stand at the beginning.
FILE_MAX = 1 << 20
#: Levels of folders, and entries of one place, that are looked at.
LEVELS_MAX, ENTRIES_MAX = 10, 500_000
#: Folders in which nobody keeps skills of their own.
_PASSED_OVER = frozenset(
    {".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".tox", ".cache"}
)


class Text(NamedTuple):
    """A file's text, the sha256 of its bytes in hex, and whether there was more of it."""

    text: str
    digest: str
    is_cut: bool


class Folder(NamedTuple):
    """A folder that a walk comes to: its path, its files' and its folders' names, sorted."""

    path: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]


#: Says into which of a folder's folders a walk goes on.
Onward = Callable[[Folder], tuple[str, ...]]


def read_text(path: Path, limit: int = FILE_MAX) -> Text:
    """Read a file's text. Raises Unreadable for what is no plain file or may not be read."""
    try:
        # Whatever stands there now: a pipe must not hold us up, and a link is looked at by who walks.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Unreadable("it is no plain file")
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(getattr(error, "strerror", None) or str(error)) from None
    is_cut = len(data) > limit
    data = data[:limit]
    coding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return Text(data.decode(coding, "replace"), hashlib.sha256(data).hexdigest(), is_cut)


class Walk:
    """A walk through a folder, each folder once, in the order of names; problems are gathered on the way."""

    def __init__(self, root: Path, others: tuple[Path, ...] = ()) -> None:
        """Take a folder, and what else is read: a link into one of these needs no word."""
        self.root = root
        self.problems: list[Problem] = []
        self._inside = (real(root), *map(real, others))
        self._entries = 0

    def folders(self, onward: Onward = lambda folder: folder.folders) -> Iterator[Folder]:
        """Give the root and what is below it, where `onward` says so; nothing is followed by a link."""
        stack = [(self.root, 0)]
        while stack:
            path, level = stack.pop()
            folder = self.look(path)
            if folder is None:
                continue
            yield folder
            below = [name for name in onward(folder) if name not in _PASSED_OVER]
            if below and level >= LEVELS_MAX:
                self._problem(path, f"folders below are not looked at: {LEVELS_MAX} levels are the most")
                continue
            stack += [(path / name, level + 1) for name in reversed(below)]

    def look(self, path: Path) -> Folder | None:
        """List a folder; None, with a problem told, where that can not be done."""
        files, folders = [], []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    self._entries += 1
                    if self._entries > ENTRIES_MAX:
                        self._problem(
                            path, f"the rest is not looked at: {ENTRIES_MAX:,} entries are the most"
                        )
                        return None
                    if entry.is_symlink():
                        self._linked(Path(entry.path))
                    elif entry.is_dir():
                        folders.append(entry.name)
                    else:
                        files.append(entry.name)
        except OSError as error:
            self._problem(path, error.strerror or str(error))
            return None
        return Folder(path, tuple(sorted(files)), tuple(sorted(folders)))

    def _linked(self, path: Path) -> None:
        """Tell of a link that leads to something that is read nowhere."""
        target = real(path)
        if target.suffix.lower() not in ("", ".md") or any(
            target.is_relative_to(place) for place in self._inside
        ):
            return
        self._problem(path, f"a link out of the folder is not followed; name {target} to have it read")

    def _problem(self, path: Path, why: str) -> None:
        self.problems.append(Problem(str(path), why, lost=True))


def real(path: Path) -> Path:
    """Give a path without links; as it is, where that can not be had (a loop of links)."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()
