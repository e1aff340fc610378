"""Several files on their way from one machine to another, as parcels in Redis: a data set, an adapter.

    bundle = index parcel (JSON: each file's name, size, sha256 and pieces) + a parcel a piece of CHUNK bytes

The bundle's name is that of its index, the sha256 of its bytes, so a name says all of what is in it.

Invariants:
- What comes out is what went in: each piece and each file is checked, and the folder appears whole or not at
  all. Pieces that were fetched before it was broken off are not fetched again.
- An index is a stranger's word until it is checked: no name in it leads out of the folder, and no size is
  believed that its pieces do not have.
- Every parcel of a bundle expires; `refresh` makes it last longer, and nothing makes it last shorter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from karl.errors import NotFound, Refused, Unreadable
from karl.stream import parcels

if TYPE_CHECKING:
    from redis import Redis

#: Bytes of one piece, of all files of a bundle at most, and files at most.
CHUNK, LARGEST, FILES_MAX = 8 << 20, 16 << 30, 1000
FORM = 1
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,4}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

#: Told how many bytes are done, of how many, and which file it is at.
Progress = Callable[[int, int, object], None]


class Held(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a bundle: where it lies in the folder, its bytes, their sha256, and its pieces in order."""

    name: str
    size: int
    sha256: str
    pieces: tuple[str, ...]


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in a bundle, its files by name."""

    form: int
    files: tuple[Held, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)


def untold(_done: int, _total: int, _where: object) -> None:
    """Tell nobody how far it is."""


def pack(index: Index) -> bytes:
    """Give the bytes of an index."""
    return msgspec.json.encode(index)


def read(data: bytes) -> Index:
    """Give the index that these bytes are. Raises Unreadable for one that could do harm or makes no sense."""
    try:
        index = msgspec.json.decode(data, type=Index)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"no index of a bundle: {error}") from None
    if index.form != FORM or not 0 < len(index.files) <= FILES_MAX:
        raise Unreadable(
            f"no index of a bundle that is known here: form {index.form}, {len(index.files)} files"
        )
    for one in index.files:
        _check(one)
    if index.size > LARGEST:
        raise Unreadable(f"a bundle of {index.size:,} bytes; there are {LARGEST:,} in one at most")
    names = [one.name.casefold() for one in index.files]
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    if len(set(names)) < len(names) or folders & set(names):
        raise Unreadable("a bundle with two files of one name")
    return index


def put(redis: Redis, files: Mapping[str, Path], ttl_s: int, progress: Progress = untold) -> str:
    """Put files in, by their names in the bundle, to expire after `ttl_s` seconds; gives the bundle's name.

    Raises Refused for what can not be a bundle, OSError, and the client's error.
    """
    total = sum(path.stat().st_size for path in files.values())
    held, done = [], 0
    for name, path in sorted(files.items()):
        whole, pieces, size = hashlib.sha256(), [], 0
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                whole.update(piece)
                size += len(piece)
                pieces.append(parcels.put(redis, piece, ttl_s=ttl_s))
                progress(min(total, done + size), total, name)
        done += size
        held.append(Held(name, size, whole.hexdigest(), tuple(pieces)))
    data = pack(Index(FORM, tuple(held)))
    try:
        read(data)
    except Unreadable as error:
        raise Refused(f"these files can not be sent: {error}") from None
    return parcels.put(redis, data, ttl_s=ttl_s)


def index_of(redis: Redis, digest: str) -> Index:
    """Give what is in a bundle. Raises NotFound, Unreadable, and the client's error."""
    return read(parcels.get(redis, digest))


