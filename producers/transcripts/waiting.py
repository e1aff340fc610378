"""Which transcripts an import would read, without reading or noting anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from producers.transcripts.imported import Imported, Stamp, imported
from producers.transcripts.importing import InParts
from producers.transcripts.told import Format


class Waiting(NamedTuple):
    """Files that an import would read, their bytes, and those that are as they were at their last one."""

    files: int
    bytes: int
    unchanged: int


def waiting(fmt: Format, folder: Path, data_dir: Path) -> Waiting:
    """Look at a folder of transcripts. Raises Refused where another import is running, and OSError."""
    found = fmt.find(folder)
    files = size = unchanged = 0
    with _notes(data_dir, fmt.agent) as notes:
        for path in found:
            for part in fmt.parts(path) if isinstance(fmt, InParts) else [path]:
                told = part.stat()
                stamp = Stamp(part.absolute(), told.st_size, told.st_mtime_ns)
                if notes is not None and notes.is_done(stamp):
                    unchanged += 1
                else:
                    files, size = files + 1, size + told.st_size
    return Waiting(files, size, unchanged)


@contextmanager
def _notes(data_dir: Path, agent: str) -> Iterator[Imported | None]:
    """Open what earlier imports noted; null where there was none, and nothing is made."""
    if not (data_dir / "imports.sqlite").exists():
        yield None
        return
    with imported(data_dir, agent) as notes:
        yield notes
