"""Folders of a turn: the one spelling of each path, as far as the turn lets us know where it ran.

Where hooks tell the folder of each call, every path is absolute. Where nobody does, the folder is learned:
from a `cd` to an absolute folder, or from a file that was named both ways.

Invariants:
- One file, one spelling: what was told relative before its folder was known stays relative, and absolute
  paths below that folder are then told relative too.
- What is remembered is bounded.
"""

from __future__ import annotations

from karl.acts.paths import joined, of_drive, role

_SEEN_MAX = 2000
_SUFFIXES_MAX = 12


class Folders:
    """Where a turn's calls ran."""

    def __init__(self, cwd: str | None) -> None:
        cwd = of_drive(cwd) if cwd else ""
        self._base = joined("", cwd) if cwd.startswith("/") else ""
        self._is_told = bool(self._base)
        self._now = self._base
        #: The folder of the work; empty where paths are told relative to it, or nobody knows it.
        self.root = self._base
        #: Relative paths were told before the folder was known.
        self._short = False
        #: What the last hook said, and the folder that it means.
        self._told, self._meant = "", ""
        self._relative: set[str] = set()
        self._absolute: dict[str, str] = {}
        #: Whether the shell keeps its folder from call to call, and which that is.
        self.persists = False
        self._left = ""

    @property
    def here(self) -> str:
        """Give the folder that the present call began in; empty where nobody knows it."""
        return self._now

    def enter(self, cwd: str | None, workdir: str | None) -> None:
        """Begin a call: in the folder that its hook says, or that the call names itself."""
        if cwd and cwd == self._told and not workdir:  # as for most
            self._now = self._meant
            return
        said = cwd or ""
        cwd = of_drive(cwd) if cwd else ""
        told = cwd.startswith("/")
        folder = cwd if told else (self._left or self._base) if self.persists else self._base
        if workdir:
            folder = joined(folder, workdir)
        self._now = folder.rstrip("/") if folder != "/" else folder
        if told and not workdir:
            self._told, self._meant = said, self._now
        if told and not self._base and not self._relative:
            self._learn(joined("", cwd), short=False)

    def stay(self, folder: str) -> None:
        """End a call whose command ends in a folder, seen from where it began."""
        self._left = joined(self._now, folder) if folder else self._now

    def told_after(self, folder: str, *, moved: bool) -> None:
        """Learn where a shell is after a call, from its own word; without a move, it was there before."""
        self._left = joined("", folder)
        if not moved:
            self._now = self._left

    def went(self, folder: str) -> None:
        """Learn from a `cd`, which is as good as told where nobody tells anything."""
        if folder.startswith("/") and len(folder) > 1 and not self._base and role(folder) != "scratch":
            self._learn(folder, short=bool(self._relative))

    def resolve(self, path: str) -> str:
        """Give a path in its one spelling."""
        full = joined(self._now, path)
        if full.startswith("/"):
            return full if self._is_told else self._known(full)
        if full.startswith(("~", "$")):
            return full
        if self._base and not self._short:
            return joined(self._base, full)
        if not self._base and (found := self._learn_from_relative(full)):
            return found
        if len(self._relative) < _SEEN_MAX:
            self._relative.add(full)
        return full

    def _known(self, full: str) -> str:
        if not self._base:
            if self._relative:
                self._learn_from_absolute(full)
            if not self._base and len(self._absolute) < _SEEN_MAX:
                self._absolute[full.rsplit("/", 1)[-1]] = full
        if self._short and self._base and full.startswith(self._base):
            if full == self._base:
                return "."
            if full[len(self._base)] == "/":
                return full[len(self._base) + 1 :]
        return full

    def _learn_from_absolute(self, full: str) -> None:
        """Find a relative path that was told before and is this file: its folder is then known."""
        at = len(full)
        for _ in range(_SUFFIXES_MAX):
            at = full.rfind("/", 0, at)
            if at <= 0:
                return
            suffix = full[at + 1 :]
            if "/" in suffix and suffix in self._relative:
                self._learn(full[:at], short=True)
                return

    def _learn_from_relative(self, path: str) -> str | None:
        """Find an absolute path that was told before and is this file."""
        if "/" not in path or self._relative:
            return None
        full = self._absolute.get(path.rsplit("/", 1)[-1])
        if full is None or not full.endswith(f"/{path}"):
            return None
        self._learn(full[: -len(path) - 1], short=self._short)
        return full

    def _learn(self, base: str, *, short: bool) -> None:
        self._base, self._short = base, short
        self.root = "" if short else base
