"""What is known of how turns went, and who said so: questions over all trajectories that fit.

A flag that a record brings with it was said at the turn's close (`turn`); later ones are said by detectors: a
person's next prompt, a look into the repository, a test run.
"""

# ruff: noqa: S608 - what is put into the SQL here are names of our own columns; values are bound
from __future__ import annotations

from collections.abc import Iterator

import msgspec

from karl.views.filter import ALL, Filter, condition
from karl.views.queries import Views
from karl.views.rows import Said, TrajectoryRow
from karl.views.schema import FLAGS

#: The source of what was known when the turn closed.
AT_CLOSE = "turn"


class Source(msgspec.Struct, frozen=True):
    """For how many trajectories one source said that a flag is true, and that it is false."""

    source: str
    flag: str
    true: int
    false: int


class Known(Views):
    """The views, asked for what is known of outcomes. Raises NotFound when there are none yet."""

    def span(self, which: Filter = ALL) -> tuple[int, int] | None:
        """Give when the first trajectory that fits began, and the last one ended; Unix time (ms)."""
        where, values = condition(which, "time_ms")
        first, last = self._all(
            f"SELECT min(started_ms), max(time_ms) FROM trajectories WHERE {where}", values
        )[0]
        return None if first is None else (first, last)

    def said(self, which: Filter = ALL) -> Iterator[Said]:
        """Give the annotations of trajectories that fit, oldest first, each with what its detector said."""
        where, values = condition(which, "time_ms")
        sql = (
            f"SELECT trajectory, detector, by_event, time_ms, {', '.join(FLAGS)} FROM annotations "
            f"WHERE trajectory IN (SELECT id FROM trajectories WHERE {where}) ORDER BY seq"
        )
        for row in self._ask(sql, values):
            trajectory, detector, by, time_ms, *flags = row
            given = {name: bool(flag) for name, flag in zip(FLAGS, flags, strict=True) if flag is not None}
            yield Said(trajectory, detector, by, time_ms, given)

    def sources(self, which: Filter = ALL) -> list[Source]:
        """Count what is known, by who said it and by flag; what nobody said is left out."""
        where, values = condition(which, "time_ms")
        those = f"trajectory IN (SELECT id FROM trajectories WHERE {where})"
        counted = ", ".join(
            f"count(DISTINCT CASE WHEN {name} = {value} THEN trajectory END)"
            for name in FLAGS
            for value in (1, 0)
        )
        sql = f"SELECT detector, {counted} FROM annotations WHERE {those} GROUP BY detector ORDER BY detector"
        rows = [list(row) for row in self._all(sql, values)]
        own = ", ".join(
            f"count(CASE WHEN json_extract(at_close, '$.{name}') = {value} THEN 1 END)"
            for name in FLAGS
            for value in (1, 0)
        )
        rows.insert(0, [AT_CLOSE, *self._all(f"SELECT {own} FROM trajectories WHERE {where}", values)[0]])
        return [
            Source(row[0], name, row[1 + 2 * at], row[2 + 2 * at])
            for row in rows
            for at, name in enumerate(FLAGS)
            if row[1 + 2 * at] or row[2 + 2 * at]
        ]

    def with_outcome(self, which: Filter = ALL, limit: int = 20) -> list[TrajectoryRow]:
        """List trajectories of which something is known but that the user went on, the last closed first."""
        where, values = condition(which, "time_ms")
        known = " OR ".join(f"{name} IS NOT NULL" for name in FLAGS if name != "session_continued")
        return self._rows(f"{where} AND ({known})", values, limit)
