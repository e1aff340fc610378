"""From ledger lines to rows: the one place where records change the views.

Invariants:
- The rows depend on the lines and on the preferred reward version alone: not on how the lines were
  cut into batches, not on time, not on the machine. So views can be made again, to the same bytes.
- Each line costs the same, however many rows there are; late facts cost what their trajectory does.
- What is counted is counted once: a trajectory that is there already changes nothing but `duplicates`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from karl.ledger.frame import Line
from karl.ledger.reader import START, Position
from karl.reward.basis import Basis
from karl.reward.task import task_of
from karl.reward.usual import Usual
from karl.routing.truth import signs_of
from karl.schema.record import (
    ALL_KNOWN,
    AnnotationBody,
    CalibrationBody,
    EventsBody,
    Score,
    ScoreBody,
    TrajectoryBody,
)
from karl.schema.trajectory import Outcome
from karl.views import columns, project_learning, project_routing
from karl.views.columns import KNOWN, TOKEN_COLUMNS, e4, fit, place
from karl.views.project_learning import Learning
from karl.views.project_routing import Routing
from karl.views.schema import FLAGS
from karl.views.search import searchable
from karl.views.whole import calibration_at, made_anew, parts

#: The agent of what `karl doctor` sends through the line.
PROBE = "karl-doctor"


def read_position(connection: sqlite3.Connection) -> Position:
    """Give the place in the ledger up to which the views go."""
    row = connection.execute("SELECT segment, offset, seq, head FROM position").fetchone()
    return Position(*row) if row else START


def apply(
    connection: sqlite3.Connection, lines: Sequence[Line], reward_version: str, ledger: Path
) -> list[str]:
    """Take lines into the views, inside the caller's transaction, and move the position behind them.

    `lines` must follow the position; trajectories that get late facts are read again from `ledger`.
    Gives one sentence for each record that could not be understood.
    """
    batch = _Batch(connection, reward_version, ledger)
    for line in lines:
        batch.take(line)
    batch.finish(lines[-1])
    return batch.complaints


class _Batch:
    """Lines on their way into the tables; counters and sums are written once, at the end."""

    def __init__(self, connection: sqlite3.Connection, reward_version: str, ledger: Path) -> None:
        self._sql = connection.execute
        self._ledger = ledger
        self._reward_version = reward_version
        self._counts: Counter[str] = Counter()
        self._sums: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        self._usual: dict[tuple[str, int], list[int]] = {}
        self.routing = Routing(self._sql, self._counts)
        self.learning = Learning(self._sql, self._counts)
        self.complaints: list[str] = []

    def take(self, line: Line) -> None:
        if line.kind not in _READERS:
            self.learning.see(line)
            return
        decoder, take = _READERS[line.kind]
        self._counts["records"] += 1
        try:
            body = decoder.decode(line.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._counts["unreadable"] += 1
            self.complaints.append(f"record {line.seq} ({line.kind}) is not in the views: {error}")
            return
        if getattr(body, "session", "").startswith(PROBE):
            self._counts["probes"] += 1
            return
        self.learning.see(line)
        take(self, line, body)

    def calibration(self, line: Line, body: CalibrationBody) -> None:
        row = (line.seq, body.id, body.agent, body.version, *place(line), body.applied, fit(body.time_ms))
        self._sql("INSERT INTO calibrations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def finish(self, last: Line) -> None:
        for name, value in self._counts.items():
            self._sql("UPDATE counters SET value = value + ? WHERE name = ?", (value, name))
        for (table, names), sums in self._sums.items():
            self._sql(columns.ADD_SUMS[table], (*names, *sums))
        for (agent, length), turns in self._usual.items():
            self._sql(columns.ADD_USUAL, (agent, length, *turns))
        self.routing.finish()
        self.learning.finish()
        self._sql("DELETE FROM position")
        self._sql("INSERT INTO position VALUES (?, ?, ?, ?)", (last.segment, last.end, last.seq, last.hash))

    def trajectory(self, line: Line, body: TrajectoryBody) -> None:
        signs = signs_of(body.trajectory)
        row = columns.trajectory_row(line, body, signs)
        if not self._sql(columns.ADD_TRAJECTORY, row).rowcount:
            self._counts["duplicates"] += 1
            return
        reading = body.trajectory
        calls = reading.trajectory
        reward_e4 = e4(body.score.reward)
        self._counts["trajectories"] += 1
        self._counts["events"] += len(body.events)
        self._counts["tool_calls"] += fit(calls.total_tools, columns.COUNT_MAX)
        task = task_of(reading, body.turn, body.project)
        self._reward((body.agent, reading.domain, task), 1, reward_e4, reward_e4**2)
        self._see(body.agent, columns.seen_columns(reading), 1)
        tokens = columns.tokens(reading.usage)
        self._counts.update(tokens)
        self._session(
            line,
            body,
            agent_version=body.agent_version,
            model=body.model,
            started_ms=columns.started_ms(body),
            turns=1,
            calls=fit(calls.total_tools, columns.COUNT_MAX),
            failures=fit(calls.failures, columns.COUNT_MAX),
            reward_e4=reward_e4,
            corrections=int(reading.outcome.correction_detected is True),
            ended=int(body.closed_by == "session_end"),
            first_prompt=columns.short(reading.context.prompt_text),
            **tokens,
        )
        self.routing.trajectory(line, body, signs)

    def events(self, line: Line, body: EventsBody) -> None:
        self._counts["events"] += len(body.events)
        # Null leaves the flag as it is: a straggler neither ends a session nor opens it again.
        self._session(line, body, started_ms=fit(body.time_ms), ended=1 if body.ended else None)
        if body.of is None:
            self.routing.events(body, None)
            return
        self._sql("INSERT INTO late VALUES (?, ?, ?, ?, ?)", (line.seq, body.of, *place(line)))
        found = self._sql("SELECT seq FROM trajectories WHERE id = ?", (body.of,)).fetchone()
        self.routing.events(body, found and found[0])
        if found is None:
            self._counts["orphans"] += 1
            return
        self._sql("UPDATE trajectories SET events = events + ? WHERE id = ?", (len(body.events), body.of))
        self._read_again(body.of)

    def annotation(self, line: Line, body: AnnotationBody) -> None:
        found = self._sql(_KNOWN, (body.trajectory,)).fetchone()
        known = dict(zip(("session", *KNOWN), found, strict=True)) if found else {}
        said = columns.known_columns(body.outcome)
        row = (line.seq, body.trajectory, body.session, *place(line), body.by, body.detector)
        if not self._sql(
            columns.ADD_ANNOTATION, (*row, fit(body.time_ms), *_own(body.outcome, known))
        ).rowcount:
            self._counts["duplicates"] += 1
            return
        self._counts["annotations"] += 1
        if found is None:
            self._counts["orphans"] += 1
            return
        self._sql(columns.SET_KNOWN, {**said, "id": body.trajectory})
        if body.skill is not None:
            self._sql("UPDATE trajectories SET label_skill = ? WHERE id = ?", (body.skill, body.trajectory))
        corrected = said["correction_detected"]
        if corrected is not None and corrected != (known["correction_detected"] or 0):
            self._sql(
                "UPDATE sessions SET corrections = corrections + ? WHERE session = ?",
                (1 if corrected else -1, known["session"]),
            )
        # A session's worker does not know what others found of its turn, but counts on knowing all.
        lacks = body.outcome.annotation_status == ALL_KNOWN and any(
            known[name] is not None and value is None for name, value in said.items()
        )
        self._score(line, body, "annotation", lacks=lacks)

    def score(self, line: Line, body: ScoreBody) -> None:
        self._counts["scores"] += 1
        self._score(line, body, "score")

    def _score(self, line: Line, body: AnnotationBody | ScoreBody, kind: str, *, lacks: bool = False) -> None:
        """Keep a later score, and make it the current one unless that is of the preferred version.

        A current score that was made without something that is known by now is made anew.
        """
        score = body.score
        row = (line.seq, body.trajectory, body.session, *place(line), kind, fit(body.time_ms))
        self._sql(
            "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, score.version, score.reward)
        )
        known = self._sql(_SCORED, (body.trajectory,)).fetchone()
        if known is None:
            self._counts["orphans"] += 1
            return
        seq, session, agent, domain, task, reward, version = known
        if score.version == self._reward_version or version != self._reward_version:
            now = {"score_seq": line.seq, "made": None, **columns.score_columns(score)}
            self._sql(columns.SET_SCORE, {**now, "id": body.trajectory})
            old, new = e4(reward), e4(score.reward)
            self._reward((agent, domain, task), 0, new - old, new**2 - old**2)
            self._sql("UPDATE sessions SET reward_e4 = reward_e4 + ? WHERE session = ?", (new - old, session))
        elif kind == "annotation":
            lacks = True  # by the score that stays
        late = "SELECT 1 FROM late WHERE trajectory = ? LIMIT 1"  # whoever scored did not know those facts
        if lacks or self._sql(late, (body.trajectory,)).fetchone():
            self._read_again(body.trajectory)
        else:
            self.routing.settle(seq)

    def _read_again(self, trajectory: str) -> None:
        """Read a trajectory with all that is known of it, and carry the differences to all sums."""
        old = dict(zip(columns.OLD_NAMES, self._sql(columns.OLD, (trajectory,)).fetchone(), strict=True))
        self._see(old["agent"], old, -1)
        where = parts(self._sql, trajectory)
        body, score = made_anew(self._ledger, where, lambda score: self._basis(old["agent"], score))
        reading = body.trajectory
        calls, signs = reading.trajectory, signs_of(reading)
        seen = columns.seen_columns(reading)
        self._see(old["agent"], seen, 1)
        new = {
            "calls": fit(calls.total_tools, columns.COUNT_MAX),
            "failures": fit(calls.failures, columns.COUNT_MAX),
            **columns.tokens(reading.usage),
        }
        change = {name: value - old[name] for name, value in new.items()}
        before, after = e4(old["reward"]), e4(score.reward)
        task = task_of(reading, body.turn, body.project)
        self._reward((old["agent"], old["domain"], old["task"]), -1, -before, -(before**2))
        self._reward((old["agent"], reading.domain, task), 1, after, after**2)
        self._counts["tool_calls"] += change["calls"]
        self._counts.update({name: change[name] for name in TOKEN_COLUMNS})
        prompt, started_ms = columns.short(reading.context.prompt_text), columns.started_ms(body)
        self._sql(
            columns.READ_AGAIN,
            {
                **new,
                "id": trajectory,
                "domain": reading.domain,
                "skill": reading.skill.name,
                "prompt": prompt,
                "words": searchable(reading.context.prompt_text),
                "model": body.model,
                "started_ms": started_ms,
                "duration_s": reading.timing.duration_s,
                "task": task,
                "made": msgspec.json.encode(score).decode(),
                "at_close": columns.at_close(reading.outcome),
                **seen,
                **columns.sign_columns(signs),
                **columns.known_columns(reading.outcome),
                **columns.score_columns(score),
            },
        )
        self.routing.read_again(old["seq"], body.time_ms, signs)
        facts = {**columns.NO_FACTS, **change, "reward_e4": after - before, "first_prompt": prompt}
        self._sql(
            columns.CHANGE_SESSION,
            {
                **facts,
                "session": body.session,
                "project": body.project,
                "model": body.model,
                "started_ms": started_ms,
                "last_ms": fit(body.time_ms),
                "events": 0,
                "ended": None,
            },
        )

    def _reward(self, of: tuple[str, str, str | None], n: int, e4: int, squares_e8: int) -> None:
        """Change the sums of an agent, of one of its domains and, where it is known, of a task."""
        agent, domain, task = of
        groups = [("agents", (agent,)), ("domains", (agent, domain))]
        for group in [*groups, ("tasks", (agent, task))] if task else groups:
            sums = self._sums.setdefault(group, [0, 0, 0])
            for index, value in enumerate((n, e4, squares_e8)):
                sums[index] += value

    def _see(self, agent: str, seen: Mapping[str, Any], n: int) -> None:
        """Change what is usual for an agent by one turn."""
        if seen["seen_length"] is None:
            return
        turns = self._usual.setdefault((agent, seen["seen_length"]), [0, 0])
        turns[0] += n
        turns[1] += n * seen["seen_delivered"]

    def _basis(self, agent: str, score: Score) -> Basis:
        """Say what is known of an agent here, and which calibration a score was made with."""
        counted = {row[0]: list(row[1:]) for row in self._sql(_USUAL, (agent,))}
        for (name, length), (turns, delivered) in self._usual.items():
            if name == agent:
                both = counted.setdefault(length, [0, 0])
                both[0], both[1] = both[0] + turns, both[1] + delivered
        lengths = {length: turns for length, (turns, _) in counted.items() if turns}
        usual = Usual(lengths, sum(delivered for _, delivered in counted.values())) if lengths else None
        found = self._sql(_CALIBRATION, (score.calibration,)).fetchone() if score.calibration else None
        return Basis(usual, calibration_at(self._ledger, *found) if found else None)

    def _session(self, line: Line, body: TrajectoryBody | EventsBody, **facts: Any) -> None:
        row = {
            "first_seq": line.seq,
            "session": body.session,
            "fleet": body.fleet,
            "node": body.node,
            "agent": body.agent,
            "project": body.project,
            "last_ms": fit(body.time_ms),
            "events": len(body.events),
            **columns.NO_FACTS,
            **facts,
        }
        if not self._sql(columns.CHANGE_SESSION, row).rowcount:
            self._sql(columns.ADD_SESSION, row)
            self._counts["sessions"] += 1


_Take = Callable[[_Batch, Line, Any], None]


def _of_routing(take: Callable[[Routing, Line, Any], None]) -> _Take:
    return lambda batch, line, body: take(batch.routing, line, body)


def _of_learning(take: Callable[[Learning, Line, Any], None]) -> _Take:
    return lambda batch, line, body: take(batch.learning, line, body)


_READERS: dict[str, tuple[msgspec.json.Decoder[Any], _Take]] = {
    "trajectory": (msgspec.json.Decoder(TrajectoryBody), _Batch.trajectory),
    "events": (msgspec.json.Decoder(EventsBody), _Batch.events),
    "annotation": (msgspec.json.Decoder(AnnotationBody), _Batch.annotation),
    "score": (msgspec.json.Decoder(ScoreBody), _Batch.score),
    "calibration": (msgspec.json.Decoder(CalibrationBody), _Batch.calibration),
    **{kind: (decoder, _of_routing(take)) for kind, (decoder, take) in project_routing.READERS.items()},
    **{kind: (decoder, _of_learning(take)) for kind, (decoder, take) in project_learning.READERS.items()},
}


def _own(outcome: Outcome, known: dict[str, Any]) -> list[bool | None]:
    """Give the flags that an annotation's detector said itself: of all that is known, what is new."""
    said = [getattr(outcome, name) for name in FLAGS]
    if outcome.annotation_status != ALL_KNOWN:
        return said
    return [None if value == known.get(name) else value for name, value in zip(FLAGS, said, strict=True)]


_KNOWN = "SELECT {} FROM trajectories WHERE id = ?".format(", ".join(("session", *KNOWN)))  # noqa: S608 - columns of ours
_USUAL = "SELECT length, turns, delivered FROM usual WHERE agent = ?"
_CALIBRATION = "SELECT segment, offset, end FROM calibrations WHERE id = ? ORDER BY seq DESC LIMIT 1"
_SCORED = "SELECT seq, session, agent, domain, task, reward, reward_version FROM trajectories WHERE id = ?"
