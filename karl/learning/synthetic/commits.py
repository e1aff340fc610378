"""A commit as a question can be made from it: what was said of it, and what it did to each file. Pure.

`karl.outcomes.commits` reads them; `facts` says what they did, `grounding` checks what was said.
"""

from __future__ import annotations

from typing import NamedTuple


class Hunk(NamedTuple):
    """Lines that stand together: those that went and those that came, and where (from 1, in the old file).

    `header` is the line that git shows of what they are in; empty where it shows none.
    """

    at: int
    header: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


class FileChange(NamedTuple):
    """A file in a commit, with its path and the one that it had (empty where there was none), and both texts.

    A text is null where the file is not there. `path` is empty where the file was taken away. `hunks` are
    what the patch says.
    """

    path: str
    was: str
    before: str | None
    after: str | None
    hunks: tuple[Hunk, ...]

    @property
    def name(self) -> str:
        """The path by which it is told of."""
        return self.path or self.was


class Told(NamedTuple):
    """A commit: its hash, when it was made (Unix time, s), its message, and the files that are told of.

    `touched` are the paths of all files in it, those that are not told of included; `in_patch` how many the
    patch has. `reasons` counts, by reason, the files that are not told of.
    """

    commit: str
    time_s: int
    message: str
    files: tuple[FileChange, ...]
    touched: tuple[str, ...]
    in_patch: int
    reasons: dict[str, int]
