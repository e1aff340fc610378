"""What is known of how turns of the ledger came out, and those turns as runs that know nothing of it.

Somebody, or something, said it after the turn: a build, a test in CI, the repository, the next prompt. What
says most counts where several do. A turn that nobody said anything of is no run.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from karl.errors import LedgerDamaged
from karl.evaluation.runs import Run
from karl.reward.score import VERSIONS
from karl.schema.record import Score
from karl.schema.trajectory import Outcome
from karl.views.detail import detail
from karl.views.queries import Filter, TrajectoryRow, Views

#: Runs of the ledger are one set: agents are told apart, the ledger's days are not.
SET = "ledger"
#: A correction is believed from this score on.
_CORRECTED = 0.5

#: Told the turns read, those that there are, and the session that is read now.
Progress = Callable[[int, int, object], None]


class Verdict(NamedTuple):
    """Whether a task got done, and what said so."""

    label: bool
    by: str


class Known(NamedTuple):
    """Runs of the ledger, what told how many outcomes (by agent), and the turns that can not be read."""

    runs: list[Run]
    by: dict[str, dict[str, int]]
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
        return Verdict(label=known.correction_score < _CORRECTED, by="correction")
    if known.redo_detected:
        return Verdict(label=False, by="redo")
    if known.correction_detected is not None:
        return Verdict(label=not known.correction_detected, by="correction")
    return None


def read_known(
    views: Views, ledger: Path, which: Filter, *, limit: int, progress: Progress | None = None
) -> Known:
    """Read the newest `limit` turns whose outcome is known, as runs of their agent, grouped by session."""
    told: deque[tuple[TrajectoryRow, Verdict]] = deque(maxlen=limit)
    for row in views.walk(which):
        said = verdict(msgspec.structs.replace(Outcome(), **row.known))
        if said is not None:
            told.append((row, said))
    runs: list[Run] = []
    by: dict[str, Counter[str]] = defaultdict(Counter)
    for done, (row, said) in enumerate(told, 1):
        if progress:
            progress(done, len(told), row.session)
        try:
            runs.append(_run(views, ledger, row, said))
        except LedgerDamaged:
            continue  # counted below: what is not among the runs
        by[row.agent][said.by] += 1
    return Known(runs, {agent: dict(counts) for agent, counts in by.items()}, len(told) - len(runs))


def _run(views: Views, ledger: Path, row: TrajectoryRow, said: Verdict) -> Run:
    whole = detail(views, ledger, row.id).body.trajectory
    unknowing = msgspec.structs.replace(whole, outcome=Outcome())
    return Run(SET, row.id, row.session, row.agent, said.label, unknowing)


def read_scores(
    views: Views, ledger: Path, which: Filter, *, limit: int, progress: Progress | None = None
) -> dict[tuple[str, str], list[Score]]:
    """Read the scores that count of the newest `limit` turns, by agent and version of the reward."""
    rows: deque[TrajectoryRow] = deque(views.walk(which), maxlen=limit)
    found: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for done, row in enumerate(rows, 1):
        if progress:
            progress(done, len(rows), row.session)
        try:
            score = detail(views, ledger, row.id).score
        except LedgerDamaged:
            continue  # `karl verify` names it; a ranking of the others stands
        if score.version in VERSIONS:
            found[row.agent, score.version].append(score)
    return dict(found)
