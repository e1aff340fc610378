"""What figures are made of: every trajectory that fits, in a few plain columns, in one pass.

`Views.walk` gives whole rows with a baseline each; a figure looks at all of them and needs neither.
"""

# ruff: noqa: S608 - what is put into the SQL here are names of our own columns; values are bound
from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from karl.errors import LedgerDamaged
from karl.schema.record import Score
from karl.schema.trajectory import Trajectory
from karl.views.filter import ALL, Filter, condition
from karl.views.queries import Views
from karl.views.schema import FLAGS, SIGNALS
from karl.views.whole import assemble

_PLAIN = (
    "id, session, turn, agent, project, domain, skill, made_by, reward_version, started_ms, time_ms, calls, "
    "failures, reward, confidence, calibration, task, correction_score"
)
_NAMES = slice(3, 9)
_FIRST = len(_PLAIN.split(",")) + 1
_LAST = _FIRST + len(SIGNALS)


class Measured(NamedTuple):
    """One trajectory: where it belongs, when (Unix time in ms), how long, how it was scored.

    `made_by` is the same for scores of one version, one set of weights and one calibration; `confidence` is
    null where the score has none, `calibration` names what made a chance of it. `signals` stand in the order
    of SIGNALS, null where not observed; `flags` are what somebody said. `words` is the prompt's first 1,000
    characters in one case, null unless asked for. `task` is null where it is no run of a task that could come
    again, `correction_score` (how sure it is that the next prompt corrects the turn, 0 to 1) where nobody
    looked.
    """

    id: str
    session: str
    turn: int
    agent: str
    project: str
    domain: str
    skill: str | None
    made_by: str
    version: str
    started_ms: int
    time_ms: int
    calls: int
    failures: int
    reward: float
    confidence: float | None
    calibration: str | None
    task: str | None
    correction_score: float | None
    words: str | None
    signals: tuple[float | None, ...]
    flags: dict[str, bool]

    def signal(self, name: str) -> float | None:
        """Give one signal's value; null where it was not observed."""
        return self.signals[SIGNALS.index(name)]


class Reading(NamedTuple):
    """A trajectory read from the ledger: its row, our reading with late facts, and the score that counts."""

    row: Measured
    trajectory: Trajectory
    score: Score


class Figures(Views):
    """The views, asked for figures. Raises NotFound when there are none yet."""

    def measured(self, which: Filter = ALL, *, words: bool = False) -> Iterator[Measured]:
        """Give every trajectory that fits, in the order of their records."""
        where, values = condition(which, "time_ms")
        columns = (
            f"{_PLAIN}, {'substr(words, 1, 1000)' if words else 'NULL'}, {', '.join((*SIGNALS, *FLAGS))}"
        )
        sql = f"SELECT {columns} FROM trajectories WHERE {where} ORDER BY seq"
        names: dict[str | None, str | None] = {}  # one string for each name, not one for each row
        for row in self._ask(sql, values):
            plain = list(row)
            plain[_NAMES] = [names.setdefault(name, name) for name in plain[_NAMES]]
            said = {
                name: bool(value)
                for name, value in zip(FLAGS, plain[_LAST:], strict=True)
                if value is not None
            }
            yield Measured._make((*plain[:_FIRST], tuple(plain[_FIRST:_LAST]), said))

    def readings(self, ledger: Path, rows: Iterable[Measured], damaged: list[str]) -> Iterator[Reading]:
        """Read trajectories from the ledger, in the order given; ids of those that fail go to `damaged`."""
        for row in rows:
            try:
                whole = assemble(ledger, self.parts(row.id))
            except LedgerDamaged:
                damaged.append(row.id)  # one bad record must not keep the others from being looked at
                continue
            yield Reading(row, whole.body.trajectory, whole.score)
