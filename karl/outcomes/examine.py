"""Examine: the work of many turns, looked up in one repository."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from karl.outcomes.history import Commit, History, read_log, read_patches
from karl.outcomes.judge import DAY_S, EARLY_S, Finding, Sources, candidates, judge
from karl.outcomes.place import placed
from karl.outcomes.repository import Repository
from karl.outcomes.results import Result
from karl.outcomes.work import Piece, Work

#: Files in commits that are kept in memory.
_KEPT = 64


class _Near(NamedTuple):
    """A turn, its files by their paths in the repository, and the commits that may hold them."""

    work: Work
    files: dict[str, Piece]
    commits: list[Commit]


class Examination:
    """A repository, open to be asked about turns that began after `since_s` (Unix time).

    `project` is its name, `node` this machine: for a turn that worked in this very folder on it, what is
    there is known up to `now_s`; for others up to the newest commit, and the last time that somebody fetched.
    """

    def __init__(
        self, repository: Repository, since_s: int, *, project: str, node: str, now_s: float, days: int
    ) -> None:
        self._repository = repository
        self._project, self._node, self._now_s, self._days = project, node, now_s, days
        since_s -= EARLY_S + DAY_S
        self.history = History(list(read_log(repository.log(since_s))), repository.first_parents(since_s))
        self._by_path: dict[str, list[Commit]] = {}
        for commit in self.history.commits.values():
            for path in {name for change in commit.changes for name in (change.path, change.was)}:
                self._by_path.setdefault(path, []).append(commit)
        self._known = {*self._by_path, *repository.paths()}
        self._top = str(repository.path)
        self._seen_s = max(self.history.newest_s, repository.touched_s)
        self._look = lru_cache(maxsize=_KEPT)(repository.file)
        #: Whether a turn worked in this very folder: then it is the project's repository, whatever is found.
        self.is_home = False

    def findings(self, works: Sequence[Work]) -> list[Finding]:
        """Say of each turn that changed files here what became of it.

        Most work is committed within a day: only what is not all on HEAD by then is looked for later on.
        """
        near = [
            _Near(work, files, candidates(work, files, self._by_path))
            for work in works
            if (files := self._files(work))
        ]
        soon = [
            one._replace(commits=[each for each in one.commits if _is_soon(each, one.work)]) for one in near
        ]
        found = self._judged(soon)
        late = [
            at
            for at, (one, finding) in enumerate(zip(near, found, strict=True))
            if len(one.commits) > len(soon[at].commits) and not self._is_whole(finding)
        ]
        for at, finding in zip(late, self._judged([near[at] for at in late]), strict=True):
            found[at] = finding
        return found

    def _is_whole(self, finding: Finding) -> bool:
        on_head = all(name in self.history.landed for name in finding.commits)
        return on_head and 0 < finding.lines == finding.held

    def _judged(self, near: Sequence[_Near]) -> list[Finding]:
        wanted: dict[str, set[str]] = {}
        for _, files, commits in near:
            for commit in commits:
                paths = {change.path for change in commit.changes if {change.path, change.was} & files.keys()}
                wanted.setdefault(commit.name, set()).update(paths)
        added = read_patches(self._repository.patches(wanted), wanted) if wanted else {}
        sources = Sources(self.history, added, self._look)
        return [
            judge(work, files, commits, sources, days=self._days, seen_s=self._seen(work))
            for work, files, commits in near
        ]

    def _files(self, work: Work) -> dict[str, Piece]:
        files = placed(work, self._known, self._top, self._project)
        for path, piece in files.items():
            if piece.whole and (before := self._before(work, path)):
                files[path] = Piece(piece.lines - before.lines)
        return files

    def _before(self, work: Work, path: str) -> Piece | None:
        """Give the lines that a file had before a turn, as far as commits tell."""
        at = self.history.at(work.started_s)
        found = self._look(self.history.main[at].name, path) if at >= 0 else None
        return Piece.of(found.text) if found and found.text else None

    def _seen(self, work: Work) -> float:
        inside = work.cwd is not None and (work.cwd + "/").startswith(self._top + "/")
        if inside and work.node == self._node:
            self.is_home = True
            return self._now_s
        return min(self._seen_s, self._now_s)


def spoken_for(
    findings: Iterable[Finding],
    results: Iterable[Result],
    history: History,
    turns: Sequence[tuple[float, float]],
) -> dict[str, tuple[bool, list[str]]]:
    """Say for which turns (by id) test runs speak, whether they passed, and in which files they stand.

    A run is about the commit that it names, else about the one that HEAD was at when it was made. One that
    names none and was made during one of `turns` (start and end, Unix time) was the agent's own: it tells of
    files that nobody had committed, and does not count unless it was given. Runs about one commit passed if
    all did. A pass speaks for all turns whose work came to HEAD since the commit tested before, a failure
    only where it was one turn's.
    """
    runs: dict[int, list[Result]] = {}
    for result in results:
        if (at := _about(result, history, turns)) is not None:
            runs.setdefault(at, []).append(result)
    work = [each for each in findings if each.committed and each.landed is not None and not each.reverted]
    said: dict[str, tuple[bool, list[str]]] = {}
    before: int | None = None
    for at in sorted(runs):
        since = at - 1 if before is None else before
        about = [each.trajectory for each in work if each.landed is not None and since < each.landed <= at]
        passed = all(one.passed for one in runs[at])
        if passed or len(about) == 1:
            said |= {trajectory: (passed, [one.path for one in runs[at]]) for trajectory in about}
        before = at
    return said


def _about(result: Result, history: History, turns: Sequence[tuple[float, float]]) -> int | None:
    if result.commit is not None:
        name = history.named(result.commit)
        return history.landed.get(name) if name else None
    moments = (result.time_s, result.written_s)
    if not result.given and any(start <= each <= end for start, end in turns for each in moments):
        return None
    at = history.at(result.time_s)
    return at if at >= 0 else None


def _is_soon(commit: Commit, work: Work) -> bool:
    return commit.written_s <= work.ended_s + DAY_S
