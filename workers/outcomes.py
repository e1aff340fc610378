"""What became of turns, told to the ledger: found in a repository, sent as annotations through the line.

Invariants:
- The records go the way of all others: through Redis to the one writer.
- What a detector said already of a trajectory is not said again: a scan that was broken off, or is repeated,
  goes on where it stopped. What it says anew has a name made of all that went before, so twice is once.
- Each detector says what it found itself, so that one can be told from another, and left out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from karl.errors import KarlError, LedgerDamaged, NotFound
from karl.outcomes.examine import Examination, spoken_for
from karl.outcomes.judge import Finding
from karl.outcomes.repository import Repository
from karl.outcomes.results import Result, find_results, read_result
from karl.outcomes.work import Work, work_of
from karl.reward.score import VERSIONS, rescore_outcome
from karl.schema.event import event_id
from karl.schema.record import OBSERVED, AnnotationBody, Score
from karl.schema.trajectory import Outcome
from karl.views.known import Known
from karl.views.queries import Filter, TrajectoryRow
from karl.views.whole import assemble
from workers.records import Outgoing, send, settled

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: Who says it: a look into commits, and a test run's file. A changed definition gets a new number.
GIT, CI = "git-1", "ci-1"
#: Turns that are looked up together.
TOGETHER = 200
#: Seconds after a turn in which a test run is still taken for its own.
_AFTER_S = 120

#: Told the turns looked at, those that there are, and the session that is looked at now.
Progress = Callable[[int, int, object], None]


class Request(msgspec.Struct, frozen=True):
    """What to look at: the repository, the project's name, and turns closed since a time (Unix, ms).

    `days` is how long work has to last to have survived. `ci` names test runs' files, each with the commit
    that it is about, if that was said.
    """

    path: Path
    project: str
    since_ms: int | None
    days: int
    ci: Sequence[tuple[str | None, Path]] = ()


class Told(msgspec.Struct, frozen=True):
    """What was found of one turn. `said` gives flags by detector; `new` names the detectors that say news.

    Of `lines` that the turn wrote `held` are in `commits`, `left` of them at the end of the days.
    """

    trajectory: str
    session: str
    agent: str
    time_ms: int
    said: dict[str, dict[str, bool]]
    new: list[str]
    lines: int
    held: int
    left: int | None
    commits: list[str]
    ci: list[str]


class ScanReport(msgspec.Struct):
    """Turns looked at, those that changed files here, annotations that are news, and what was found of each.

    `damaged` counts those whose records can not be read. `notes` are test runs that were passed over.
    """

    repository: str
    project: str
    looked_at: int = 0
    damaged: int = 0
    changed_files: int = 0
    annotations: int = 0
    results: int = 0
    turns: list[Told] = []
    notes: list[str] = []


class _Turn(NamedTuple):
    """A turn that changed files here, with what it takes to score it anew."""

    row: TrajectoryRow
    finding: Finding
    outcome: Outcome
    score: Score


def scan(
    redis: Redis | None,
    settings: Settings,
    asked: Request,
    progress: Progress | None = None,
    *,
    wait: Callable[[float], None] = time.sleep,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> ScanReport:
    """Look up what became of a project's turns; without Redis only say it, with it write it down.

    Raises NotFound when the views have no such turn, NoRepository, GitFailed, LineDown, Refused when the
    views do not follow the ledger, and KarlError for a named test run's file that is none.
    """
    results = [read_result(path, commit, given=True) for commit, path in asked.ci]
    with Repository(asked.path) as repository:
        if redis is not None:
            settled(redis, settings, wait)
        with Known(settings.views) as views:
            looking = _Scan(settings, asked, views, repository, now_ms())
            bodies = looking.run(results, progress)
    if redis is not None:
        send(redis, [Outgoing("annotation", body.session, body) for body in bodies], wait)
    return looking.report


def _nothing(asked: Request) -> str:
    when = " since then" if asked.since_ms is not None else ""
    return (
        f"the views have no turn of a project called {asked.project!r}{when}; `karl sessions` shows the "
        "names of projects, and --project takes one"
    )


class _Scan:
    """One look at a project's turns; fills the report."""

    def __init__(
        self, settings: Settings, asked: Request, views: Known, repository: Repository, now_ms: int
    ) -> None:
        self._settings, self._views, self._now_ms = settings, views, now_ms
        self._which = Filter(project=asked.project, since_ms=asked.since_ms)
        self._top, self._is_bare = repository.path, repository.is_bare
        self._lasted: list[tuple[float, float]] = []
        span = views.span(self._which)
        if span is None:
            raise NotFound(_nothing(asked))
        self.report = ScanReport(str(repository.path), asked.project)
        self._looking = Examination(
            repository,
            span[0] // 1000,
            project=asked.project,
            node=settings.node,
            now_s=now_ms / 1000,
            days=asked.days,
        )

    def run(self, results: list[Result], progress: Progress | None) -> list[AnnotationBody]:
        """Look all turns up; give the annotations that say something new."""
        turns = list(self._turns(progress))
        if not self._is_theirs(turns):
            turns = [
                turn._replace(finding=msgspec.structs.replace(turn.finding, committed=None)) for turn in turns
            ]
        results = [*results, *self._found()]
        self.report.results = len(results)
        findings = [turn.finding for turn in turns]
        runs = spoken_for(findings, results, self._looking.history, self._lasted)
        before: dict[tuple[str, str], tuple[int, dict[str, bool]]] = {}
        for one in self._views.said(self._which):
            count, flags = before.get((one.trajectory, one.detector), (0, {}))
            before[one.trajectory, one.detector] = (count + 1, flags | one.flags)
        bodies: list[AnnotationBody] = []
        for turn in turns:
            passed, files = runs.get(turn.row.id, (None, []))
            said = _said(turn.finding, passed)
            news = list(self._news(turn, said, before))
            bodies += news
            self.report.turns.append(_told(turn, said, [body.detector for body in news], files))
        self.report.annotations = len(bodies)
        return bodies

    def _is_theirs(self, turns: Sequence[_Turn]) -> bool:
        """Say whether something was found here; nothing found may mean another project's repository."""
        if self._looking.is_home or any(turn.finding.committed for turn in turns):
            return True
        if turns:
            self.report.notes.append(
                f"no commit of {self._top} holds work of {self.report.project}: it is taken for another "
                "project's repository, and nothing is said of what was not committed"
            )
        return False

    def _turns(self, progress: Progress | None) -> Iterator[_Turn]:
        """Give the turns that changed files in the repository, and note when each turn lasted."""
        total = self._views.fitting(self._which)
        walking = self._views.walk(self._which)
        while rows := list(islice(walking, TOGETHER)):
            known: dict[str, tuple[TrajectoryRow, Outcome, Score]] = {}
            works: list[Work] = []
            for row in rows:
                self.report.looked_at += 1
                self._lasted.append((row.started_ms / 1000, row.time_ms / 1000 + _AFTER_S))
                try:
                    whole = assemble(self._settings.ledger, self._views.parts(row.id))
                except LedgerDamaged:
                    self.report.damaged += 1  # one bad record must not keep the others from being looked up
                    continue
                known[row.id] = (row, whole.body.trajectory.outcome, whole.score)
                works.append(work_of(whole.body, row.started_ms))
                if progress:
                    progress(self.report.looked_at, total, row.session)
            for finding in self._looking.findings(works):
                self.report.changed_files += 1
                row, outcome, score = known[finding.trajectory]
                yield _Turn(row, finding, outcome, score)

    def _found(self) -> Iterator[Result]:
        """Read the test runs' files in the repository's folder; what is none is noted."""
        for path in () if self._is_bare else find_results(self._top):
            try:
                yield read_result(path)
            except KarlError as error:
                self.report.notes.append(str(error))

    def _news(
        self,
        turn: _Turn,
        said: Mapping[str, Mapping[str, bool]],
        before: Mapping[tuple[str, str], tuple[int, dict[str, bool]]],
    ) -> Iterator[AnnotationBody]:
        """Make an annotation for each detector that says something new; the next one knows of it."""
        row, score = turn.row, turn.score
        known: dict[str, Any] = dict(row.known)
        for detector, flags in said.items():
            count, earlier = before.get((row.id, detector), (0, {}))
            if all(earlier.get(name) == flag for name, flag in flags.items()):
                continue
            known |= flags
            if score.version in VERSIONS:
                score = rescore_outcome(score, msgspec.structs.replace(turn.outcome, **known))
            own = msgspec.structs.replace(Outcome(annotation_status=OBSERVED), **flags)
            by = event_id(detector, row.id, str(count), json.dumps(flags, sort_keys=True))
            yield AnnotationBody(row.id, row.session, by, detector, own, score, self._now_ms)


def _said(finding: Finding, passed: bool | None) -> dict[str, dict[str, bool]]:
    """Give the flags that each detector has something to say of."""
    git = {name: getattr(finding, name) for name in ("committed", "survived", "reverted")}
    told = {GIT: git, CI: {"ci_passed": passed}}
    said = {
        detector: {name: flag for name, flag in flags.items() if flag is not None}
        for detector, flags in told.items()
    }
    return {detector: flags for detector, flags in said.items() if flags}


def _told(turn: _Turn, said: dict[str, dict[str, bool]], new: list[str], files: list[str]) -> Told:
    row, finding = turn.row, turn.finding
    return Told(
        trajectory=row.id,
        session=row.session,
        agent=row.agent,
        time_ms=row.time_ms,
        said=said,
        new=new,
        lines=finding.lines,
        held=finding.held,
        left=finding.left,
        commits=finding.commits,
        ci=files if CI in said else [],
    )
