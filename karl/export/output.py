"""Files that are there whole or not at all.

Invariants:
- Nothing is written under a name that somebody asked for before all of it is on disk; what is under way
  has a hidden name that ends in `.partial`, and goes when the writing ends; after a kill, when the next
  writing to the same place begins.
- What is there already is replaced only when that was asked for, and only a file: no device, no pipe.
- Only their owner can read them: they are as private as the ledger that they come from.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from karl.disk import sync
from karl.errors import Refused
from karl.export.under_way import clear, under_way
from karl.learning.manifests import HELD, TRAIN, VALID
from karl.learning.manifests import NAME as MANIFEST

#: Characters of a session's id that a file's name keeps.
_NAME_MAX = 120
_ODD = re.compile(r"[^A-Za-z0-9._-]")
_PARTIAL, _PARTIAL_MAX = ".partial", 100
_PRIVATE = 0o600
#: What a data set has, in one format or another.
_OF_A_SET = (MANIFEST, TRAIN, VALID, "train.parquet", "valid.parquet", HELD)


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Write a file that appears when all is written. Raises Refused for one that is there without `force`."""
    _check(path, force=force, folder=False)
    temporary = _partial(path)
    with under_way(temporary, lambda: temporary.touch(_PRIVATE, exist_ok=False)):
        with temporary.open("r+b") as file:
            os.fchmod(file.fileno(), _PRIVATE)
            yield file
            file.flush()
            os.fsync(file.fileno())
        _check(path, force=force, folder=False)  # somebody may have made it meanwhile
        temporary.replace(path)


@contextmanager
def whole_folder(path: Path, *, force: bool) -> Iterator[Path]:
    """Fill a folder that appears when all is written; gives the folder to write to.

    With `force`, files of the same names are replaced in a folder that is there; others stay.
    """
    _check(path, force=force, folder=True)
    # A folder that is there may be a mount or a link: nothing can take its place, files only come into it.
    temporary = _partial(path)
    with under_way(temporary, lambda: temporary.mkdir(mode=0o700)):
        yield temporary
        _check(path, force=force, folder=True)
        if not path.exists():
            temporary.replace(path)
        else:
            for file in sorted(temporary.iterdir()):
                file.chmod(_PRIVATE)  # the folder that they come into may be open to others
                file.replace(path / file.name)


@contextmanager
def whole_set(path: Path, *, force: bool) -> Iterator[Path]:
    """Fill a data set's folder that appears when all is written; gives the folder to write to.

    One that is there with the same manifest stays as it is. With `force` another data set is replaced: its
    manifest goes first and the new one comes last, so that no folder ever has a manifest of other files.
    Raises Refused for what is there without `force`, or is no data set.
    """
    _check_set(path, force=force)
    temporary = _partial(path)
    with under_way(temporary, lambda: temporary.mkdir(mode=0o700)):
        yield temporary
        for file in temporary.iterdir():
            file.chmod(_PRIVATE)
            sync(file)
        if is_same_set(path, temporary):
            return
        _check(path, force=force, folder=True)
        if not path.exists():
            temporary.replace(path)
        else:
            _replace_set(path, temporary)
        sync(path.parent)


def is_same_set(path: Path, other: Path) -> bool:
    """Say whether a folder has a data set with the manifest of another."""
    mine, theirs = path / MANIFEST, other / MANIFEST
    return mine.is_file() and theirs.is_file() and mine.read_bytes() == theirs.read_bytes()


def _check_set(path: Path, *, force: bool) -> None:
    if path.is_dir():
        others = [
            child.name
            for child in path.iterdir()
            if child.name not in _OF_A_SET and not _is_partial(child.name)
        ]
        if others:
            raise Refused(f"{path} has other files ({others[0]}, ...): no data set; name another --output")
        if not force and (path / MANIFEST).is_file():
            return  # it may be the same; that is known when it was made
    _check(path, force=force, folder=True)


def _replace_set(path: Path, temporary: Path) -> None:
    (path / MANIFEST).unlink(missing_ok=True)
    for name in _OF_A_SET:
        if not (temporary / name).exists():
            (path / name).unlink(missing_ok=True)
    for file in sorted(temporary.iterdir(), key=lambda file: file.name == MANIFEST):
        file.replace(path / file.name)


def file_name(session: str) -> str:
    """Name a session's file; ids that would be no name, or the same on some disks, get a hash."""
    name = _ODD.sub("_", session)[:_NAME_MAX]
    if not name or name != session or name.lower() != session or name.startswith((".", "-")):
        digest = hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        kept = name.lstrip(".-")
        name = f"{kept}-{digest}" if kept else digest
    return f"{name}.json"


def _check(path: Path, *, force: bool, folder: bool) -> None:
    if not path.parent.is_dir():
        raise Refused(f"{path.parent} is no folder; make it first, or name another --output")
    if folder and path.is_dir():
        if not force and any(not _is_partial(child.name) for child in path.iterdir()):
            raise Refused(f"{path} is not empty; name another --output, or replace files in it by --force")
        return
    if path.is_dir():
        raise Refused(f"{path} is a folder; name a file")
    if folder and path.exists():
        raise Refused(f"{path} is a file; several sessions go into a folder, or into one file named *.jsonl")
    if path.exists() and not path.is_file():
        raise Refused(f"{path} is no file that could be replaced; name another --output, or - for stdout")
    if not force and path.exists():
        raise Refused(f"{path} is there already; name another --output, or replace it by --force")


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(_PARTIAL)


def _partial(path: Path) -> Path:
    """Name what is under way to a path, inside a folder that is there; what a killed one left is deleted."""
    clear(path.parent, f".{path.name[:_PARTIAL_MAX]}.", _PARTIAL)
    if path.is_dir():
        return _partial(path / "export")
    return path.with_name(f".{path.name[:_PARTIAL_MAX]}.{os.getpid()}{_PARTIAL}")
