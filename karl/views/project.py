"""From ledger lines to rows: the one place where records change the views.

Invariants:
- The rows depend on the lines and on the preferred reward version alone: not on how the lines were
  cut into batches, not on time, not on the machine. So views can be made again, to the same bytes.
- Each line costs the same, however many rows there are; late facts cost what their trajectory does.
- What is counted is counted once: a trajectory that is there already changes nothing but `duplicates`.
"""

# ruff: noqa: S608 - what is put into the SQL here are names of our own columns; values are bound
from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from karl.ledger.frame import Line
from karl.ledger.reader import START, Position
from karl.reward.baseline import UNITS
from karl.schema.record import AnnotationBody, EventsBody, Score, ScoreBody, TrajectoryBody
from karl.schema.trajectory import Outcome, Usage
from karl.views.schema import FLAGS, SIGNALS, TOKENS
from karl.views.search import searchable
from karl.views.whole import assemble, parts

#: The agent of what `karl doctor` sends through the line.
PROBE = "karl-doctor"
#: Characters of a prompt that a row keeps.
PROMPT_MAX = 200
#: SQLite's integers end at 63 bits; an agent's clock may say anything, and counts are added up.
_INT_MAX = (1 << 62) - 1
_COUNT_MAX = 1 << 31


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
        self._domains: dict[str, list[int]] = {}
        self.complaints: list[str] = []

    def take(self, line: Line) -> None:
        if line.kind not in _READERS:
            return
        decoder, take = _READERS[line.kind]
        self._counts["records"] += 1
        try:
            body = decoder.decode(line.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._counts["unreadable"] += 1
            self.complaints.append(f"record {line.seq} ({line.kind}) is not in the views: {error}")
            return
        if body.session.startswith(PROBE):
            self._counts["probes"] += 1
            return
        take(self, line, body)

    def finish(self, last: Line) -> None:
        for name, value in self._counts.items():
            self._sql("UPDATE counters SET value = value + ? WHERE name = ?", (value, name))
        for domain, sums in self._domains.items():
            self._sql(_ADD_DOMAIN, (domain, *sums))
        self._sql("DELETE FROM position")
        self._sql("INSERT INTO position VALUES (?, ?, ?, ?)", (last.segment, last.end, last.seq, last.hash))

    def trajectory(self, line: Line, body: TrajectoryBody) -> None:
        if not self._sql(_ADD_TRAJECTORY, _trajectory_row(line, body)).rowcount:
            self._counts["duplicates"] += 1
            return
        calls = body.trajectory.trajectory
        reward_e4 = _e4(body.score.reward)
        self._counts["trajectories"] += 1
        self._counts["events"] += len(body.events)
        self._counts["tool_calls"] += _fit(calls.total_tools, _COUNT_MAX)
        self._reward(body.trajectory.domain, 1, reward_e4, reward_e4**2)
        tokens = _tokens(body.trajectory.usage)
        self._counts.update(tokens)
        self._session(
            line,
            body,
            agent_version=body.agent_version,
            model=body.model,
            started_ms=_started_ms(body),
            turns=1,
            calls=_fit(calls.total_tools, _COUNT_MAX),
            failures=_fit(calls.failures, _COUNT_MAX),
            reward_e4=reward_e4,
            corrections=int(body.trajectory.outcome.correction_detected is True),
            ended=int(body.closed_by == "session_end"),
            first_prompt=_short(body.trajectory.context.prompt_text),
            **tokens,
        )

    def events(self, line: Line, body: EventsBody) -> None:
        self._counts["events"] += len(body.events)
        # Null leaves the flag as it is: a straggler neither ends a session nor opens it again.
        self._session(line, body, started_ms=_fit(body.time_ms), ended=1 if body.ended else None)
        if body.of is None:
            return
        self._sql("INSERT INTO late VALUES (?, ?, ?, ?, ?)", (line.seq, body.of, *_place(line)))
        if self._sql("SELECT 1 FROM trajectories WHERE id = ?", (body.of,)).fetchone() is None:
            self._counts["orphans"] += 1
            return
        self._sql("UPDATE trajectories SET events = events + ? WHERE id = ?", (len(body.events), body.of))
        self._read_again(body.of)

    def annotation(self, line: Line, body: AnnotationBody) -> None:
        flags = _flags(body.outcome)
        row = (line.seq, body.trajectory, body.session, *_place(line))
        if not self._sql(
            _ADD_ANNOTATION, (*row, body.by, body.detector, _fit(body.time_ms), *flags)
        ).rowcount:
            self._counts["duplicates"] += 1
            return
        self._counts["annotations"] += 1
        known = self._sql(
            "SELECT session, correction_detected FROM trajectories WHERE id = ?", (body.trajectory,)
        ).fetchone()
        if known is None:
            self._counts["orphans"] += 1
            return
        self._sql(_SET_FLAGS, (*flags, body.trajectory))
        if flags[0] is not None and flags[0] != (known[1] or 0):
            self._sql(
                "UPDATE sessions SET corrections = corrections + ? WHERE session = ?",
                (1 if flags[0] else -1, known[0]),
            )
        self._score(line, body, "annotation")

    def score(self, line: Line, body: ScoreBody) -> None:
        self._counts["scores"] += 1
        self._score(line, body, "score")

    def _score(self, line: Line, body: AnnotationBody | ScoreBody, kind: str) -> None:
        """Keep a later score, and make it the current one unless that is of the preferred version."""
        score = body.score
        row = (line.seq, body.trajectory, body.session, *_place(line), kind, _fit(body.time_ms))
        self._sql(
            "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, score.version, score.reward)
        )
        known = self._sql(
            "SELECT session, domain, reward, reward_version FROM trajectories WHERE id = ?",
            (body.trajectory,),
        ).fetchone()
        if known is None:
            self._counts["orphans"] += 1
            return
        session, domain, reward, version = known
        if score.version == self._reward_version or version != self._reward_version:
            self._sql(_SET_SCORE, (line.seq, score.version, score.reward, *_signals(score), body.trajectory))
            old, new = _e4(reward), _e4(score.reward)
            self._reward(domain, 0, new - old, new**2 - old**2)
            self._sql("UPDATE sessions SET reward_e4 = reward_e4 + ? WHERE session = ?", (new - old, session))
        if self._sql("SELECT 1 FROM late WHERE trajectory = ? LIMIT 1", (body.trajectory,)).fetchone():
            self._read_again(body.trajectory)  # whoever made that score did not know the late facts

    def _read_again(self, trajectory: str) -> None:
        """Read a trajectory with its late facts, and carry the differences to all sums."""
        body, score = assemble(self._ledger, parts(self._sql, trajectory))
        reading = body.trajectory
        calls = reading.trajectory
        old = dict(zip(_CHANGING, self._sql(_OLD, (trajectory,)).fetchone(), strict=True))
        new = {
            "calls": _fit(calls.total_tools, _COUNT_MAX),
            "failures": _fit(calls.failures, _COUNT_MAX),
            **_tokens(reading.usage),
        }
        change = {name: value - old[name] for name, value in new.items()}
        before, after = _e4(old["reward"]), _e4(score.reward)
        self._reward(old["domain"], -1, -before, -(before**2))
        self._reward(reading.domain, 1, after, after**2)
        self._counts["tool_calls"] += change["calls"]
        self._counts.update({name: change[name] for name in _TOKEN_COLUMNS})
        prompt, started_ms = _short(reading.context.prompt_text), _started_ms(body)
        self._sql(
            _READ_AGAIN,
            {
                **new,
                "id": trajectory,
                "reward": score.reward,
                "domain": reading.domain,
                "skill": reading.skill.name,
                "prompt": prompt,
                "words": searchable(reading.context.prompt_text),
                "model": body.model,
                "started_ms": started_ms,
                "duration_s": reading.timing.duration_s,
                **dict(zip(SIGNALS, _signals(score), strict=True)),
            },
        )
        facts = {**_NO_FACTS, **change, "reward_e4": after - before, "first_prompt": prompt}
        self._sql(
            _CHANGE_SESSION,
            {
                **facts,
                "session": body.session,
                "project": body.project,
                "model": body.model,
                "started_ms": started_ms,
                "last_ms": _fit(body.time_ms),
                "events": 0,
                "ended": None,
            },
        )

    def _reward(self, domain: str, n: int, e4: int, squares_e8: int) -> None:
        """Change the sums of a domain, and those of everyone."""
        sums = self._domains.setdefault(domain, [0, 0, 0])
        for index, (name, value) in enumerate(
            (("reward_n", n), ("reward_e4", e4), ("reward_squares_e8", squares_e8))
        ):
            sums[index] += value
            self._counts[name] += value

    def _session(self, line: Line, body: TrajectoryBody | EventsBody, **facts: Any) -> None:
        row = {
            "first_seq": line.seq,
            "session": body.session,
            "fleet": body.fleet,
            "node": body.node,
            "agent": body.agent,
            "project": body.project,
            "last_ms": _fit(body.time_ms),
            "events": len(body.events),
            **_NO_FACTS,
            **facts,
        }
        if not self._sql(_CHANGE_SESSION, row).rowcount:
            self._sql(_ADD_SESSION, row)
            self._counts["sessions"] += 1


_Take = Callable[[_Batch, Line, Any], None]
_READERS: dict[str, tuple[msgspec.json.Decoder[Any], _Take]] = {
    "trajectory": (msgspec.json.Decoder(TrajectoryBody), _Batch.trajectory),
    "events": (msgspec.json.Decoder(EventsBody), _Batch.events),
    "annotation": (msgspec.json.Decoder(AnnotationBody), _Batch.annotation),
    "score": (msgspec.json.Decoder(ScoreBody), _Batch.score),
}


def _trajectory_row(line: Line, body: TrajectoryBody) -> tuple[Any, ...]:
    reading = body.trajectory
    return (
        line.seq,
        body.id,
        body.session,
        _fit(body.turn),
        *_place(line),
        body.fleet,
        body.node,
        body.agent,
        body.project,
        body.agent_version,
        body.model,
        _started_ms(body),
        _fit(body.time_ms),
        reading.timing.duration_s,
        body.closed_by,
        reading.domain,
        reading.skill.name,
        _short(reading.context.prompt_text),
        len(body.events),
        _fit(reading.trajectory.total_tools, _COUNT_MAX),
        _fit(reading.trajectory.failures, _COUNT_MAX),
        *_flags(reading.outcome),
        line.seq,
        body.score.version,
        body.score.reward,
        *_signals(body.score),
        *_tokens(reading.usage).values(),
        searchable(reading.context.prompt_text),
    )


def _place(line: Line) -> tuple[str, int, int]:
    return line.segment, line.offset, line.end


def _flags(outcome: Outcome) -> tuple[bool | None, ...]:
    return tuple(getattr(outcome, name) for name in FLAGS)


def _signals(score: Score) -> tuple[float | None, ...]:
    return tuple(score.signals.get(name) for name in SIGNALS)


def _tokens(usage: Usage) -> dict[str, int]:
    return {f"tokens_{name}": _fit(getattr(usage, name), _INT_MAX >> 20) for name in TOKENS}


def _e4(reward: float) -> int:
    return round(reward * UNITS)


def _fit(number: int, most: int = _INT_MAX) -> int:
    return max(-most, min(most, number))


def _short(prompt: str | None) -> str | None:
    return " ".join(prompt[: 4 * PROMPT_MAX].split())[:PROMPT_MAX] if prompt else None


def _started_ms(body: TrajectoryBody) -> int:
    """Say when the turn began; when it ended, if nobody said."""
    text = body.trajectory.timing.started_at
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000) if text else _fit(body.time_ms)
    except (ValueError, OverflowError):
        return _fit(body.time_ms)


