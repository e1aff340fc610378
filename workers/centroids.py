"""Training a router from the ledger, measuring it, and putting it to use: the job `centroids`.

    views -> exemplars -> vectors -> a router without the latest prompts, measured over these
                                  -> the router of all of them -> file -> record -> in use, if not worse

Invariants:
- It may be broken off at any moment and run again. What is in use changes by one record, after all else.
- A file that was trained with what is gone by now is deleted, once another router is in use.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import Refused, Unreadable
from karl.jobs import table
from karl.jobs.table import Outcome, Progress
from karl.routing import model, versions
from karl.routing.exemplars import Chosen
from karl.routing.router import Router
from karl.schema.routing import RouterBody
from karl.stream import parcels
from karl.stream.routing import publish_router
from karl.views.sources import Sources
from workers.doors import Doors
from workers.encoder import opened_encoder
from workers.exemplars import Material, material
from workers.line import on_line
from workers.policy import Decision, change, heal
from workers.put_back import put_back
from workers.records import ROUTING, Outgoing, send, settled
from workers.router_training import (
    InUse,
    Recipe,
    Rows,
    Trained,
    in_use,
    measure,
    some_anew,
    trained,
)
from workers.routers import keep, kept
from workers.versions import versions as versions_known

if TYPE_CHECKING:
    from karl.routing.policy import Policy
    from karl.settings import Settings

_HOUR_MS = 3_600_000


class Report(msgspec.Struct, kw_only=True):
    """What a training made. Without `due` nothing was to be done.

    `router` is its id, `used` says whether it is in use now and `reason` why or why not; `recorded` whether
    the ledger knows it. `prompts` are exemplars by who says what they ask for. `left_out` counts prompts that
    are no exemplars, by why. The rest is as RouterBody has it.
    """

    why: str
    due: bool = True
    router: str = ""
    same: bool = False
    recorded: bool = False
    used: bool = False
    reason: str = ""
    encoder: str = ""
    head: str = ""
    skills: int = 0
    exemplars: int = 0
    strangers: int = 0
    prompts: dict[str, int] = {}
    left_out: dict[str, int] = {}
    counts: dict[str, int] = {}
    measured: dict[str, float] = {}
    drift: dict[str, float] = {}
    drifted: list[str] = []
    bytes: int = 0


def job(arguments: table.Centroids, settings: Settings, progress: Progress) -> Outcome:
    """Train, measure, and put to use what is not worse; as a job."""
    with on_line(settings, "karl-centroids") as redis:
        return Outcome(msgspec.to_builtins(centroids(arguments, Doors(settings, redis, progress))))


def centroids(asked: table.Centroids, doors: Doors) -> Report:
    """Train a router as `asked`; without `apply` nothing is kept.

    Raises Refused where there is nothing to train with, EncoderMissing, EncoderSilent, LineDown, NotFound.
    """
    settings = doors.settings
    if asked.apply:
        settled(doors.redis, settings, doors.wait)
    with Sources(settings.views) as views:
        policy = views.policy()
        before = in_use(views, settings, policy)
        if asked.why == "refresh" and not asked.due and (reason := not_due(views, doors, before)):
            if asked.apply:  # a training that was killed may have left something unpublished
                heal(doors.redis, settings, doors.wait)
                put_back(doors.redis, settings)
            return Report(why=asked.why, due=False, router=policy.router, reason=reason)
        collect(doors)
        found = material(views, settings.ledger)

    def pick(given: Material) -> Chosen:
        return some_anew(given, before, asked.skills) if asked.skills else given.chosen()

    how = Recipe(asked.head, asked.seed)
    with opened_encoder(settings, asked.encoder) as encoder:
        rows = Rows(encoder, doors.progress)
        doors.progress(0, 3, "training what is measured")
        measured = measure(found, before, rows, how, pick)
        doors.progress(1, 3, "training")
        made = trained(pick(found), rows, how)
    doors.progress(2, 3, "keeping it")
    report, body = _told(asked, doors, made, before, measured)
    report.left_out = dict(found.found.left_out)
    if asked.apply:
        _apply(asked, doors, policy, _Made(made, body, report, before is not None and before.gone > 0))
    return report


def not_due(views: Sources, doors: Doors, before: InUse | None) -> str:
    """Say why no new router is due; empty where one is."""
    if before is None or before.gone:
        return ""
    latest = max((row.time_ms for row in views.routers(20) if row.why != "snapshot"), default=0)
    hours = (doors.now_ms() - latest) / _HOUR_MS
    every = doors.settings.routing_refresh_h
    return f"the last training is {hours:.1f} h ago; one is due after {every} h" if hours < every else ""


def collect(doors: Doors) -> None:
    """Take the vectors that other machines have made."""
    from workers.embedding import collect as take  # noqa: PLC0415 - it is asked for here alone

    take(doors.settings, doors.redis)


def _told(
    asked: table.Centroids,
    doors: Doors,
    made: Trained,
    before: InUse | None,
    measured: dict[str, float],
) -> tuple[Report, RouterBody]:
    """Say what was made: to who asked, and to the ledger."""
    router = made.router
    drift = _drift(doors, router, before)
    body = RouterBody(
        id=made.id,
        why=asked.why,
        encoder=router.encoder,
        encoder_version=router.encoder_version,
        head=router.head.name,
        seed=asked.seed,
        skills=router.skills,
        counts=made.chosen.counts(),
        sources=made.chosen.sources,
        measured=measured,
        drift=drift,
        bytes=len(made.data),
        node=doors.settings.node,
        time_ms=doors.now_ms(),
        label=asked.label,
        parent=before.body.id if before else "",
        person=asked.person,
    )
    report = Report(
        why=asked.why,
        router=body.id,
        same=before is not None and before.body.id == body.id,
        encoder=body.encoder,
        head=body.head,
        skills=len(body.skills),
        exemplars=len(made.chosen.pieces),
        strangers=len(made.chosen.strangers),
        prompts=dict(sorted(Counter(piece.how for piece in made.chosen.pieces).items())),
        counts=body.counts,
        measured=measured,
        drift=drift,
        drifted=versions.drifted(drift),
        bytes=body.bytes,
    )
    return report, body


def _drift(doors: Doors, router: Router, before: InUse | None) -> dict[str, float]:
    data = kept(doors.settings, before.body.id) if before else None
    try:
        return versions.drift(model.loads(data), router) if data else {}
    except Unreadable:  # of another form: nothing to compare with
        return {}


class _Made(NamedTuple):
    router: Trained
    body: RouterBody
    report: Report
    #: Whether what the router in use was trained with is not all there any more.
    erased: bool


def _apply(asked: table.Centroids, doors: Doors, policy: Policy, made: _Made) -> None:
    """Keep, record, and put to use."""
    (_, data, _), body, report, _ = made
    keep(doors.settings, data)
    send(doors.redis, [Outgoing("router", ROUTING, body)], doors.wait)
    report.recorded = True
    judged = versions.not_worse(body.measured)
    report.reason = judged.why
    if report.same:
        report.used, report.reason = True, "it is the one in use"
        publish_router(doors.redis, data)
        return
    if made.erased:
        report.reason = f"what the one before was trained with was erased; {judged.why}"
    if judged.good or made.erased or asked.force:
        forced = not (judged.good or made.erased)
        use(doors, _still(doors, policy), data, body, reason=report.reason, forced=forced)
        report.used = True
        forget(doors, body.id)


def _still(doors: Doors, policy: Policy) -> Policy:
    """Give today's policy: training takes its time. Raises Refused where another router is in use by now."""
    settled(doors.redis, doors.settings, doors.wait)
    with Sources(doors.settings.views) as views:
        now = views.policy()
    if now.router != policy.router:
        raise Refused(
            f"the router {now.router[:12]} was put to use meanwhile, which this one was not compared with; "
            "say it again"
        )
    return now


def use(
    doors: Doors,
    policy: Policy,
    data: bytes,
    body: RouterBody,
    *,
    reason: str,
    forced: bool = False,
    rollback: bool = False,
) -> None:
    """Have all who route use a router: decided by a record, then published. Raises Refused, LineDown."""
    decision = Decision(
        action="rollback" if rollback else "use",
        policy=msgspec.structs.replace(policy, router=body.id),
        reason=reason,
        person=body.person,
        forced=forced,
        measured=body.measured,
    )
    change(doors.redis, doors.settings, decision, upon=policy.id, now_ms=doors.now_ms(), wait=doors.wait)
    publish_router(doors.redis, data)


def forget(doors: Doors, used: str) -> None:
    """Delete the files, here and in Redis, of routers whose sources are gone, but for the one in use now."""
    for one in versions_known(doors.settings, limit=1000):
        if one.gone and one.id != used:
            (doors.settings.routers / one.id).unlink(missing_ok=True)
            parcels.let_go(doors.redis, one.id, 0)
