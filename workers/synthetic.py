"""Synthetic questions: made from the commits of repositories, sent as records, taken back.

Invariants:
- Without Redis nothing is written anywhere; nothing in a repository is run or changed.
- A commit that the ledger has a question of gives none again, also when that one was taken back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import LedgerRewound, NotFound, Refused
from karl.learning.synthetic.commits import Told
from karl.learning.synthetic.questions import By, Made, Redact, TooLittle, id_of, made_of, once
from karl.learning.synthetic.subjects import is_revert, is_to_fold
from karl.outcomes.commits import commits_of
from karl.outcomes.repository import Repository
from karl.schema.learning import SyntheticBody
from karl.views.filter import Filter
from karl.views.lineage import Lineage
from karl.views.routing import body_at
from workers.records import LEARNING, Outgoing, send, settled

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings
    from karl.views.lineage_rows import SyntheticRow

#: Told the commits looked at so far, and the repository.
Progress = Callable[[object, int], None]


class Repo(NamedTuple):
    """A repository to read, and the name of its project."""

    path: Path
    name: str


class Asked(NamedTuple):
    """What to read: repositories, commits since a time (Unix, s), at most so many questions of each.

    With `turns_below`, only repositories of which the ledger has fewer turns. `redact` takes secrets out of
    texts, `is_denied` says which paths are those of secrets.
    """

    repositories: Sequence[Repo]
    since_s: int
    most: int
    by: By
    redact: Redact
    is_denied: Callable[[str], bool]
    turns_below: int | None = None


class RepositoryReport(msgspec.Struct):
    """One repository: commits looked at, those left out by reason, questions made, and those known before.

    `dropped` counts statements that were found and did not hold when they were checked, `redacted` secrets
    by rule, `files_left_out` files of the commits that a question was made of, by reason.
    """

    repository: str
    path: str
    commits: int = 0
    left_out: dict[str, int] = {}
    files_left_out: dict[str, int] = {}
    made: int = 0
    known: int = 0
    dropped: int = 0
    redacted: dict[str, int] = {}
    skipped: str = ""


class SyntheticReport(msgspec.Struct):
    """All repositories, and what was made of them."""

    repositories: list[RepositoryReport]
    made: list[SyntheticBody]


class _Known(NamedTuple):
    """What the ledger has: ids of questions, also of those taken back, their texts, and turns by project."""

    ids: frozenset[str]
    questions: list[str]
    turns: dict[str, int]


def make(
    redis: Redis | None,
    settings: Settings,
    asked: Asked,
    wait: Callable[[float], None],
    progress: Progress | None = None,
) -> SyntheticReport:
    """Make questions of commits; without Redis only say which, with it send those that are new.

    Raises NoRepository and GitFailed; with Redis LineDown, and Refused where the views are behind.
    """
    if redis is not None:
        settled(redis, settings, wait)
    known = _known(settings, asked)
    report = SyntheticReport([], [])
    for repo in asked.repositories:
        one = RepositoryReport(repo.name, str(repo.path))
        report.repositories.append(one)
        if asked.turns_below is not None and known.turns.get(repo.name, 0) >= asked.turns_below:
            one.skipped = f"the ledger has {known.turns[repo.name]:,} turns of it"
            continue
        report.made += _of_repository(repo, asked, known, one, progress)
    report.made = list({body.id: body for body in report.made}.values())
    if redis is not None:
        send(redis, [Outgoing("synthetic", LEARNING, body) for body in report.made], wait)
    return report


def _known(settings: Settings, asked: Asked) -> _Known:
    """Read what the ledger has; nothing where there are no views yet."""
    wanted = {one.name for one in asked.repositories}
    try:
        had = kept(settings, removed=True)
        with Lineage(settings.views) as views:
            turns = {name: views.fitting(Filter(project=name)) for name in wanted}
    except NotFound:
        return _Known(frozenset(), [], {})
    questions = [one.body.question for one in had if one.body and one.body.repository in wanted]
    return _Known(frozenset(one.row.id for one in had), [text for text in questions if text], turns)


def _of_repository(
    repo: Repo, asked: Asked, known: _Known, report: RepositoryReport, progress: Progress | None
) -> list[SyntheticBody]:
    """Make the questions of one repository, the newest commits first; fills its report."""
    making = _Making(asked, known, report)
    with Repository(repo.path) as repository:
        for read in commits_of(repository, asked.since_s, making.unwanted, asked.is_denied):
            report.commits += 1
            if progress:
                progress(repo.name, report.commits)
            if read.told is None:
                making.left_out[read.reason] += 1
            else:
                making.make(read.told, repo.name)
    return making.finish()


class _Making:
    """The questions of one repository while they are made."""

    def __init__(self, asked: Asked, known: _Known, report: RepositoryReport) -> None:
        self._asked, self._known, self._report = asked, known, report
        self._found: list[Made] = []
        self._files: list[dict[str, int]] = []
        self._is_new = False
        self.left_out: Counter[str] = Counter()

    def unwanted(self, commit: str, message: str) -> str:
        """Say why nothing is made of a commit, by its message; empty where something may be."""
        if id_of(commit) in self._known.ids:
            self._report.known += 1
            return "known already"
        if is_revert(message):
            return "revert"
        if is_to_fold(message):
            return "to be folded into another"
        if len(self._found) >= self._asked.most and self._is_new:
            self._once()
        return "" if len(self._found) < self._asked.most else "above the most of a repository"

    def make(self, told: Told, name: str) -> None:
        """Make a question of a commit, or count why there is none."""
        try:
            made = made_of(told, name, self._asked.by, self._asked.redact)
        except TooLittle as reason:
            self.left_out[reason.reason] += 1
            self._report.dropped += reason.dropped
            return
        self._found.append(made)
        self._is_new = True
        self._files.append(told.reasons)
        self._report.dropped += made.dropped

    def finish(self) -> list[SyntheticBody]:
        """Fill the report; give what was made."""
        self._once()
        files: Counter[str] = Counter()
        redacted: Counter[str] = Counter()
        for made, reasons in zip(self._found, self._files, strict=True):
            files.update(reasons)
            redacted.update(made.redacted)
        self._report.left_out = dict(self.left_out.most_common())
        self._report.files_left_out = dict(files.most_common())
        self._report.redacted = dict(redacted.most_common())
        self._report.made = len(self._found)
        return [made.body for made in self._found]

    def _once(self) -> None:
        """Leave out what was asked before, in the ledger or by a newer commit."""
        self._is_new = False
        new = once([made.body for made in self._found], self._known.questions)
        self.left_out.update({"asked before": new.count(False)} if False in new else {})
        self._found = [made for made, is_new in zip(self._found, new, strict=True) if is_new]
        self._files = [files for files, is_new in zip(self._files, new, strict=True) if is_new]


class Kept(NamedTuple):
    """A synthetic question of the ledger: its row, and its record; null where that was erased."""

    row: SyntheticRow
    body: SyntheticBody | None


def kept(settings: Settings, *, removed: bool = False) -> list[Kept]:
    """List what the ledger has, the newest first. Raises NotFound without views, LedgerDamaged."""
    found = []
    with Lineage(settings.views) as views:
        for row in views.synthetic(removed=removed):
            try:
                found.append(Kept(row, body_at(settings.ledger, row.place, SyntheticBody)))
            except LedgerRewound:
                found.append(Kept(row, None))
    return found


def remove(
    redis: Redis,
    settings: Settings,
    beginning: str,
    by: By,
    *,
    now_ms: int,
    wait: Callable[[float], None],
) -> SyntheticBody:
    """Take one back, by its id or the beginning of it. Raises NotFound, Refused, LineDown."""
    with Lineage(settings.views) as views:
        rows = views.synthetic(removed=True)
    found = [row for row in rows if beginning and row.id.startswith(beginning)]
    if not found:
        raise NotFound(f"no synthetic question has an id that begins with {beginning!r}; --list lists them")
    if len(found) > 1:
        raise Refused(f"{len(found)} synthetic questions have ids that begin so; give more of one")
    if found[0].removed:
        raise Refused(f"{found[0].id} was taken back already")
    row = found[0]
    # Without its words: the first record has them, and who looks for what was taken back finds them there.
    body = SyntheticBody(
        row.id, "", "", row.repository, row.commit, (), (), by.person, by.node, now_ms, removed=True
    )
    send(redis, [Outgoing("synthetic", LEARNING, body)], wait)
    return body