_NO_FACTS: dict[str, Any] = {
    "agent_version": None,
    "model": None,
    "turns": 0,
    "calls": 0,
    "failures": 0,
    "reward_e4": 0,
    "corrections": 0,
    "first_prompt": None,
    **dict.fromkeys((f"tokens_{name}" for name in TOKENS), 0),
}
_TOKEN_COLUMNS = tuple(f"tokens_{name}" for name in TOKENS)

_SESSION_COLUMNS = (
    "first_seq", "session", "fleet", "node", "agent", "project", "agent_version", "model", "started_ms",
    "last_ms", "turns", "events", "calls", "failures", "reward_e4", "corrections", "ended", "first_prompt",
    *_TOKEN_COLUMNS,
)  # fmt: skip
_ADD_SESSION = "INSERT INTO sessions VALUES ({})".format(
    ", ".join("coalesce(:ended, 0)" if name == "ended" else f":{name}" for name in _SESSION_COLUMNS)
)
_CHANGE_SESSION = f"""
UPDATE sessions SET
  {", ".join(f"{name} = {name} + :{name}" for name in _TOKEN_COLUMNS)},
  project = CASE project WHEN '' THEN :project ELSE project END,
  agent_version = coalesce(:agent_version, agent_version), model = coalesce(:model, model),
  started_ms = min(started_ms, :started_ms), last_ms = max(last_ms, :last_ms),
  turns = turns + :turns, events = events + :events, calls = calls + :calls,
  failures = failures + :failures, reward_e4 = reward_e4 + :reward_e4,
  corrections = corrections + :corrections, ended = coalesce(:ended, ended),
  first_prompt = coalesce(first_prompt, :first_prompt)
WHERE session = :session
"""
_ADD_TRAJECTORY = "INSERT OR IGNORE INTO trajectories VALUES ({})".format(", ".join("?" * 42))
_ADD_ANNOTATION = "INSERT OR IGNORE INTO annotations VALUES ({})".format(", ".join("?" * 13))
_SET_FLAGS = "UPDATE trajectories SET {} WHERE id = ?".format(
    ", ".join(f"{name} = coalesce(?, {name})" for name in FLAGS)
)
_SET_SCORE = "UPDATE trajectories SET score_seq = ?, reward_version = ?, reward = ?, {} WHERE id = ?".format(
    ", ".join(f"{name} = ?" for name in SIGNALS)
)
#: Columns of a trajectory that late facts may change and sums hang on.
_CHANGING = ("domain", "reward", "calls", "failures", *_TOKEN_COLUMNS)
_OLD = "SELECT {} FROM trajectories WHERE id = ?".format(", ".join(_CHANGING))
_READ_AGAIN = "UPDATE trajectories SET {} WHERE id = :id".format(
    ", ".join(
        f"{name} = :{name}"
        for name in (*_CHANGING, "skill", "prompt", "words", "model", "started_ms", "duration_s", *SIGNALS)
    )
)
_ADD_DOMAIN = """
INSERT INTO domains VALUES (?, ?, ?, ?) ON CONFLICT (domain) DO UPDATE SET
  reward_n = reward_n + excluded.reward_n, reward_e4 = reward_e4 + excluded.reward_e4,
  reward_squares_e8 = reward_squares_e8 + excluded.reward_squares_e8
"""
