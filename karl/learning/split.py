"""Which sessions are trained with and which to validate with: whole groups, before anything is copied.

Invariants:
- No group is on two sides, and a group with a held-out session is nowhere.
- The sides are the same in whatever order the sessions come.
- By hash, a group stays on its side for as long as its oldest session is the oldest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

from karl.errors import Refused
from karl.learning.groups import GroupBy, Item, age_of, groups
from karl.schema.learning import SplitWay

#: Where a session is. A group that began before the cut and went on after it is `straddling`: in no part.
Side = Literal["train", "valid", "held out", "straddling"]
SIDES: tuple[Side, ...] = ("train", "valid", "held out", "straddling")
#: Share of the rows above which straddling groups make a split by time pointless.
STRADDLING_MAX = 0.5


class Split(msgspec.Struct, frozen=True):
    """How to part: `valid` is the share of the rows that is kept to validate with, in (0, 1)."""

    way: SplitWay = "time"
    seed: int = 0
    valid: float = 0.1
    group_by: GroupBy = "session"


class Sides(NamedTuple):
    """Where each session is, and how many groups, sessions and rows each side has.

    `cut_ms` is where the split by time was made, Unix time in ms; 0 by hash. `largest` is the share of all
    rows that the largest group has.
    """

    of: dict[str, Side]
    groups: dict[Side, int]
    sessions: dict[Side, int]
    rows: dict[Side, int]
    cut_ms: int = 0
    largest: float = 0.0


def split(items: Sequence[Item], how: Split, held_out: AbstractSet[str] = frozenset()) -> Sides:
    """Part sessions. Raises Refused where nothing would be left to train, or to validate, with.

    An item with 0 `rows` is there for what it is tied to: a held-out session, say, that was not chosen.
    """
    if not 0 < how.valid < 1:
        raise Refused(f"a validation part of {how.valid:g} is none: give a share above 0 and below 1")
    found = [[items[at] for at in group] for group in groups(items, how.group_by)]
    free = [group for group in found if not any(item.session in held_out for item in group)]
    sides: dict[str, Side] = {item.session: "held out" for group in found for item in group}
    cut_ms = 0
    if how.way == "time":
        cut_ms = cut_of(free, how.valid)
        _give(sides, free, lambda group: _by_time(group, cut_ms))
    else:
        _give(sides, free, lambda group: _by_hash(group, how))
    made = _counted(found, sides, cut_ms)
    _check(made, how)
    return made


def _give(sides: dict[str, Side], free: Sequence[list[Item]], side_of: Callable[[list[Item]], Side]) -> None:
    for group in free:
        side = side_of(group)
        sides.update({item.session: side for item in group})


def cut_of(free: Sequence[Sequence[Item]], share: float) -> int:
    """Find the moment (Unix ms) from which on groups begin that have together such a share of the rows."""
    wanted = share * sum(rows_of(group) for group in free)
    found, cut_ms = 0, 0
    for group in sorted(free, key=lambda group: age_of(group[0]), reverse=True):
        found, cut_ms = found + rows_of(group), group[0].started_ms
        if found >= wanted:
            break
    return cut_ms


def _by_time(group: Sequence[Item], cut_ms: int) -> Side:
    if group[0].started_ms >= cut_ms:
        return "valid"
    return "train" if all(item.last_ms < cut_ms for item in group) else "straddling"


def _by_hash(group: Sequence[Item], how: Split) -> Side:
    return "valid" if chance(f"{how.seed}", group[0].session) < how.valid else "train"


def chance(*names: str) -> float:
    """Give a number in [0, 1) that follows from names, each time the same."""
    digest = sha256("\0".join(names).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _counted(found: Sequence[list[Item]], sides: Mapping[str, Side], cut_ms: int) -> Sides:
    many = {side: [group for group in found if sides[group[0].session] == side] for side in SIDES}
    whole = sum(map(rows_of, found))
    return Sides(
        dict(sides),
        {side: len(mine) for side, mine in many.items()},
        {side: sum(map(len, mine)) for side, mine in many.items()},
        {side: sum(map(rows_of, mine)) for side, mine in many.items()},
        cut_ms,
        max(map(rows_of, found), default=0) / whole if whole else 0.0,
    )


def rows_of(group: Sequence[Item]) -> int:
    """Count the rows of a group."""
    return sum(item.rows for item in group)


def _check(made: Sides, how: Split) -> None:
    """Raises Refused where a side is empty, or too much is on none."""
    free = [side for side in SIDES if side != "held out"]
    rows = sum(made.rows[side] for side in free)
    if rows and made.rows["straddling"] > STRADDLING_MAX * rows:
        raise Refused(
            f"{made.rows['straddling']:,} of {rows:,} rows are in groups that began before the cut and went "
            f"on after it{_why(made)}; split by hash"
            + (", or by session" if how.group_by == "repository" else ", or choose another share")
        )
    for side in ("train", "valid"):
        if not made.rows[side]:
            raise Refused(
                f"nothing is left for {side}: {sum(made.sessions[one] for one in free):,} sessions in "
                f"{sum(made.groups[one] for one in free):,} groups{_why(made)}, "
                f"{made.sessions['held out']:,} held out; record more, or choose another share"
                + (" or seed" if how.way == "hash" else "")
                + (", or split by session" if how.group_by == "repository" else "")
            )


def _why(made: Sides) -> str:
    """Name the usual reason why a split comes to nothing."""
    return f" (the largest has {made.largest:.0%} of the rows)" if made.largest > STRADDLING_MAX else ""
