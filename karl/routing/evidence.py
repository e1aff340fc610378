"""What may speak for a router: predictions made live, before anybody knew, of prompts that no router touched.

Others can not be made into evidence: the type has no place for them. Nor does the type take a prompt whose
skill a person typed by its name: it carries its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from karl.errors import Refused
from karl.routing.sources import turns_of
from karl.schema.routing import RouterWhy

#: Truths that count for a prompt which asked for a skill, and for one which asked for none.
AskedBy = Literal["label", "corrected", "called"]
NoneBy = Literal["label", "unused"]
#: How sure the truth has to be that a prompt asked for a skill (karl.routing.truth).
SURE = 0.5
#: Ways to make a router that go on with what the one before had: from the same procedure, with more prompts.
GOES_ON: frozenset[RouterWhy] = frozenset({"bootstrap", "centroids", "rebuild", "refresh", "snapshot"})
#: Predecessors that are looked at.
_FAR = 1000


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt, with what both routers took, null for none, and its truth, null where it asked for none.

    `words` are the prompt's, so that one that comes again and again is known as such. Raises Refused for
    anything that is no evidence.
    """

    event: str
    session: str
    agent: str
    words: str
    time_ms: int
    router: str
    vector: str | None
    regex: str | None
    truth: str | None
    by: AskedBy | NoneBy
    took_us: int
    source: Literal["live"] = "live"
    influenced: Literal[False] = False

    def __post_init__(self) -> None:
        """Refuse what the types forbid, whoever made it."""
        by = get_args(NoneBy if self.truth is None else AskedBy)
        if self.source != "live" or self.influenced is not False or self.by not in by:
            raise Refused(
                f"the prediction of {self.event} is no evidence: it is {self.source}, its truth "
                f"{self.by}, influenced {self.influenced}"
            )


class Maker(msgspec.Struct, frozen=True):
    """A router as its record tells of it; `turns` are the trajectories that it was trained with."""

    id: str
    why: RouterWhy
    procedure: tuple[str, ...]
    sources: frozenset[str]
    time_ms: int
    parent: str = ""

    @property
    def turns(self) -> frozenset[str]:
        """The trajectories whose prompts it was trained with."""
        return turns_of(self.sources)


class Lineage(msgspec.Struct, frozen=True):
    """A router and those whose predictions speak for it.

    `own` were trained with the same by the same procedure: they are the same router. `before` are its
    predecessors, from which it goes on: the same encoder and head, trained anew with what came since. Their
    predictions show how well that procedure does on prompts which it had not seen, and it has more to learn
    from by now.
    """

    router: str
    own: frozenset[str]
    before: frozenset[str] = frozenset()

    def has(self, router: str) -> bool:
        """Say whether a router's predictions count."""
        return router in self.own or router in self.before


def lineage_of(router: str, makers: Mapping[str, Maker]) -> Lineage:
    """Find whose predictions speak for a router; its own alone where its record is not there."""
    made = makers.get(router)
    if made is None:
        return Lineage(router, frozenset({router}))
    same = [one for one in makers.values() if one.why in GOES_ON and made.why in GOES_ON]
    own = frozenset(one.id for one in same if (one.procedure, one.sources) == (made.procedure, made.sources))
    before: list[str] = []
    here = made
    while here.why in GOES_ON and len(before) < _FAR:
        parent = makers.get(here.parent)
        if parent is None or parent.procedure != made.procedure or parent.id in {*before, router}:
            break
        before.append(parent.id)
        here = parent
    return Lineage(router, own | {router}, frozenset(before) - own)
