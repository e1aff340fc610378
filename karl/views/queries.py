"""Reading the views: sessions, trajectories, and what belongs to them.

    with Views(path) as views:
        for row in views.sessions(Filter(agent="claude-code"), limit=20): ...

Invariants:
- All that one Views reads belongs to one moment; it writes nothing.
- Counts are kept, not counted; ids, a session's turns and the newest rows are found by index.
"""

# ruff: noqa: S608 - what is put into the SQL here are names of our own columns; values are bound
from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from karl.errors import KarlError, NotFound
from karl.ledger.reader import Position
from karl.reward.baseline import UNITS, Baseline, Sums, advantage, baseline
from karl.reward.usual import Usual
from karl.schema.trajectory import Usage
from karl.views.columns import known_of
from karl.views.filter import ALL, Filter, condition
from karl.views.project import read_position
from karl.views.rows import CalibrationRow, Counts, Found, LaterRecord, Place, SessionRow, TrajectoryRow
from karl.views.schema import FLAGS, SIGNALS, SUMS, TOKENS
from karl.views.search import SORTS, Sort
from karl.views.store import connect_to_read
from karl.views.whole import Parts, parts

__all__ = ["ALL", "Counts", "Filter", "Found", "LaterRecord", "Place", "SessionRow", "TrajectoryRow", "Views"]

#: Ids that an error about an ambiguous prefix lists.
CANDIDATES_MAX = 8
#: Sorts after every id that begins with a prefix.
_LAST = "\U0010ffff"

_TOKENS = ", ".join(f"tokens_{name}" for name in TOKENS)
_SESSION = (
    "session, fleet, node, agent, project, agent_version, model, started_ms, last_ms, turns, events, "
    f"calls, failures, reward_e4, corrections, ended, first_prompt, {_TOKENS}"
)
_TRAJECTORY = (
    "id, session, turn, seq, segment, offset, end, fleet, node, agent, project, agent_version, model, "
    "started_ms, time_ms, duration_s, closed_by, domain, skill, prompt, events, calls, failures, score_seq, "
    f"reward_version, reward, {', '.join(FLAGS)}, {', '.join(SIGNALS)}, confidence, calibration, made_by, "
    f"task, correction_score, correction_classes, {_TOKENS}"
)
_OF_SESSION = "(SELECT {} FROM sessions WHERE sessions.session = trajectories.session)"
_WALK = f"{_OF_SESSION.format('started_ms')}, {_OF_SESSION.format('first_seq')}, started_ms, turn, seq"
_LATER = """
SELECT s.kind, s.seq, s.segment, s.offset, s.end, s.time_ms, s.reward_version, s.reward,
  a.by_event, a.detector
FROM scores s LEFT JOIN annotations a ON a.seq = s.seq WHERE s.trajectory = ? ORDER BY s.seq
"""