def get(redis: Redis, digest: str, into: Path, progress: Progress = untold) -> Index:
    """Write the files of a bundle into a folder, which is made; gives what is in it.

    Where the folder is there already, it is only checked. Raises NotFound when a part of the bundle is not in
    Redis any more, Unreadable when other bytes lie there, Refused when the folder has other files, OSError,
    and the client's error.
    """
    index = index_of(redis, digest)
    if into.exists():
        if not holds(into, index):
            raise Refused(f"{into} has other files than the bundle {digest[:12]}; move it away")
        return index
    begun = into.with_name(f"{into.name}.{digest[:12]}.part")
    done = 0
    for one in index.files:
        path = begun / one.name
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = _kept(path, one)
        with path.open("r+b" if kept else "wb") as file:
            file.truncate(min(kept * CHUNK, one.size))
            file.seek(0, 2)
            for at in range(kept, len(one.pieces)):
                file.write(_piece(redis, one, at))
                progress(min(index.size, done + (at + 1) * CHUNK), index.size, one.name)
        done += one.size
        if digest_of(path) != one.sha256:
            path.unlink()
            raise Unreadable(f"{one.name} of the bundle {digest[:12]} is not what its index says")
    _drop_strangers(begun, index)
    begun.rename(into)
    return index


def refresh(redis: Redis, digest: str, ttl_s: int) -> bool:
    """Have a bundle last for `ttl_s` seconds from now at least; false when a part of it is gone.

    Raises Unreadable, and the client's error.
    """
    try:
        names = _names(redis, digest)
    except NotFound:
        return False
    there = [parcels.refresh(redis, name, ttl_s) for name in names]
    return all(there)


def drop(redis: Redis, digest: str, but: str = "", *, ttl_s: int | None = None) -> None:
    """Take a bundle out, as far as it is there, but for what the bundle `but` has too.

    The same bytes are the same parcel, whoever put them in: with the `ttl_s` that the bundle was put in with,
    what lasts longer stays, for it is another's too. Raises Unreadable, and the client's error.
    """
    try:
        names, kept = _names(redis, digest), _names(redis, but) if but else set()
    except NotFound:
        return
    for name in names - kept:
        if ttl_s is None or not parcels.outlasts(redis, name, ttl_s):
            parcels.let_go(redis, name, 0)


def holds(folder: Path, index: Index) -> bool:
    """Say whether a folder has exactly the files of a bundle. Raises OSError."""
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    return there == {one.name for one in index.files} and all(
        (folder / one.name).stat().st_size == one.size and digest_of(folder / one.name) == one.sha256
        for one in index.files
    )


def digest_of(path: Path) -> str:
    """Give the sha256 of a file's bytes, 64 hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names(redis: Redis, digest: str) -> set[str]:
    """Give the parcels of a bundle, its index too."""
    return {digest, *(piece for one in index_of(redis, digest).files for piece in one.pieces)}


def _check(one: Held) -> None:
    """Check one file of an index. Raises Unreadable."""
    if not _NAME.fullmatch(one.name):
        raise Unreadable(f"a bundle with a file that can not be named so: {one.name[:100]!r}")
    if not 0 <= one.size <= LARGEST or len(one.pieces) != -(-one.size // CHUNK):
        raise Unreadable(
            f"{one.name} has {one.size:,} bytes and {len(one.pieces):,} pieces, which can not be"
        )
    if not all(_DIGEST.fullmatch(piece) for piece in (one.sha256, *one.pieces)):
        raise Unreadable(f"{one.name} has pieces whose names are none")


def _kept(path: Path, one: Held) -> int:
    """Count the whole pieces of a file, from its beginning, that an earlier try has fetched."""
    if not path.is_file():
        return 0
    count = 0
    with path.open("rb") as file:
        for piece in one.pieces:
            if parcels.name_of(file.read(CHUNK)) != piece:
                break
            count += 1
    return count


def _piece(redis: Redis, one: Held, at: int) -> bytes:
    data = parcels.get(redis, one.pieces[at])
    if len(data) != min(CHUNK, one.size - at * CHUNK):
        raise Unreadable(f"a piece of {one.name} has {len(data):,} bytes, which is not what its index says")
    return data


def _drop_strangers(folder: Path, index: Index) -> None:
    """Delete what an earlier try of another bundle left there."""
    names = {one.name for one in index.files}
    for path in folder.rglob("*"):
        if not path.is_dir() and str(path.relative_to(folder)) not in names:
            path.unlink()
