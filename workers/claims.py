"""Claims made and taken back: records of the ledger; what holds of them is looked up when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from karl.errors import Refused
from karl.learning.claims import NEEDS
from karl.schema.event import event_id
from karl.schema.learning import ClaimBody, ClaimKind
from karl.views.lineage import Lineage
from workers.records import LEARNING, Outgoing, send, settled

if TYPE_CHECKING:
    from workers.doors import Doors

#: What a claim may name.
NAMES = ("evaluation", "export", "training", "adapter", "holdout")


def add(
    doors: Doors, kind: ClaimKind, text: str, of: Mapping[str, str], *, boundary: str, person: str
) -> ClaimBody:
    """Make a claim about records, named by their ids or the beginnings of them.

    Raises Refused where it does not name what its kind is checked by, NotFound where a record is not there,
    and LineDown.
    """
    settled(doors.redis, doors.settings, doors.wait)
    with Lineage(doors.settings.views) as views:
        whole = {name: _whole(views, name, id_) for name, id_ in sorted(of.items()) if id_}
    if missing := [name for name in NEEDS[kind] if name not in whole]:
        raise Refused(
            f"a claim of the kind {kind} is checked by its {missing[0]}: name it with --{missing[0]}"
        )
    now_ms, node = doors.now_ms(), doors.settings.node
    body = ClaimBody(
        id=event_id("claim", kind, text, person, node, str(now_ms)),
        kind=kind,
        text=text,
        of=whole,
        person=person,
        node=node,
        time_ms=now_ms,
        boundary=boundary,
    )
    send(doors.redis, [Outgoing("claim", LEARNING, body)], doors.wait)
    return body


def withdraw(doors: Doors, name: str, *, person: str, reason: str) -> ClaimBody:
    """Take a claim back. Raises Refused where it is taken back already, NotFound, LineDown."""
    settled(doors.redis, doors.settings, doors.wait)
    with Lineage(doors.settings.views) as views:
        claim = views.claim(name)
    if claim.withdrawn_by:
        raise Refused(f"the claim {claim.id} is withdrawn already")
    now_ms, node = doors.now_ms(), doors.settings.node
    body = ClaimBody(
        id=event_id("claim", "withdrawn", claim.id, person, node, str(now_ms)),
        kind=claim.kind,
        text=reason,
        of={},
        person=person,
        node=node,
        time_ms=now_ms,
        withdrawn=claim.id,
    )
    send(doors.redis, [Outgoing("claim", LEARNING, body)], doors.wait)
    return body


def _whole(views: Lineage, name: str, id_: str) -> str:
    """Give the whole id of a record that is there. Raises NotFound, and KarlError where several begin so."""
    if name == "evaluation":
        return views.evaluation(id_).id
    if name == "export":
        return views.export(id_).id
    if name == "holdout":
        return views.holdout(id_).id
    row = views.training(id_)
    if name == "training":
        return row.id
    if not row.adapter:
        raise Refused(f"no adapter came of the training {row.id[:12]}")
    return row.adapter
