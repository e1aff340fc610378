"""History: the commits of a repository since some time, as `git log` tells them. Pure.

Invariants:
- Whatever a message or a path holds, it is taken for nothing else: pieces end with NUL, which neither has.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

#: How a file that is not there is named among hashes.
_NOTHING = "0"
_REVERTS = re.compile(r"[Tt]his reverts commits? ([0-9a-f]{7,64})\b")
_HELPED = re.compile(r"^co-authored-by:\s*(.{1,200})$", re.IGNORECASE | re.MULTILINE)
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_RANGE = re.compile(rb"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
#: Characters of a line that are compared, and that a line must have to tell anything.
LINE_MAX = 400
_TELLING_MIN = 3


class Change(NamedTuple):
    """One file in one commit: its path, the one it had before, and the hashes of its content, "" for none."""

    path: str
    was: str
    before: str
    after: str


class Commit(NamedTuple):
    """One commit. Times are Unix time (s): `time_s` of the commit, `written_s` of its author.

    `reverts` are the hashes, or beginnings of them, of the commits that its message says it takes back;
    `helpers` the co-authors that its message names.
    """

    name: str
    time_s: int
    written_s: int
    parents: tuple[str, ...]
    reverts: tuple[str, ...]
    helpers: tuple[str, ...]
    changes: tuple[Change, ...]

    def touches(self, paths: Collection[str]) -> bool:
        """Say whether one of these files was changed, under the name that it got or the one that it had."""
        return any(change.path in paths or change.was in paths for change in self.changes)


def read_log(pieces: Iterable[bytes]) -> Iterator[Commit]:
    """Read what `Repository.log` gives."""
    head: list[str] = []
    changes: list[Change] = []
    told = iter(pieces)
    for piece in told:
        text = piece.decode("utf-8", "surrogateescape").lstrip("\n")
        if text.startswith("\x01"):
            if head:
                yield _commit(head, changes)
            head, changes = text[1:].split("\n", 1), []
        elif text.startswith(":"):
            changes += _change(text, told)
    if head:
        yield _commit(head, changes)


def read_patches(
    lines: Iterable[bytes], wanted: Mapping[str, Collection[str]]
) -> dict[str, dict[str, Counter[str]]]:
    """Read what `Repository.patches` gives: by commit and path, the telling lines that came in, counted.

    Only the paths that are wanted of a commit are kept.
    """
    added: dict[str, dict[str, Counter[str]]] = {}
    commit, path, old, new = "", "", 0, 0
    for line in lines:
        if old or new:  # inside of a hunk a line is content, whatever it looks like
            old, new = old - line.startswith(b"-"), new - line.startswith(b"+")
            if (
                line.startswith(b"+")
                and path in wanted.get(commit, ())
                and (text := telling(_text(line[1:])))
            ):
                added.setdefault(commit, {}).setdefault(path, Counter())[text] += 1
        elif found := _RANGE.match(line):
            old, new = (1 if each is None else int(each) for each in found.groups())
        elif line.startswith(b"+++ "):
            path = _text(line[4:]).removesuffix("\t")
        elif len(line) in (40, 64) and _HASH.fullmatch(_text(line)):
            commit, path = _text(line), ""
    return added


def telling(line: str) -> str:
    """Give a line without its indentation; empty where too little stands in it to know it again."""
    text = line.strip()[:LINE_MAX]
    return text if sum(map(str.isalnum, text[:40])) >= _TELLING_MIN else ""


class History:
    """Commits since some time, as the log gives them (children first), and how they came to HEAD.

    `main` are the commits that HEAD was at, oldest first; `landed` says at which of them (by index) each
    commit came to be a part of it.
    """

    def __init__(self, commits: Sequence[Commit], first_parents: Sequence[str]) -> None:
        self.commits = {commit.name: commit for commit in commits}
        self.main = [self.commits[name] for name in reversed(first_parents) if name in self.commits]
        self.landed: dict[str, int] = {}
        for index, commit in enumerate(self.main):
            waiting = [commit.name]
            while waiting:
                name = waiting.pop()
                if name in self.landed or name not in self.commits:
                    continue
                self.landed[name] = index
                waiting += self.commits[name].parents

    @cached_property
    def newest_s(self) -> int:
        """Give the time of the newest commit; 0 without any."""
        return max((commit.time_s for commit in self.commits.values()), default=0)

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self.commits)

    @cached_property
    def _reverted(self) -> dict[str, bool]:
        """Say of each commit on HEAD whether a later one takes it back that was not taken back itself.

        A commit takes back what its message names, if it touches one of the files that were changed there.
        """
        order = {name: at for at, name in enumerate(self._in_order)}
        later: dict[str, list[str]] = {}
        for name, at in order.items():
            for beginning in self.commits[name].reverts:
                other = self.named(beginning)
                if other in order and order[other] < at:
                    later.setdefault(other, []).append(name)
        reverted: dict[str, bool] = {}
        for name in reversed(order):
            paths = {change.path for change in self.commits[name].changes} if name in later else ()
            reverted[name] = any(
                not reverted[other] and self.commits[other].touches(paths) for other in later.get(name, ())
            )
        return reverted

    def named(self, beginning: str) -> str | None:
        """Give the commit whose name begins so; null for none or several."""
        at = bisect_left(self._names, beginning)
        found = [name for name in self._names[at : at + 2] if name.startswith(beginning)]
        return found[0] if len(found) == 1 else None

    def is_reverted(self, name: str) -> bool:
        """Say whether a commit was taken back by another that was not taken back itself."""
        return self._reverted.get(name, False)

    @cached_property
    def _in_order(self) -> list[str]:
        """Name the commits on HEAD in the order in which they landed, parents before their children."""
        newer = {name: at for at, name in enumerate(self.commits)}
        return sorted(self.landed, key=lambda name: (self.landed[name], -newer[name]))

    def at(self, time_s: float) -> int:
        """Give the index of the last commit that HEAD was at by some time; -1 for none."""
        return next((at for at in range(len(self.main) - 1, -1, -1) if self.main[at].time_s <= time_s), -1)

    @cached_property
    def _by_path(self) -> dict[str, list[tuple[int, Change]]]:
        """Give the changes of each path on HEAD, in the order in which they landed."""
        found: dict[str, list[tuple[int, Change]]] = {}
        for name in self._in_order:
            for change in self.commits[name].changes:
                found.setdefault(change.was or change.path, []).append((self.landed[name], change))
        return found

    def follow(self, path: str, since: int, until: int) -> tuple[str, Change | None]:
        """Give the path at one place of HEAD of a file that had another before, and its last change."""
        last: Change | None = None
        for _ in range(100):  # a file that is moved around in a circle
            changes = [(at, change) for at, change in self._by_path.get(path, ()) if since < at <= until]
            moved = next(((at, one) for at, one in changes if one.path != path), None)
            if moved is None:
                return path, changes[-1][1] if changes else last
            since, last, path = moved[0], moved[1], moved[1].path
        return path, last


def _commit(head: list[str], changes: list[Change]) -> Commit:
    name, time_s, written_s, *parents = head[0].split()
    message = head[1] if len(head) > 1 else ""
    return Commit(
        name,
        int(time_s),
        int(written_s),
        tuple(parents),
        tuple(_REVERTS.findall(message)[:100]),
        tuple(_HELPED.findall(message)[:20]),
        tuple(changes),
    )


def _change(text: str, told: Iterator[bytes]) -> list[Change]:
    """Read a raw line of a change, and the one or two paths that follow it."""
    parts = text[1:].split(" ")
    if len(parts) < 5:
        return []
    before, after = (hash_ if hash_.strip(_NOTHING) else "" for hash_ in parts[2:4])
    first = next(told, b"").decode("utf-8", "surrogateescape")
    if parts[4][:1] not in ("R", "C"):
        return [Change(first, first, before, after)]
    second = next(told, b"").decode("utf-8", "surrogateescape")
    return [Change(second, first if parts[4][0] == "R" else second, before, after)]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
