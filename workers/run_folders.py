"""Folders of what a node trains and evaluates: when each began there, and which of them stay.

Invariants:
- Only a folder that says when it began is ever deleted, and never the one that is worked in.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

#: Folders that stay on the node, the newest; older ones go with data and checkpoints.
KEPT = 10
#: The file in a folder that says when it began.
_BEGAN = "began"


def began(folder: Path) -> int:
    """Give when a run began on this node, in Unix ms; its file is touched at each beginning."""
    path = folder / _BEGAN
    try:
        began_ms = int(path.read_text("ascii"))
        path.touch()
    except (FileNotFoundError, ValueError):
        began_ms = time.time_ns() // 1_000_000
        path.write_text(str(began_ms), "ascii")
    return began_ms


def clean(runs: Path, now: Path) -> list[str]:
    """Delete the folders of the oldest runs but KEPT and the one of `now`; gives their names."""
    folders = [path for path in runs.iterdir() if (path / _BEGAN).is_file()]
    folders.sort(key=lambda path: (path / _BEGAN).stat().st_mtime, reverse=True)
    gone = [path for path in folders[KEPT:] if path != now]
    for path in gone:
        shutil.rmtree(path)
    return [path.name for path in gone]
