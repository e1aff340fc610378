"""Sessions that are kept from every later export, as records: reserved, looked at, released.

    the line is settled -> what is held out, what was trained with -> choose groups -> record -> settled again

Invariants:
- One holdout is made at a time, of what the ledger holds at that moment.
- What is held out is a record: an export honours it from the record's line on, on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import LedgerRewound, NotFound, Refused
from karl.learning.holdout import Chosen, Wanted, choose, near
from karl.learning.marks import mark
from karl.schema.event import event_id
from karl.schema.learning import ExportBody, HoldoutBody
from karl.stream import keys
from karl.views.lineage import HoldoutRow, Lineage
from karl.views.prompts import Prompted
from karl.views.routing import body_at
from workers.deciding import claimed, still_ours
from workers.records import LEARNING, Outgoing, send, settled

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from karl.learning.groups import Item
    from karl.settings import Settings


class Reserved(NamedTuple):
    """A holdout, and what it was chosen from. `unknown` counts exports whose record can not be read any more.

    `near` are sessions that exports leave out as well, because they ask what a held-out one asks.
    """

    body: HoldoutBody
    chosen: Chosen
    near: int
    unknown: int


class TrainedWith(NamedTuple):
    """Sessions, by their mark, that adapters were trained or validated with, each with its training runs.

    `unknown` counts exports whose record can not be read any more.
    """

    by: dict[str, tuple[str, ...]]
    unknown: int


class Shown(msgspec.Struct, frozen=True):
    """A holdout whole: its record's sessions, those that are near them, and those that were trained with.

    `erased` counts sessions that the ledger does not have any more. `touched` gives sessions with the
    training runs whose export had them.
    """

    row: HoldoutRow
    sessions: tuple[str, ...]
    near: tuple[str, ...]
    erased: int
    touched: dict[str, tuple[str, ...]]
    unknown: int


def _plan(
    settings: Settings, wanted: Wanted, *, more: bool, force: bool
) -> tuple[Chosen, list[Item], TrainedWith]:
    """Choose of what the views hold. Raises Refused and NotFound."""
    with Prompted(settings.views) as views:
        items = list(views.items())
    with Lineage(settings.views) as lineage:
        known = lineage.holdouts()
        apart = lineage.held_out()
        trained = trained_with(lineage, settings.ledger)
    if known and not more:
        raise Refused(
            f"{len(apart):,} sessions are held out already (`karl holdout list`); "
            "--more holds out some of what is left, too"
        )
    touched = {item.session for item in items if mark(item.session) in trained.by}
    return choose(items, wanted, apart, touched, force=force), items, trained


def reserve(
    redis: Redis,
    settings: Settings,
    wanted: Wanted,
    *,
    reason: str,
    person: str,
    now_ms: int,
    wait: Callable[[float], None],
    more: bool = False,
    force: bool = False,
) -> Reserved:
    """Hold sessions out from now on; the views know of it when this returns.

    Raises Refused for what can not be held out, or where somebody else does so or the line does not move, and
    LineDown.
    """
    token = event_id("holdout", person, settings.node, str(now_ms))
    with claimed(redis, keys.HOLDOUT_CLAIM, token, "what is held out"):
        settled(redis, settings, wait)
        made = planned(settings, wanted, reason=reason, person=person, now_ms=now_ms, more=more, force=force)
        still_ours(redis, keys.HOLDOUT_CLAIM, token)
        send(redis, [Outgoing("holdout", LEARNING, made.body)], wait)
        settled(redis, settings, wait)
    return made


def planned(
    settings: Settings, wanted: Wanted, *, reason: str, person: str, now_ms: int, more: bool, force: bool
) -> Reserved:
    """Make the record of a holdout, and send it to nobody. Raises Refused and NotFound."""
    chosen, items, trained = _plan(settings, wanted, more=more, force=force)
    body = HoldoutBody(
        id=event_id("holdout", person, settings.node, str(now_ms)),
        sessions=chosen.sessions,
        way=wanted.way,
        seed=wanted.seed,
        share=wanted.share,
        groups=chosen.groups,
        reason=reason,
        person=person,
        node=settings.node,
        time_ms=now_ms,
    )
    return Reserved(body, chosen, len(near(items, frozenset(chosen.sessions))), trained.unknown)


def release(
    redis: Redis,
    settings: Settings,
    name: str,
    *,
    reason: str,
    person: str,
    now_ms: int,
    wait: Callable[[float], None],
) -> HoldoutRow:
    """Hold the sessions of a holdout out no more; gives the one that it was.

    Raises NotFound, Refused where it was released before or the line does not move, and LineDown.
    """
    token = event_id("holdout released", person, settings.node, str(now_ms))
    with claimed(redis, keys.HOLDOUT_CLAIM, token, "what is held out"):
        settled(redis, settings, wait)
        with Lineage(settings.views) as lineage:
            row = lineage.holdout(name)
        if not row.in_force:
            raise Refused(f"{row.id} was released already, by {row.released_by}")
        body = HoldoutBody(
            id=token,
            sessions=(),
            way=row.way,
            seed=row.seed,
            share=row.share,
            groups=0,
            reason=reason,
            person=person,
            node=settings.node,
            time_ms=now_ms,
            released=row.id,
        )
        still_ours(redis, keys.HOLDOUT_CLAIM, token)
        send(redis, [Outgoing("holdout", LEARNING, body)], wait)
        settled(redis, settings, wait)
    return row


def show(settings: Settings, name: str) -> Shown:
    """Look at a holdout, by its id or the beginning of it. Raises NotFound, and KarlError for several."""
    with Lineage(settings.views) as lineage:
        row = lineage.holdout(name)
        sessions = lineage.sessions_held_by(row.id)
        others = lineage.held_out() - sessions if row.in_force else frozenset[str]()
        trained = trained_with(lineage, settings.ledger)
    with Prompted(settings.views) as views:
        items = list(views.items())
    there = {item.session for item in items}
    touched = {name: trained.by[mark(name)] for name in sorted(sessions) if mark(name) in trained.by}
    return Shown(
        row,
        tuple(sorted(sessions)),
        tuple(one for one in near(items, sessions) if one not in others),
        len(sessions - there),
        touched,
        trained.unknown,
    )


def near_held(settings: Settings) -> Sequence[str]:
    """Give the sessions that exports leave out because they ask what a held-out one asks."""
    with Lineage(settings.views) as lineage:
        held: AbstractSet[str] = lineage.held_out()
    if not held:
        return ()
    with Prompted(settings.views) as views:
        return near(list(views.items()), held)


def trained_with(lineage: Lineage, ledger: Path) -> TrainedWith:
    """Say which sessions were in the exports that adapters came of. Raises LedgerDamaged."""
    runs: dict[str, list[str]] = {}
    for row in lineage.trainings(-1):
        if row.adapter:
            runs.setdefault(row.export, []).append(row.id)
    by: dict[str, tuple[str, ...]] = {}
    unknown = 0
    for export, ids in runs.items():
        try:
            manifest = body_at(ledger, lineage.export(export).place, ExportBody).manifest
        except (NotFound, LedgerRewound):  # made elsewhere and never told, or erased
            unknown += 1
            continue
        for part in manifest.sessions.values():
            for one in part:
                by[one] = (*by.get(one, ()), *ids)
    return TrainedWith(by, unknown)
