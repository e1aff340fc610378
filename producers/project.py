"""Name the project that a folder belongs to: its git repository, without asking git.

A folder of another machine (an imported session's) is known by its own name only.
"""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from pathlib import PurePosixPath, PureWindowsPath

NAME_MAX = 128
_LEVELS_MAX = 64
#: What the `.git` file of a linked work tree says; the repository is named by the main one.
_WORK_TREE = re.compile(r"gitdir: (.+)/\.git/worktrees/[^/\n]+\s*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@lru_cache(maxsize=4096)
def project_of(cwd: str) -> str:
    """Give the name of the git repository around a folder, or else of the folder; "" for none."""
    folder = PurePosixPath(cwd)
    if folder.is_absolute() and "\x00" not in cwd:
        for level in [folder, *folder.parents][:_LEVELS_MAX]:
            mark = level / ".git"
            if os.path.lexists(mark):
                return _clean(_main_tree(mark) or level.name)
    windows = "\\" in cwd or re.match(r"[A-Za-z]:", cwd) is not None
    return _clean(PureWindowsPath(cwd).name if windows else folder.name)


def _main_tree(mark: PurePosixPath) -> str | None:
    try:
        # The folder is whatever an agent named: a pipe there must not hold the shipper up.
        handle = os.open(mark, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            match = _WORK_TREE.fullmatch(file.read(4096).decode("utf-8", "replace"))
    except OSError:
        return None  # a folder, as in most repositories
    return PurePosixPath(match[1]).name if match else None


def _clean(name: str) -> str:
    return _CONTROL.sub("", name)[:NAME_MAX]
