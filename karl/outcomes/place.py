"""Place: which of a repository's files a turn's files are. Pure.

The agent may have worked in another clone, under another folder, in a work tree; only what follows the
repository's own folder is the same.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath

from karl.outcomes.work import Piece, Work


def placed(work: Work, known: Collection[str], top: str, project: str) -> dict[str, Piece]:
    """Give a turn's files by their paths in the repository, which lies at `top`; those outside are left out.

    `known` are the paths that the repository has or had. The folder of the agent's clone is the one under
    which most of its files are known.
    """
    root = _root(work, known, top, project)
    if root is None:
        return {}
    return {inside: piece for path, piece in work.files.items() if (inside := _inside(path, root))}


def _root(work: Work, known: Collection[str], top: str, project: str) -> str | None:
    if any(_inside(path, top) for path in work.files) or (work.cwd and _inside(work.cwd + "/.", top)):
        return top
    own = _above(work.cwd) if work.cwd else []
    others = [folder for path in work.files for folder in _above(str(PurePosixPath(path).parent))]
    best, votes = None, (0, False, False, 0)
    for folder in dict.fromkeys([*own, *others]):
        found = sum(_inside(path, folder) in known for path in work.files)
        named = PurePosixPath(folder).name == project
        if not found and not (named and folder in own):
            continue
        vote = (found, named, folder in own, -len(folder))
        if best is None or vote > votes:
            best, votes = folder, vote
    return best


def _above(folder: str) -> list[str]:
    """List a folder and those above it, but for the root."""
    path = PurePosixPath(folder)
    return [str(each) for each in (path, *path.parents) if each.name]


def _inside(path: str, folder: str) -> str:
    """Give a path from a folder on; empty where it is not inside."""
    return path[len(folder) + 1 :] if path.startswith(folder + "/") else ""