class Views:
    """The views as they are at one moment. Raises NotFound when there are none yet."""

    def __init__(self, path: Path) -> None:
        self._connection = connect_to_read(path)
        self._connection.row_factory = sqlite3.Row

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def position(self) -> Position:
        """Give the place in the ledger up to which the views go."""
        return read_position(self._connection)

    def counts(self) -> Counts:
        """Give the kept counters."""
        values = dict(map(tuple, self._all("SELECT name, value FROM counters")))
        return Counts(**{name: values[name] for name in Counts.__struct_fields__})

    def sessions(
        self, which: Filter = ALL, limit: int = 20, *, sort: Sort = "active", least: bool = False
    ) -> list[SessionRow]:
        """List sessions, the last active first, or as `sort` says; `least` turns the order round.

        Sessions without turns have no reward and stand last. Sorting looks at every session that fits.
        """
        where, values = condition(which, "last_ms")
        way = "ASC" if least else "DESC"
        rows = self._all(
            f"SELECT {_SESSION} FROM sessions WHERE {where} "
            f"ORDER BY {SORTS[sort]} {way} NULLS LAST, first_seq {way} LIMIT ?",
            (*values, limit),
        )
        return [_session_row(row) for row in rows]

    def session(self, session: str) -> SessionRow:
        """Give one session. Raises NotFound."""
        for row in self.sessions(Filter(session=session), 1):
            return row
        raise NotFound(f"there is no session {session}")

    def turns(self, session: str) -> list[TrajectoryRow]:
        """List a session's trajectories in the order in which they began."""
        rows = self._all(
            f"SELECT {_TRAJECTORY} FROM trajectories WHERE session = ? ORDER BY started_ms, turn, seq",
            (session,),
        )
        return [self._trajectory_row(row) for row in rows]

    def trajectories(self, which: Filter = ALL, limit: int = 20) -> list[TrajectoryRow]:
        """List trajectories, the last closed first."""
        return self._rows(*condition(which, "time_ms"), limit)

    def walk(self, which: Filter = ALL) -> Iterator[TrajectoryRow]:
        """Give every trajectory that fits: by its session's first activity, a session's as they began.

        Memory does not grow with their number; other questions may be asked meanwhile.
        """
        where, values = condition(which, "time_ms")
        sql = f"SELECT {_TRAJECTORY} FROM trajectories WHERE {where} ORDER BY {_WALK}"
        for row in self._ask(sql, values):
            yield self._trajectory_row(row)

    def fitting(self, which: Filter = ALL) -> int:
        """Count the trajectories that fit."""
        where, values = condition(which, "time_ms")
        count: int = self._all(f"SELECT count(*) FROM trajectories WHERE {where}", values)[0][0]
        return count

    def trajectory(self, trajectory: str) -> TrajectoryRow:
        """Give one trajectory. Raises NotFound."""
        for row in self._all(f"SELECT {_TRAJECTORY} FROM trajectories WHERE id = ?", (trajectory,)):
            return self._trajectory_row(row)
        raise NotFound(f"there is no trajectory {trajectory}")

    def parts(self, trajectory: str) -> Parts:
        """Say where a trajectory's parts lie in the ledger. Raises NotFound."""
        return parts(self._connection.execute, trajectory)

    def later(self, trajectory: str) -> list[LaterRecord]:
        """List the annotations and scores that came after a trajectory, oldest first."""
        return [
            LaterRecord(row[0], Place(*tuple(row)[1:5]), *tuple(row)[5:])
            for row in self._all(_LATER, (trajectory,))
        ]

    def find(self, beginning: str) -> Found:
        """Say what an id, or the only id that begins so, names.

        Raises NotFound, and KarlError with the candidates when several begin so.
        """
        found = self._named("=", beginning) or self._named(">", beginning)
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFound(
                f"no session or trajectory has an id that begins with {beginning!r}; "
                "`karl sessions` lists what there is"
            )
        shown = ", ".join(item.id for item in found[:CANDIDATES_MAX])
        more = ", …" if len(found) > CANDIDATES_MAX else ""
        raise KarlError(f"several ids begin with {beginning!r}: {shown}{more}; give more of one")

    def _named(self, how: Literal["=", ">"], text: str) -> list[Found]:
        """List sessions and trajectories whose id is, or begins with, a text; one more than is listed."""
        found: list[Found] = []
        kinds: tuple[tuple[Literal["session", "trajectory"], str, str], ...] = (
            ("session", "sessions", "session"),
            ("trajectory", "trajectories", "id"),
        )
        for kind, table, column in kinds:
            where = f"{column} = ?" if how == "=" else f"{column} > ? AND {column} < ?"
            values: tuple[str, ...] = (text,) if how == "=" else (text, text + _LAST)
            rows = self._all(
                f"SELECT {column} FROM {table} WHERE {where} ORDER BY 1 LIMIT ?",
                (*values, CANDIDATES_MAX + 1),
            )
            found += [Found(kind, row[0]) for row in rows]
        return found

    def baseline_of(self, agent: str, domain: str, task: str | None = None) -> Baseline:
        """Say what one agent's reward is expected to be in a domain, and for a task; as of now."""
        return self._baseline(agent, domain, self._runs(agent, task))

    def rewards_of(self, agent: str) -> Sums:
        """Give the sums of one agent's current rewards."""
        return self._sums("agents", "agent = ?", agent)

    def agents(self) -> dict[str, Sums]:
        """Give the sums of current rewards of each agent, by its name: one row each, kept."""
        rows = self._all(f"SELECT agent, {', '.join(SUMS)} FROM agents WHERE reward_n > 0 ORDER BY agent")
        return {row[0]: Sums(*tuple(row)[1:]) for row in rows}

    def usual(self, agent: str) -> Usual:
        """Say how long one agent's turns are, and how many of them delivered: kept, not counted."""
        sql = "SELECT length, turns, delivered FROM usual WHERE agent = ? AND turns > 0 ORDER BY length"
        rows = self._all(sql, (agent,))
        return Usual({row[0]: row[1] for row in rows}, sum(row[2] for row in rows))

    def calibration(self, agent: str, version: str) -> CalibrationRow | None:
        """Give what was learned last of one agent's outcomes over a version of the reward, if anything."""
        sql = (
            "SELECT id, agent, version, applied, time_ms, seq, segment, offset, end FROM calibrations "
            "WHERE agent = ? AND version = ? ORDER BY seq DESC LIMIT 1"
        )
        for id_, name, of, applied, time_ms, *place in self._all(sql, (agent, version)):
            return CalibrationRow(id_, name, of, bool(applied), time_ms, Place(*place))
        return None

    def _rows(self, where: str, values: tuple[Any, ...], limit: int) -> list[TrajectoryRow]:
        sql = f"SELECT {_TRAJECTORY} FROM trajectories WHERE {where} ORDER BY time_ms DESC, seq DESC LIMIT ?"
        return [self._trajectory_row(row) for row in self._all(sql, (*values, limit))]

    def _trajectory_row(self, row: sqlite3.Row) -> TrajectoryRow:
        known = dict(zip(row.keys(), row, strict=True))
        said = known_of(known)
        place = Place(*(known.pop(name) for name in Place._fields))
        signals = {name: known.pop(name) for name in SIGNALS}
        flags = {name: _flag(known.pop(name)) for name in FLAGS}
        del known["correction_classes"]
        runs = self._runs(known["agent"], known["task"])
        expected = self._baseline(known["agent"], known["domain"], runs)
        return TrajectoryRow(
            place=place,
            signals=signals,
            flags=flags,
            tokens=_usage(known),
            expected=round(expected.mean, 4),
            advantage=round(advantage(known["reward"], expected), 4),
            correction_classes=said.get("correction_classes", []),
            runs=runs.n,
            **known,
        )

    def _runs(self, agent: str, task: str | None) -> Sums:
        return self._sums("tasks", "agent = ? AND task = ?", agent, task) if task else Sums()

    def _baseline(self, agent: str, domain: str, runs: Sums) -> Baseline:
        in_domain = self._sums("domains", "agent = ? AND domain = ?", agent, domain)
        return baseline(in_domain, self.rewards_of(agent), runs)

    def _sums(self, table: str, which: str, *names: str) -> Sums:
        rows = self._all(f"SELECT {', '.join(SUMS)} FROM {table} WHERE {which}", names)
        return Sums(*tuple(rows[0])) if rows else Sums()

    def _all(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        return self._ask(sql, values).fetchall()

    def _ask(self, sql: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except UnicodeEncodeError as error:  # an argument of the command line whose bytes are no UTF-8
            raise NotFound(f"nothing has the name {error.object!r}: it is no text") from None


def _session_row(row: sqlite3.Row) -> SessionRow:
    known = dict(zip(row.keys(), row, strict=True))
    total = known.pop("reward_e4")
    reward = round(total / UNITS / known["turns"], 4) if known["turns"] else None
    tokens = _usage(known)
    return SessionRow(**{**known, "ended": bool(known["ended"])}, reward=reward, tokens=tokens)


def _usage(known: dict[str, Any]) -> Usage:
    """Take the tokens out of a row's columns."""
    return Usage(**{name: known.pop(f"tokens_{name}") for name in TOKENS})


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)
