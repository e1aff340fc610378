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
from typing import Any, Literal, NamedTuple, Self

import msgspec

from karl.errors import KarlError, NotFound
from karl.ledger.reader import Position
from karl.reward.baseline import UNITS, Sums, advantage, baseline
from karl.schema.trajectory import Usage
from karl.views.project import read_position
from karl.views.schema import FLAGS, SIGNALS, TOKENS
from karl.views.search import HAS_WORDS, MEAN_REWARD, SORTS, Sort, words_of
from karl.views.store import connect_to_read
from karl.views.whole import Parts, parts

#: Ids that an error about an ambiguous prefix lists.
CANDIDATES_MAX = 8
#: Sorts after every id that begins with a prefix.
_LAST = "\U0010ffff"


class Filter(NamedTuple):
    """Which rows; null stands for all. Times are Unix time (ms) of the last activity, `until_ms` left out.

    Rewards are those that count now; of a session, its turns' mean. `failed`: at least one call failed.
    `search`: all of its words are in one prompt; this reads every prompt that the rest leaves.
    """

    fleet: str | None = None
    node: str | None = None
    agent: str | None = None
    project: str | None = None
    session: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    min_reward: float | None = None
    max_reward: float | None = None
    failed: bool = False
    search: str | None = None


#: No condition at all.
ALL = Filter()


class Counts(msgspec.Struct, frozen=True):
    """What the views hold; see COUNTERS in `karl.views.schema`."""

    records: int = 0
    trajectories: int = 0
    sessions: int = 0
    events: int = 0
    tool_calls: int = 0
    annotations: int = 0
    scores: int = 0
    duplicates: int = 0
    unreadable: int = 0
    orphans: int = 0
    probes: int = 0
    tokens_input: int = 0
    tokens_output: int = 0
    tokens_cache_read: int = 0
    tokens_cache_write: int = 0
    tokens_messages: int = 0


class SessionRow(msgspec.Struct, frozen=True):
    """One session. `reward` is the mean of its turns' current rewards; null without turns."""

    session: str
    fleet: str
    node: str
    agent: str
    project: str
    agent_version: str | None
    model: str | None
    started_ms: int
    last_ms: int
    turns: int
    events: int
    calls: int
    failures: int
    reward: float | None
    corrections: int
    ended: bool
    first_prompt: str | None
    tokens: Usage


class Place(NamedTuple):
    """Where a record lies in the ledger: bytes `offset` to `end` of `segment`."""

    seq: int
    segment: str
    offset: int
    end: int


class TrajectoryRow(msgspec.Struct, frozen=True):
    """One trajectory with its current score, which is in the record `score_seq`.

    `advantage` is the reward's distance from its domain's baseline, as of now. Flags are null where
    nobody said.
    """

    id: str
    session: str
    turn: int
    place: Place
    fleet: str
    node: str
    agent: str
    project: str
    agent_version: str | None
    model: str | None
    started_ms: int
    time_ms: int
    duration_s: float | None
    closed_by: str
    domain: str
    skill: str | None
    prompt: str | None
    events: int
    calls: int
    failures: int
    flags: dict[str, bool | None]
    score_seq: int
    reward_version: str
    reward: float
    signals: dict[str, float | None]
    advantage: float
    tokens: Usage


class LaterRecord(msgspec.Struct, frozen=True):
    """An annotation or score that names a trajectory; `detector` and `by` are null for a score."""

    kind: Literal["annotation", "score"]
    place: Place
    time_ms: int
    reward_version: str
    reward: float
    by: str | None
    detector: str | None


class Found(NamedTuple):
    """What an id, or the beginning of one, means."""

    kind: Literal["session", "trajectory"]
    id: str


