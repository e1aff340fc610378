"""What is under way is locked by who writes it, so that the next one can clear what a killed one left.

Invariants:
- Whatever is locked stays: a lock goes with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def under_way(path: Path, make: Callable[[], object]) -> Iterator[None]:
    """Have `make` put a file or a folder there, locked until the end, when it goes if it is there still."""
    while True:
        make()
        with suppress(FileNotFoundError):  # cleared between the two: nobody had locked it yet
            number = os.open(path, os.O_RDONLY)
            with suppress(OSError):  # disks without locks: nothing can be cleared there, either
                fcntl.flock(number, fcntl.LOCK_EX)
            if _is_at(number, path):
                break
            os.close(number)
    try:
        yield
    finally:
        _remove(path)
        os.close(number)


def clear(folder: Path, begin: str, end: str = "") -> None:
    """Delete what a process that was killed left in a folder, by how its names begin and end."""
    for path in folder.iterdir():
        if not (path.name.startswith(begin) and path.name.endswith(end)) or path.is_symlink():
            continue
        with suppress(OSError):  # it is somebody's who is at work, or somebody else's altogether
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            finally:
                os.close(number)


def _is_at(number: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
