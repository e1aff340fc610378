"""An earlier router put to use again, made anew from the ledger where its file is gone; and labels."""

from __future__ import annotations

import hashlib

import msgspec

from karl.errors import NotFound, Refused
from karl.schema.routing import RouterBody
from karl.stream.routing import publish_router
from karl.views.routing import body_at
from karl.views.sources import Sources
from workers.centroids import use
from workers.doors import Doors
from workers.encoder import opened_encoder
from workers.records import ROUTING, Outgoing, send, settled
from workers.router_training import Recipe, Rows, trained
from workers.routers import data_of, keep
from workers.versions import Resolved, gone_of, resolved, there_now


class RolledBack(msgspec.Struct, kw_only=True):
    """What was done: `wanted` is the version that was asked for, `router` what is in use now.

    `remade`: its file was gone and it was trained anew; `same` says whether the bytes are the ones it had.
    `gone` counts its sources that are not there any more. `was` was in use before.
    """

    wanted: str
    router: str
    was: str
    label: str
    remade: bool
    same: bool
    gone: int
    changed: bool


def rollback(doors: Doors, version: str, *, person: str, reason: str = "", force: bool = False) -> RolledBack:
    """Put a router to use again, by its id, the beginning of it, or its label.

    Raises Refused where its sources were erased (with `force` its file is used if there is one), NotFound,
    EncoderMissing, LineDown, LedgerDamaged.
    """
    settings = doors.settings
    settled(doors.redis, settings, doors.wait)
    with Sources(settings.views) as views:
        policy = views.policy()
        row = views.router(version)
        body = body_at(settings.ledger, row.place, RouterBody)
        gone = gone_of(body.sources, there_now(views, [body]))
        data = _kept(doors, body.id)
        if gone and not (force and data):
            raise Refused(_why_not(gone, kept=data is not None))
        found = _resolved(doors, views, body) if data is None else None
    if found is not None:
        data = _remade(doors, body, found)
    assert data is not None  # kept, or made anew
    router = hashlib.sha256(data).hexdigest()
    done = RolledBack(
        wanted=body.id,
        router=router,
        was=policy.router,
        label=body.label,
        remade=found is not None,
        same=router == body.id,
        gone=gone,
        changed=router != policy.router,
    )
    keep(settings, data)
    made = _body(doors, body, router, len(data), person)
    if not done.same:
        send(doors.redis, [Outgoing("router", ROUTING, made)], doors.wait)
    if done.changed:
        use(doors, policy, data, made, reason=reason or f"back to {version}", rollback=True)
    else:
        publish_router(doors.redis, data)
    return done


def snapshot(doors: Doors, label: str, *, person: str) -> RouterBody:
    """Give the router in use a label, by which it can be had again. Raises Refused where there is none."""
    settings = doors.settings
    settled(doors.redis, settings, doors.wait)
    with Sources(settings.views) as views:
        policy = views.policy()
        if not policy.router:
            raise Refused("no router is in use; `karl bootstrap` trains the first")
        _refuse_taken(views, label, policy.router)
        body = body_at(settings.ledger, views.router(policy.router).place, RouterBody)
    data_of(settings, doors.redis, body.id)  # so that its file is here
    told = msgspec.structs.replace(
        body, why="snapshot", label=label, time_ms=doors.now_ms(), person=person, node=settings.node
    )
    send(doors.redis, [Outgoing("router", ROUTING, told)], doors.wait)
    return told


def _refuse_taken(views: Sources, label: str, router: str) -> None:
    try:
        known = views.router(label)
    except NotFound:
        return
    if known.id != router:
        raise Refused(f"{label!r} names the router {known.id[:12]} already; choose another label")


def _kept(doors: Doors, router: str) -> bytes | None:
    try:
        return data_of(doors.settings, doors.redis, router)
    except NotFound:
        return None


def _resolved(doors: Doors, views: Sources, body: RouterBody) -> Resolved:
    def told(done: int, size: int) -> None:
        doors.progress(done, size, "bytes of the ledger")

    return resolved(views, doors.settings.ledger, body.sources, told)


def _remade(doors: Doors, body: RouterBody, found: Resolved) -> bytes:
    """Train a router anew with what it was trained with."""
    if found.gone:
        raise Refused(_why_not(len(found.gone), kept=False))
    with opened_encoder(doors.settings, body.encoder) as encoder:
        rows = Rows(encoder, doors.progress)
        return trained(found.chosen, rows, Recipe(body.head, body.seed)).data


def _body(doors: Doors, body: RouterBody, router: str, size: int, person: str) -> RouterBody:
    if router == body.id:
        return msgspec.structs.replace(body, person=person)
    # Another version of KARL or of the encoder made other bytes of the same sources.
    return msgspec.structs.replace(
        body,
        id=router,
        parent=body.id,
        bytes=size,
        person=person,
        node=doors.settings.node,
        time_ms=doors.now_ms(),
        measured={},
        drift={},
    )


def _why_not(gone: int, *, kept: bool) -> str:
    return (
        f"{gone} of the prompts and exemplars that it was trained with were erased since; `karl centroids` "
        "trains anew without them" + (" (--force uses what is left of it, its file)" if kept else "")
    )
