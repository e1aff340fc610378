"""Where the sources of a router are: turns and exemplars, many at a time."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own columns; values are bound
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from karl.views.routing import Routed
from karl.views.rows import Place

#: Values that one question binds.
_AT_ONCE = 500


class TurnAt(NamedTuple):
    """A turn's session, when it ended (Unix time, ms), and where its record lies."""

    session: str
    time_ms: int
    place: Place


class Sources(Routed):
    """The views, asked for what a router was trained with. Raises NotFound when there are none yet."""

    def turns_at(self, ids: Iterable[str]) -> dict[str, TurnAt]:
        """Give where turns are, by their ids; one that is not there any more is left out."""
        columns = "id, session, time_ms, seq, segment, offset, end"
        return {
            row[0]: TurnAt(row[1], row[2], Place(*tuple(row)[3:]))
            for part in _parts(ids)
            for row in self._all(f"SELECT {columns} FROM trajectories WHERE id IN ({_marks(part)})", part)
        }

    def turns_there(self, ids: Iterable[str]) -> set[str]:
        """Give those of the ids whose turns are there."""
        return {
            row[0]
            for part in _parts(ids)
            for row in self._all(f"SELECT id FROM trajectories WHERE id IN ({_marks(part)})", part)
        }


def _parts(ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    ordered = tuple(sorted(set(ids)))
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def _marks(part: Sequence[str]) -> str:
    return ", ".join("?" * len(part))
