"""Routing in a few figures, for the pages that show everything."""

from __future__ import annotations

import msgspec

from karl.figures.routing.accuracy import accuracy_of
from karl.figures.routing.chosen import Chosen
from karl.figures.routing.confusion import Pair, pairs_of
from karl.intervals import Paired, Share

#: Pairs that are named.
NAMED = 3


class Digest(msgspec.Struct, frozen=True):
    """Live predictions of prompts: so many `asked` for a skill, `none` for none; see `Accuracy`."""

    mode: str
    asked: int
    none: int
    first: Share
    vector: Share
    regex: Share
    over_regex: Paired
    false: Share
    pairs: list[Pair]


def digest_of(chosen: Chosen, mode: str) -> Digest:
    """Put the figures together."""
    whole = accuracy_of(chosen)[0]
    return Digest(
        mode,
        len(chosen.asked),
        len(chosen.none),
        whole.ranking.first,
        whole.ways["vector"].right,
        whole.ways["regex"].right,
        whole.over_regex,
        whole.ways["vector"].false,
        pairs_of(chosen.asked)[:NAMED],
    )
