"""Where each call stands on a timeline: begin and length in thousandths of the turn, and a row of its own."""

from __future__ import annotations

from typing import NamedTuple

from karl.replay.story import Deed, Story

#: The whole turn, in the timeline's units.
WIDTH = 1000.0
#: The least that a call is long, so that it can be seen and hit.
_LEAST = 3.0
#: Rows at most; what would need more shares the last.
_ROWS_MAX = 12


class Bar(NamedTuple):
    """A call on the timeline."""

    deed: Deed
    x: float
    width: float
    row: int


def bars(told: Story) -> tuple[list[Bar], int]:
    """Place the calls whose times are known; gives the number of rows too. Empty when nothing took time."""
    times = [ms for deed in told.deeds for ms in (deed.started_ms, deed.ended_ms) if ms is not None]
    times += [moment.time_ms for moment in told.moments if moment.time_ms is not None]
    if not times or min(times) == max(times):
        return [], 0
    first, span = min(times), max(times) - min(times)
    free: list[float] = []
    placed: list[Bar] = []
    timed = [deed for deed in told.deeds if deed.started_ms is not None]
    for deed in sorted(timed, key=lambda one: (one.started_ms or 0, one.number)):
        begin = deed.started_ms or 0
        x = min(WIDTH - _LEAST, (begin - first) / span * WIDTH)
        width = max(_LEAST, ((deed.ended_ms or begin) - begin) / span * WIDTH)
        row = next((at for at, until in enumerate(free) if until <= x), len(free))
        if row == len(free) and row < _ROWS_MAX:
            free.append(0.0)
        row = min(row, _ROWS_MAX - 1)
        free[row] = max(free[row], x + width)
        placed.append(Bar(deed, round(x, 2), round(min(width, WIDTH - x), 2), row))
    return placed, len(free)
