"""What of the views' predictions is evidence for a router, and what is not, counted by why.

Other figures may count the same: `admitted` is the one place that says what an organic prediction is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from karl.routing.evidence import SURE, Evidence, Lineage, Maker, lineage_of
from karl.routing.experiment import told
from karl.routing.policy import Policy
from karl.schema.routing import RouterBody
from karl.views.filter import Filter
from karl.views.routing import Routed, body_at
from karl.views.routing_rows import ShadowRow

#: Why a prediction is no evidence.
Why = Literal[
    "made afterwards", "no truth yet", "a router spoke", "name typed", "truth too weak", "no router",
    "another router", "router trained later", "router knew the turn", "said already",
]  # fmt: skip
#: Routers whose records are looked at.
_ROUTERS_MAX = 10_000


class Gathered(NamedTuple):
    """The evidence for a router, and how many predictions were left out, by why."""

    lineage: Lineage
    evidence: list[Evidence]
    left_out: dict[str, int]


def gather(views: Routed, ledger: Path, policy: Policy, since_ms: int = 0) -> Gathered:
    """Collect the evidence for a policy's router from predictions of prompts since a time."""
    makers = makers_of(views, ledger)
    lineage = lineage_of(policy.router, makers)
    # A prompt has the time of its agent's machine, whose clock may be ahead.
    rows = (row for row in views.shadows(Filter(since_ms=since_ms or None)) if row.made_ms >= since_ms)
    evidence, left_out = sift(rows, lineage, makers, policy)
    return Gathered(lineage, evidence, dict(left_out.most_common()))


def sift(
    rows: Iterable[ShadowRow], lineage: Lineage, makers: Mapping[str, Maker], policy: Policy
) -> tuple[list[Evidence], Counter[str]]:
    """Part predictions into evidence and the rest. A turn counts once, with its first prompt."""
    evidence, left_out, seen = [], Counter[str](), set[str]()
    for row in rows:
        found = admitted(row, lineage, makers, policy)
        if isinstance(found, str):
            left_out[found] += 1
        elif row.trajectory in seen:
            left_out["said already"] += 1
        else:
            seen.add(row.trajectory or "")
            evidence.append(found)
    return evidence, left_out


def admitted(  # noqa: C901 - one rule a line
    row: ShadowRow, lineage: Lineage, makers: Mapping[str, Maker], policy: Policy
) -> Evidence | Why:
    """Make evidence of a prediction, or say why it is none.

    While routing is live, of a session that is told of skills no prompt counts: those that remain without a
    word would be the ones of which the router knew nothing.
    """
    if row.source != "live":
        return "made afterwards"
    if row.truth_source is None or row.trajectory is None:
        return "no truth yet"
    if row.influenced or (told(row.session, policy) and row.made_ms >= policy.since_ms):
        return "a router spoke"
    if row.truth_source == "typed":
        return "name typed"
    by = row.truth_source
    if row.truth is not None and (by == "unused" or (row.truth_weight or 0.0) < SURE):
        return "truth too weak"
    if row.truth is None and by not in {"label", "unused"}:
        return "truth too weak"
    if not row.router:
        return "no router"
    if not lineage.has(row.router):
        return "another router"
    made = makers.get(row.router)
    if made is not None and made.time_ms > row.time_ms:
        return "router trained later"
    if made is not None and row.trajectory in made.turns:
        return "router knew the turn"
    return Evidence(
        event=row.event,
        session=row.session,
        agent=row.agent,
        words=" ".join((row.prompt or row.event).casefold().split()),
        time_ms=row.time_ms,
        router=row.router,
        vector=row.vector if row.takes else None,
        regex=row.regex,
        truth=row.truth,
        by=by,
        took_us=row.took_us,
    )


def makers_of(views: Routed, ledger: Path) -> dict[str, Maker]:
    """Read how each router was made: its first record says it, later ones only name it."""
    found: dict[str, Maker] = {}
    for row in views.routers(_ROUTERS_MAX):  # newest first, so that the oldest stays
        body = body_at(ledger, row.place, RouterBody)
        found[body.id] = Maker(
            body.id,
            body.why,
            (body.encoder, body.encoder_version, body.head),
            frozenset(body.sources),
            body.time_ms,
            body.parent,
        )
    return found
