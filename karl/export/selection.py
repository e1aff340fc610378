"""Which trajectories leave the ledger, in what order, and what is left out, by reason.

Invariants:
- The order is that of the sessions' first activity, then of a session's turns, by the ledger alone.
- One session's trajectories at most are in memory.
- What is left out is counted; nothing is left out in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from karl.errors import LedgerDamaged, NotFound
from karl.export.clean import Cleaner
from karl.export.conversation import Transcript
from karl.export.transcript import transcript
from karl.schema.event import decode_event
from karl.schema.record import Score, TrajectoryBody
from karl.session.moments import moment
from karl.session.vocabulary import clean_text
from karl.views.queries import ALL, Filter, TrajectoryRow, Views
from karl.views.whole import assemble

EMPTY = "empty: nobody asked anything, and no call was made"
NOT_HUMAN = "not asked by a person"
NOT_COMPLETED = "not completed"
HELD_OUT = "turns of held-out sessions (`karl holdout list`)"
DAMAGED = "damaged: the record is not what was written (`karl verify`)"


class Choice(NamedTuple):
    """What is wanted. `sessions` are whole ids; none stands for all. `limit` counts trajectories."""

    which: Filter = ALL
    sessions: tuple[str, ...] = ()
    human_only: bool = False
    completed: bool = False
    limit: int | None = None


class Chosen(NamedTuple):
    """One trajectory that leaves: its row, its record without secrets, its score, its conversations."""

    row: TrajectoryRow
    body: TrajectoryBody
    score: Score
    transcript: Transcript
    about: dict[str, Any]


class Opening(NamedTuple):
    """What a session began with, where its transcript told: the system prompt, and the tools as they came."""

    system_prompt: str = ""
    tools: tuple[dict[str, Any], ...] = ()


class Group(NamedTuple):
    """What goes into one document: trajectories of one session, in order."""

    opening: Opening
    turns: list[Chosen]


#: Told after each trajectory that was looked at: its session, and how many they are.
Progress = Callable[[str, int], object]
#: Says why a trajectory is left out, before it is read; empty where it is not.
Skip = Callable[[TrajectoryRow], str]


def _never(_row: TrajectoryRow) -> str:
    return ""


def without(held_out: AbstractSet[str]) -> Skip:
    """Leave out the turns of held-out sessions."""
    return lambda row: HELD_OUT if row.session in held_out else ""


class Selection:
    """Walks through the views; `left_out` counts by reason. `skip` says why a turn is not even read."""

    def __init__(
        self, views: Views, ledger: Path, choice: Choice, cleaner: Cleaner, skip: Skip = _never
    ) -> None:
        self.left_out: Counter[str] = Counter()
        self._views = views
        self._ledger = ledger
        self._choice = choice
        self._cleaner = cleaner
        self._skip = skip

    def groups(self, progress: Progress, *, whole_sessions: bool) -> Iterator[Group]:
        """Give what is wanted, a trajectory at a time or a session at a time."""
        for session, turns in groupby(self._chosen(progress), key=lambda one: one.row.session):
            opening = None
            for group in [list(turns)] if whole_sessions else ([one] for one in turns):
                opening = opening or self._opening(session, group[0])
                yield Group(opening, group)

    def sessions(self) -> int:
        """Count the sessions that are wanted, to two at most: one, or several."""
        found: set[str] = set()
        for row in self._rows():
            found.add(row.session)
            if len(found) > 1:
                break
        return len(found)

    def _rows(self) -> Iterator[TrajectoryRow]:
        which = self._choice.which
        if not self._choice.sessions:
            yield from self._views.walk(which)
            return
        rows = [self._views.session(name) for name in dict.fromkeys(self._choice.sessions)]
        for row in sorted(rows, key=lambda row: (row.started_ms, row.session)):
            yield from self._views.walk(which._replace(session=row.session))

    def _chosen(self, progress: Progress) -> Iterator[Chosen]:
        left = self._choice.limit
        for number, row in enumerate(self._rows(), start=1):
            if left == 0:
                return
            one = self._read(row)
            progress(row.session, number)
            if one is None:
                continue
            if left is not None:
                left -= 1
            yield one

    def _read(self, row: TrajectoryRow) -> Chosen | None:
        if reason := self._skip(row):
            self.left_out[reason] += 1
            return None
        try:
            whole = assemble(self._ledger, self._views.parts(row.id))
        except (LedgerDamaged, msgspec.MsgspecError):
            self.left_out[DAMAGED] += 1
            return None
        known = whole.body.trajectory
        if self._choice.human_only and known.context.human_prompt is not True:
            self.left_out[NOT_HUMAN] += 1
            return None
        if self._choice.completed and known.outcome.completed is not True:
            self.left_out[NOT_COMPLETED] += 1
            return None
        body = self._cleaner.clean(whole.body)
        said = transcript(body)
        if said.is_empty and not known.context.prompt_text:
            self.left_out[EMPTY] += 1
            return None
        return Chosen(row, body, whole.score, said, self._cleaner.about(about(row, body, whole.score)))

    def _opening(self, session: str, first: Chosen) -> Opening:
        """Read what a session's first trajectory tells, also where that is not wanted itself."""
        row = next(self._views.walk(Filter(session=session)), None)
        if row is None or row.id == first.row.id:
            return opening(first.body)
        try:
            whole = assemble(self._ledger, self._views.parts(row.id))
        except (LedgerDamaged, NotFound, msgspec.MsgspecError):
            return Opening()  # the record itself is counted where it is wanted
        return opening(self._cleaner.clean(whole.body))


class _Start(msgspec.Struct, frozen=True):
    system_prompt: object = None
    tools: object = None


_start = msgspec.json.Decoder(_Start).decode


def opening(body: TrajectoryBody) -> Opening:
    """Find the system prompt and the tools of a session in its first trajectory."""
    for raw in body.events:
        event = decode_event(bytes(raw))
        if moment(event.kind) != "SessionStart":
            continue
        try:
            said = _start(event.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if said.system_prompt or said.tools:
            return Opening(_joined(said.system_prompt), _objects(said.tools))
    return Opening()


def _joined(prompt: object) -> str:
    """Give a system prompt that may come in parts, as texts or as blocks with a text."""
    parts = prompt if isinstance(prompt, list) else [prompt]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return clean_text("\n\n".join(text for text in texts if isinstance(text, str) and text))


def _objects(tools: object) -> tuple[dict[str, Any], ...]:
    return tuple(tool for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else ()


def about(row: TrajectoryRow, body: TrajectoryBody, score: Score) -> dict[str, Any]:
    """Say of a trajectory what no chat format has a place for; always the same members."""
    return {
        "schema": body.trajectory.schema_version,
        "trajectory": row.id,
        "session": row.session,
        "turn": row.turn,
        "fleet": row.fleet,
        "node": row.node,
        "agent": row.agent,
        "agent_version": row.agent_version,
        "model": row.model,
        "project": row.project,
        "domain": row.domain,
        "skill": row.skill,
        "started_at": body.trajectory.timing.started_at,
        "closed_by": row.closed_by,
        "completed": body.trajectory.outcome.completed,
        **row.flags,
        "reward": score.reward,
        "reward_version": score.version,
        "signals": score.signals,
        "advantage": row.advantage,
    }
