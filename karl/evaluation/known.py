"""What is known of how turns of the ledger came out, and those turns as runs that know nothing of it.

Somebody, or something, said it after the turn: a build, a test in CI, the repository, the next prompt. What
says most counts where several do. A turn that nobody said anything of is no run.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from karl.evaluation.runs import Run
from karl.reward.score import VERSIONS
from karl.schema.record import Score
from karl.schema.trajectory import Outcome
from karl.session.corrections import THRESHOLD
from karl.views.figures import Figures, Measured
from karl.views.filter import Filter

#: Runs of the ledger are one set: agents are told apart, the ledger's days are not.
SET = "ledger"
_NOTHING = Outcome()

#: Told the turns read, those that there are, and the session that is read now.
Progress = Callable[[int, int, object], None]


class Verdict(NamedTuple):
    """Whether a task got done, and what said so."""

    label: bool
    by: str


class KnownRuns(NamedTuple):
    """Runs of the ledger, what told how many outcomes (by agent), and the turns that can not be read."""

    runs: list[Run]
    by: dict[str, dict[str, int]]
    damaged: int


class Scored(NamedTuple):
    """Scores by agent and version of the reward, and how many turns can not be read."""

    scores: dict[tuple[str, str], list[Score]]
    damaged: int


def verdict(known: Outcome) -> Verdict | None:
    """Judge an outcome by what says most of it; null when nobody said anything that counts.

    In this order: a person's own word; the work was reverted; CI; it was committed and survived; a build;
    what the user said next. That a user went on without a correction is the weakest word, and the most
    frequent.
    """
    if known.label is not None:
        return Verdict(label=known.label, by="label")
    if known.reverted:
        return Verdict(label=False, by="reverted")
    for by, said in (("ci", known.ci_passed), ("survived", known.survived), ("build", known.build_success)):
        if said is not None:
            return Verdict(label=said, by=by)
    if known.correction_score is not None:
        return Verdict(label=known.correction_score < THRESHOLD, by="correction")
    if known.redo_detected:
        return Verdict(label=False, by="redo")
    if known.correction_detected is not None:
        return Verdict(label=not known.correction_detected, by="correction")
    return None


def known_of(row: Measured) -> Verdict | None:
    """Say whether a turn's task got done, and what said so; null when nobody did."""
    if not row.flags and row.correction_score is None:
        return None
    return verdict(msgspec.structs.replace(_NOTHING, **row.flags, correction_score=row.correction_score))


def read_known(
    views: Figures, ledger: Path, which: Filter, *, limit: int, progress: Progress | None = None
) -> KnownRuns:
    """Read the last `limit` turns whose outcome is known, as runs of their agent, grouped by session."""
    told = deque((row for row in views.measured(which) if known_of(row)), maxlen=limit)
    damaged: list[str] = []
    runs: list[Run] = []
    by: dict[str, Counter[str]] = defaultdict(Counter)
    for row, trajectory, _ in views.readings(ledger, _watched(told, progress), damaged):
        said = known_of(row)
        if said is not None:
            unknowing = msgspec.structs.replace(trajectory, outcome=Outcome())
            runs.append(Run(SET, row.id, row.session, row.agent, said.label, unknowing))
            by[row.agent][said.by] += 1
    return KnownRuns(runs, {agent: dict(counts) for agent, counts in by.items()}, len(damaged))


def read_scores(
    views: Figures, ledger: Path, which: Filter, *, limit: int, progress: Progress | None = None
) -> Scored:
    """Read the scores that count of the last `limit` turns, by agent and version of the reward."""
    rows = deque(views.measured(which), maxlen=limit)
    damaged: list[str] = []
    found: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for row, _, score in views.readings(ledger, _watched(rows, progress), damaged):
        if score.version in VERSIONS:
            found[row.agent, score.version].append(score)
    return Scored(dict(found), len(damaged))


def _watched(rows: Collection[Measured], progress: Progress | None) -> Iterator[Measured]:
    for done, row in enumerate(rows, 1):
        if progress:
            progress(done, len(rows), row.session)
        yield row