_TOKENS = ", ".join(f"tokens_{name}" for name in TOKENS)
_SESSION = (
    "session, fleet, node, agent, project, agent_version, model, started_ms, last_ms, turns, events, "
    f"calls, failures, reward_e4, corrections, ended, first_prompt, {_TOKENS}"
)
_TRAJECTORY = (
    "id, session, turn, seq, segment, offset, end, fleet, node, agent, project, agent_version, model, "
    "started_ms, time_ms, duration_s, closed_by, domain, skill, prompt, events, calls, failures, score_seq, "
    f"reward_version, reward, {', '.join(FLAGS)}, {', '.join(SIGNALS)}, {_TOKENS}"
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
        where, values = _where(which, "last_ms")
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
        where, values = _where(which, "time_ms")
        rows = self._all(
            f"SELECT {_TRAJECTORY} FROM trajectories WHERE {where} ORDER BY time_ms DESC, seq DESC LIMIT ?",
            (*values, limit),
        )
        return [self._trajectory_row(row) for row in rows]

    def walk(self, which: Filter = ALL) -> Iterator[TrajectoryRow]:
        """Give every trajectory that fits: by its session's first activity, a session's as they began.

        Memory does not grow with their number; other questions may be asked meanwhile.
        """
        where, values = _where(which, "time_ms")
        sql = f"SELECT {_TRAJECTORY} FROM trajectories WHERE {where} ORDER BY {_WALK}"
        for row in self._ask(sql, values):
            yield self._trajectory_row(row)

    def fitting(self, which: Filter = ALL) -> int:
        """Count the trajectories that fit."""
        where, values = _where(which, "time_ms")
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

    def _trajectory_row(self, row: sqlite3.Row) -> TrajectoryRow:
        known = dict(zip(row.keys(), row, strict=True))
        place = Place(*(known.pop(name) for name in Place._fields))
        signals = {name: known.pop(name) for name in SIGNALS}
        flags = {name: _flag(known.pop(name)) for name in FLAGS}
        expected = baseline(self._domain(known["domain"]), self._everyone())
        return TrajectoryRow(
            place=place,
            signals=signals,
            flags=flags,
            tokens=_usage(known),
            advantage=round(advantage(known["reward"], expected), 4),
            **known,
        )

    def _domain(self, domain: str) -> Sums:
        rows = self._all(
            "SELECT reward_n, reward_e4, reward_squares_e8 FROM domains WHERE domain = ?", (domain,)
        )
        return Sums(*tuple(rows[0])) if rows else Sums()

    def _everyone(self) -> Sums:
        values = dict(map(tuple, self._all("SELECT name, value FROM counters WHERE name LIKE 'reward%'")))
        return Sums(values["reward_n"], values["reward_e4"], values["reward_squares_e8"])

    def _all(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        return self._ask(sql, values).fetchall()

    def _ask(self, sql: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except UnicodeEncodeError as error:  # an argument of the command line whose bytes are no UTF-8
            raise NotFound(f"nothing has the name {error.object!r}: it is no text") from None


def _where(which: Filter, time: str) -> tuple[str, tuple[Any, ...]]:
    """Give the condition of a filter, and its values."""
    reward = "reward" if time == "time_ms" else MEAN_REWARD
    parts: list[tuple[str, str | float | None]] = [
        (f"{name} = ?", value) for name, value in zip(Filter._fields[:5], which[:5], strict=True)
    ]
    parts += [
        (f"{time} >= ?", which.since_ms),
        (f"{time} < ?", which.until_ms),
        (f"{reward} >= ?", which.min_reward),
        (f"{reward} <= ?", which.max_reward),
        ("failures >= ?", 1 if which.failed else None),
    ]
    if which.search is not None:
        found = (
            HAS_WORDS
            if time == "time_ms"
            else f"session IN (SELECT session FROM trajectories WHERE {HAS_WORDS})"
        )
        parts.append((found, words_of(which.search)))
    used = [(part, value) for part, value in parts if value is not None]
    return " AND ".join(part for part, _ in used) or "1", tuple(value for _, value in used)


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
