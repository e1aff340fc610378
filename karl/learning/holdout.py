"""Which sessions are held out: whole groups of what was not trained with yet, the newest or by a hash."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from karl.errors import Refused
from karl.learning.groups import GroupBy, Item, groups
from karl.learning.split import chance, cut_of, rows_of
from karl.schema.learning import SplitWay

#: How many times what was asked for a holdout by hash may come to, where groups are large.
OVER = 1.5


class Wanted(NamedTuple):
    """How much of the turns, above 0 and below 1, and how it is chosen."""

    share: float = 0.15
    way: SplitWay = "time"
    seed: int = 0
    group_by: GroupBy = "session"


class Chosen(NamedTuple):
    """What is to be held out, and of how much.

    `sessions` and `groups` are chosen, `turns` are theirs; `of_turns` could have been. `trained_with` counts
    sessions that are left out because they, or one of their group, were trained with, or that are held out
    although they were (`touched`). `cut_ms` is the moment from which on groups were taken, 0 by hash.
    """

    sessions: tuple[str, ...]
    groups: int
    turns: int
    of_turns: int
    of_groups: int
    trained_with: int
    touched: tuple[str, ...]
    cut_ms: int


def choose(
    items: Sequence[Item], wanted: Wanted, apart: AbstractSet[str], trained: AbstractSet[str], *, force: bool
) -> Chosen:
    """Choose groups without a session that is `apart` (held out already), nor one that was trained with.

    With `force` what was trained with is chosen, too. Raises Refused where nothing, or everything, would be.
    """
    if not 0 < wanted.share < 1:
        raise Refused(f"a share of {wanted.share:g} is none: give one above 0 and below 1")
    whole = [[items[at] for at in group] for group in groups(items, wanted.group_by)]
    open_ = [group for group in whole if not any(item.session in apart for item in group)]
    clean = [group for group in open_ if not any(item.session in trained for item in group)]
    free = open_ if force else clean
    by_time = wanted.way == "time"
    cut_ms = cut_of(free, wanted.share) if by_time else 0
    taken = [one for one in free if one[0].started_ms >= cut_ms] if by_time else _by_hash(free, wanted)
    trained_with = sum(map(len, open_)) - sum(map(len, clean))
    _check(taken, free, 0 if force else trained_with, wanted)
    sessions = sorted(item.session for group in taken for item in group)
    return Chosen(
        tuple(sessions),
        len(taken),
        sum(map(rows_of, taken)),
        sum(map(rows_of, free)),
        len(free),
        trained_with,
        tuple(name for name in sessions if name in trained),
        cut_ms,
    )


def near(items: Sequence[Item], held_out: AbstractSet[str], group_by: GroupBy = "session") -> list[str]:
    """Give the sessions that are not held out themselves, but ask what a held-out one asks."""
    found = ([items[at].session for at in group] for group in groups(items, group_by))
    return sorted(
        name for group in found if not held_out.isdisjoint(group) for name in group if name not in held_out
    )


def _by_hash(free: Sequence[Sequence[Item]], wanted: Wanted) -> list[Sequence[Item]]:
    """Take groups in the order of a hash until there are enough; one that is far too much is passed over.

    It is not the hash of a split: by that, nothing would be left to validate with.
    """
    enough = wanted.share * sum(map(rows_of, free))
    taken: list[Sequence[Item]] = []
    turns = 0
    for group in sorted(free, key=lambda group: chance("holdout", f"{wanted.seed}", group[0].session)):
        if turns >= enough:
            break
        if turns + rows_of(group) <= OVER * enough:
            taken.append(group)
            turns += rows_of(group)
    return taken


def _check(
    taken: Sequence[Sequence[Item]], free: Sequence[Sequence[Item]], trained_with: int, wanted: Wanted
) -> None:
    """Raises Refused where nothing would be held out, or nothing be left."""
    why = f"; {trained_with:,} sessions are no choice, since they were trained with" if trained_with else ""
    if not free:
        raise Refused(f"there is no session that could be held out{why}")
    by = ", or hold out by session" if wanted.group_by == "repository" else ""
    if not taken:
        raise Refused(
            f"no group ({len(free):,}) is small enough for this share{why}: choose a larger one{by}"
        )
    if len(taken) == len(free):
        raise Refused(
            f"nothing would be left, all groups ({len(free):,}) would be held out{why}: record more, "
            f"choose a smaller share{by}"
        )
