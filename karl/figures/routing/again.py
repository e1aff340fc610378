"""Prompts that were predicted twice: as they came, and anew by another router or other rules.

The comparison is of the same prompts, those that asked for a skill and those that did not on their own. It
says which router does better on them; it promotes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from karl.figures.routing.chosen import Picker, could, pick
from karl.figures.routing.shares import enough, enough_paired
from karl.intervals import Paired, Share, Verdict, paired_of, share_of
from karl.views.routing_rows import ShadowRow

Pair = tuple[ShadowRow, ShadowRow]


class Again(msgspec.Struct, frozen=True):
    """One way of picking, before and after. Shares are null of too few.

    `improved` prompts were wrong and are right, `regressed` the other way round; `gain` is how much more
    often it is right after than before. `changed` is the share of all prompts whose pick is another. `false`
    are takes where none was asked for.
    """

    who: Picker
    n: int
    sessions: int
    before: Share
    after: Share
    gain: Paired
    improved: int
    regressed: int
    changed: Share
    false_before: Share
    false_after: Share


def again_of(pairs: Iterable[Pair], who: Picker) -> Again:
    """Compare the picks of prompts for which there was somebody to pick both times."""
    both = [pair for pair in pairs if all(could(row, who) for row in pair)]
    asked = [pair for pair in both if pair[0].truth is not None]
    none = [pair for pair in both if pair[0].truth is None]
    gain = paired_of(
        Verdict(before.session, _right(after, who), _right(before, who)) for before, after in asked
    )
    return Again(
        who,
        len(asked),
        len({before.session for before, _ in asked}),
        _share([before for before, _ in asked], [_right(before, who) for before, _ in asked]),
        _share([after for _, after in asked], [_right(after, who) for _, after in asked]),
        enough_paired(gain),
        gain.first,
        gain.second,
        _share([one for one, _ in both], [pick(one, who) != pick(other, who) for one, other in both]),
        _share([before for before, _ in none], [pick(before, who) is not None for before, _ in none]),
        _share([after for _, after in none], [pick(after, who) is not None for _, after in none]),
    )


def _right(row: ShadowRow, who: Picker) -> bool:
    return pick(row, who) == row.truth


def _share(rows: Sequence[ShadowRow], so: Sequence[bool]) -> Share:
    return enough(share_of((row.session, int(one), 1) for row, one in zip(rows, so, strict=True)))
