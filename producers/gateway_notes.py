"""What is remembered of a gateway's folder between rounds, and from one process to the next.

Invariants:
- The notes on disk are whole: the old ones or the new ones, whatever dies when.
- They grow with the number of files and of runs under way, not with what was read.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from karl.errors import Refused
from producers.flows import Flows
from producers.importing import alone

if TYPE_CHECKING:
    from karl.settings import Settings

#: Bytes at the beginning and before the end of what was read by which a file is known to be the same.
_MARK = 1024
#: Lines without a number by which equal ones are counted, and the newest files for which they are kept.
UNNUMBERED_KEPT, _FILES_KEPT = 256, 7

#: Numbers that fall by more than this were counted anew, those that fall by less came late.
_ANEW = 1000

_log = logging.getLogger("karl")


class Place(msgspec.Struct, omit_defaults=True):
    """How far a file was read: bytes and lines from its beginning, and a digest of some of them.

    `size` and `mtime_ns` are the file's as it was looked at. `unnumbered` counts equal lines, `next_seq` is
    the number that should come next.
    """

    offset: int = 0
    lines: int = 0
    mark: str = ""
    size: int = 0
    mtime_ns: int = 0
    unnumbered: dict[str, int] = {}
    next_seq: int = 0

    def count(self, seq: int) -> None:
        """Note a line's number; a much lower one means that the gateway counts anew."""
        anew = seq <= 1 or self.next_seq - seq > _ANEW
        self.next_seq = seq + 1 if anew else max(self.next_seq, seq + 1)

    def ordinal(self, content: bytes) -> int:
        """Tell equal lines apart that have no number, by how many of them came before."""
        key = hashlib.blake2b(content, digest_size=8).hexdigest()
        number = self.unnumbered.pop(key, -1) + 1
        self.unnumbered[key] = number
        if len(self.unnumbered) > UNNUMBERED_KEPT:
            del self.unnumbered[next(iter(self.unnumbered))]
        return number

    def again(self) -> None:
        """Go back to the file's beginning."""
        self.offset = self.lines = 0
        self.mark, self.unnumbered, self.next_seq = "", {}, 0


class Notes(msgspec.Struct):
    """The places in a folder's files, and the runs that their lines belong to."""

    files: dict[str, Place] = {}
    flows: Flows = msgspec.field(default_factory=Flows)

    def forget(self) -> None:
        """Let go of what will hardly be asked for."""
        self.flows.forget()
        for name in sorted(self.files)[:-_FILES_KEPT]:
            self.files[name].unnumbered = {}


def notes_path(folder: Path, settings: Settings) -> Path:
    """Give the file in which the places of a folder are noted."""
    digest = hashlib.blake2b(os.fsencode(folder.absolute()), digest_size=8).hexdigest()
    return settings.data_dir / f"gateway-{digest}.json"


def load(path: Path) -> Notes:
    """Read the notes; without them, or when they can not be read, those of a folder never seen."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Notes)
    except FileNotFoundError:
        return Notes()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("gateway: %s can not be read (%s); reading the folder from its beginning", path, error)
        return Notes()


def save(path: Path, notes: Notes) -> None:
    """Write the notes so that after a crash there are either the old ones or these. Raises Refused."""
    fresh = path.with_suffix(".new")
    try:
        fresh.unlink(missing_ok=True)  # it may be a link, and must not be followed
        with os.fdopen(
            os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.write(msgspec.json.encode(notes))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Refused(f"{path} can not be written: {error.strerror or error}") from error


def known_elsewhere(own: Path) -> dict[str, str]:
    """Give the sessions of envelopes whose runs lie in several files of other folders, by their names.

    So a copy of a folder that begins in the middle of a run adds nothing.
    """
    known: dict[str, str] = {}
    for path in sorted(own.parent.glob("gateway-*.json")):
        if path != own:
            known |= load(path).flows.split
    return known


def mark_of(file: BinaryIO, offset: int) -> str:
    """Give a digest of some of the bytes before an offset."""
    digest = hashlib.blake2b(digest_size=8)
    for at in (0, max(0, offset - _MARK)):
        file.seek(at)
        digest.update(file.read(min(_MARK, offset - at)))
    return digest.hexdigest()


@contextmanager
def alone_on(folder: Path, settings: Settings) -> Iterator[None]:
    """Hold a folder's notes for the block. Raises Refused when another process has them."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{settings.data_dir} can not be made: {error.strerror or error}") from error
    lock = notes_path(folder, settings).with_suffix(".lock")
    with alone(lock, f"another import of {folder}"):
        yield
