"""A data set in a folder, held against its manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from karl.errors import NotFound
from karl.learning import manifests
from karl.schema.learning import FileMade, Manifest


def check(folder: Path) -> Manifest:
    """Give the manifest of a data set whose files are what it says, by size and sha256.

    Raises NotFound without a manifest, Unreadable for one that was changed, Refused for files that differ.
    """
    manifest = manifest_of(folder)
    found = {name: _made(path) for name in manifest.files if (path := folder / Path(name).name).is_file()}
    manifests.compare(manifest, found, str(folder))
    return manifest


def manifest_of(folder: Path) -> Manifest:
    """Read a data set's manifest, its files unseen. Raises NotFound and Unreadable."""
    path = folder / manifests.NAME
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"{folder} is no data set: it has no {manifests.NAME}; `karl export` makes one"
        ) from None
    return manifests.read(data, str(path))


def _made(path: Path) -> FileMade:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileMade(path.stat().st_size, digest, 0)
